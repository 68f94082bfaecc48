/**
 * What the holders of a key ceremony hash and expand: the exact transcripts, in one place for the protocol document.
 *
 * Every digest binds the ceremony, the committee and, from step 2 on, all first commitments, so nothing can be
 * replayed into another ceremony or another holder's place. May be called by: crypto/secagg.
 */
import { createHash } from 'node:crypto';
import { transcript } from '../bytes.ts';
import { loadedCipher } from '../he/bfv.ts';
import type { Residues } from '../ring/modulus.ts';
import { uniformResidues, XofStream } from '../ring/sampling.ts';

export interface Committee {
  readonly ceremonyId: Uint8Array;
  readonly holderCount: number;
  readonly threshold: number;
}

export const sha256 = (bytes: Uint8Array): Uint8Array =>
  new Uint8Array(createHash('sha256').update(bytes).digest());

/** First commitment of a holder. */
export function nonceCommitment(committee: Committee, holderIndex: number, nonce: Uint8Array): Uint8Array {
  const { ceremonyId, holderCount, threshold } = committee;
  return sha256(transcript('ceremony/nonce', ceremonyId, holderCount, threshold, holderIndex, nonce));
}

/** Digest of the committee and all first commitments, in holder order. */
export function contextOf(committee: Committee, commitments: readonly Uint8Array[]): Uint8Array {
  const { ceremonyId, holderCount, threshold } = committee;
  return sha256(transcript('ceremony/context', ceremonyId, holderCount, threshold, ...commitments));
}

/** Published hash of a dealt share. It hides the share: that is uniform, and carries a 32-byte secret. */
export const shareHash = (
  context: Uint8Array,
  dealer: number,
  receiver: number,
  share: Uint8Array,
): Uint8Array => sha256(transcript('ceremony/share', context, dealer, receiver, share));

/** Second commitment of a holder, over b_j ‖ share hashes. */
export const keyCommitment = (context: Uint8Array, dealer: number, published: Uint8Array): Uint8Array =>
  sha256(transcript('ceremony/key', context, dealer, published));

/** Names the committee key; covers every reveal, so it is unknown before the last of them. */
export const committeeKeyId = (
  context: Uint8Array,
  publicKey: Uint8Array,
  publicParts: readonly Uint8Array[],
): Uint8Array => sha256(transcript('ceremony/committee-key', context, publicKey, ...publicParts.map(sha256)));

/** The common polynomial a: uniform residues for all three primes, read as NTT form. */
export function expandUniform(committee: Committee, commitments: readonly Uint8Array[]): Residues {
  const { ceremonyId, holderCount, threshold } = committee;
  const { layouts, parameters } = loadedCipher();
  const seed = transcript('ceremony/a', ceremonyId, holderCount, threshold, ...commitments);
  return uniformResidues(layouts.keyModuli, parameters.polyDegree, new XofStream(seed));
}
