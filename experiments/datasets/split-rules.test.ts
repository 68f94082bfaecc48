/** Goal: every split is complete, disjoint and the same for one seed, and none puts a person on both sides. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Splittable } from './split-rules.ts';
import { parseSplitRule, sharedPersons, splitOf, splitRows } from './split-rules.ts';
import { splitPerSite } from './splits.ts';
import type { SplitRule } from './types.ts';

const codeIs = (code: string) => expect.objectContaining({ code });

/** `rows` entries: [person, site, label]. */
const setOf = (
  rows: readonly (readonly [string, string, number])[],
  siteKind: Splittable['definition']['siteKind'] = 'hospital',
): Splittable => ({
  definition: { name: 'a-set', siteKind },
  rows: rows.map(([person, site], index) => ({ index, person, site })),
  labels: Uint8Array.from(rows, ([, , label]) => label),
});

const people = (count: number, rowsEach: number) =>
  setOf(
    Array.from({ length: count * rowsEach }, (_, i) => {
      const person = Math.floor(i / rowsEach);
      return [`p${person}`, `s${person % 3}`, person % 4 === 0 ? 1 : 0] as const;
    }),
  );

const rules: SplitRule[] = [
  { rule: 'per-site' },
  { rule: 'index-mod-5' },
  { rule: 'by-person', fold: 1, folds: 3 },
  { rule: 'leave-site-out', site: 's1' },
  { rule: 'random', share: 0.5 },
];

describe('splitOf', () => {
  test.each(rules)('one row per person, $rule: each row on one side, in order, as the seed says', (rule) => {
    const set = people(60, 1);
    const split = splitOf(set, 'x', rule);
    expect([...split.train, ...split.test].sort((a, b) => a - b)).toEqual(set.rows.map((_, i) => i));
    for (const side of [split.train, split.test]) expect(side).toEqual([...side].sort((a, b) => a - b));
    expect(splitOf(set, 'x', rule)).toEqual(split);
    const seeded = rule.rule !== 'index-mod-5' && rule.rule !== 'leave-site-out';
    if (seeded) expect(splitOf(set, 'y', rule)).not.toEqual(split);
    else expect(splitOf(set, 'y', rule)).toEqual(split);
  });

  test('per-site is the split whose figures are published', () => {
    const set = people(60, 1);
    expect(splitOf(set, '0', { rule: 'per-site' })).toEqual(splitPerSite(set, '0'));
  });

  test.each(rules.filter(({ rule }) => rule !== 'by-person' && rule !== 'leave-site-out'))(
    'many rows per person, $rule: refused, and without the refusal people stand on both sides',
    (rule) => {
      const set = people(12, 7);
      expect(() => splitOf(set, 'x', rule)).toThrow(codeIs('PARAMETER_UNSAFE'));
      expect(() => splitOf(set, 'x', rule)).toThrow(/on both sides.*by-person/);
      expect(sharedPersons(set, splitRows(set, 'x', rule)).size).toBeGreaterThan(3);
    },
  );

  test('leave-site-out refuses a person who was at two sites', () => {
    const rows = [
      ['a', 'x', 0],
      ['a', 'y', 0],
      ['b', 'y', 1],
      ['c', 'x', 1],
    ] as const;
    expect(() => splitOf(setOf(rows), '0', { rule: 'leave-site-out', site: 'x' })).toThrow('1 person');
  });

  test('by-person: the folds are a partition of the people, with like shares of positives', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.integer({ min: 0, max: 25 }), fc.integer({ min: 0, max: 1 })), {
          minLength: 40,
          maxLength: 120,
        }),
        fc.integer({ min: 2, max: 5 }),
        fc.string({ maxLength: 5 }),
        (list, folds, seed) => {
          const set = setOf(list.map(([person, label]) => [`p${person}`, 's', label] as const));
          const all = Array.from({ length: folds }, (_, fold) =>
            splitOf(set, seed, { rule: 'by-person', fold, folds }),
          );
          expect(all.flatMap(({ test: rows }) => rows).sort((a, b) => a - b)).toEqual(
            set.rows.map((_, i) => i),
          );
          for (const split of all) expect(sharedPersons(set, split).size).toBe(0);
        },
      ),
      { numRuns: 40 },
    );
    // 8 of 40 people have the condition: two in each of four folds, whatever the seed.
    const few = setOf(Array.from({ length: 40 }, (_, i) => [`p${i}`, 's', i < 8 ? 1 : 0] as const));
    for (const seed of ['a', 'b', 'c'])
      for (let fold = 0; fold < 4; fold++)
        expect(
          splitOf(few, seed, { rule: 'by-person', fold, folds: 4 }).test.filter((i) => i < 8),
        ).toHaveLength(2);
  });

  test('next-cycle: the last cycle tests; only for cycles', () => {
    const rows = [
      ['a', '2009_10', 0],
      ['b', '2011_12', 1],
      ['c', '2009_10', 1],
    ] as const;
    expect(splitOf(setOf(rows, 'cycle'), '0', { rule: 'next-cycle' })).toEqual({ train: [0, 2], test: [1] });
    expect(() => splitOf(setOf(rows), '0', { rule: 'next-cycle' })).toThrow('no cycles');
  });

  test('numbers to predict make no strata: per-site still has a test side', () => {
    const set = { ...people(30, 1), labels: Float32Array.from({ length: 30 }, (_, i) => i / 30) };
    expect(splitOf(set, '0', { rule: 'per-site' }).test.length).toBe(9);
  });

  test('rules that do not fit say so', () => {
    const set = people(4, 1);
    expect(() => splitOf(set, '0', { rule: 'leave-site-out', site: 's9' })).toThrow('sites: s0, s1, s2');
    expect(() => splitOf(set, '0', { rule: 'by-person', fold: 5, folds: 5 })).toThrow('fold 5 of 5');
    expect(() => splitOf(set, '0', { rule: 'by-person', fold: 0, folds: 9 })).toThrow('4 people');
    expect(() => splitOf(people(1, 1), '0', { rule: 'random' })).toThrow(codeIs('DATA_EMPTY'));
  });
});

describe('parseSplitRule', () => {
  test('names and objects', () => {
    expect(parseSplitRule('per-site')).toEqual({ rule: 'per-site' });
    expect(parseSplitRule('by-person')).toEqual({ rule: 'by-person', fold: 0, folds: 5 });
    expect(parseSplitRule({ rule: 'by-person', folds: 3 })).toEqual({
      rule: 'by-person',
      fold: 0,
      folds: 3,
    });
  });
  test.each([
    ['leave-site-out', 'split.site'],
    ['by-minute', 'known: per-site, index-mod-5'],
    [{ rule: 'random', share: 1 }, 'split.share'],
    [{ rule: 'per-site', shares: 0.5 }, 'CONFIG'],
    [null, 'known'],
    [7, 'known'],
  ])('%j', (value, message) => {
    expect(() => parseSplitRule(value)).toThrow(codeIs('CONFIG_INVALID'));
    if (message !== 'CONFIG') expect(() => parseSplitRule(value)).toThrow(message);
  });
  test('the official Apnea-ECG split is refused with the reason', () => {
    expect(() => parseSplitRule('official')).toThrow(codeIs('PARAMETER_UNSAFE'));
    expect(() => parseSplitRule({ rule: 'official' })).toThrow('23 of the 35');
  });
});
