// Goal: without a bundle, receipts rest on the person's own proofs of logging; what these do not show is named, and two
// proofs that cannot be of one log are an alarm.
import { describe, expect, it } from 'vitest';
import { fromUtf8 } from '../../crypto/bytes.ts';
import { RunFixture } from '../testing.ts';
import { proveHistory } from './history.ts';
import type { OwnProof } from './own-proofs.ts';
import { ownRunOf } from './own-run.ts';
import { proofOf, signed, takePart } from './testing.ts';

const run = new RunFixture();
const own = takePart(run);
const receipts = own.map((receipt) => signed(run, receipt));
const plan = { planHash: run.parsed.hashHex, plan: fromUtf8(run.parsed.bytes) };
const ofRound = (round: number): OwnProof[] => [
  proofOf(run, run.leaf('round_certificate', round), 'decision', round),
  proofOf(run, run.leaf('settlement', round), 'settlement', round),
];
const proofs = [1, 3].flatMap(ofRound);
const prove = (logProofs: readonly OwnProof[], given = receipts) =>
  proveHistory(given, [ownRunOf(plan, logProofs)], { logProofs });

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
