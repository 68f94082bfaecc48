/**
 * Goal: what a run with groups says about its partition and its noise is recomputed: the second accountant's shares of a
 * group are those of the first and true against the exact tail; every altered draw, size or validity is found.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { toHex } from '../crypto/bytes.ts';
import { groupNoiseShares } from '../crypto/dp/group-shares.ts';
import { parseRational } from '../crypto/dp/rational.ts';
import { chargeOf } from './accountant.ts';
import { groupHonestShares, groupSizesOf } from './group-terms.ts';
import { termsOf } from './plan-terms.ts';
import { RunFixture } from './testing.ts';
import { type AuditTrust, verifyRunDirectory } from './verify.ts';

const root = mkdtempSync(join(tmpdir(), 'pulsefold-audit-groups-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

const trustOf = (run: RunFixture): AuditTrust => ({
  logKey: run.logKey,
  approvers: [{ id: 'ethics', publicKey: toHex(run.approver.publicKey) }],
  planHash: run.parsed.hashHex,
});
const audit = (run: RunFixture) =>
  verifyRunDirectory(run.write(mkdtempSync(join(root, 'run-'))), trustOf(run));
const errorsOf = (run: RunFixture): string[] => [
  ...new Set(
    audit(run)
      .findings.filter(({ severity }) => severity === 'error')
      .map(({ code }) => code),
  ),
];

describe('an honest run with groups', () => {
  it.each(['intl', 'gm'] as const)('passes: %s', (suite) => {
    const result = audit(new RunFixture({ grouped: true, suite }));
    expect(result.findings).toEqual([]);
    expect(result.budget).toMatchObject({ delta: 1e-5, participantsCharged: 17 });
    expect(result.budget!.epsilon).toBeGreaterThan(1);
  });

  it('passes without DP', () => {
    expect(audit(new RunFixture({ grouped: true, unit: 'none' })).findings).toEqual([]);
  });

  it('pays for the smallest group: more than for one sum of the same people', () => {
    const run = new RunFixture({ grouped: true });
    const terms = termsOf(run.parsed.plan, 'training', 17)!;
    // Five members, of whom three others may be corrupt; of all 17, 16 are honest.
    expect(terms.shares).toBe(2);
    expect(Number(run.leaf('mechanism').charge)).toBeCloseTo(chargeOf(terms, 'zcdp'), 9);
    // ε at the whole δ is less than what is stated at 99/100 of it.
    run.edit(run.leaf('release', 3), { epsilon: String(audit(run).budget!.epsilon * 0.9999) });
    expect(errorsOf(run)).toEqual(['EPSILON_MISMATCH']);
  });

  it('a charge for the whole cohort’s noise is found', () => {
    const run = new RunFixture({ grouped: true });
    const mechanism = run.leaf('mechanism');
    const event = { ...(mechanism.event as object), noiseShares: 16 };
    run.edit(mechanism, { event });
    expect(errorsOf(run)).toEqual(['MECHANISM_MISMATCH']);
  });
});

describe('noise shares of a group', () => {
  const terms = { gamma: '1/4', cohortMin: 200, failure: 1e-9 };

  it('are those of the first accountant, for many sizes', () => {
    for (const gamma of ['0', '1/100', '1/10', '1/4', '1/3', '0.45'])
      for (const cohortMin of [6, 60, 200, 2000])
        for (const size of [1, 2, 3, 5, 10, 17, 40, 99, 400])
          for (const failure of [1e-3, 1e-9, 1e-12]) {
            const first = groupNoiseShares({ gamma: parseRational(gamma), cohortMin, size, failure });
            const second = groupHonestShares({ gamma, cohortMin, size, failure });
            expect(second, `${gamma} ${cohortMin} ${size} ${failure}`).toBe(first);
          }
  });

  it('hold except with probability β, by the exact hypergeometric tail', () => {
    const logChoose = (n: number, k: number): number => {
      let total = 0;
      for (let i = 1; i <= k; i++) total += Math.log((n - k + i) / i);
      return k < 0 || k > n ? Number.NEGATIVE_INFINITY : total;
    };
    for (const size of [5, 10, 20, 40]) {
      const shares = groupHonestShares({ ...terms, size });
      const counted = size - shares;
      // Of 199 others 50 are corrupt; a group draws size − 1 of them.
      let tail = 0;
      for (let k = counted + 1; k <= size - 1; k++)
        tail += Math.exp(logChoose(50, k) + logChoose(149, size - 1 - k) - logChoose(199, size - 1));
      expect(tail).toBeLessThanOrEqual(terms.failure);
    }
    expect(groupHonestShares({ ...terms, size: 40 })).toBeGreaterThan(1);
  });

  it('without corruption every member adds noise', () => {
    expect(groupHonestShares({ ...terms, gamma: '0', size: 17 })).toBe(17);
    // An empty group, of a cohort that no plan allows, has none.
    expect(groupHonestShares({ ...terms, size: 0 })).toBe(0);
  });

  it('the cut is equal and complete', () => {
    for (const [cohort, count] of [
      [8, 3],
      [100, 7],
      [64, 64],
    ] as const) {
      const sizes = groupSizesOf(cohort, count);
      expect(sizes.reduce((sum, size) => sum + size)).toBe(cohort);
      expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
    }
    expect(groupSizesOf(8, 3)).toEqual([3, 3, 2]);
  });
});

describe('a run that was altered', () => {
  type Draws = { holderId: string; values: string; signature: string }[];
  const certificateOf = (run: RunFixture): Uint8Array => {
    const { kind: _k, version: _v, timeMs: _t, signatures: _s, ...body } = run.leaf('round_certificate');
    return run.certify(body).statement;
  };
  const withDraws = (change: (draws: Draws, run: RunFixture) => Draws): RunFixture => {
    const run = new RunFixture({ grouped: true });
    const file = run.roundFiles.get(1)!;
    file.draws = change(file.draws!, run);
    return run;
  };

  it.each<[string, (draws: Draws, run: RunFixture) => Draws]>([
    ['no draws', () => []],
    ['one holder’s draw gone', (draws) => draws.slice(1)],
    ['one holder’s draw twice', ([first, second]) => [first!, second!, second!]],
    [
      'a value altered',
      (draws) => draws.map((draw, i) => (i ? draw : { ...draw, values: `00${draw.values.slice(2)}` })),
    ],
    [
      'a value that its holder alone signed',
      (draws, run) => [run.signDraw(1, certificateOf(run), '7'.repeat(192)), ...draws.slice(1)],
    ],
    ['draws of another round', (_draws, run) => run.roundFiles.get(3)!.draws!],
    ['a stranger’s draw', (draws) => draws.map((draw, i) => (i ? draw : { ...draw, holderId: 'holder-9' }))],
  ])('draws: %s', (_name, change) => {
    expect(errorsOf(withDraws(change))).toEqual(['DRAWS_MISMATCH']);
  });

  it('a fourth, lying holder is outvoted: that is no finding', () => {
    const run = withDraws((draws, own) => [...draws, own.signDraw(3, certificateOf(own), '7'.repeat(192))]);
    expect(errorsOf(run)).toEqual([]);
  });

  it.each<[string, object]>([
    ['unequal groups', { sizes: [7, 5, 5], valid: [true, false, true] }],
    ['another order', { sizes: [5, 6, 6], valid: [true, false, true] }],
    ['a person too many', { sizes: [6, 6, 6], valid: [true, false, true] }],
    ['other groups', { sizes: [9, 8], valid: [true, true] }],
    ['no majority', { sizes: [6, 6, 5], valid: [true, false, false] }],
    ['a validity missing', { sizes: [6, 6, 5], valid: [true, false] }],
  ])('groups: %s', (_name, groups) => {
    const run = new RunFixture({ grouped: true });
    run.edit(run.leaf('opened_sum'), { groups });
    Object.assign(run.roundFiles.get(1)!, { groups });
    expect(errorsOf(run)).toEqual(['GROUPS_MISMATCH']);
  });

  it('groups of the file and of the log differ, or are missing', () => {
    const run = new RunFixture({ grouped: true });
    run.roundFiles.get(1)!.groups = { sizes: [6, 6, 5], valid: [true, true, true] };
    expect(errorsOf(run)).toEqual(['GROUPS_MISMATCH']);
    const bare = new RunFixture({ grouped: true });
    const { groups: _groups, ...leaf } = bare.leaf('opened_sum');
    bare.leaves = bare.leaves.map((other) => (other === bare.leaf('opened_sum') ? (leaf as never) : other));
    expect(errorsOf(bare)).toEqual(['GROUPS_MISMATCH']);
  });

  it('digits in a group that was dropped; a sum that opened more or fewer groups', () => {
    const open = (digits: number[]): string[] => {
      const run = new RunFixture({ grouped: true });
      const sumHash = toHex(run.suite.digest(new Uint8Array(Int32Array.from(digits).buffer)));
      run.edit(run.leaf('opened_sum'), { sumHash, length: digits.length });
      run.roundFiles.get(1)!.sum = { digits, hash: sumHash };
      return errorsOf(run);
    };
    expect(open([1, 2, 3, 0, 0, 0, 7, 8, 9])).toEqual([]);
    expect(open([1, 2, 3, 0, 4, 0, 7, 8, 9])).toEqual(['GROUPS_MISMATCH']);
    expect(open([1, 2, 3, 0, 0, 0, 7, 8, 9, 1, 1, 1])).toContain('MECHANISM_MISMATCH');
    expect(open([1, 2, 3])).toContain('MECHANISM_MISMATCH');
  });

  it('groups in a run whose plan has none', () => {
    const run = new RunFixture();
    run.edit(run.leaf('opened_sum'), { groups: { sizes: [2, 2], valid: [true, true] } });
    expect(errorsOf(run)).toEqual(['GROUPS_MISMATCH']);
    const drawn = new RunFixture();
    drawn.roundFiles.get(1)!.draws = [];
    expect(errorsOf(drawn)).toEqual(['GROUPS_MISMATCH']);
  });
});
