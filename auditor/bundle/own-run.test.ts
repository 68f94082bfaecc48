// Goal: without a bundle, receipts rest on the person's own proofs of logging and on the holders' signatures in them; what
// these do not show is named, pins are held, and two proofs that cannot be of one log are an alarm.
import { describe, expect, it } from 'vitest';
import { fromUtf8 } from '../../crypto/bytes.ts';
import { encodeVerifierKey } from '../../crypto/log/checkpoint.ts';
import type { Receipt } from '../../protos/receipt.ts';
import { abortStatement } from '../../protos/statements.ts';
import { RunFixture } from '../testing.ts';
import { proveHistory } from './history.ts';
import type { OwnProof } from './own-proofs.ts';
import { type OwnTrust, ownRunOf } from './own-run.ts';
import { DEVICE, PSEUDONYM, proofOf, signed, takePart } from './testing.ts';

const run = new RunFixture();
const own = takePart(run);
const receipts = own.map((receipt) => signed(run, receipt));
const plan = { planHash: run.parsed.hashHex, plan: fromUtf8(run.parsed.bytes) };
const ofRound = (round: number): OwnProof[] => [
  proofOf(run, run.leaf('round_certificate', round), 'decision', round),
  proofOf(run, run.leaf('settlement', round), 'settlement', round),
];
const proofs = [1, 3].flatMap(ofRound);
const prove = (logProofs: readonly OwnProof[], given = receipts, trust: OwnTrust = {}) =>
  proveHistory(given, [ownRunOf(plan, logProofs, trust)], { logProofs });

describe('rounds of a plan without a bundle', () => {
  it('are proven by the proofs of certificate and charge, and it is said what they rest on', () => {
    const history = prove(proofs);
    expect(history).toMatchObject({ ok: true, problems: [], logProofs: { given: 4, agree: 4 } });
    expect(history.unaudited).toEqual([
      { planHash: plan.planHash, planName: run.parsed.plan.name, rests: 'own proofs' },
    ]);
    expect(history.entries).toMatchObject([
      { round: 1, charged: true, proven: true, cohortCount: 4, logProofs: ['decision', 'settlement'] },
      { round: 3, charged: true, proven: true, cohortCount: 4, logProofs: ['decision', 'settlement'] },
    ]);
    expect(history.totals[0]!.epsilon).toBeGreaterThan(0);
  });

  it.each<[string, readonly OwnProof[]]>([
    ['no proof of a charge', proofs.toSpliced(1, 1)],
    ['no proof of a certificate', proofs.toSpliced(0, 1)],
    ['no proof at all', []],
  ])('with %s are not, though nothing is said against the log', (_name, some) => {
    const history = prove(some);
    expect(history).toMatchObject({ ok: false, problems: ['LOG_NOT_SHOWN'] });
    expect(history.entries[0]).toMatchObject({ round: 1, proven: false });
  });

  it('that were charged otherwise, or certified otherwise, than the receipt says are named', () => {
    const [foreign] = takePart(new RunFixture());
    const [receipt] = own;
    const dearer = signed(run, { ...receipt!, charge: { ...receipt!.charge!, amount: '7' } });
    expect(prove(ofRound(1), [dearer]).problems).toEqual(['CHARGE_DIFFERS']);
    const certificate = { ...receipt!.certificate!, modelHash: 'a'.repeat(64) };
    expect(prove(ofRound(1), [signed(run, { ...receipt!, certificate })]).problems).toEqual(
      expect.arrayContaining(['CERTIFICATE_NOT_IN_LOG', 'NOT_IN_COHORT']),
    );
    expect(prove([], [signed(run, foreign!)]).problems).toEqual(['BUNDLE_MISSING']);
  });

  it('are not proven by two logs of one size', () => {
    const other = new RunFixture();
    Object.assign(other, { coordinator: run.coordinator, signer: run.signer });
    other.leaves = run.leaves.with(-1, { ...run.leaves.at(-1)!, timeMs: 5 });
    const elsewhere = proofOf(other, run.leaf('settlement', 3), 'settlement', 3);
    expect(prove([...proofs.slice(0, 3), elsewhere])).toMatchObject({ ok: false, problems: ['LOG_FORKED'] });
    // Nobody contradicts either of them alone.
    expect(prove([proofs[2]!, proofs[3]!], receipts.slice(1)).ok).toBe(true);
    expect(
      prove([proofOf(other, run.leaf('round_certificate', 3), 'decision', 3), elsewhere], receipts.slice(1))
        .ok,
    ).toBe(true);
  });

  it('of another plan than its hash says are refused', () => {
    expect(() => ownRunOf({ ...plan, planHash: 'b'.repeat(64) }, [])).toThrow(/PLAN_INVALID|is another one/);
  });
});

describe('the pins of a plan without a bundle', () => {
  const other = new RunFixture();
  it.each<[string, OwnTrust]>([
    ['another plan', { planHash: 'f'.repeat(64) }],
    ['another log key', { logKey: other.logKey }],
    [
      'the same key as another log',
      { logKey: encodeVerifierKey({ ...run.signer, name: 'elsewhere.example' }) },
    ],
  ])('are contradicted by %s, in every round', (_name, trust) => {
    const history = prove(proofs, receipts, trust);
    expect(history).toMatchObject({
      ok: false,
      problems: ['PIN_DIFFERS'],
      logProofs: { given: 4, agree: 0 },
    });
    expect(history.entries.map(({ proven }) => proven)).toEqual([false, false]);
  });

  it('hold for the plan and the log that were meant', () => {
    const trust = { planHash: plan.planHash, logKey: `${run.logKey}\n` };
    expect(prove(proofs, receipts, trust)).toMatchObject({ ok: true, problems: [] });
    expect(() => ownRunOf(plan, [], { logKey: 'mine' })).toThrow(/MALFORMED|key/);
  });
});

describe('without a bundle the holders are counted in the receipt:', () => {
  const [first] = own as [Receipt, ...Receipt[]];
  const statement = (reason: string) => abortStatement({ planHash: run.parsed.hash, round: 2, reason });
  const { certificate: _c, inclusion: _i, charge: _p, ...bare } = first;
  const aborted = (signatures: { holderId: string; signature: string }[]): Receipt => {
    const reason = run.leaf('abort', 2).reason;
    return { ...bare, round: 2, outcome: 'aborted', abort: { reason, signatures } };
  };
  const quorum = run.sign(statement(run.leaf('abort', 2).reason), 3);
  const zeros = (signatures: { holderId: string; signature: string }[]) =>
    signatures.map(({ holderId }) => ({ holderId, signature: '0'.repeat(128) }));
  const abortProof = [proofOf(run, run.leaf('abort', 2), 'decision', 2)];
  const problems = (receipt: Receipt, given: readonly OwnProof[]) => {
    const { ok, problems } = prove(given, [signed(run, receipt)]);
    expect(ok).toBe(problems.length === 0);
    return problems;
  };

  it('a certificate', () => {
    const { certificate } = first;
    const withSigners = (signatures: { holderId: string; signature: string }[]) =>
      problems({ ...first, certificate: { ...certificate!, signatures } }, ofRound(1));
    const three = certificate!.signatures;
    expect(withSigners(three)).toEqual([]);
    expect(withSigners(zeros(three))).toEqual(['QUORUM_MISSING']);
    expect(withSigners(three.slice(1))).toEqual(['QUORUM_MISSING']);
    expect(withSigners([three[0]!, three[0]!, three[0]!])).toEqual(['QUORUM_MISSING']);
    expect(withSigners(quorum)).toEqual(['QUORUM_MISSING']);
  });

  it('an abort', () => {
    expect(problems(aborted(quorum), abortProof)).toEqual([]);
    expect(problems(aborted(quorum), [])).toEqual(['LOG_NOT_SHOWN']);
    expect(problems(aborted(zeros(quorum)), abortProof)).toEqual(['QUORUM_MISSING']);
    expect(problems(aborted(run.sign(statement('another'), 3)), abortProof)).toEqual(['QUORUM_MISSING']);
  });

  it('a cohort smaller than the plan asks for', () => {
    const body = { ...run.leaf('round_certificate', 1), cohortCount: 2 };
    const { signatures } = run.certify(body);
    const certificate = { ...first.certificate!, cohortCount: 2, signatures };
    expect(problems({ ...first, certificate }, ofRound(1))).toEqual(
      expect.arrayContaining(['COHORT_TOO_SMALL', 'CERTIFICATE_NOT_IN_LOG']),
    );
  });

  it.each(['late', 'rejected'] as const)('who was %s is outside a cohort that is shown', (outcome) => {
    // Another device, which is not in the cohort that DEVICE is in.
    const left: Receipt = { ...bare, deviceId: 'cd'.repeat(16), pseudonym: '5'.repeat(64), outcome };
    const { certificate } = first;
    const leafHashes = run.roundFiles.get(1)!.cohortLeafHashes!;
    const decision = ofRound(1).slice(0, 1);
    expect(problems({ ...left, certificate, exclusion: { leafHashes } }, decision)).toEqual([]);
    expect(problems({ ...left, certificate, exclusion: { leafHashes } }, [])).toEqual(['LOG_NOT_SHOWN']);
    expect(problems(left, [])).toEqual(['LOG_NOT_SHOWN']);
    expect(problems(left, decision)).toEqual(['LOG_NOT_SHOWN']);
    expect(problems({ ...left, certificate }, decision)).toEqual(['LOG_NOT_SHOWN']);
    const unsigned = { ...certificate!, signatures: zeros(certificate!.signatures) };
    expect(problems({ ...left, certificate: unsigned, exclusion: { leafHashes } }, decision)).toEqual([
      'QUORUM_MISSING',
    ]);
    const fewer = { leafHashes: leafHashes.toSpliced(2, 1) };
    expect(problems({ ...left, certificate, exclusion: fewer }, decision)).toEqual(['EXCLUSION_INVALID']);
    const inside: Receipt = { ...left, deviceId: DEVICE, pseudonym: PSEUDONYM };
    expect(problems({ ...inside, certificate, exclusion: { leafHashes } }, decision)).toEqual([
      'EXCLUSION_INVALID',
    ]);
  });
});
