// Reservations for ten times what fits, by processes on one file that are killed on the way. The full size is in
// oversubscribed.slow.test.ts; here fewer rounds fit, with the same thousand people.
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
    fits: 2,
    processes: 3,
    killsEach: 1,
    dawdleEvery: 200,
  } as const;
  const result = await oversubscribe(join(directory, 'sound.sqlite'), options);
  expect(new Set(result.held.values())).toEqual(new Set([2]));
  expect(result).toMatchObject({ lost: 0, consistent: true, kills: 3 });
}, 60_000);

it('is caught overspending with transactions off (weakened ledger)', async () => {
  const options = {
    mode: 'unlocked',
    people: 10,
    fits: 2,
    processes: 3,
    killsEach: 1,
    dawdleEvery: 1,
  } as const;
  const result = await oversubscribe(join(directory, 'unlocked.sqlite'), options);
  expect(Math.max(...result.held.values())).toBeGreaterThan(2);
  expect(result.consistent).toBe(false);
}, 60_000);
