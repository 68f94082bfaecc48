/**
 * A key ceremony with all holders in one process, message by message as between real ones.
 *
 * For simulations, benchmarks and tests, where no secrecy between holders is at stake; role processes never call it.
 * May be called by: experiments/, *.test.ts.
 */
import { type RandomSource, systemRandom } from '../random.ts';
import {
  begin,
  type CeremonyState,
  checkTest,
  combine,
  commitKey,
  finalShare,
  makeTest,
  reveal,
  type SubsetPartials,
  subsetsOf,
  type TestCiphertext,
  testPartial,
} from './ceremony.ts';

export interface LocalCommittee {
  readonly publicKey: Uint8Array;
  readonly keyId: Uint8Array;
  /** `shares[j − 1]` belongs to holder j. */
  readonly shares: readonly Uint8Array[];
}

export interface LocalCeremonyInput {
  readonly ceremonyId: Uint8Array;
  readonly holderCount?: number;
  readonly threshold?: number;
  readonly random?: RandomSource;
}

/** Every threshold-sized set answers `test`; each holder computes its answer for a set once. */
export function answerTest(states: readonly CeremonyState[], test: TestCiphertext): SubsetPartials[] {
  const { holderCount, threshold } = states[0]!;
  return subsetsOf(holderCount, threshold).map((activeSet) => ({
    activeSet,
    partials: activeSet.map((holder) => testPartial(states[holder - 1]!, test, activeSet)),
  }));
}

/** Steps 1 to 4 of all holders. */
export function combineLocally(input: LocalCeremonyInput): CeremonyState[] {
  const { ceremonyId, holderCount = 4, threshold = 2, random = systemRandom } = input;
  const holders = Array.from({ length: holderCount }, (_, i) => i + 1);
  const begun = holders.map((holderIndex) =>
    begin({ ceremonyId, holderIndex, holderCount, threshold }, random),
  );
  const commitments = begun.map((holder) => holder.commitment);
  const keyed = begun.map((holder) => commitKey(holder.state, commitments, random));
  const keyCommitments = keyed.map((holder) => holder.keyCommitment);
  const revealed = keyed.map((holder) => reveal(holder.state, keyCommitments));
  const publicParts = revealed.map((holder) => holder.publicPart);
  return revealed.map((holder, i) => {
    const received = revealed.map((dealer) => dealer.shares[i]!);
    return combine(holder.state, publicParts, received).state;
  });
}

/** A whole ceremony; `loadBfv` must have been awaited. */
export function runCeremony(input: LocalCeremonyInput): LocalCommittee {
  const combined = combineLocally(input);
  const testing = combined.map((state) => makeTest(state, input.random));
  const states = testing.map((holder) => holder.state);
  // The test c1, hence every answer, is the same for all testers of a key.
  const answers = answerTest(states, testing[0]!.test);
  const tested = states.map((state) => checkTest(state, answers).state);
  return { publicKey: tested[0]!.publicKey, keyId: tested[0]!.keyId, shares: tested.map(finalShare) };
}
