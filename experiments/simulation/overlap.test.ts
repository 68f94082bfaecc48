/**
 * Goal: what rounds that overlap buy where devices are unlike: more releases in the same virtual time, from cohorts as
 * large; and the same run twice is the same run.
 */
import { expect, it } from 'vitest';
import { simulate } from './simulate.ts';
import type { SimulationResult } from './simulation-types.ts';
import { parties, testPlan, testPopulation } from './testing-plans.ts';

const ROUNDS = 6;
/** Most devices take some seconds, some a minute; a round waits for all of its cohort. */
const trace = { dropout: 0, charging: false, pollMs: 2000, spreadFactor: 6, sampleMs: 2500 };

const run = (
  overlap: number,
  devices = 60,
  cohort = 12,
  identity: 'none' | 'signed' = 'none',
): Promise<SimulationResult> =>
  simulate(
    testPlan({
      devices,
      privacy: null,
      training: { strategy: overlap > 0 ? 'fedbuff' : 'fedavg' },
      rounds: {
        training: ROUNDS,
        cohortMin: cohort,
        cohortTarget: cohort,
        cohortMax: cohort,
        deadlineMs: 86_400_000,
        stragglerMs: 86_400_000,
        ...(overlap > 0 ? { overlap } : {}),
      },
    }),
    parties,
    testPopulation(devices),
    {
      seal: 'none',
      identity,
      store: 'memory',
      noise: 'seeded',
      seed: 'overlap',
      workers: 0,
      availability: trace,
    },
  );

it('overlapping rounds wait for stragglers side by side', async () => {
  const [plain, overlapped, again] = [await run(0), await run(2), await run(2)];
  for (const { rounds } of [plain, overlapped]) {
    expect(rounds.map(({ phase }) => phase)).toEqual(Array(ROUNDS).fill('released'));
    expect(rounds.map(({ round }) => round)).toEqual([1, 2, 3, 4, 5, 6]);
    for (const { certified } of rounds) expect(certified).toBe(12);
  }
  const perHour = ({ totals, rounds }: SimulationResult) => (3_600_000 * rounds.length) / totals.virtualMs;
  expect(perHour(overlapped) / perHour(plain)).toBeGreaterThan(1.5);
  expect([...again.weights]).toEqual([...overlapped.weights]);
  expect(again.logRoot).toBe(overlapped.logRoot);
});

it('agents with identities go through overlapping rounds as well', async () => {
  const { rounds } = await run(1, 9, 3, 'signed');
  expect(rounds.map(({ certified }) => certified)).toEqual(Array(ROUNDS).fill(3));
});
