import { expect, it } from 'vitest';
import { simulate } from './simulate.ts';
import { parties, testPlan, testPopulation } from './testing-plans.ts';

it('every invited device has uploaded, vanished or is late when its round ends', async () => {
  const devices = 60;
  const plan = testPlan({
    devices,
    privacy: null,
    rounds: { cohortMin: 20, cohortTarget: 30, cohortMax: 60, stragglerMs: 1000 },
  });
  const { rounds } = await simulate(plan, parties, testPopulation(devices), {
    seal: 'none',
    identity: 'none',
    store: 'memory',
    noise: 'seeded',
    seed: 'late',
    workers: 0,
    availability: { dropout: 0.1, charging: false, pollMs: 60_000, spreadFactor: 4, sampleMs: 3000 },
  });
  expect(rounds.map(({ phase }) => phase)).toEqual(['released', 'released']);
  for (const { invited, uploaded, dropped, late } of rounds) expect(late).toBe(invited - uploaded - dropped);
  expect(Math.min(...rounds.map(({ late }) => late))).toBeGreaterThan(0);
});
