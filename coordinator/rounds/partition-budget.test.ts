/**
 * Goal: the share of δ that pays for partitions is used by one plan with groups in each budget epoch, however many ask.
 */
import { expect, test } from 'vitest';
import { toHex } from '../../crypto/bytes.ts';
import { getSuite } from '../../crypto/identity/suite.ts';
import type { ParsedPlan } from '../../protos/plan.ts';
import { digitCountOf } from '../../protos/plan-scheme.ts';
import { encodeRoundConfig } from '../../protos/round-config.ts';
import { createWorld, planOf } from '../testing.ts';
import { Bench } from '../testing-bench.ts';

const world = await createWorld();
const privacy = { unit: 'person', epsilon: '100', delta: '0.00001', gamma: '0', noiseVariance: '1000' };
const rounds = { training: 1, cohortMin: 12, cohortTarget: 12, cohortMax: 12 };
const grouped = (name: string, epoch: string, more: object = {}) =>
  planOf(world, {
    name,
    epoch,
    rounds,
    privacy,
    aggregation: { transport: 'shares', groups: { count: 3, combine: 'median' } },
    ...more,
  });

const hex = '00'.repeat(32);
const configOf = (parsed: ParsedPlan) =>
  encodeRoundConfig(
    {
      version: 1,
      planHash: parsed.hashHex,
      round: 1,
      kind: 'training',
      modelHash: hex,
      committeeKeyId: hex,
      digitCount: digitCountOf(parsed, 'training'),
      openedAtMs: 0,
    },
    getSuite('intl'),
  );

test('a second plan with groups in the same epoch is told why it cannot charge', () => {
  const bench = new Bench(world, []);
  const { store, budget } = bench.services;
  const reserve = (parsed: ParsedPlan, person: number) =>
    store.transaction('reserve', (db) => {
      const pseudonym = toHex(new Uint8Array(32).fill(person));
      return budget.reserve(db, parsed, configOf(parsed), [pseudonym]).get(pseudonym) ?? null;
    });
  const first = grouped('first', '2026');
  expect(reserve(first, 1)).toBeNull();
  expect(reserve(first, 2)).toBeNull();
  // The same terms, so that nothing but the partitions stands in the way; even for somebody new.
  expect(reserve(grouped('second', '2026'), 1)).toMatch(/aggregation\.groups charges epoch 2026/);
  expect(reserve(grouped('third', '2026'), 3)).toMatch(/aggregation\.groups charges epoch 2026/);
  expect(reserve(first, 3)).toBeNull();
  expect(reserve(grouped('next', '2027'), 4)).toBeNull();
  // An epoch whose name begins like another is another.
  expect(reserve(grouped('longer', '20260'), 5)).toBeNull();
  const plain = grouped('plain', '2028', { aggregation: { transport: 'shares' } });
  expect(reserve(plain, 6)).toBeNull();
});
