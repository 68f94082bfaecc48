// The full size of oversubscribed.test.ts: 10 rounds fit, 100 are asked for by 4 processes, each killed 3 times.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { oversubscribe } from './testing-oversubscribed.ts';

const directory = mkdtempSync(join(tmpdir(), 'pulsefold-oversubscribed-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

it('exactly ⌊B/ρ⌋ reservations succeed for each of 1,000 people, through SIGKILL', async () => {
  const options = {
    mode: 'sound',
    people: 1000,
    fits: 10,
    processes: 4,
    killsEach: 3,
    dawdleEvery: 200,
  } as const;
  const result = await oversubscribe(join(directory, 'sound.sqlite'), options);
  expect(new Set(result.held.values())).toEqual(new Set([10]));
  expect(result).toMatchObject({ lost: 0, consistent: true, kills: 12 });
});

it('is caught overspending with transactions off (weakened ledger)', async () => {
  const options = {
    mode: 'unlocked',
    people: 20,
    fits: 2,
    processes: 4,
    killsEach: 2,
    dawdleEvery: 1,
  } as const;
  const result = await oversubscribe(join(directory, 'unlocked.sqlite'), options);
  expect(Math.max(...result.held.values())).toBeGreaterThan(2);
  expect(result.consistent).toBe(false);
});
