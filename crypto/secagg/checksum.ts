/**
 * The checksum word of a grouped upload: minus the sum of its slots modulo 2^wordBits, one more word of the short sum.
 *
 * A group with a malformed upload in it (a body that is not what its device sealed) opens to slots and a checksum that
 * do not fit, and is dropped alone. Faults and garbage are what it finds, with probability 1 − 2^−wordBits; a device
 * that seals a wrong vector properly is the business of the robust statistic.
 * Privacy: it is a function of the noised slots, and the sum of checksums one of the sum of noised slots, so opening it
 * is post-processing. It goes through the short sum, never into a coefficient of the long cipher, where it would carry
 * into other slots (docs/adr/0018). Under the long cipher a slot whose sum wraps carries into the next and breaks the
 * checksum: such a group is dropped as well.
 * Trusts: nothing. May be called by: scheme.ts.
 */

/** Words that a grouped round adds to its short sum. */
export const CHECKSUM_WORDS = 1;

/** −Σ slots modulo 2^32; words of 16 bits keep the low half. */
export function checksumOf(slots: Int32Array): number {
  let sum = 0;
  for (let i = 0; i < slots.length; i++) sum = (sum + slots[i]!) | 0;
  return -sum | 0;
}

/** `values` and, behind them, the checksum of `slots`; the caller overwrites it where it is secret. */
export function withChecksum(values: Int32Array, slots: Int32Array): Int32Array {
  const out = new Int32Array(values.length + CHECKSUM_WORDS);
  out.set(values);
  out[values.length] = checksumOf(slots);
  return out;
}

/** Whether opened slots and the opened sum of checksums fit. */
export function checksumHolds(slots: Int32Array, checksum: number, wordBits: 16 | 32): boolean {
  const difference = checksumOf(slots) - checksum;
  return wordBits === 32 ? (difference | 0) === 0 : (difference & 0xffff) === 0;
}
