/** A holder knows sums by their length alone, so lengths must say everything. */
import { expect, it } from 'vitest';
import { requireDistinct, requireDistinctSums, sumOf } from './sums.ts';
import { createWorld } from './testing.ts';

const coded = (code: string) => expect.objectContaining({ code });
const sum = { transport: 'shares', slotCount: 40, shortCount: 40, wordBits: 16, groups: 1 } as const;

it('two kinds of round of one length must be summed alike', () => {
  expect(() => requireDistinct([sum, { ...sum }])).not.toThrow();
  expect(() => requireDistinct([sum, { ...sum, slotCount: 41, shortCount: 41, wordBits: 32 }])).not.toThrow();
  expect(() => requireDistinct([sum, { ...sum, wordBits: 32 }])).toThrow(coded('PLAN_INVALID'));
  expect(() => requireDistinct([sum, { ...sum, groups: 4 }])).toThrow(coded('PLAN_INVALID'));
  expect(() => requireDistinct([sum, { ...sum, shortCount: 4096 }])).toThrow(coded('PLAN_INVALID'));
});

it.each(['bfv', 'shares'] as const)('the sums of a %s plan, by their length', async (transport) => {
  const { parsed } = await createWorld({ transport });
  requireDistinctSums(parsed);
  expect(sumOf(parsed, 3)).toMatchObject({ transport, slotCount: 3, shortCount: 3 });
  expect(() => sumOf(parsed, 4)).toThrow(coded('VECTOR_LENGTH_MISMATCH'));
  const long = await createWorld({ transport, hidden: [100, 100] });
  const { slotCount } = sumOf(long.parsed, 10_501);
  expect(slotCount).toBe(10_501);
  // Only the one-time key of the long cipher goes through the holders.
  expect([4096, 8192]).toContain(sumOf(long.parsed, slotCount).shortCount);
});
