/**
 * The public ring elements a_i of LongSum, in NTT form, expanded from a 32-byte seed with AES-256-CTR.
 *
 * Everyone derives the same a from the round's config hash, so a client that was shown another model or key uses
 * another a, and a sum it is part of does not open (Pasquini et al., arXiv 2111.07380, is the attack this stops).
 * The stream is public; nothing here is secret. Trusts: node:crypto's AES and a little-endian machine.
 * May be called by: crypto/secagg/long, crypto/kernels.
 */
import { createCipheriv, createHash } from 'node:crypto';
import { transcript, uint32 } from '../../bytes.ts';
import { ensure } from '../../error.ts';

/** Seed of `a` for a round: SHA-256(transcript('longsum-a', configHash)). */
export function aSeedOf(configHash: Uint8Array): Uint8Array {
  ensure(configHash.length === 32, 'MALFORMED_MESSAGE', 'a config hash has 32 bytes');
  return new Uint8Array(createHash('sha256').update(transcript('longsum-a', configHash)).digest());
}

const residueMask = 2 ** 26 - 1;

/**
 * n uniform residues below `prime`: words (u32le & 2^26 − 1) of the AES-256-CTR key stream under
 * IV = u32le(polynomial) ‖ u32le(primeIndex) ‖ 0^8, words ≥ prime skipped.
 */
export function expandA(
  seed: Uint8Array,
  polynomial: number,
  primeIndex: number,
  prime: number,
  out: Float64Array,
): void {
  ensure(seed.length === 32, 'WRONG_CIPHERTEXT_PARAMETERS', 'the seed of a has 32 bytes');
  const iv = new Uint8Array(16);
  iv.set(uint32(polynomial), 0);
  iv.set(uint32(primeIndex), 4);
  const cipher = createCipheriv('aes-256-ctr', seed, iv);
  // Enough words in nearly every case; the loop fetches more of the same stream where it is not.
  let zeros = new Uint8Array(4 * Math.ceil(out.length * ((residueMask + 1) / prime) + 64));
  for (let filled = 0; filled < out.length; ) {
    const stream = cipher.update(zeros);
    const words = new Uint32Array(stream.buffer, stream.byteOffset, stream.length / 4);
    for (let i = 0; i < words.length && filled < out.length; i++) {
      const word = words[i]! & residueMask;
      if (word < prime) out[filled++] = word;
    }
    zeros = zeros.subarray(0, 256);
  }
}
