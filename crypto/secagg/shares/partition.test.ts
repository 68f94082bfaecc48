// Goal: groups are an equal, reproducible cut that nobody foresees who misses one seed of one honest device, and one lying
// holder moves nothing.
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { concat, fromHex, toHex, transcript } from '../../bytes.ts';
import { getSuite } from '../../identity/suite.ts';
import { randomBytes, seededRandom } from '../../random.ts';
import {
  agreedDraws,
  type DrawAnswer,
  drawOf,
  drawValuesBytes,
  PartitionDraw,
  partitionOf,
  partitionSeed,
  partitionSizes,
} from './index.ts';
import { holders, seedsOf } from './layout.ts';
import { drawAnswer, makePartitionVector, type PartitionVector, seededDevices } from './testing-partition.ts';
import { streamKeys } from './word-sum.ts';

const file = new URL('../../vectors/shares.json', import.meta.url);
const vectors: PartitionVector[] = JSON.parse(readFileSync(file, 'utf8')).partitions;
const coded = (code: string) => expect.objectContaining({ code });
const suite = getSuite('intl');
const configHash = new Uint8Array(32).fill(3);

describe.each(vectors.map((vector) => ({ vector, name: vector.suite })))('vectors of $name', ({ vector }) => {
  const own = getSuite(vector.suite);
  const devices = vector.devices.map(({ deviceId, seeds }) => ({ deviceId, seeds: seeds.map(fromHex) }));

  it('are what the generator makes', () => {
    expect(makePartitionVector(vector.suite)).toEqual(vector);
  });

  it('follow from the definition, written out once more', () => {
    const draws = holders.map((k) =>
      devices
        .map(({ deviceId, seeds }) =>
          own.digest(transcript('partition-draw', seeds[k - 1]!, fromHex(vector.configHash), deviceId)),
        )
        .reduce((sum, part) => sum.map((byte, i) => byte ^ part[i]!), new Uint8Array(32)),
    );
    expect(draws.map(toHex)).toEqual(vector.draws);
    vector.answers.forEach((values, i) => {
      expect(values).toBe(toHex(concat(...seedsOf(i + 1).map((k) => draws[k - 1]!))));
    });
    const seed = own.digest(transcript('partition', fromHex(vector.certificate), ...draws));
    expect(toHex(seed)).toBe(vector.seed);
    const ranked = devices
      .map(({ deviceId }) => [toHex(own.digest(transcript('partition-rank', seed, deviceId))), deviceId])
      .sort()
      .map(([, deviceId]) => deviceId!);
    for (const { groups, deviceIds } of vector.partitions) {
      const rest = [...ranked];
      const cut = Array.from({ length: groups }, (_, i) =>
        rest.splice(0, Math.floor(10 / groups) + (i < 10 % groups ? 1 : 0)).sort(),
      );
      expect(deviceIds).toEqual(cut);
    }
    for (const { wordBits, groups, key } of vector.streamKeys) {
      const fields = [
        'share-stream',
        devices[0]!.seeds[0]!,
        fromHex(vector.configHash),
        devices[0]!.deviceId,
      ] as const;
      const framed = groups === 1 ? transcript(...fields, wordBits) : transcript(...fields, wordBits, groups);
      expect(toHex(own.digest(framed))).toBe(key);
    }
  });

  it.each(vector.disagreements.map((one) => ({ one, name: one.name })))('$name', ({ one }) => {
    const answers = one.answers.map(({ holderIndex, values }) => ({ holderIndex, values: fromHex(values) }));
    expect(agreedDraws(answers).map((value) => (value ? toHex(value) : null))).toEqual(one.agreed);
  });
});

describe('a partition', () => {
  it('is an equal cut of all devices, whatever order they are given in', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 2, max: 200 }),
        fc.integer({ min: 1, max: 64 }),
        fc.nat(),
        (count, wanted, salt) => {
          const groups = Math.min(wanted, count);
          const ids = seededDevices(count, seededRandom(`${salt}`)).map(({ deviceId }) => deviceId);
          const seed = suite.digest(transcript('test', salt));
          const partition = partitionOf(suite, seed, ids, groups);
          expect(partitionOf(suite, seed, ids.toReversed(), groups)).toEqual(partition);
          expect(partition.map((group) => group.length)).toEqual(partitionSizes(count, groups));
          expect(partition.flat().sort()).toEqual([...ids].sort());
          for (const group of partition) expect(group).toEqual([...group].sort());
          const sizes = partitionSizes(count, groups);
          expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
          expect(sizes).toEqual([...sizes].sort((a, b) => b - a));
        },
      ),
      { numRuns: 60 },
    );
  });

  it('puts every pair of devices together as often as chance does', () => {
    const ids = seededDevices(12, seededRandom('pairs')).map(({ deviceId }) => deviceId);
    const rounds = 3000;
    const together = Array.from({ length: rounds }, (_, i) =>
      partitionOf(suite, suite.digest(transcript('test', i)), ids, 4),
    ).filter((groups) => groups.some((group) => group.includes(ids[0]!) && group.includes(ids[1]!))).length;
    // 2/11 of them; 6 deviations.
    const expected = (rounds * 2) / 11;
    expect(Math.abs(together - expected)).toBeLessThan(6 * Math.sqrt((expected * 9) / 11));
  });

  it('refuses what makes no partition', () => {
    const seed = new Uint8Array(32);
    expect(() => partitionOf(suite, seed, ['a', 'b'], 3)).toThrow(coded('FIELD_OUT_OF_RANGE'));
    expect(() => partitionOf(suite, seed, ['a', 'a', 'b'], 2)).toThrow(coded('FIELD_OUT_OF_RANGE'));
    expect(() => partitionOf(suite, seed, ['a', 'b'], 0)).toThrow(coded('FIELD_OUT_OF_RANGE'));
    expect(() => partitionSeed(suite, seed, [seed, seed, seed])).toThrow(coded('FIELD_OUT_OF_RANGE'));
    expect(() => partitionSeed(suite, seed, [seed, seed, seed, seed.subarray(1)])).toThrow(
      coded('FIELD_OUT_OF_RANGE'),
    );
    expect(() => new PartitionDraw(suite, seed.subarray(1))).toThrow(coded('FIELD_OUT_OF_RANGE'));
    expect(() => new PartitionDraw(suite, seed).add('a', new Uint8Array(128))).toThrow(
      coded('FIELD_OUT_OF_RANGE'),
    );
    expect(() => drawOf(1, new Uint8Array(95), 2)).toThrow(coded('MALFORMED_MESSAGE'));
    expect(() => agreedDraws([{ holderIndex: 5, values: new Uint8Array(96) }])).toThrow(
      coded('FIELD_OUT_OF_RANGE'),
    );
  });
});

describe('a draw', () => {
  const devices = seededDevices(7, seededRandom('draw'));
  const answersOf = (cohort: typeof devices): DrawAnswer[] =>
    holders.map((holder) => drawAnswer(suite, configHash, cohort, holder));
  const seedOf = (cohort: typeof devices, certificate = new Uint8Array(8)) =>
    partitionSeed(
      suite,
      certificate,
      agreedDraws(answersOf(cohort)).map((value) => value!),
    );

  it('follows from what a holder but one knows, for no holder', () => {
    for (const missing of holders) {
      // The same to holder `missing` in everything it sees: it cannot tell these worlds apart, and each has another seed.
      const worlds = Array.from({ length: 4 }, (_, i) =>
        devices.map(({ deviceId, seeds }, at) => ({
          deviceId,
          seeds: seeds.map((seed, k) =>
            at === 2 && k === missing - 1 ? randomBytes(32, seededRandom(`${i}`)) : seed,
          ),
        })),
      );
      const views = worlds.map((cohort) => toHex(drawAnswer(suite, configHash, cohort, missing).values));
      expect(new Set(views).size).toBe(1);
      expect(new Set(worlds.map((cohort) => toHex(seedOf(cohort)))).size).toBe(4);
    }
  });

  it('belongs to one configuration, cohort and certificate', () => {
    const seeds = [
      seedOf(devices),
      seedOf(devices.slice(1)),
      seedOf(devices, new Uint8Array(9)),
      partitionSeed(
        suite,
        new Uint8Array(8),
        agreedDraws(holders.map((h) => drawAnswer(suite, new Uint8Array(32), devices, h))).map((v) => v!),
      ),
    ];
    expect(new Set(seeds.map(toHex)).size).toBe(4);
  });

  it('is what two holders agree on: one that lies is outvoted, whichever it is and whatever it says', () => {
    const honest = agreedDraws(answersOf(devices));
    fc.assert(
      fc.property(
        fc.constantFrom(...holders),
        fc.uint8Array({ minLength: drawValuesBytes, maxLength: drawValuesBytes }),
        (liar, values) => {
          const answers = answersOf(devices).map((answer) =>
            answer.holderIndex === liar ? { holderIndex: liar, values } : answer,
          );
          expect(agreedDraws(answers)).toEqual(honest);
          // Beside its honest answer, too.
          expect(agreedDraws([...answersOf(devices), { holderIndex: liar, values }])).toEqual(honest);
        },
      ),
      { numRuns: 40 },
    );
    // A count of one, as a build without the rule would take, is what a liar needs.
    const lie = new Uint8Array(drawValuesBytes).fill(9);
    expect(drawOf(4, lie, 1)).not.toEqual(honest[0]);
    expect(agreedDraws([{ holderIndex: 4, values: lie }])).toEqual([null, null, null, null]);
  });
});

it('a stream of a grouped round is unrelated to that of an ungrouped one', () => {
  const seed = new Uint8Array(32).fill(1);
  const keys = [1, 3, 4].map((groups) => toHex(streamKeys(suite, configHash, 'device', 16, groups)(seed)));
  expect(new Set(keys).size).toBe(3);
});
