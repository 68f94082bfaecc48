/**
 * The device's side of a short sum: mask a vector with four seeds, seal each seed to the three holders that
 * get it.
 *
 * Trusts: the committee key to be the one that all holders of the plan signed (the caller checks that). May
 * be called by: clients, through index.ts. Design: shared/research/secure-aggregation.md §7, mode S.
 *
 * Everything secret follows from the encapsulation's randomness, so a generator that repeats itself (a
 * restored VM) repeats seeds and boxes together: a one-time key never encrypts two plaintexts. It would still
 * mask two vectors alike, which is why a device stores its sealed bytes before the first of them leaves.
 */
import { concat } from '../../bytes.ts';
import type { Kem } from '../../identity/kem.ts';
import { type RandomSource, systemRandom } from '../../random.ts';
import {
  boxData,
  boxedSeeds,
  boxKeyOf,
  checkConfigHash,
  checkDeviceId,
  checkShape,
  derivingHolder,
  encapsulationContext,
  holders,
  kemOfCommitteeKey,
  type SharesContext,
  seedFrom,
  seedHasher,
} from './layout.ts';
import { splitRoundKeys } from './round-keys.ts';
import { streamKeys, WordSum, wordsOf } from './word-sum.ts';

export interface SealedShares {
  /** Masked words, little-endian. */
  readonly body: Uint8Array;
  readonly holderPart: Uint8Array;
}

/**
 * `values` are reduced modulo 2^wordBits. Throws FIELD_OUT_OF_RANGE (shape, context, unusable key),
 * WRONG_COMMITTEE_KEY (length), UNAVAILABLE (hybrid key on a runtime without ML-KEM).
 */
export function sealShares(
  context: SharesContext,
  committeeKey: Uint8Array,
  values: Int32Array,
  random: RandomSource = systemRandom,
): SealedShares {
  checkShape(values.length, context.wordBits);
  checkConfigHash(context.configHash);
  checkDeviceId(context.deviceId);
  const kem = kemOfCommitteeKey(context.suite, committeeKey);
  const publicKeys = splitRoundKeys(context.suite, kem.name, committeeKey);
  const { encapsulation, sharedKeys } = kem.encapsulate(publicKeys, encapsulationContext(context), random);
  const seeds = holders.map((seed) => seedFrom(sharedKeys[derivingHolder(seed) - 1]!));
  const hashOf = seedHasher(context);
  const hashes = concat(...seeds.map((value, i) => hashOf(i + 1, value)));
  const body = maskWords(context, values, seeds);
  const boxes = sealBoxes(kem, sharedKeys, hashes, (_holder, seed) => seeds[seed - 1]!, random);
  for (const secret of [...seeds, ...sharedKeys]) secret.fill(0);
  return { body, holderPart: concat(encapsulation, hashes, ...boxes) };
}

/** y = x + Σ_k stream(seed_k) mod 2^w. */
export function maskWords(
  context: SharesContext,
  values: Int32Array,
  seeds: readonly Uint8Array[],
): Uint8Array {
  const sum = new WordSum(values.length, context.wordBits);
  const words = wordsOf(values, context.wordBits);
  sum.add(words);
  // A copy where words are narrower than the values: it may be a one-time key.
  if (context.wordBits !== 32) words.fill(0);
  const keyOf = streamKeys(
    context.suite,
    context.configHash,
    context.deviceId,
    context.wordBits,
    context.groups,
  );
  for (const seed of seeds) {
    const key = keyOf(seed);
    sum.addStream(key);
    key.fill(0);
  }
  return sum.bytes();
}

/**
 * Box j for every holder j. `seedFor` says which bytes holder j gets for seed k: the same for all, if one is
 * honest.
 */
export function sealBoxes(
  kem: Kem,
  sharedKeys: readonly Uint8Array[],
  hashes: Uint8Array,
  seedFor: (holder: number, seed: number) => Uint8Array,
  random: RandomSource,
): Uint8Array[] {
  return holders.map((holder) => {
    const plaintext = concat(...boxedSeeds(holder).map((seed) => seedFor(holder, seed)));
    const key = boxKeyOf(sharedKeys[holder - 1]!);
    const box = kem.sealOnce(key, plaintext, boxData(holder, hashes), random);
    plaintext.fill(0);
    return box;
  });
}
