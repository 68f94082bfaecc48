/**
 * Who holds which seed, and the layout of a holder part and a committee key.
 *
 * For: the other files of this directory. Trusts: nothing; lengths are checked here, once. Source of the
 * replication: CNF secret sharing (Ito, Saito, Nishizeki, GLOBECOM 1987) for n = 4, f = 1: one seed per set
 * of f holders, missing at exactly that set. For f > 1 it would take C(n, f) seeds; this code is written for
 * f = 1 and says so by its constants.
 *
 *   holder part  = encapsulation (kem.ts) ‖ seed hashes 1..4 (32 each) ‖ box 1 ‖ … ‖ box 4
 *   box j        = sealOnce(first 32 bytes of sharedKey_j, the two boxed seeds of j in ascending order,
 *                  associated data T('seed-box', j, hashes))
 *   derived seed of j = last 32 bytes of sharedKey_j
 *   seed hash k  = H(T('seed-hash', configHash, deviceId, k, seed_k))
 *   context of the encapsulation = T('share-context', configHash, deviceId)
 *   committee key = round public keys of holders 1..4
 */
import { transcript } from '../../bytes.ts';
import { ensure } from '../../error.ts';
import { getKem, type Kem, type KemName, kemsOf, onceKeyBytes, sharedKeyBytes } from '../../identity/kem.ts';
import type { Suite } from '../../identity/suite.ts';

/** n = 3f + 1. */
export const holderCount = 4;
/** f: holders that may be corrupt, or offline. */
export const faultyMax = 1;
/** 2f + 1 answers open a sum: among the f + 1 or more that hold a seed, one is honest. */
export const activeSetSize = 3;
/** Seeds of one device that one holder knows. */
export const seedsPerHolder = holderCount - faultyMax;
export const seedBytes = 32;
export const seedHashBytes = 32;
/** Longest vector of a short sum; a limit for hostile counts, far above what plans use. */
export const shareWordsMax = 1 << 20;
const DEVICE_ID_CHARACTERS_MAX = 128;
const BOXED_SEEDS = seedsPerHolder - 1;

export type WordBits = 16 | 32;

/** What a holder part is bound to. `wordBits` is part of the plan, which `configHash` commits to. */
export interface SharesContext {
  readonly suite: Suite;
  /** 32 bytes; commits to plan, round, model and committee key id. */
  readonly configHash: Uint8Array;
  readonly deviceId: string;
  readonly wordBits: WordBits;
  /** Disjoint groups that the round's sum opens in; absent: one sum. See `streamKeys`. */
  readonly groups?: number;
}

export const holders: readonly number[] = [1, 2, 3, 4];

/** The seeds that a holder knows, ascending: all but its own number. */
export const seedsOf = (holder: number): number[] => holders.filter((seed) => seed !== holder);

/** The holder whose shared key *is* the seed, so that it need not be sealed to it. */
export const derivingHolder = (seed: number): number => (seed % holderCount) + 1;

/** Inverse of derivingHolder. */
export const derivedSeed = (holder: number): number => ((holder + holderCount - 2) % holderCount) + 1;

/** The seeds that are sealed to a holder, ascending. */
export const boxedSeeds = (holder: number): number[] =>
  seedsOf(holder).filter((seed) => seed !== derivedSeed(holder));

export const boxKeyOf = (sharedKey: Uint8Array): Uint8Array => sharedKey.subarray(0, onceKeyBytes);
export const seedFrom = (sharedKey: Uint8Array): Uint8Array => sharedKey.slice(onceKeyBytes, sharedKeyBytes);

export const boxBytes = (kem: Kem): number => BOXED_SEEDS * seedBytes + kem.onceOverheadBytes;

const holderPartBytes = (kem: Kem): number =>
  kem.encapsulationBytes(holderCount) + holderCount * (seedHashBytes + boxBytes(kem));

/** Length of every holder part: 480 (x25519), 4,832 (x25519-ml-kem-768), 1,088 (sm2). */
export const sharesHolderPartBytes = (suite: Suite, kem?: KemName): number =>
  holderPartBytes(getKem(suite.name, kem));

/** Length of every committee key: 128 (x25519), 4,864 (x25519-ml-kem-768), 260 (sm2). */
export const committeeKeyBytes = (suite: Suite, kem?: KemName): number =>
  holderCount * getKem(suite.name, kem).publicKeyBytes;

/** Length of a body of `count` words. Throws FIELD_OUT_OF_RANGE. */
export function sharesBodyBytes(count: number, wordBits: WordBits): number {
  checkShape(count, wordBits);
  return count * (wordBits / 8);
}

/** Length of a holder's answer: one vector per seed it knows. */
export const sharesPartialBytes = (count: number, wordBits: WordBits): number =>
  seedsPerHolder * sharesBodyBytes(count, wordBits);

/** The KEM that a committee key was made for, from its length. Throws WRONG_COMMITTEE_KEY. */
export function kemOfCommitteeKey(suite: Suite, committeeKey: Uint8Array): Kem {
  const kem = kemsOf(suite.name).find(
    (candidate) => candidate.publicKeyBytes * holderCount === committeeKey.length,
  );
  ensure(
    kem,
    'WRONG_COMMITTEE_KEY',
    `no committee key of suite ${suite.name} has ${committeeKey.length} bytes`,
  );
  return kem;
}

export interface HolderPart {
  readonly encapsulation: Uint8Array;
  /** The four hashes, 128 bytes. */
  readonly hashes: Uint8Array;
  readonly boxes: readonly Uint8Array[];
}

/** Views into `bytes`. Throws MALFORMED_MESSAGE for another length. */
export function parseHolderPart(kem: Kem, bytes: Uint8Array): HolderPart {
  const expected = holderPartBytes(kem);
  ensure(
    bytes instanceof Uint8Array && bytes.length === expected,
    'MALFORMED_MESSAGE',
    `a holder part has ${expected} bytes under key encapsulation ${kem.name}`,
  );
  const hashesAt = kem.encapsulationBytes(holderCount);
  const boxesAt = hashesAt + holderCount * seedHashBytes;
  const length = boxBytes(kem);
  return {
    encapsulation: bytes.subarray(0, hashesAt),
    hashes: bytes.subarray(hashesAt, boxesAt),
    boxes: holders.map((holder) =>
      bytes.subarray(boxesAt + (holder - 1) * length, boxesAt + holder * length),
    ),
  };
}

/** Views of seed hashes 1..4. The KEM follows from the length. Throws MALFORMED_MESSAGE. */
export function seedHashes(suite: Suite, holderPart: Uint8Array): Uint8Array[] {
  const kem = kemsOf(suite.name).find((candidate) => holderPartBytes(candidate) === holderPart.length);
  ensure(kem, 'MALFORMED_MESSAGE', `no holder part of suite ${suite.name} has ${holderPart.length} bytes`);
  return splitHashes(parseHolderPart(kem, holderPart).hashes);
}

export const splitHashes = (hashes: Uint8Array): Uint8Array[] =>
  holders.map((seed) => hashes.subarray((seed - 1) * seedHashBytes, seed * seedHashBytes));

type Bound = Pick<SharesContext, 'suite' | 'configHash' | 'deviceId'>;

export const seedHash = (context: Bound, seed: number, value: Uint8Array): Uint8Array =>
  seedHasher(context)(seed, value);

/**
 * Seed hashes of one device. Only two fields differ between them, so the transcript is framed once and
 * filled in.
 */
export function seedHasher(context: Bound): (seed: number, value: Uint8Array) => Uint8Array {
  const blank = new Uint8Array(seedBytes);
  const framed = transcript('seed-hash', context.configHash, context.deviceId, 0, blank);
  const valueAt = framed.length - seedBytes;
  // u64le(seed) ‖ u32le(32) ‖ value.
  const seedAt = valueAt - 12;
  return (seed, value) => {
    ensure(value.length === seedBytes, 'FIELD_OUT_OF_RANGE', 'a seed has 32 bytes');
    framed[seedAt] = seed;
    framed.set(value, valueAt);
    const hash = context.suite.digest(framed);
    framed.set(blank, valueAt);
    return hash;
  };
}

export const encapsulationContext = (context: Bound): Uint8Array =>
  transcript('share-context', context.configHash, context.deviceId);

/** All four hashes are authenticated to each holder, so nobody on the way can exchange one of them. */
export const boxData = (holder: number, hashes: Uint8Array): Uint8Array =>
  transcript('seed-box', holder, hashes);

export function checkShape(count: number, wordBits: number): void {
  ensure(wordBits === 16 || wordBits === 32, 'FIELD_OUT_OF_RANGE', 'words of a short sum have 16 or 32 bits');
  ensure(
    Number.isInteger(count) && count >= 1 && count <= shareWordsMax,
    'FIELD_OUT_OF_RANGE',
    `a short sum has 1 to ${shareWordsMax} words`,
  );
}

export function checkConfigHash(configHash: Uint8Array): void {
  ensure(configHash.length === 32, 'FIELD_OUT_OF_RANGE', 'a config hash has 32 bytes');
}

export function checkDeviceId(deviceId: string): void {
  ensure(
    typeof deviceId === 'string' && deviceId.length >= 1 && deviceId.length <= DEVICE_ID_CHARACTERS_MAX,
    'FIELD_OUT_OF_RANGE',
    `a device id has 1 to ${DEVICE_ID_CHARACTERS_MAX} characters`,
  );
}

export function checkHolder(holder: number): void {
  ensure(holders.includes(holder), 'FIELD_OUT_OF_RANGE', `a holder index lies in 1 to ${holderCount}`);
}
