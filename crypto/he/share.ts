/**
 * The share of a committee key that one holder keeps: what `partialDecrypt` needs, in one opaque byte string.
 *
 * Secret; the role seals it at rest and erases it after the opening. `decodeShare` takes what a file held.
 * May be called by: crypto/he, crypto/secagg.
 */
import { createHash } from 'node:crypto';
import { concat, transcript } from '../bytes.ts';
import { ensure } from '../error.ts';
import type { Residues } from '../ring/modulus.ts';
import { pack, packedBytes, unpack } from '../ring/packing.ts';
import type { BfvLayouts } from './layout.ts';
import { holderCountMax } from './parameters.ts';

export interface KeyShare {
  readonly keyId: Uint8Array;
  readonly threshold: number;
  readonly holderCount: number;
  /** 1 … holderCount; the point of the Shamir polynomial. */
  readonly holderIndex: number;
  /** For each holder a 32-byte key shared with it alone (own slot: zeros), for the zero-sum masks. */
  readonly pairKeys: readonly Uint8Array[];
  /** Shamir evaluation of the collective secret key at `holderIndex`, NTT form, data primes. */
  readonly element: Residues;
}

const version = 1;
const headerBytes = 36;

export function encodeShare(share: KeyShare, layouts: BfvLayouts): Uint8Array {
  const header = Uint8Array.of(version, share.threshold, share.holderCount, share.holderIndex);
  return concat(header, share.keyId, ...share.pairKeys, pack(share.element, layouts.dataElement));
}

export function decodeShare(bytes: Uint8Array, layouts: BfvLayouts): KeyShare {
  const [found, threshold = 0, holderCount = 0, holderIndex = 0] = bytes;
  ensure(bytes.length > headerBytes && found === version, 'MALFORMED_MESSAGE', 'not a version-1 key share');
  ensure(
    holderCount <= holderCountMax && threshold >= 2 && threshold <= holderCount,
    'MALFORMED_MESSAGE',
    'key share with an impossible committee',
  );
  ensure(holderIndex >= 1 && holderIndex <= holderCount, 'MALFORMED_MESSAGE', 'key share of no holder');
  const elementAt = headerBytes + 32 * holderCount;
  ensure(
    bytes.length === elementAt + packedBytes(layouts.dataElement),
    'MALFORMED_MESSAGE',
    'key share length',
  );
  const pairKeys = Array.from({ length: holderCount }, (_, i) =>
    bytes.slice(headerBytes + 32 * i, headerBytes + 32 * (i + 1)),
  );
  const element = unpack(bytes.subarray(elementAt), layouts.dataElement, 'MALFORMED_MESSAGE', 'key share');
  return { keyId: bytes.slice(4, headerBytes), threshold, holderCount, holderIndex, pairKeys, element };
}

/** Key shared by two holders, from the secret each dealt to the other; both orders give the same key. */
export function pairKey(
  context: Uint8Array,
  lower: number,
  higher: number,
  dealt: readonly [Uint8Array, Uint8Array],
) {
  return new Uint8Array(
    createHash('sha256')
      .update(transcript('ceremony/pair-key', context, lower, higher, dealt[0], dealt[1]))
      .digest(),
  );
}
