/**
 * Residues of 26 bits, bit-packed little-endian: 16 residues in 13 words of 32 bits.
 *
 * For: the wire form of LongSum and its folding. Every 26-bit pattern unpacks, so hostile bytes can only be of a wrong
 * length, which callers check. Trusts: a little-endian machine. May be called by: crypto/secagg/long.
 */

/** Residues per block: buffers are padded with zeros to whole blocks. */
export const blockResidues = 16;
export const blockWords = 13;

const mask = 2 ** 26 - 1;

/** Blocks that hold `bytes` packed bytes. */
export const blockCount = (bytes: number): number => Math.ceil(bytes / (4 * blockWords));

/** target += sign · (the residues packed in `words`), unreduced. `target` has 16 entries for every 13 words. */
export function addUnpacked(target: Float64Array, words: Uint32Array, sign: 1 | -1): void {
  for (let to = 0, at = 0; at < words.length; to += blockResidues, at += blockWords) {
    const w0 = words[at]!;
    const w1 = words[at + 1]!;
    const w2 = words[at + 2]!;
    const w3 = words[at + 3]!;
    const w4 = words[at + 4]!;
    const w5 = words[at + 5]!;
    const w6 = words[at + 6]!;
    const w7 = words[at + 7]!;
    const w8 = words[at + 8]!;
    const w9 = words[at + 9]!;
    const w10 = words[at + 10]!;
    const w11 = words[at + 11]!;
    const w12 = words[at + 12]!;
    target[to]! += sign * (w0 & mask);
    target[to + 1]! += sign * (((w0 >>> 26) | (w1 << 6)) & mask);
    target[to + 2]! += sign * (((w1 >>> 20) | (w2 << 12)) & mask);
    target[to + 3]! += sign * (((w2 >>> 14) | (w3 << 18)) & mask);
    target[to + 4]! += sign * (((w3 >>> 8) | (w4 << 24)) & mask);
    target[to + 5]! += sign * ((w4 >>> 2) & mask);
    target[to + 6]! += sign * (((w4 >>> 28) | (w5 << 4)) & mask);
    target[to + 7]! += sign * (((w5 >>> 22) | (w6 << 10)) & mask);
    target[to + 8]! += sign * (((w6 >>> 16) | (w7 << 16)) & mask);
    target[to + 9]! += sign * (((w7 >>> 10) | (w8 << 22)) & mask);
    target[to + 10]! += sign * ((w8 >>> 4) & mask);
    target[to + 11]! += sign * (((w8 >>> 30) | (w9 << 2)) & mask);
    target[to + 12]! += sign * (((w9 >>> 24) | (w10 << 8)) & mask);
    target[to + 13]! += sign * (((w10 >>> 18) | (w11 << 14)) & mask);
    target[to + 14]! += sign * (((w11 >>> 12) | (w12 << 20)) & mask);
    target[to + 15]! += sign * (w12 >>> 6);
  }
}

/** Packs residues in [0, 2^26), 16 for every 13 words. */
export function packResidues(residues: Uint32Array, words: Uint32Array): void {
  for (let from = 0, at = 0; at < words.length; from += blockResidues, at += blockWords) {
    const r = (i: number): number => residues[from + i]!;
    words[at] = r(0) | (r(1) << 26);
    words[at + 1] = (r(1) >>> 6) | (r(2) << 20);
    words[at + 2] = (r(2) >>> 12) | (r(3) << 14);
    words[at + 3] = (r(3) >>> 18) | (r(4) << 8);
    words[at + 4] = (r(4) >>> 24) | (r(5) << 2) | (r(6) << 28);
    words[at + 5] = (r(6) >>> 4) | (r(7) << 22);
    words[at + 6] = (r(7) >>> 10) | (r(8) << 16);
    words[at + 7] = (r(8) >>> 16) | (r(9) << 10);
    words[at + 8] = (r(9) >>> 22) | (r(10) << 4) | (r(11) << 30);
    words[at + 9] = (r(11) >>> 2) | (r(12) << 24);
    words[at + 10] = (r(12) >>> 8) | (r(13) << 18);
    words[at + 11] = (r(13) >>> 14) | (r(14) << 12);
    words[at + 12] = (r(14) >>> 20) | (r(15) << 6);
  }
}
