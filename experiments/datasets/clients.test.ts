/** Goal: every row goes to exactly one client, a person to one client, and Dirichlet shards are as unlike as alpha says. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Dealable } from './clients.ts';
import { clientsOf, parseClientRule } from './clients.ts';

const codeIs = (code: string) => expect.objectContaining({ code });
const setOf = (count: number, personOf: (i: number) => string, classes = 3): Dealable => ({
  definition: { name: 'a-set' },
  rows: Array.from({ length: count }, (_, i) => ({ person: personOf(i), site: `s${i % 4}` })),
  labels: Uint8Array.from({ length: count }, (_, i) => i % classes),
});
const allOf = (set: Dealable): number[] => [...set.rows.keys()];

describe('clientsOf', () => {
  const visits = setOf(24, (i) => `p${i % 8}`);
  test('by site and by person, in order of name; only the rows asked for', () => {
    expect(clientsOf(visits, { kind: 'person' }, [17, 1, 3, 9])).toEqual([
      { name: 'p1', rows: [1, 9, 17] },
      { name: 'p3', rows: [3] },
    ]);
    expect(clientsOf(visits, { kind: 'site' }, [0, 4, 5])).toEqual([
      { name: 's0', rows: [0, 4] },
      { name: 's1', rows: [5] },
    ]);
    const single = setOf(3, (i) => `p${i}`);
    expect(clientsOf(single, { kind: 'row' }, [2, 0])).toEqual([
      { name: 'row-2', rows: [2] },
      { name: 'row-0', rows: [0] },
    ]);
  });

  test('a person on two clients is refused', () => {
    const dirichlet = { kind: 'dirichlet', alpha: 1, clients: 3, seed: '0' } as const;
    for (const by of [{ kind: 'row' } as const, dirichlet]) {
      expect(() => clientsOf(visits, by, allOf(visits))).toThrow(codeIs('PARAMETER_UNSAFE'));
      expect(() => clientsOf(visits, by, allOf(visits))).toThrow('deal by person');
    }
    const moved = setOf(9, (i) => `p${i % 3}`);
    expect(() => clientsOf(moved, { kind: 'site' }, allOf(moved))).toThrow(codeIs('PARAMETER_UNSAFE'));
  });

  test('dirichlet: a partition without empty clients, the same for one seed', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 60, max: 300 }),
        fc.integer({ min: 2, max: 6 }),
        fc.constantFrom(0.3, 1, 100),
        fc.string({ minLength: 1, maxLength: 4 }),
        (count, clients, alpha, seed) => {
          const set = setOf(count, (i) => `p${i}`);
          const rule = { kind: 'dirichlet', alpha, clients, seed } as const;
          const dealt = clientsOf(set, rule, allOf(set));
          expect(dealt.flatMap(({ rows }) => rows).sort((a, b) => a - b)).toEqual(allOf(set));
          expect(dealt.every(({ rows }) => rows.length > 0)).toBe(true);
          expect(clientsOf(set, rule, allOf(set))).toEqual(dealt);
        },
      ),
      { numRuns: 20 },
    );
  });

  test('dirichlet: shares have the mean and variance of Dirichlet(alpha)', () => {
    // One class dealt to 4 clients: a share has mean 1/4 and variance (1/4)(3/4)/(4·alpha + 1).
    const set = setOf(2000, (i) => `p${i}`, 1);
    for (const alpha of [0.5, 2, 20]) {
      const shares: number[] = [];
      for (let seed = 0; seed < 150; seed++)
        for (const { rows } of clientsOf(
          set,
          { kind: 'dirichlet', alpha, clients: 4, seed: String(seed) },
          allOf(set),
        ))
          shares.push(rows.length / 2000);
      const variance = shares.reduce((sum, share) => sum + (share - 0.25) ** 2, 0) / shares.length;
      const expected = (0.25 * 0.75) / (4 * alpha + 1);
      expect(variance / expected).toBeGreaterThan(0.8);
      expect(variance / expected).toBeLessThan(1.25);
    }
  });

  test('what cannot be dealt', () => {
    const set = setOf(10, (i) => `p${i}`);
    const rule = (clients: number, alpha = 1) => ({ kind: 'dirichlet', alpha, clients, seed: '0' }) as const;
    expect(() => clientsOf(set, rule(6), allOf(set))).toThrow('too few for 6 clients');
    expect(() => clientsOf(set, rule(5, 0.01), allOf(set))).toThrow('larger alpha');
    const numbers = { ...set, labels: Float32Array.from({ length: 10 }, (_, i) => i / 7) };
    expect(() => clientsOf(numbers, rule(2), allOf(set))).toThrow('number to predict');
    expect(() => clientsOf(set, { kind: 'site' }, [])).toThrow(codeIs('DATA_EMPTY'));
  });
});

test('parseClientRule', () => {
  expect(parseClientRule('person')).toEqual({ kind: 'person' });
  const rule = { kind: 'dirichlet', alpha: 0.5, clients: 20, seed: '0' };
  expect(parseClientRule(rule)).toEqual(rule);
  for (const bad of ['phone', 'dirichlet', { ...rule, alpha: 0 }, { kind: 'row', count: 3 }, null])
    expect(() => parseClientRule(bad)).toThrow(codeIs('CONFIG_INVALID'));
});
