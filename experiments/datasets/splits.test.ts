/** Goal: splits are disjoint, complete, stratified and the same everywhere for one seed. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { bySite, splitPerSite, splitPersons } from './splits.ts';

const table = fc
  .array(fc.tuple(fc.constantFrom('a', 'b', 'c'), fc.integer({ min: 0, max: 1 })), {
    minLength: 1,
    maxLength: 120,
  })
  .map((list) => ({ rows: list.map(([site]) => ({ site })), labels: list.map(([, label]) => label) }));

describe('splitPerSite', () => {
  test('every row on exactly one side; round(share·n) of each (site, label) trains', () => {
    fc.assert(
      fc.property(table, fc.string(), (data, seed) => {
        const { train, test: held } = splitPerSite(data, seed);
        expect([...train, ...held].sort((a, b) => a - b)).toEqual(data.rows.map((_, i) => i));
        for (const site of ['a', 'b', 'c'])
          for (const label of [0, 1]) {
            const inStratum = (i: number): boolean => data.rows[i]!.site === site && data.labels[i] === label;
            const size = data.rows.filter((_, i) => inStratum(i)).length;
            expect(train.filter(inStratum).length).toBe(Math.round(0.66 * size));
          }
      }),
    );
  });

  const data = {
    rows: Array.from({ length: 60 }, (_, i) => ({ site: i % 2 ? 'x' : 'y' })),
    labels: Array.from({ length: 60 }, (_, i) => (i % 3 ? 1 : 0)),
  };
  test('deterministic in the seed; one site does not depend on another', () => {
    expect(splitPerSite(data, '1')).toEqual(splitPerSite(data, '1'));
    expect(splitPerSite(data, '1')).not.toEqual(splitPerSite(data, '2'));
    const more = { rows: [...data.rows, { site: 'z' }], labels: [...data.labels, 1] };
    expect(splitPerSite(more, '1').train.filter((i) => i < 60)).toEqual(splitPerSite(data, '1').train);
    // Pinned, so that figures published for a seed stay comparable.
    expect(splitPerSite(data, '0').test.slice(0, 6)).toMatchInlineSnapshot(`
      [
        1,
        4,
        5,
        7,
        10,
        12,
      ]
    `);
  });

  test('bad input', () => {
    expect(() => splitPerSite(data, '0', 1)).toThrow(expect.objectContaining({ code: 'FIELD_OUT_OF_RANGE' }));
    expect(() => splitPerSite({ ...data, labels: [] }, '0')).toThrow(
      expect.objectContaining({ code: 'VECTOR_LENGTH_MISMATCH' }),
    );
  });

  test('bySite groups in order of name', () => {
    expect([...bySite(data, [3, 0, 1, 2])]).toEqual([
      ['x', [3, 1]],
      ['y', [0, 2]],
    ]);
  });
});

describe('splitPersons', () => {
  const people = { rows: Array.from({ length: 50 }, (_, i) => ({ index: i * 2 })) };
  test('the test set is fixed, clients are drawn from the rest without replacement', () => {
    const a = splitPersons(people, 'a', 20);
    const b = splitPersons(people, 'b', 20);
    expect(a.test).toEqual(people.rows.flatMap((row, i) => (row.index % 5 === 4 ? [i] : [])));
    expect(b.test).toEqual(a.test);
    expect(b.clients).not.toEqual(a.clients);
    expect(splitPersons(people, 'a', 20)).toEqual(a);
    expect(new Set(a.clients).size).toBe(20);
    expect(a.clients.some((client) => a.test.includes(client))).toBe(false);
  });
  test('more clients for the same seed only adds clients', () => {
    expect(splitPersons(people, 'a', 30).clients.slice(0, 20)).toEqual(splitPersons(people, 'a', 20).clients);
  });
  test('not more clients than people', () => {
    expect(() => splitPersons(people, 'a', 41)).toThrow(
      expect.objectContaining({ code: 'FIELD_OUT_OF_RANGE' }),
    );
  });
});
