/**
 * The two tests of an oversubscribed ledger, at the size that a suite has time for.
 *
 * May be called by: oversubscribed.test.ts, oversubscribed.slow.test.ts.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { oversubscribe } from './testing-oversubscribed.ts';

const PEOPLE = 1000;

export interface OversubscriptionSizes {
  readonly sound: { readonly fits: number; readonly processes: number; readonly killsEach: number };
  /** Two rounds fit. */
  readonly unlocked: { readonly people: number; readonly processes: number; readonly killsEach: number };
  /** Of one test; the suite's own where absent. */
  readonly timeoutMs?: number;
}

export function testOversubscription({ sound, unlocked, timeoutMs }: OversubscriptionSizes): void {
  const directory = mkdtempSync(join(tmpdir(), 'pulsefold-oversubscribed-'));
  afterAll(() => rmSync(directory, { recursive: true, force: true }));
  const options = timeoutMs === undefined ? {} : { timeout: timeoutMs };

  it('exactly ⌊B/ρ⌋ reservations succeed for each of 1,000 people, through SIGKILL', options, async () => {
    const sizes = { mode: 'sound', people: PEOPLE, dawdleEvery: 200, ...sound } as const;
    const result = await oversubscribe(join(directory, 'sound.sqlite'), sizes);
    expect(new Set(result.held.values())).toEqual(new Set([sound.fits]));
    const kills = sound.processes * sound.killsEach;
    expect(result).toMatchObject({ lost: 0, consistent: true, kills });
  });

  it('is caught overspending with transactions off (weakened ledger)', options, async () => {
    const sizes = { mode: 'unlocked', fits: 2, dawdleEvery: 1, ...unlocked } as const;
    const result = await oversubscribe(join(directory, 'unlocked.sqlite'), sizes);
    expect(Math.max(...result.held.values())).toBeGreaterThan(2);
    expect(result.consistent).toBe(false);
  });
}
