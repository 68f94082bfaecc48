import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { toHex } from '../crypto/bytes.ts';
import { canonicalJson } from '../crypto/log/canonical-json.ts';
import type { Leaf } from '../crypto/log/leaves.ts';
import { approvePlan } from '../protos/plan.ts';
import { RunFixture } from './testing.ts';
import { type AuditTrust, verifyRunDirectory } from './verify.ts';

const root = mkdtempSync(join(tmpdir(), 'pulsefold-audit-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const freshDirectory = (): string => mkdtempSync(join(root, 'run-'));
const trustOf = (run: RunFixture): AuditTrust => ({
  logKey: run.logKey,
  approvers: [{ id: 'ethics', publicKey: toHex(run.approver.publicKey) }],
  approvalsRequired: 1,
  planHash: run.parsed.hashHex,
});
const audit = (run: RunFixture, trust: AuditTrust = trustOf(run)) =>
  verifyRunDirectory(run.write(freshDirectory()), trust);
const errorsOf = (result: ReturnType<typeof audit>): string[] => [
  ...new Set(
    result.findings.filter((finding) => finding.severity === 'error').map((finding) => finding.code),
  ),
];

/**
 * The coordinator itself rewrites its log and signs the result: roots fit, only the meaning gives it away.
 */
describe('a log rewritten and signed again by the coordinator', () => {
  type Change = (run: RunFixture) => void;
  const settlement = (run: RunFixture) => run.leaf('settlement', 1, 0);
  const recertify = (run: RunFixture, change: Record<string, unknown>, count?: number) => {
    const old = run.leaf('round_certificate');
    const { kind: _k, version: _v, timeMs: _t, signatures: _s, ...body } = { ...old, ...change };
    const { signatures, hash } = run.certify(body, count);
    const before = run.certify(old).hash;
    run.edit(old, { ...change, signatures });
    run.leaves = run.leaves.map((leaf) => JSON.parse(canonicalJson(leaf).replaceAll(before, hash)) as Leaf);
  };
  const drop = (run: RunFixture, leaf: Leaf) => {
    run.leaves = run.leaves.filter((other) => other !== leaf);
  };
  const cases: [string, Change, string[]][] = [
    [
      'an edited certificate',
      (run) => run.edit(run.leaf('round_certificate'), { cohortRoot: 'e'.repeat(64) }),
      ['QUORUM_MISSING', 'SUM_UNCERTIFIED'],
    ],
    [
      'a larger cohort claimed',
      (run) => run.edit(run.leaf('round_certificate'), { cohortCount: 5 }),
      ['QUORUM_MISSING'],
    ],
    [
      'more coefficients opened than noised entries, as digit columns would be',
      (run) => {
        const digits = [1, -2, 3000, 0, 0, 1];
        const sumHash = toHex(run.suite.digest(new Uint8Array(Int32Array.from(digits).buffer)));
        run.edit(run.leaf('opened_sum'), { sumHash, length: 6 });
        run.roundFiles.set(1, { ...run.roundFiles.get(1)!, sum: { digits, hash: sumHash } } as never);
      },
      ['MECHANISM_MISMATCH'],
    ],
    ['a certificate with two signatures', (run) => recertify(run, {}, 2), ['QUORUM_MISSING']],
    [
      'one signature three times',
      (run) => {
        const c = run.leaf('round_certificate');
        run.edit(c, { signatures: [0, 0, 0].map((i) => c.signatures[i]!) });
      },
      ['QUORUM_MISSING'],
    ],
    [
      'a cohort below K_min, signed by a quorum',
      (run) => recertify(run, { cohortCount: 2 }),
      ['COHORT_TOO_SMALL', 'SETTLEMENT_MISMATCH', 'MECHANISM_MISMATCH'],
    ],
    [
      'a certificate for another model',
      (run) => recertify(run, { modelHash: 'e'.repeat(64) }),
      ['ROUND_INCONSISTENT'],
    ],
    [
      'a second certificate',
      (run) => {
        const c = run.leaf('round_certificate');
        run.leaves.push({ ...c, ...{ cohortRoot: 'e'.repeat(64) } });
      },
      ['CERTIFICATE_CONFLICT'],
    ],
    [
      'an abort beside a certificate',
      (run) => run.leaves.push({ ...run.leaf('abort', 2), round: 1 }),
      ['CERTIFICATE_CONFLICT', 'QUORUM_MISSING'],
    ],
    [
      'a swapped sum',
      (run) => run.edit(run.leaf('opened_sum'), { sumHash: run.leaf('opened_sum', 3).sumHash }),
      ['SUM_MISMATCH'],
    ],
    [
      'a sum opened without a certificate',
      (run) => drop(run, run.leaf('round_certificate')),
      ['SUM_UNCERTIFIED', 'SETTLEMENT_MISMATCH'],
    ],
    [
      'a second sum in one round',
      (run) => run.leaves.push({ ...run.leaf('opened_sum'), sumHash: 'e'.repeat(64) }),
      ['SUM_UNCERTIFIED'],
    ],
    ['a hidden sum', (run) => drop(run, run.leaf('opened_sum')), ['SUM_UNCERTIFIED', 'ROUND_INCONSISTENT']],
    [
      'one opening holder',
      (run) => run.edit(run.leaf('opened_sum'), { activeSet: ['holder-1'] }),
      ['SUM_UNCERTIFIED'],
    ],
    [
      'a stranger among the opening holders',
      (run) => run.edit(run.leaf('opened_sum'), { activeSet: ['holder-1', 'holder-9'] }),
      ['SUM_UNCERTIFIED'],
    ],
    [
      'a committee key with three signatures',
      (run) => {
        const c = run.leaf('ceremony');
        run.edit(c, { signatures: c.signatures.slice(0, 3) });
      },
      ['KEY_NOT_SIGNED'],
    ],
    ['a round under an unknown key', (run) => drop(run, run.leaf('ceremony')), ['KEY_NOT_SIGNED']],
    ['an unapproved plan', (run) => drop(run, run.leaf('plan_approved')), ['PLAN_NOT_APPROVED']],
    [
      'an approval after the first round',
      (run) => {
        run.leaves.push(run.leaves.shift()!);
      },
      ['PLAN_NOT_APPROVED'],
    ],
    [
      'a release before its sum',
      (run) => {
        const r = run.leaf('release');
        drop(run, r);
        run.leaves.splice(6, 0, r);
      },
      ['ROUND_INCONSISTENT'],
    ],
    [
      'a model nobody released',
      (run) => run.edit(run.leaf('release'), { contentHash: 'e'.repeat(64) }),
      ['MODEL_MISMATCH'],
    ],
    ['a lowered ε', (run) => run.edit(run.leaf('release', 3), { epsilon: '0.5' }), ['EPSILON_MISMATCH']],
    ['a raised ε', (run) => run.edit(run.leaf('release', 3), { epsilon: '2.9' }), ['EPSILON_MISMATCH']],
    ['a raised budget', (run) => run.edit(run.leaf('release'), { epsilonBudget: '9' }), ['EPSILON_MISMATCH']],
    [
      'a lowered charge',
      (run) => {
        for (const leaf of [run.leaf('mechanism'), settlement(run), run.leaf('settlement', 1, 1)])
          run.edit(leaf, { charge: '0.0001' });
      },
      ['CHARGE_MISMATCH', 'EPSILON_MISMATCH', 'LEDGER_MISMATCH'],
    ],
    [
      'a settlement cheaper than its mechanism',
      (run) => run.edit(settlement(run), { charge: '0.0001' }),
      ['CHARGE_MISMATCH'],
    ],
    [
      'more noise claimed than the plan has',
      (run) => {
        const m = run.leaf('mechanism');
        run.edit(m, { event: { ...m.event, varianceLocal: '900000' } });
      },
      ['MECHANISM_MISMATCH'],
    ],
    [
      'an amplification that the plan does not have',
      (run) => {
        const m = run.leaf('mechanism');
        run.edit(m, { event: { type: 'poisson_sampled', samplingRate: '1/10', event: m.event } });
      },
      ['MECHANISM_MISMATCH'],
    ],
    [
      'an unknown kind of mechanism',
      (run) => run.edit(run.leaf('mechanism'), { event: { type: 'laplace' } }),
      ['MECHANISM_MISMATCH'],
    ],
    ['no mechanism record', (run) => drop(run, run.leaf('mechanism')), ['MECHANISM_MISMATCH']],
    [
      'a certified round that is not settled',
      (run) => {
        drop(run, settlement(run));
        drop(run, run.leaf('settlement'));
      },
      ['SETTLEMENT_MISMATCH', 'RESERVATION_MISMATCH'],
    ],
    [
      'a charge dropped',
      (run) => run.edit(settlement(run), { pseudonyms: settlement(run).pseudonyms.slice(1) }),
      ['SETTLEMENT_MISMATCH', 'RESERVATION_MISMATCH'],
    ],
    [
      'a charge moved to somebody uninvited',
      (run) =>
        run.edit(settlement(run), { pseudonyms: ['0'.repeat(64), ...settlement(run).pseudonyms.slice(1)] }),
      ['RESERVATION_MISMATCH'],
    ],
    [
      'everybody released',
      (run) => run.edit(settlement(run), { outcome: 'released' }),
      ['SETTLEMENT_MISMATCH'],
    ],
    [
      'settled by another statement',
      (run) => run.edit(settlement(run), { statementHash: 'e'.repeat(64) }),
      ['SETTLEMENT_MISMATCH'],
    ],
    ['a missing part of a list', (run) => run.edit(settlement(run), { parts: 2 }), ['SETTLEMENT_MISMATCH']],
  ];
  it.each(cases)('%s', (_name, change, codes) => {
    const run = new RunFixture();
    change(run);
    const result = audit(run);
    expect(errorsOf(result)).toEqual(expect.arrayContaining(codes));
    expect(errorsOf(result)).not.toContain('ROOT_MISMATCH');
  });

  it('an abort with two signatures', () => {
    const run = new RunFixture();
    const abort = run.leaf('abort', 2);
    run.edit(abort, { signatures: abort.signatures.slice(1) });
    expect(errorsOf(audit(run))).toEqual(['QUORUM_MISSING']);
  });

  it('overspending by a second plan of the same participants', () => {
    const run = new RunFixture();
    const other = { ...run.leaf('settlement'), planHash: 'f'.repeat(64), charge: '0.4' };
    run.leaves.splice(1, 0, other);
    expect(errorsOf(audit(run))).toContain('BUDGET_EXCEEDED');
  });

  it('a rewritten history contradicts an earlier checkpoint, even where it is consistent with itself', () => {
    const run = new RunFixture();
    const earlierCheckpoint = run.checkpoint(9);
    run.edit(run.leaf('reservation'), { timeMs: 1 });
    expect(audit(run).ok).toBe(true);
    expect(errorsOf(audit(run, { ...trustOf(run), earlierCheckpoint }))).toEqual(['CHECKPOINT_FORKED']);
    run.leaves = run.leaves.slice(0, 5);
    expect(errorsOf(audit(run, { ...trustOf(run), earlierCheckpoint }))).toContain('CHECKPOINT_FORKED');
  });

  it('another key than the pinned one, another approver, another plan', () => {
    const run = new RunFixture();
    const stranger = new RunFixture();
    expect(errorsOf(audit(run, { ...trustOf(run), logKey: stranger.logKey }))).toEqual([
      'CHECKPOINT_SIGNATURE',
    ]);
    const approvers = [{ id: 'ethics', publicKey: toHex(stranger.approver.publicKey) }];
    expect(errorsOf(audit(run, { ...trustOf(run), approvers }))).toEqual(['PLAN_NOT_APPROVED']);
    expect(errorsOf(audit(run, { ...trustOf(run), approvalsRequired: 2 }))).toEqual(['PLAN_NOT_APPROVED']);
    const ethics = { id: 'ethics', publicKey: toHex(run.approver.publicKey), seat: 'technical' } as const;
    const counsel = { id: 'counsel', publicKey: toHex(stranger.approver.publicKey), seat: 'legal' } as const;
    expect(errorsOf(audit(run, { ...trustOf(run), approvers: [ethics] }))).toEqual([]);
    expect(errorsOf(audit(run, { ...trustOf(run), approvers: [ethics, counsel] }))).toEqual([
      'PLAN_NOT_APPROVED',
    ]);
    expect(errorsOf(audit(run, { ...trustOf(run), planHash: 'e'.repeat(64) }))).toEqual(['FILE_MALFORMED']);
    const forged = approvePlan(stranger.parsed, 'ethics', run.approver);
    const [approval] = run.leaf('plan_approved').approvals;
    run.edit(run.leaf('plan_approved'), { approvals: [{ ...approval, signature: toHex(forged.signature) }] });
    expect(errorsOf(audit(run))).toEqual(['PLAN_NOT_APPROVED']);
  });

  it('a log key in the directory that is not the one in the plan', () => {
    const run = new RunFixture();
    const directory = run.write(freshDirectory());
    const stranger = new RunFixture().write(freshDirectory());
    for (const file of ['log/key', 'log/checkpoint'])
      writeFileSync(join(directory, file), readFileSync(join(stranger, file)));
    expect(errorsOf(verifyRunDirectory(directory))).toContain('CHECKPOINT_SIGNATURE');
  });
});
