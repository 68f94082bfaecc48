// Goal: what a lying holder, a hostile device and a curious coordinator with one holder try, and that it
// fails; each with the weakened variant under which it succeeds.
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { concat, fromHex, toHex } from '../../bytes.ts';
import { PulsefoldError } from '../../error.ts';
import { getKem } from '../../identity/kem.ts';
import { getSuite, type SuiteName, suiteNames } from '../../identity/suite.ts';
import { randomBytes, seededRandom } from '../../random.ts';
import {
  contradictors,
  openShares,
  SeedSum,
  type SharesContext,
  SharesOpener,
  sealShares,
  splitRoundKeys,
  unmask,
  WordFolder,
} from './index.ts';
import {
  boxData,
  boxedSeeds,
  boxKeyOf,
  derivedSeed,
  encapsulationContext,
  holders,
  parseHolderPart,
  seedFrom,
  seedsOf,
} from './layout.ts';
import { activeSets, flipped, makeCommittee, runRound, sealCrafted } from './testing-shares.ts';
import { WordSum } from './word-sum.ts';

const codeOf = (body: () => unknown): string => {
  try {
    body();
  } catch (error) {
    return error instanceof PulsefoldError ? error.code : String(error);
  }
  return 'no error';
};
const intl = getSuite('intl');
const random = seededRandom('shares attacks');
const configHash = randomBytes(32, random);
const count = 33;
const wordBits = 16;
const committee = makeCommittee('intl', 'x25519', random);
const { committeeKey, secretKeys } = committee;
const contextOf = (deviceId: string): SharesContext => ({ suite: intl, configHash, deviceId, wordBits });
const vectors = Array.from({ length: 6 }, (_, i) => new Int32Array(count).fill(10 * i - 3));

/** `unmask` without the comparison of duplicates: takes the first answer for each seed. */
function unmaskTrusting(bodySum: Uint8Array, activeSet: readonly number[], partials: readonly Uint8Array[]) {
  const sum = new WordSum(count, wordBits);
  sum.add(bodySum);
  for (const seed of holders) {
    const i = activeSet.findIndex((holder) => holder !== seed);
    const at = seedsOf(activeSet[i]!).indexOf(seed);
    sum.subtract(partials[i]!.subarray(at * count * 2, (at + 1) * count * 2));
  }
  return sum.centred();
}

/** `SharesOpener.open` without the comparison of seed hashes. */
function openTrusting(deviceId: string, holderPart: Uint8Array, holder: number): Uint8Array {
  const kem = getKem('intl', 'x25519');
  const keys = splitRoundKeys(intl, 'x25519', committeeKey);
  const { encapsulation, hashes, boxes } = parseHolderPart(kem, holderPart);
  const recipient = kem.recipient(secretKeys[holder - 1]!, keys, holder);
  const shared = recipient.decapsulate(encapsulation, encapsulationContext(contextOf(deviceId)));
  const boxed = kem.openOnce(boxKeyOf(shared), boxes[holder - 1]!, boxData(holder, hashes));
  const values = new Map(boxedSeeds(holder).map((seed, i) => [seed, boxed.subarray(i * 32, i * 32 + 32)]));
  values.set(derivedSeed(holder), seedFrom(shared));
  return concat(...seedsOf(holder).map((seed) => values.get(seed)!));
}

describe('lying holder', () => {
  const round = runRound({ suite: intl, configHash, wordBits }, committee, vectors, random);

  it('an altered seed sum fails in every set with the liar, opens in the one without, and names it', () => {
    for (const liar of holders) {
      for (let at = 0; at < 3; at++) {
        const partials = round.partials.map((partial, i) =>
          i === liar - 1 ? flipped(partial, at * count * 2 + 7) : partial,
        );
        for (const activeSet of activeSets) {
          const answers = activeSet.map((holder) => partials[holder - 1]!);
          const open = () =>
            unmask({ bodySum: round.bodySum, wordBits, count, activeSet, partials: answers });
          if (activeSet.includes(liar)) {
            expect(codeOf(open)).toBe('OPENING_FAILED');
            expect(open).toThrow(new RegExp(`holders [^;]*${liar}.*seed sum ${seedsOf(liar)[at]}`));
          } else expect([...open()]).toEqual([...round.expected]);
        }
        expect(contradictors({ wordBits, count, partials })).toEqual([liar]);
      }
    }
    expect(contradictors({ wordBits, count, partials: round.partials })).toEqual([]);
  });

  it('without the comparison, the lie shifts the sum unseen (the check is what stops it)', () => {
    const partials = round.partials.slice(0, 3);
    const lying = [flipped(partials[0]!, 0), partials[1]!, partials[2]!];
    const shifted = unmaskTrusting(round.bodySum, [1, 2, 3], lying);
    expect([...shifted]).not.toEqual([...round.expected]);
    expect([...unmaskTrusting(round.bodySum, [1, 2, 3], partials)]).toEqual([...round.expected]);
  });

  it('a holder that leaves a device out, or answers for another round, is named too', () => {
    const sum = new SeedSum(count, wordBits, intl, configHash);
    const { partials } = runRound({ suite: intl, configHash: randomBytes(32, random), wordBits }, committee, [
      vectors[0]!,
    ]);
    for (const wrong of [sum.bytes(), partials[1]!]) {
      const answers = round.partials.map((partial, i) => (i === 1 ? wrong : partial));
      expect(contradictors({ wordBits, count, partials: answers })).toEqual([2]);
    }
  });

  it('two liars beyond f: the sum still does not open wrongly unless they lie alike', () => {
    const partials = round.partials.map((partial, i) => (i < 2 ? flipped(partial, 3 + i) : partial));
    for (const activeSet of activeSets) {
      const answers = activeSet.map((holder) => partials[holder - 1]!);
      expect(
        codeOf(() => unmask({ bodySum: round.bodySum, wordBits, count, activeSet, partials: answers })),
      ).toBe('OPENING_FAILED');
    }
  });

  it('malformed answers and active sets get a code', () => {
    const base = { bodySum: round.bodySum, wordBits, count, activeSet: [1, 2, 3] } as const;
    const partials = round.partials.slice(0, 3);
    const cut = [partials[0]!, partials[1]!.subarray(1), partials[2]!];
    expect(codeOf(() => unmask({ ...base, partials: cut }))).toBe('MALFORMED_MESSAGE');
    expect(() => unmask({ ...base, partials: cut })).toThrow('holder 2');
    const short = round.bodySum.subarray(2);
    expect(codeOf(() => unmask({ ...base, partials, bodySum: short }))).toBe('MALFORMED_MESSAGE');
    for (const activeSet of [
      [1, 2],
      [1, 1, 2],
      [3, 2, 1],
      [0, 1, 2],
      [2, 3, 5],
      [1, 2, 3, 4],
      [1, 2, 2.5],
    ]) {
      expect(codeOf(() => unmask({ ...base, partials, activeSet }))).toBe('FIELD_OUT_OF_RANGE');
    }
    expect(codeOf(() => unmask({ ...base, partials: round.partials }))).toBe('FIELD_OUT_OF_RANGE');
    expect(codeOf(() => contradictors({ wordBits, count, partials }))).toBe('FIELD_OUT_OF_RANGE');
  });
});

describe('hostile device', () => {
  const open = (deviceId: string, holderPart: Uint8Array, holderIndex: number) =>
    codeOf(() =>
      openShares(contextOf(deviceId), {
        holderPart,
        committeeKey,
        holderIndex,
        secretKey: secretKeys[holderIndex - 1]!,
      }),
    );

  it('the crafting helper makes valid parts when nothing is crafted', () => {
    const { holderPart } = sealCrafted(contextOf('h'), committeeKey, vectors[0]!, {}, random);
    for (const holder of holders) expect(open('h', holderPart, holder)).toBe('no error');
  });

  it('different seeds for different holders: whoever got a wrong one says so, the others accept', () => {
    for (const victim of holders) {
      for (const wrong of boxedSeeds(victim)) {
        const { holderPart } = sealCrafted(
          contextOf('h'),
          committeeKey,
          vectors[0]!,
          {
            boxed: (holder, seed, honest) =>
              holder === victim && seed === wrong ? flipped(honest, 31) : honest,
          },
          random,
        );
        for (const holder of holders) {
          expect(open('h', holderPart, holder)).toBe(holder === victim ? 'SHARE_INCONSISTENT' : 'no error');
        }
      }
    }
  });

  it('a seed that is not the derived one: its deriving holder says so', () => {
    for (const replaced of holders) {
      const crafted = {
        used: (seed: number, honest: Uint8Array) => (seed === replaced ? flipped(honest, 0) : honest),
      };
      const { holderPart } = sealCrafted(contextOf('h'), committeeKey, vectors[0]!, crafted, random);
      for (const holder of holders) {
        const refuses = derivedSeed(holder) === replaced;
        expect(open('h', holderPart, holder)).toBe(refuses ? 'SHARE_INCONSISTENT' : 'no error');
      }
    }
  });

  it('without the seed hashes, one such device makes honest holders disagree and spoils the round', () => {
    const boxed = (holder: number, seed: number, honest: Uint8Array) =>
      holder === 1 && seed === 2 ? flipped(honest, 5) : honest;
    const { body, holderPart } = sealCrafted(contextOf('h'), committeeKey, vectors[0]!, { boxed }, random);
    const folder = new WordFolder(count, wordBits);
    folder.add(body);
    const partials = holders.map((holder) => {
      const sum = new SeedSum(count, wordBits, intl, configHash);
      sum.add('h', openTrusting('h', holderPart, holder));
      return sum.bytes();
    });
    expect(contradictors({ wordBits, count, partials })).toEqual([1]); // honest, and yet named
    const input = { bodySum: folder.bytes(), wordBits, count, activeSet: [1, 3, 4] } as const;
    const answers = [partials[0]!, partials[2]!, partials[3]!];
    expect(codeOf(() => unmask({ ...input, partials: answers }))).toBe('OPENING_FAILED');
    expect(open('h', holderPart, 1)).toBe('SHARE_INCONSISTENT');
  });

  it('a replayed part of another device, another round or for another holder does not open', () => {
    const { holderPart } = sealShares(contextOf('victim'), committeeKey, vectors[0]!, random);
    for (const holder of holders) {
      expect(open('thief', holderPart, holder)).toBe('DECRYPTION_FAILED');
      const other = new SharesOpener({
        suite: intl,
        configHash: flipped(configHash, 31),
        committeeKey,
        holderIndex: holder,
        secretKey: secretKeys[holder - 1]!,
      });
      expect(codeOf(() => other.open('victim', holderPart))).toBe('DECRYPTION_FAILED');
      // The same secret key at the same place of a committee with one other key.
      const swapped = committeeKey.slice();
      swapped.set(getKem('intl').generateKey(random).publicKey, (holder % 4) * 32);
      const secretKey = secretKeys[holder - 1]!;
      const input = { holderPart, committeeKey: swapped, holderIndex: holder, secretKey };
      expect(codeOf(() => openShares(contextOf('victim'), input))).toBe('DECRYPTION_FAILED');
    }
    const boxes = holderPart.slice();
    boxes.copyWithin(160, 240, 320); // box 2 in place of box 1
    expect(open('victim', boxes, 1)).toBe('DECRYPTION_FAILED');
  });

  it('encodings of small order and unreduced encodings of the ephemeral key are refused', () => {
    const { holderPart } = sealShares(contextOf('d'), committeeKey, vectors[0]!, random);
    const small = [
      '00'.repeat(32),
      `01${'00'.repeat(31)}`,
      'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800',
      '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157',
      `ec${'ff'.repeat(30)}7f`,
      `ed${'ff'.repeat(30)}7f`,
      `ee${'ff'.repeat(30)}7f`,
    ].map(fromHex);
    for (const point of small) {
      const part = holderPart.slice();
      part.set(point);
      for (const holder of holders) expect(open('d', part, holder)).toBe('DECRYPTION_FAILED');
    }
    // RFC 7748 ignores the top bit: X25519 agrees on the same secret, the key schedule does not.
    const masked = holderPart.slice();
    masked[31]! ^= 0x80;
    expect(open('d', masked, 1)).toBe('DECRYPTION_FAILED');
  });

  it('seeds of another device or round reused by a device expand to unrelated words', () => {
    const seeds = randomBytes(96, random);
    const bytes = (deviceId: string, hash: Uint8Array) => {
      const sum = new SeedSum(count, wordBits, intl, hash);
      sum.add(deviceId, seeds);
      return toHex(sum.bytes());
    };
    const streams = [bytes('a', configHash), bytes('b', configHash), bytes('a', flipped(configHash, 0))];
    expect(new Set(streams).size).toBe(3);
    expect(bytes('a', configHash)).toBe(streams[0]);
  });
});

describe.each(suiteNames)('altered parts, suite %s', (name: SuiteName) => {
  const suite = getSuite(name);
  const kem = getKem(name);
  const own = makeCommittee(name);
  const context = { suite, configHash, deviceId: 'd', wordBits } as const;
  const { holderPart } = sealShares(context, own.committeeKey, Int32Array.of(1, 2, 3));
  const openers = holders.map(
    (holderIndex) =>
      new SharesOpener({
        suite,
        configHash,
        committeeKey: own.committeeKey,
        holderIndex,
        secretKey: own.secretKeys[holderIndex - 1]!,
      }),
  );
  const boxesAt = kem.encapsulationBytes(4) + 128;
  const boxLength = (holderPart.length - boxesAt) / 4;

  it('a flipped bit before the boxes is refused by all holders, one in a box by its holder', () => {
    fc.assert(
      fc.property(fc.nat(holderPart.length - 1), fc.nat(7), (at, bit) => {
        const altered = holderPart.slice();
        altered[at]! ^= 1 << bit;
        for (const holder of holders) {
          const inOwnBox = Math.floor((at - boxesAt) / boxLength) === holder - 1;
          const refused = at < boxesAt || inOwnBox;
          if (name === 'gm' && !refused) continue; // an opening costs milliseconds here
          const code = codeOf(() => openers[holder - 1]!.open('d', altered));
          expect(code).toBe(refused ? 'DECRYPTION_FAILED' : 'no error');
        }
      }),
      { numRuns: name === 'gm' ? 30 : 250 },
    );
  });

  it('cut, padded and random parts get a code', () => {
    for (const length of [0, 1, boxesAt, holderPart.length - 1]) {
      expect(codeOf(() => openers[0]!.open('d', holderPart.subarray(0, length)))).toBe('MALFORMED_MESSAGE');
    }
    expect(codeOf(() => openers[0]!.open('d', concat(holderPart, holderPart)))).toBe('MALFORMED_MESSAGE');
    for (let i = 0; i < 5; i++) {
      expect(codeOf(() => openers[i % 4]!.open('d', randomBytes(holderPart.length)))).toBe(
        'DECRYPTION_FAILED',
      );
    }
  });
});

describe('coordinator with one holder', () => {
  const chiSquare = (values: Iterable<number>, bins: number): number => {
    const seen = new Float64Array(bins);
    let total = 0;
    for (const value of values) {
      seen[value]!++;
      total++;
    }
    const expected = total / bins;
    return seen.reduce((sum, n) => sum + (n - expected) ** 2 / expected, 0);
  };

  /** High and low bytes of body − Σ of the seeds in `known`, over many devices with one fixed vector. */
  function guess(known: readonly number[]): { low: number[]; high: number[] } {
    const low: number[] = [];
    const high: number[] = [];
    const values = new Int32Array(256).fill(1234);
    for (let i = 0; i < 40; i++) {
      const context = contextOf(`device-${i}`);
      const { body, holderPart } = sealShares(context, committeeKey, values, random);
      const sum = new WordSum(256, wordBits);
      sum.add(body);
      for (const seed of known) {
        // One holder that knows the seed; the set of seeds, not of holders, is what the attacker has.
        const holderIndex = (seed % 4) + 1;
        const secretKey = secretKeys[holderIndex - 1]!;
        const { seeds } = openShares(context, { holderPart, committeeKey, holderIndex, secretKey });
        const one = new SeedSum(256, wordBits, intl, configHash);
        one.add(context.deviceId, seeds);
        const at = seedsOf(holderIndex).indexOf(seed) * 512;
        sum.subtract(one.bytes().subarray(at, at + 512));
      }
      sum.bytes().forEach((byte, at) => {
        (at % 2 === 0 ? low : high).push(byte);
      });
    }
    return { low, high };
  }

  // 255 degrees of freedom: mean 255, standard deviation 22.6; 400 is 6.4 of them. The seed is fixed, so it
  // never flakes.
  it.each(holders)('what holder %i and the coordinator know leaves the vector uniform', (holder) => {
    const { low, high } = guess(seedsOf(holder));
    expect(chiSquare(low, 256)).toBeLessThan(400);
    expect(chiSquare(high, 256)).toBeLessThan(400);
  });

  it('all four seeds show it (so the statistic can tell)', () => {
    const { low, high } = guess(holders);
    expect(chiSquare(low, 256)).toBeGreaterThan(100_000);
    expect(new Set(low)).toEqual(new Set([1234 & 255]));
    expect(new Set(high)).toEqual(new Set([1234 >> 8]));
  });
});
