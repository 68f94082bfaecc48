/**
 * Goal: a round with groups opens one exact sum per group, drops a group with garbage in it and no other, never one that
 * honest devices made; and no holder can be led to open groups of a round that has none.
 */
import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { concat, toHex } from '../bytes.ts';
import { addNoise, type MechanismParameters, toDigits } from '../dp/mechanism.ts';
import { parseRational } from '../dp/rational.ts';
import { intlSuite } from '../identity/suite-intl.ts';
import { type RandomSource, randomBytes, seededRandom } from '../random.ts';
import { checksumHolds, checksumOf } from './checksum.ts';
import { type ChosenScheme, chooseScheme } from './choose.ts';
import { loadSecagg, type SealedParts, type Secagg, type SumScheme } from './scheme.ts';
import {
  groupContradictors,
  joinRoundKeys,
  makeRoundKey,
  partitionOf,
  SeedSum,
  SharesOpener,
  splitPartial,
  unmask,
} from './shares/index.ts';

let secagg: Secagg;
const configHash = new Uint8Array(32).fill(5);
// Drawn from a seed, sealing too: a checksum of 16 bits misses garbage once in 65,536 runs, and never in this one.
const keyRandom = seededRandom('groups');
const roundKeys = [1, 2, 3, 4].map(() => makeRoundKey(intlSuite, 'x25519', keyRandom));
const committeeKey = joinRoundKeys(
  intlSuite,
  roundKeys.map((key) => key.publicKey),
);
const openers = roundKeys.map(
  ({ secretKey }, i) =>
    new SharesOpener({ suite: intlSuite, configHash, committeeKey, holderIndex: i + 1, secretKey }),
);
const coded = (code: string, message = /./) =>
  expect.objectContaining({ code, message: expect.stringMatching(message) });

beforeAll(async () => {
  secagg = await loadSecagg();
});

function mechanismOf(dimension: number): MechanismParameters {
  return {
    ...{ unit: 'person', dimension, clip: parseRational('1'), unitsPerClip: 64, clients: 100, recordsMax: 1 },
    ...{ rotationSeed: new Uint8Array(32), noiseVariance: parseRational('100') },
  };
}

interface Kind {
  readonly name: string;
  readonly dimension: number;
  readonly slotBits: number;
  readonly groups?: number;
}
const short16: Kind = { name: 'short, 16-bit words', dimension: 40, slotBits: 15 };
const short32: Kind = { name: 'short, 32-bit words', dimension: 41, slotBits: 20 };
const long: Kind = { name: 'long', dimension: 9001, slotBits: 15 };

function chosen({ dimension, slotBits, groups = 3 }: Kind): ChosenScheme {
  const fixed = {
    suite: 'intl',
    transport: 'shares',
    kem: 'x25519',
    holderCount: 4,
    honestClients: 2,
  } as const;
  return chooseScheme({ ...fixed, mechanism: mechanismOf(dimension), slotBits, groups });
}

interface Sent extends SealedParts {
  readonly deviceId: string;
  readonly values: Int32Array;
}

/** Noised vectors of `count` devices, sealed. */
function sealed({ scheme, layout }: ChosenScheme, kind: Kind, count: number, random: RandomSource): Sent[] {
  return Array.from({ length: count }, (_, i) => {
    const raw = new Int8Array(randomBytes(kind.dimension, random).buffer);
    return send({ scheme, layout }, `${i}`.padStart(32, '0'), noised(Int32Array.from(raw), kind, random));
  });
}
const noised = (values: Int32Array, { dimension }: Kind, random: RandomSource) =>
  addNoise(values, mechanismOf(dimension), random);

function send(
  { scheme, layout }: Pick<ChosenScheme, 'scheme' | 'layout'>,
  deviceId: string,
  values: Int32Array,
): Sent {
  const parts = secagg.seal(
    scheme,
    { configHash, deviceId },
    committeeKey,
    toDigits(values, layout),
    keyRandom,
  );
  secagg.validate(scheme, parts);
  return { deviceId, values, ...parts };
}

type Cohort = readonly (readonly Sent[])[];

/** Groups as the protocol cuts them, from any seed. */
function partition(sent: readonly Sent[], groups: number, seed: string): Cohort {
  const digest = intlSuite.digest(new TextEncoder().encode(seed));
  const ids = sent.map(({ deviceId }) => deviceId);
  return partitionOf(intlSuite, digest, ids, groups).map((group) =>
    group.map((id) => sent.find(({ deviceId }) => deviceId === id)!),
  );
}

/** Holder `index`'s whole answer. */
function answerOf(scheme: SumScheme, cohort: Cohort, index: number, groups = scheme.groups): Uint8Array {
  return concat(
    ...cohort.map((group) => {
      const sum = new SeedSum(scheme.shortCount, scheme.wordBits, intlSuite, configHash, groups);
      for (const { deviceId, holderPart } of group)
        sum.add(deviceId, openers[index - 1]!.open(deviceId, holderPart).seeds);
      return sum.bytes();
    }),
  );
}

const bodiesOf = (scheme: SumScheme, cohort: Cohort) =>
  cohort.map((group) => {
    const folder = secagg.folder(scheme);
    for (const { body } of group) folder.add(body);
    return { bodySum: folder.bytes(), cohortCount: group.length };
  });

function opened(scheme: SumScheme, cohort: Cohort, groups = scheme.groups): (Int32Array | null)[] {
  const activeSet = [1, 3, 4];
  const partials = activeSet.map((index) => answerOf(scheme, cohort, index, groups));
  return secagg.openGroups(scheme, { configHash, groups: bodiesOf(scheme, cohort), activeSet, partials });
}

const plainSums = (cohort: Cohort): Int32Array[] =>
  cohort.map((group) =>
    group.reduce(
      (sum, { values }) => sum.map((x, i) => x + values[i]!),
      new Int32Array(group[0]!.values.length),
    ),
  );

describe.each([short16, short32, long])('$name', (kind) => {
  it('has one word more, and answers for every group', () => {
    const { scheme } = chosen(kind);
    const { scheme: plain } = chosen({ ...kind, groups: 1 });
    expect(plain).toMatchObject({ groups: 1, shortCount: plain.long?.polyDegree ?? plain.slotCount });
    expect(scheme).toMatchObject({ groups: 3, slotCount: plain.slotCount, shortCount: plain.shortCount + 1 });
    expect(scheme.long !== null).toBe(kind === long);
    expect(secagg.sizes(scheme).body).toBe(secagg.sizes(plain).body + scheme.wordBits / 8);
    expect(secagg.sizes(scheme).holderPart).toBe(secagg.sizes(plain).holderPart);
    if (scheme.long) expect(scheme.long.bodyBytes).toBe(secagg.sizes(scheme).body);
    const wordBytes = scheme.wordBits / 8;
    expect(secagg.partialBytes(scheme)).toBe(3 * 3 * scheme.shortCount * wordBytes);
    expect(() => secagg.validatePartial(scheme, new Uint8Array(3 * scheme.shortCount * wordBytes))).toThrow(
      coded('WRONG_CIPHERTEXT_PARAMETERS'),
    );
  });

  it('opens exactly, noise and all, and drops no group of honest devices, whoever is left', () => {
    const one = chosen(kind);
    const all = sealed(one, kind, 12, seededRandom(kind.name));
    const someOf = fc.subarray(all, { minLength: 3 });
    fc.assert(
      fc.property(someOf, fc.string({ maxLength: 8 }), (sent, seed) => {
        const cohort = partition(sent, 3, seed);
        expect(opened(one.scheme, cohort)).toEqual(plainSums(cohort));
      }),
      { numRuns: kind === long ? 6 : 60 },
    );
  });

  it('drops the group with a garbage body in it, and that one alone', () => {
    const one = chosen(kind);
    const sent = sealed(one, kind, 9, seededRandom('garbage'));
    const random = seededRandom(`garbage ${kind.name}`);
    const split = one.scheme.long?.packedBytes ?? 0;
    const replaced: [string, (body: Uint8Array) => Uint8Array][] = [
      ['random', (body) => randomBytes(body.length, random)],
      // Under the long cipher: an honest long half, garbage where its key and the checksum are; and the other way round.
      [
        'random short half',
        (body) => concat(body.subarray(0, split), randomBytes(body.length - split, random)),
      ],
      ['another device’s', () => sent[8]!.body],
      ['one bit off', (body) => body.map((byte, i) => (i === split ? byte ^ 1 : byte))],
    ];
    if (split > 0)
      replaced.push(['random long half', (body) => concat(randomBytes(split, random), body.subarray(split))]);
    for (const [name, change] of replaced) {
      const bad = sent.map((one, i) => (i === 4 ? { ...one, body: change(one.body) } : one));
      const cohort = partition(bad, 3, name);
      const at = cohort.findIndex((group) => group.some(({ deviceId }) => deviceId === bad[4]!.deviceId));
      const sums = plainSums(cohort);
      expect([name, opened(one.scheme, cohort)]).toEqual([
        name,
        sums.map((sum, i) => (i === at ? null : sum)),
      ]);
    }
  });

  it('opens nothing where holders disagree about one group; the liar is found in any', () => {
    const { scheme, layout } = chosen(kind);
    const cohort = partition(
      sealed({ scheme, layout, uploadBytes: 0 }, kind, 6, seededRandom('lie')),
      3,
      'lie',
    );
    const partials = [1, 2, 3, 4].map((index) => answerOf(scheme, cohort, index));
    const { shortCount: count, wordBits } = scheme;
    const shape = { count, wordBits, groups: 3 };
    expect(groupContradictors({ ...shape, partials })).toEqual([]);
    for (const group of [0, 2]) {
      const slice = partials[1]!.length / 3;
      const lie = partials[1]!.map((byte, i) => (i === group * slice + 9 ? byte ^ 1 : byte));
      const groups = bodiesOf(scheme, cohort);
      const open = (activeSet: number[], given: Uint8Array[]) =>
        secagg.openGroups(scheme, { configHash, groups, activeSet, partials: given });
      expect(() => open([1, 2, 3], [partials[0]!, lie, partials[2]!])).toThrow(
        coded('OPENING_FAILED', /disagree/),
      );
      expect(
        groupContradictors({ ...shape, partials: [partials[0]!, lie, partials[2]!, partials[3]!] }),
      ).toEqual([2]);
      expect(open([1, 3, 4], [partials[0]!, partials[2]!, partials[3]!])).toEqual(plainSums(cohort));
    }
    expect(() => splitPartial(partials[0]!.subarray(1), shape)).toThrow(coded('MALFORMED_MESSAGE'));
  });

  it('does not open with answers for another number of groups, or for none', () => {
    const one = chosen(kind);
    const cohort = partition(sealed(one, kind, 6, seededRandom('bound')), 3, 'bound');
    for (const groups of [1, 4]) expect(opened(one.scheme, cohort, groups)).toEqual([null, null, null]);
  });
});

describe('an ungrouped round', () => {
  it('cannot be opened in groups: holders that were told so answer for streams that nobody used', () => {
    const { scheme, layout } = chosen({ ...short16, groups: 1 });
    const cohort = partition(
      sealed({ scheme, layout, uploadBytes: 0 }, short16, 6, seededRandom('sole')),
      3,
      'sole',
    );
    const { shortCount: count, wordBits } = scheme;
    const groupSum = (groups: number) => {
      const answers = [1, 2, 3].map((index) => answerOf(scheme, [cohort[0]!], index, groups));
      const { bodySum } = bodiesOf(scheme, [cohort[0]!])[0]!;
      return unmask({ bodySum, wordBits, count, activeSet: [1, 2, 3], partials: answers });
    };
    const [expected] = plainSums(cohort);
    // Where streams are not bound to the groups, a holder that takes the round for a grouped one opens a group of it.
    expect(groupSum(1)).toEqual(expected);
    expect(groupSum(3)).not.toEqual(expected);
  });

  it('opens garbage without a word: what the checksum is for', () => {
    const { scheme, layout } = chosen({ ...short16, groups: 1 });
    const sent = sealed({ scheme, layout, uploadBytes: 0 }, short16, 3, seededRandom('silent'));
    const bad = sent.map((one, i) => (i === 1 ? { ...one, body: randomBytes(one.body.length) } : one));
    const partials = [1, 2, 3].map((index) => answerOf(scheme, [bad], index));
    const { bodySum } = bodiesOf(scheme, [bad])[0]!;
    const input = { configHash, bodySum, cohortCount: 3, activeSet: [1, 2, 3], partials };
    expect(secagg.open(scheme, input)).toHaveLength(40);
    expect(secagg.open(scheme, input)).not.toEqual(plainSums([sent])[0]);
    const nothing = { configHash, groups: [], activeSet: [1, 2, 3], partials };
    expect(() => secagg.openGroups(scheme, nothing)).toThrow(coded('INTERNAL'));
    expect(() => secagg.open({ ...scheme, groups: 3 }, input)).toThrow(coded('INTERNAL'));
  });
});

describe('the checksum', () => {
  it('is a function of the sum of the noised vectors, and leaves the other slots as they are', () => {
    for (const kind of [short16, short32]) {
      const one = chosen(kind);
      const { shortCount: count, wordBits } = one.scheme;
      const random = seededRandom('equal sums');
      const [a, b, c] = sealed(one, kind, 3, random) as [Sent, Sent, Sent];
      const shift = noised(new Int32Array(kind.dimension), kind, random);
      // The same sum from other vectors.
      const others = [
        send(
          one,
          a.deviceId,
          a.values.map((x, i) => x + shift[i]!),
        ),
        send(
          one,
          b.deviceId,
          b.values.map((x, i) => x - shift[i]!),
        ),
        c,
      ];
      const words = [[a, b, c], others].map((group) => {
        const partials = [1, 2, 3].map((index) => answerOf(one.scheme, [group], index));
        const { bodySum } = bodiesOf(one.scheme, [group])[0]!;
        return unmask({ bodySum, wordBits, count, activeSet: [1, 2, 3], partials });
      });
      expect(words[1]).toEqual(words[0]);
      expect(words[0]!.subarray(0, -1)).toEqual(plainSums([[a, b, c]])[0]);
    }
  });

  it('adds up modulo 2^16 and 2^32, whatever the slots are', () => {
    const slots = fc.int32Array({ minLength: 4, maxLength: 4 });
    fc.assert(
      fc.property(
        fc.array(slots, { minLength: 1, maxLength: 5 }),
        fc.constantFrom(16, 32),
        (vectors, wordBits) => {
          const sum = vectors.reduce((total, one) => total.map((x, i) => x + one[i]!), new Int32Array(4));
          const checksum = vectors.reduce((total, one) => (total + checksumOf(one)) | 0, 0);
          const word = wordBits === 32 ? checksum : (checksum << 16) >> 16;
          expect(checksumHolds(sum, word, wordBits)).toBe(true);
          expect(checksumHolds(sum, word ^ 1, wordBits)).toBe(false);
        },
      ),
    );
  });

  it('drops a group whose slots wrap under the long cipher, where the wrap spoils a neighbour', () => {
    const kind = { ...long, slotBits: 12 };
    const one = chosen(kind);
    const values = (first: number) => new Int32Array(kind.dimension).fill(first, 0, 1);
    const vectors = [values(1500), values(1500), values(100), values(-7), values(0), values(2047)];
    const sent = vectors.map((vector, i) => send(one, `${i}`.padStart(32, '0'), vector));
    const cohort = [sent.slice(0, 2), sent.slice(2, 4), sent.slice(4)];
    const sums = plainSums(cohort);
    expect(opened(one.scheme, cohort)).toEqual([null, sums[1], sums[2]]);
  });

  it('exists under transport shares only', () => {
    const fixed = { suite: 'intl', kem: 'x25519', holderCount: 4, honestClients: 2, slotBits: 15 } as const;
    const request = { ...fixed, mechanism: mechanismOf(40), groups: 3 };
    expect(() => chooseScheme({ ...request, transport: 'bfv' })).toThrow(coded('PARAMETER_UNSAFE', /shares/));
    expect(chooseScheme({ ...request, transport: 'shares' }).scheme.groups).toBe(3);
  });

  it('does not weaken the mask: equal vectors give unrelated bodies', () => {
    const one = chosen(short16);
    const values = new Int32Array(40);
    const bodies = ['a', 'a', 'b'].map((id) => toHex(send(one, id.padStart(32, '0'), values).body));
    expect(new Set(bodies).size).toBe(3);
  });
});
