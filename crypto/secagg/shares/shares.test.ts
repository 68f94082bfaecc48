// Goal: sums open exactly, under every suite, key encapsulation and active set; the ceremony refuses unusable
// keys.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fromHex, toHex, transcript } from '../../bytes.ts';
import { PulsefoldError } from '../../error.ts';
import { type Kem, kemsOf } from '../../identity/kem.ts';
import { hasMlKem } from '../../identity/ml-kem.ts';
import { getSuite, suiteNames } from '../../identity/suite.ts';
import { randomBytes, seededRandom } from '../../random.ts';
import {
  committeeKeyBytes,
  joinRoundKeys,
  kemOfCommitteeKey,
  makeRoundKey,
  openShares,
  sealShares,
  seedHashes,
  sharesBodyBytes,
  sharesHolderPartBytes,
  splitRoundKeys,
  unmask,
} from './index.ts';
import { boxedSeeds, derivedSeed, derivingHolder, holders, seedsOf } from './layout.ts';
import { activeSets, makeCommittee, runRound } from './testing-shares.ts';

const intl = getSuite('intl');
const configHash = randomBytes(32);
const codeOf = (body: () => unknown): string => {
  try {
    body();
  } catch (error) {
    return error instanceof PulsefoldError ? error.code : String(error);
  }
  return 'no error';
};
const usable = (kem: Kem) => kem.name !== 'x25519-ml-kem-768' || hasMlKem();
const kems = suiteNames.flatMap((suite) => kemsOf(suite).filter(usable));
const randomVector = (count: number, seed: string, bits: number) => {
  const bytes = randomBytes(count * 4, seededRandom(seed));
  return new Int32Array(bytes.buffer).map((value) => value >> (32 - bits));
};

it('the hybrid is tested here too (else: this runtime has no ML-KEM-768)', () => {
  expect(kems.length).toBe(hasMlKem() ? 3 : 2);
});

describe('who holds what', () => {
  it('every holder misses exactly its own seed, derives one and gets two sealed', () => {
    for (const holder of holders) {
      expect(seedsOf(holder)).toHaveLength(3);
      expect(seedsOf(holder)).not.toContain(holder);
      expect(derivingHolder(derivedSeed(holder))).toBe(holder);
      expect(derivedSeed(holder)).not.toBe(holder);
      expect([...boxedSeeds(holder), derivedSeed(holder)].sort()).toEqual(seedsOf(holder));
    }
  });
  it('has the lengths of the specification', () => {
    expect(sharesHolderPartBytes(intl)).toBe(480);
    expect(sharesHolderPartBytes(intl, 'x25519-ml-kem-768')).toBe(480 + 4 * 1088);
    expect(sharesHolderPartBytes(getSuite('gm'))).toBe(4 * 128 + 4 * 32 + 4 * 112);
    expect(committeeKeyBytes(intl)).toBe(128);
    expect(committeeKeyBytes(intl, 'x25519-ml-kem-768')).toBe(4 * 1216);
    expect(sharesBodyBytes(8192, 16)).toBe(16_384);
    expect(sharesBodyBytes(5, 32)).toBe(20);
  });
});

describe.each(kems.map((kem) => ({ kem, name: kem.name })))('round under $name', ({ kem }) => {
  const suite = getSuite(kem.suite);
  const committee = makeCommittee(kem.suite, kem.name);

  it.each([16, 32] as const)('%i-bit sums of many devices open exactly in every active set', (wordBits) => {
    const devices = kem.suite === 'gm' ? 4 : 40;
    const vectors = Array.from({ length: devices }, (_, i) => randomVector(101, `v${i}`, wordBits));
    const { bodySum, partials, expected } = runRound({ suite, configHash, wordBits }, committee, vectors);
    for (const activeSet of activeSets) {
      const answers = activeSet.map((holder) => partials[holder - 1]!);
      const opened = unmask({ bodySum, wordBits, count: 101, activeSet, partials: answers });
      expect([...opened]).toEqual([...expected]);
    }
  });

  it('all holders of a seed get the same bytes, and the hash in the part is theirs', () => {
    const context = { suite, configHash, deviceId: 'd', wordBits: 16 } as const;
    const { committeeKey } = committee;
    const { holderPart, body } = sealShares(context, committeeKey, new Int32Array(9));
    expect(holderPart).toHaveLength(sharesHolderPartBytes(suite, kem.name));
    expect(body).toHaveLength(sharesBodyBytes(9, 16));
    expect(kemOfCommitteeKey(suite, committeeKey).name).toBe(kem.name);
    const hashes = seedHashes(suite, holderPart);
    const seen = new Map<number, string>();
    for (const holderIndex of holders) {
      const secretKey = committee.secretKeys[holderIndex - 1]!;
      const { seeds } = openShares(context, { holderPart, committeeKey, holderIndex, secretKey });
      seedsOf(holderIndex).forEach((seed, i) => {
        const value = seeds.subarray(i * 32, i * 32 + 32);
        expect(toHex(value)).toBe(seen.get(seed) ?? toHex(value));
        seen.set(seed, toHex(value));
        const hash = suite.digest(transcript('seed-hash', configHash, 'd', seed, value));
        expect(toHex(hash)).toBe(toHex(hashes[seed - 1]!));
      });
    }
    expect(new Set(seen.values()).size).toBe(4);
  });

  it('joins round keys and splits them again; refuses copies, strangers and wrong counts by name', () => {
    const keys = splitRoundKeys(suite, kem.name, committee.committeeKey);
    expect(toHex(joinRoundKeys(suite, keys))).toBe(toHex(committee.committeeKey));
    const bad = [
      keys.slice(1),
      [...keys, makeRoundKey(suite, kem.name).publicKey],
      [keys[0]!, keys[1]!, keys[0]!, keys[3]!],
      [keys[0]!, keys[1]!, keys[2]!, keys[3]!.subarray(1)],
      [keys[0]!, keys[1]!, keys[2]!, new Uint8Array(kem.publicKeyBytes)],
      [keys[0]!, keys[1]!, keys[2]!, new Uint8Array(kem.publicKeyBytes).fill(0xff)],
      keys.map(() => new Uint8Array(0)),
    ];
    for (const list of bad) expect(codeOf(() => joinRoundKeys(suite, list))).toBe('CEREMONY_FAILED');
    expect(() => joinRoundKeys(suite, bad[2]!)).toThrow('holders 1 and 3');
    expect(() => joinRoundKeys(suite, bad[5]!)).toThrow('holder 4');
    const cut = committee.committeeKey.subarray(1);
    expect(codeOf(() => splitRoundKeys(suite, kem.name, cut))).toBe('WRONG_COMMITTEE_KEY');
    const context = { suite, configHash, deviceId: 'd', wordBits: 16 } as const;
    expect(codeOf(() => sealShares(context, cut, Int32Array.of(1)))).toBe('WRONG_COMMITTEE_KEY');
  });

  it('a device refuses to seal to an unusable key', () => {
    const spoiled = committee.committeeKey.slice().fill(0, kem.publicKeyBytes, 2 * kem.publicKeyBytes);
    const context = { suite, configHash, deviceId: 'd', wordBits: 16 } as const;
    expect(codeOf(() => sealShares(context, spoiled, Int32Array.of(1)))).toBe('FIELD_OUT_OF_RANGE');
  });

  it('a holder notices that its secret key is not the one of its place', () => {
    const context = { suite, configHash, deviceId: 'd', wordBits: 16 } as const;
    const { committeeKey, secretKeys } = committee;
    const { holderPart } = sealShares(context, committeeKey, Int32Array.of(1));
    const open = (holderIndex: number, secretKey: Uint8Array) =>
      codeOf(() => openShares(context, { holderPart, committeeKey, holderIndex, secretKey }));
    expect(open(1, secretKeys[1]!)).toBe('WRONG_COMMITTEE_KEY');
    expect(open(1, new Uint8Array(5))).toBe('FIELD_OUT_OF_RANGE');
    expect(open(0, secretKeys[0]!)).toBe('FIELD_OUT_OF_RANGE');
    expect(open(5, secretKeys[0]!)).toBe('FIELD_OUT_OF_RANGE');
    expect(open(1, secretKeys[0]!)).toBe('no error');
  });
});

it('any vectors and cohorts add up (property)', () => {
  const committee = makeCommittee('intl');
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 30 }).chain((count) =>
        fc.array(fc.array(fc.integer(), { minLength: count, maxLength: count }), {
          minLength: 1,
          maxLength: 5,
        }),
      ),
      fc.constantFrom(16 as const, 32 as const),
      fc.constantFrom(...activeSets),
      (lists, wordBits, activeSet) => {
        const vectors = lists.map((list) => Int32Array.from(list));
        const round = runRound({ suite: intl, configHash, wordBits }, committee, vectors);
        const partials = activeSet.map((holder) => round.partials[holder - 1]!);
        const count = vectors[0]!.length;
        const opened = unmask({ bodySum: round.bodySum, wordBits, count, activeSet, partials });
        expect([...opened]).toEqual([...round.expected]);
      },
    ),
    { numRuns: 25 },
  );
});

it('hostile contexts get a code', () => {
  const { committeeKey } = makeCommittee('intl');
  const base = { suite: intl, configHash, deviceId: 'd', wordBits: 16 } as const;
  const bad = [
    { ...base, configHash: configHash.subarray(1) },
    { ...base, deviceId: '' },
    { ...base, deviceId: 'x'.repeat(129) },
    { ...base, wordBits: 24 as unknown as 16 },
  ];
  for (const context of bad) {
    expect(codeOf(() => sealShares(context, committeeKey, Int32Array.of(1)))).toBe('FIELD_OUT_OF_RANGE');
  }
  expect(codeOf(() => sealShares(base, committeeKey, new Int32Array(0)))).toBe('FIELD_OUT_OF_RANGE');
  const hybridOfGm = () => makeRoundKey(getSuite('gm'), 'x25519');
  expect(codeOf(hybridOfGm)).toBe('FIELD_OUT_OF_RANGE');
  const noncanonical = fromHex(`ee${'ff'.repeat(30)}7f`); // p + 1
  const keys = splitRoundKeys(intl, 'x25519', committeeKey);
  expect(codeOf(() => joinRoundKeys(intl, [noncanonical, ...keys.slice(1)]))).toBe('CEREMONY_FAILED');
});
