/**
 * Committees, honest rounds and hostile devices for the tests of this directory, and the generator of
 * crypto/vectors/shares.json (`node crypto/secagg/shares/testing-shares.ts` rewrites it).
 *
 * Trusts: nothing to keep secret, seeds are fixed. May be called by: *.test.ts.
 */
import { writeFileSync } from 'node:fs';
import { concat, fromHex, toHex } from '../../bytes.ts';
import { type KemName, kemsOf } from '../../identity/kem.ts';
import { getSuite, type SuiteName } from '../../identity/suite.ts';
import { type RandomSource, randomBytes, seededRandom } from '../../random.ts';
import {
  joinRoundKeys,
  makeRoundKey,
  openShares,
  SeedSum,
  type SharesContext,
  SharesOpener,
  sealShares,
  unmask,
  type WordBits,
  WordFolder,
} from './index.ts';
import {
  derivingHolder,
  encapsulationContext,
  holders,
  kemOfCommitteeKey,
  seedFrom,
  seedHash,
} from './layout.ts';
import { splitRoundKeys } from './round-keys.ts';
import { maskWords, type SealedShares, sealBoxes } from './seal.ts';
import { makePartitionVector } from './testing-partition.ts';

export const activeSets: readonly (readonly number[])[] = [
  [1, 2, 3],
  [1, 2, 4],
  [1, 3, 4],
  [2, 3, 4],
];

export interface Committee {
  readonly committeeKey: Uint8Array;
  /** `secretKeys[j − 1]` is holder j's. */
  readonly secretKeys: readonly Uint8Array[];
}

export function makeCommittee(suiteName: SuiteName, kem?: KemName, random?: RandomSource): Committee {
  const suite = getSuite(suiteName);
  const pairs = holders.map(() => makeRoundKey(suite, kem, random));
  const committeeKey = joinRoundKeys(
    suite,
    pairs.map(({ publicKey }) => publicKey),
  );
  return { committeeKey, secretKeys: pairs.map(({ secretKey }) => secretKey) };
}

/** Seeds that a device that follows no rule puts where; whatever is not given is as the protocol wants it. */
export interface Crafted {
  /** Box of `holder`: seed number `seed`. */
  readonly boxed?: (holder: number, seed: number, honest: Uint8Array) => Uint8Array;
  /** The seed whose hash is sent and whose expansion masks the words. */
  readonly used?: (seed: number, honest: Uint8Array) => Uint8Array;
}

/** `sealShares` in the hands of a hostile device. With nothing crafted it makes valid uploads. */
export function sealCrafted(
  context: SharesContext,
  committeeKey: Uint8Array,
  values: Int32Array,
  crafted: Crafted,
  random: RandomSource,
): SealedShares {
  const kem = kemOfCommitteeKey(context.suite, committeeKey);
  const publicKeys = splitRoundKeys(context.suite, kem.name, committeeKey);
  const sealed = kem.encapsulate(publicKeys, encapsulationContext(context), random);
  const seeds = holders.map((seed) => {
    const honest = seedFrom(sealed.sharedKeys[derivingHolder(seed) - 1]!);
    return crafted.used?.(seed, honest) ?? honest;
  });
  const hashes = concat(...seeds.map((value, i) => seedHash(context, i + 1, value)));
  const boxes = sealBoxes(
    kem,
    sealed.sharedKeys,
    hashes,
    (holder, seed) => {
      const honest = seeds[seed - 1]!;
      return crafted.boxed?.(holder, seed, honest) ?? honest;
    },
    random,
  );
  const holderPart = concat(sealed.encapsulation, hashes, ...boxes);
  return { body: maskWords(context, values, seeds), holderPart };
}

export interface Round {
  readonly bodySum: Uint8Array;
  /** `partials[j − 1]` is holder j's answer. */
  readonly partials: readonly Uint8Array[];
  readonly expected: Int32Array;
}

/** A round of honest devices with the given vectors. */
export function runRound(
  context: Omit<SharesContext, 'deviceId'>,
  committee: Committee,
  vectors: readonly Int32Array[],
  random?: RandomSource,
): Round {
  const { suite, configHash, wordBits } = context;
  const count = vectors[0]!.length;
  const folder = new WordFolder(count, wordBits);
  const sums = holders.map(() => new SeedSum(count, wordBits, suite, configHash));
  const openers = holders.map(
    (holderIndex) =>
      new SharesOpener({
        suite,
        configHash,
        committeeKey: committee.committeeKey,
        holderIndex,
        secretKey: committee.secretKeys[holderIndex - 1]!,
      }),
  );
  const total = new Float64Array(count);
  vectors.forEach((values, i) => {
    const deviceId = `device-${i}`;
    const sealed = sealShares({ ...context, deviceId }, committee.committeeKey, values, random);
    folder.add(sealed.body);
    openers.forEach((opener, j) => {
      sums[j]!.add(deviceId, opener.open(deviceId, sealed.holderPart).seeds);
    });
    for (let at = 0; at < count; at++) total[at]! += values[at]!;
  });
  const modulus = 2 ** wordBits;
  const expected = Int32Array.from(total, (sum) => {
    const residue = ((sum % modulus) + modulus) % modulus;
    return residue >= modulus / 2 ? residue - modulus : residue;
  });
  return { bodySum: folder.bytes(), partials: sums.map((sum) => sum.bytes()), expected };
}

export interface BadVector {
  readonly name: string;
  readonly holderIndex: number;
  readonly deviceId: string;
  readonly configHash: string;
  readonly holderPart: string;
  readonly code: string;
}

export interface ShareVector {
  readonly suite: SuiteName;
  readonly kem: KemName;
  /**
   * The seed of the deterministic generator; null where node:crypto draws by itself, so that only opening is
   * fixed.
   */
  readonly seed: string | null;
  readonly wordBits: WordBits;
  readonly configHash: string;
  readonly secretKeys: readonly string[];
  readonly committeeKey: string;
  readonly devices: readonly {
    readonly deviceId: string;
    readonly values: readonly number[];
    readonly body: string;
    readonly holderPart: string;
    /** Per holder, 96 bytes. */
    readonly seeds: readonly string[];
  }[];
  readonly bodySum: string;
  readonly partials: readonly string[];
  readonly sum: readonly number[];
  readonly bad: readonly BadVector[];
}

type RawBadVector = Omit<BadVector, 'holderPart'> & { readonly part: Uint8Array };

export const flipped = (bytes: Uint8Array, at: number): Uint8Array =>
  bytes.map((byte, i) => (i === at ? byte ^ 1 : byte));

interface BadInput {
  readonly context: SharesContext;
  readonly other: SharesContext;
  readonly committeeKey: Uint8Array;
  readonly holderPart: Uint8Array;
  readonly values: Int32Array;
  readonly random: RandomSource;
}

function badVectors(input: BadInput): BadVector[] {
  const { context, other, committeeKey, holderPart, values, random } = input;
  const kem = kemOfCommitteeKey(context.suite, committeeKey);
  const hashesAt = kem.encapsulationBytes(4);
  const craft = (crafted: Crafted) => sealCrafted(context, committeeKey, values, crafted, random).holderPart;
  const swapped = (wanted: number, at: number) =>
    craft({
      boxed: (holder, seed, honest) => (holder === wanted && seed === at ? flipped(honest, 31) : honest),
    });
  const base = { holderIndex: 1, deviceId: context.deviceId, configHash: toHex(context.configHash) };
  const bad: RawBadVector[] = [
    { ...base, name: 'last byte missing', part: holderPart.subarray(0, -1), code: 'MALFORMED_MESSAGE' },
    {
      ...base,
      name: 'one byte too many',
      part: concat(holderPart, new Uint8Array(1)),
      code: 'MALFORMED_MESSAGE',
    },
    { ...base, name: 'empty', part: new Uint8Array(0), code: 'MALFORMED_MESSAGE' },
    { ...base, name: 'encapsulation altered', part: flipped(holderPart, 0), code: 'DECRYPTION_FAILED' },
    {
      ...base,
      name: 'hash of a seed this holder lacks altered',
      part: flipped(holderPart, hashesAt),
      code: 'DECRYPTION_FAILED',
    },
    { ...base, name: 'box altered', part: flipped(holderPart, hashesAt + 128), code: 'DECRYPTION_FAILED' },
    {
      ...base,
      name: 'part of another device',
      deviceId: other.deviceId,
      part: holderPart,
      code: 'DECRYPTION_FAILED',
    },
    {
      ...base,
      name: 'part of another round',
      configHash: toHex(flipped(context.configHash, 0)),
      part: holderPart,
      code: 'DECRYPTION_FAILED',
    },
    { ...base, name: 'boxed seed 2 unlike its hash', part: swapped(1, 2), code: 'SHARE_INCONSISTENT' },
    {
      ...base,
      name: 'derived seed 4 replaced for the other holders',
      part: craft({ used: (seed, honest) => (seed === 4 ? flipped(honest, 0) : honest) }),
      code: 'SHARE_INCONSISTENT',
    },
  ];
  if (kem.suite === 'intl') {
    const low = fromHex('e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800');
    const part = holderPart.slice();
    part.set(low);
    bad.push({ ...base, name: 'ephemeral key of small order', part, code: 'DECRYPTION_FAILED' });
  }
  if (kem.name !== 'x25519-ml-kem-768') return bad.map(asHex);
  // Parts of the hybrid are ten times as long: only what differs from plain X25519.
  const altered = { ...base, name: 'ML-KEM ciphertext of this holder altered', code: 'DECRYPTION_FAILED' };
  return [bad[0]!, { ...altered, part: flipped(holderPart, 32) }].map(asHex);
}

const asHex = ({ part, ...rest }: RawBadVector): BadVector => ({ ...rest, holderPart: toHex(part) });

/** One entry of shares.json. Everything but the hybrid's ciphertexts follows from `name`. */
export function makeVector(suiteName: SuiteName, kem: KemName, wordBits: WordBits): ShareVector {
  const suite = getSuite(suiteName);
  const seed = `pulsefold shares ${kem} ${wordBits}`;
  const random = seededRandom(seed);
  const { committeeKey, secretKeys } = makeCommittee(suiteName, kem, random);
  const configHash = randomBytes(32, random);
  const vectors = [Int32Array.of(1, -2, 32_767, -32_768, 0), Int32Array.of(-1, -3, 100, 32_767, 7)];
  const contexts = vectors.map((_, i) => ({ suite, configHash, deviceId: `device-${i}`, wordBits }));
  const folder = new WordFolder(5, wordBits);
  const sums = holders.map(() => new SeedSum(5, wordBits, suite, configHash));
  const parts: Uint8Array[] = [];
  const devices = vectors.map((values, i) => {
    const context = contexts[i]!;
    const { body, holderPart } = sealShares(context, committeeKey, values, random);
    parts.push(holderPart);
    folder.add(body);
    const seeds = holders.map((holderIndex) => {
      const secretKey = secretKeys[holderIndex - 1]!;
      const opened = openShares(context, { holderPart, committeeKey, holderIndex, secretKey }).seeds;
      sums[holderIndex - 1]!.add(context.deviceId, opened);
      return toHex(opened);
    });
    const { deviceId } = context;
    return { deviceId, values: [...values], body: toHex(body), holderPart: toHex(holderPart), seeds };
  });
  const partials = sums.map((sum) => sum.bytes());
  const bodySum = folder.bytes();
  const [context, other] = [contexts[0]!, contexts[1]!];
  const sum = unmask({ bodySum, wordBits, count: 5, activeSet: [1, 2, 3], partials: partials.slice(0, 3) });
  return {
    suite: suiteName,
    kem,
    seed: kem === 'x25519-ml-kem-768' ? null : seed,
    wordBits,
    configHash: toHex(configHash),
    secretKeys: secretKeys.map(toHex),
    committeeKey: toHex(committeeKey),
    devices,
    bodySum: toHex(bodySum),
    partials: partials.map(toHex),
    sum: [...sum],
    bad: badVectors({ context, other, committeeKey, holderPart: parts[0]!, values: vectors[0]!, random }),
  };
}

if (import.meta.main) {
  const vectors = (['intl', 'gm'] as const).flatMap((suite) =>
    kemsOf(suite).map(({ name }) => makeVector(suite, name, name === 'x25519-ml-kem-768' ? 32 : 16)),
  );
  writeFileSync(
    new URL('../../vectors/shares.json', import.meta.url),
    `${JSON.stringify({ shares: vectors, partitions: (['intl', 'gm'] as const).map(makePartitionVector) }, null, 2)}\n`,
  );
}
