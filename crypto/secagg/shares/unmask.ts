/**
 * The last step of a short sum: take the holders' answers off the sum of bodies, and find a holder that lies.
 *
 * Every seed sum R_k comes from at least f + 1 = 2 holders of an active set of 2f + 1, one of them honest, so
 * answers that agree are right; with all four answers there are 2f + 1 copies of each R_k, and the majority
 * is right. Trusts: at most f holders to lie. Answers are hostile; nothing here is secret. May be called by:
 * coordinators, auditors, through index.ts.
 */
import { ensure, PulsefoldError } from '../../error.ts';
import {
  activeSetSize,
  checkHolder,
  faultyMax,
  holderCount,
  holders,
  seedsOf,
  sharesBodyBytes,
  sharesPartialBytes,
  type WordBits,
} from './layout.ts';
import { WordSum } from './word-sum.ts';

export interface UnmaskInput {
  /** `WordFolder.bytes()` over exactly the devices that the answers cover. */
  readonly bodySum: Uint8Array;
  readonly wordBits: WordBits;
  readonly count: number;
  /** Three holder indices, ascending. */
  readonly activeSet: readonly number[];
  /** `SeedSum.bytes()` of each, in that order. */
  readonly partials: readonly Uint8Array[];
}

interface Answer {
  readonly holder: number;
  readonly vector: Uint8Array;
}

/**
 * Σ x over the devices, centred modulo 2^wordBits. Throws OPENING_FAILED when the holders disagree (naming
 * them; ask the fourth and call `contradictors`), MALFORMED_MESSAGE for an answer or a sum of another length,
 * FIELD_OUT_OF_RANGE for a bad active set. Answers that agree but cover other devices than `bodySum` give
 * noise: that is the caller's to exclude.
 */
export function unmask(input: UnmaskInput): Int32Array {
  const { bodySum, wordBits, count, activeSet, partials } = input;
  ensure(
    activeSet.length === activeSetSize &&
      activeSet.every((holder, i) => i === 0 || holder > activeSet[i - 1]!),
    'FIELD_OUT_OF_RANGE',
    `an active set has ${activeSetSize} holders in ascending order`,
  );
  activeSet.forEach(checkHolder);
  const sum = new WordSum(count, wordBits);
  ensure(
    bodySum.length === sum.byteLength,
    'MALFORMED_MESSAGE',
    `a sum of ${count} words has ${sum.byteLength} bytes`,
  );
  sum.add(bodySum);
  const disagreements: string[] = [];
  for (const [i, answers] of answersBySeed(count, wordBits, activeSet, partials).entries()) {
    ensure(answers.length > faultyMax, 'INTERNAL', 'too few answers for a seed');
    const [first] = answers;
    if (answers.some(({ vector }) => !equalVectors(vector, first!.vector))) {
      const names = answers.map(({ holder }) => holder).join(', ');
      disagreements.push(`holders ${names} disagree on seed sum ${i + 1}`);
    } else {
      sum.subtract(first!.vector);
    }
  }
  if (disagreements.length > 0) {
    throw new PulsefoldError(
      'OPENING_FAILED',
      `${disagreements.join('; ')}: ask the remaining holder and leave out the one that contradicts the majority`,
    );
  }
  return sum.centred();
}

export interface ContradictorsInput {
  readonly wordBits: WordBits;
  readonly count: number;
  /** Answers of holders 1 to 4. */
  readonly partials: readonly Uint8Array[];
}

/**
 * The holders, ascending, whose answer for some seed differs from the majority's (2 of 3). Where all three
 * differ, more than f holders lie, nobody can say which, and all three are named. Throws MALFORMED_MESSAGE,
 * FIELD_OUT_OF_RANGE.
 */
export function contradictors(input: ContradictorsInput): number[] {
  const { count, wordBits, partials } = input;
  const named = new Set<number>();
  for (const answers of answersBySeed(count, wordBits, holders, partials)) {
    for (const { holder, vector } of answers) {
      const agreeing = answers.filter((other) => equalVectors(other.vector, vector)).length;
      if (agreeing <= faultyMax) named.add(holder);
    }
  }
  return [...named].sort((a, b) => a - b);
}

/**
 * `contradictors` over the whole answers of a round of `groups` groups: whoever contradicts the majority in any of them.
 * Throws MALFORMED_MESSAGE, FIELD_OUT_OF_RANGE.
 */
export function groupContradictors(input: ContradictorsInput & { readonly groups: number }): number[] {
  const { count, wordBits, groups, partials } = input;
  const slices = partials.map((partial) => splitPartial(partial, { count, wordBits, groups }));
  const named = Array.from({ length: groups }, (_, group) =>
    contradictors({ count, wordBits, partials: slices.map((slice) => slice[group]!) }),
  );
  return [...new Set(named.flat())].sort((a, b) => a - b);
}

/** A whole answer as the `SeedSum.bytes()` of each group, in order; views. Throws MALFORMED_MESSAGE. */
export function splitPartial(
  partial: Uint8Array,
  shape: { readonly count: number; readonly wordBits: WordBits; readonly groups: number },
): Uint8Array[] {
  const length = sharesPartialBytes(shape.count, shape.wordBits);
  ensure(
    partial.length === shape.groups * length,
    'MALFORMED_MESSAGE',
    `an answer for ${shape.groups} groups has ${shape.groups * length} bytes`,
  );
  return Array.from({ length: shape.groups }, (_, group) =>
    partial.subarray(group * length, (group + 1) * length),
  );
}

const equalVectors = (a: Uint8Array, b: Uint8Array): boolean => a === b || Buffer.compare(a, b) === 0;

/** For seeds 1..4: the answers of those in the set that know it. Checks lengths. */
function answersBySeed(
  count: number,
  wordBits: WordBits,
  activeSet: readonly number[],
  partials: readonly Uint8Array[],
): Answer[][] {
  const expected = sharesPartialBytes(count, wordBits);
  const vectorBytes = sharesBodyBytes(count, wordBits);
  ensure(
    partials.length === activeSet.length,
    'FIELD_OUT_OF_RANGE',
    'one answer per holder of the active set',
  );
  const bySeed: Answer[][] = Array.from({ length: holderCount }, () => []);
  activeSet.forEach((holder, i) => {
    const partial = partials[i]!;
    ensure(
      partial.length === expected,
      'MALFORMED_MESSAGE',
      `the answer of holder ${holder} has another length than ${expected} bytes`,
    );
    seedsOf(holder).forEach((seed, at) => {
      const vector = partial.subarray(at * vectorBytes, (at + 1) * vectorBytes);
      bySeed[seed - 1]!.push({ holder, vector });
    });
  });
  return bySeed;
}
