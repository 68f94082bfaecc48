/** Goal: with seeded noise a run repeats to the log's root, whoever signs and seals; what does not says so. */
import { expect, it, test } from 'vitest';
import { simulationParties } from './parties.ts';
import { logRepeats } from './seeds.ts';
import { type SimulationOptions, simulate } from './simulate.ts';
import { parties, testPlan, testPopulation } from './testing-plans.ts';

const devices = 2;
const plan = testPlan({ devices, privacy: null, rounds: { training: 1 } });
const run = (more: Partial<SimulationOptions>) =>
  simulate(plan, parties, testPopulation(devices), {
    seal: 'none',
    identity: 'none',
    store: 'memory',
    noise: 'seeded',
    seed: 'again',
    workers: 0,
    ...more,
  });

it.each([
  ['shares', 'none', 'seeds'],
  ['shares', 'signed', 'agents'],
  ['shares', 'signed', 'seeds'],
] as const)('seal %s, identity %s, devices as %s', async (seal, identity, kind) => {
  const again = { seal, identity, devices: kind };
  const [one, two] = [await run(again), await run(again)];
  expect(one.logRepeats).toBe(true);
  expect(two.logRoot).toBe(one.logRoot);
  expect([...two.weights]).toEqual([...one.weights]);
});

test('keys and seals of the system never repeat', async () => {
  const noisy = () => run({ seal: 'shares', noise: 'system' });
  const [one, two] = [await noisy(), await noisy()];
  expect(one.logRepeats).toBe(false);
  expect(two.logRoot).not.toBe(one.logRoot);
});

test('signatures by SM2 never repeat, and the figures do', async () => {
  const by = simulationParties('gm', 'again');
  const gm = testPlan({ devices, privacy: null, rounds: { training: 1 } }, by);
  const once = () =>
    simulate(gm, by, testPopulation(devices), {
      seal: 'none',
      identity: 'none',
      store: 'memory',
      noise: 'seeded',
      seed: 'again',
      workers: 0,
    });
  const [one, two] = [await once(), await once()];
  expect(one.logRepeats).toBe(false);
  expect(two.logRoot).not.toBe(one.logRoot);
  expect([...two.weights]).toEqual([...one.weights]);
});

test('under BFV the log does not repeat, by its library; it is said', () => {
  const bfv = testPlan({ devices, transport: 'bfv' });
  expect(logRepeats(bfv, { noise: 'seeded', seal: 'bfv' })).toBe(false);
  expect(logRepeats(bfv, { noise: 'seeded', seal: 'none' })).toBe(true);
});
