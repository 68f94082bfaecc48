import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { isPulsefoldError } from '../../crypto/error.ts';
import { type SimulatedRound, type SimulationOptions, type SimulationResult, simulate } from './simulate.ts';
import { parties, testPlan, testPopulation } from './testing-plans.ts';

const directory = mkdtempSync(join(tmpdir(), 'pulsefold-simulate-test-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const plainly: SimulationOptions = {
  seal: 'none',
  identity: 'none',
  store: 'memory',
  noise: 'seeded',
  seed: 'a',
  workers: 0,
};

/** Everything of a result that must repeat. */
const figuresOf = ({ weights, logRoot, logSize, epsilonSpent, rounds }: SimulationResult) => ({
  weights: [...weights],
  logRoot,
  logSize,
  epsilonSpent,
  rounds: rounds.map(({ elapsedMs: _, weights: released, ...round }) => ({
    ...round,
    released: [...released],
  })),
});

async function failureOf(run: Promise<unknown>): Promise<{ code: string; message: string }> {
  const error = await run.then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (!isPulsefoldError(error)) throw error ?? new Error('it did not fail');
  return { code: error.code, message: error.message };
}

describe('the same seed', () => {
  const plan = testPlan({ devices: 40, rounds: { cohortTarget: 30, cohortMax: 30, cohortMin: 20 } });
  const availability = { dropout: 0.1, charging: false, pollMs: 60_000 };
  const population = testPopulation(40);
  const run = (more: Partial<SimulationOptions> = {}) =>
    simulate(plan, parties, population, { ...plainly, availability, ...more });

  it('gives the same weights and the same log root, at any number of workers and in both stores', async () => {
    const first = await run();
    const wanted = figuresOf(first);
    expect(first.rounds.map(({ phase }) => phase)).toEqual(['released', 'released']);
    for (const workers of [1, 2]) expect(figuresOf(await run({ workers }))).toEqual(wanted);
    expect(figuresOf(await run({ store: 'sqlite', directory: join(directory, 'same') }))).toEqual(wanted);
  });

  it('is what decides: another one gives other noise', async () => {
    const [one, other] = [await run(), await run({ seed: 'b' })];
    expect([...one.weights]).not.toEqual([...other.weights]);
    expect(one.logRoot).not.toBe(other.logRoot);
  });

  it('or the system’s noise, which never repeats', async () => {
    const noisy = () => run({ noise: 'system' });
    const [one, other] = [await noisy(), await noisy()];
    expect(one.label.noise).toBe('system');
    expect([...one.weights]).not.toEqual([...other.weights]);
  });
});

describe('seal and identity', () => {
  const devices = 6;
  const plan = testPlan({ devices, privacy: null, rounds: { training: 1 } });
  const population = testPopulation(devices);
  const run = (seal: SimulationOptions['seal'], identity: SimulationOptions['identity']) =>
    simulate(plan, parties, population, { ...plainly, seal, identity });

  it('change nothing in an opened sum without noise', async () => {
    const plain = await run('none', 'none');
    expect(plain.label).toEqual({
      seal: 'none',
      identity: 'none',
      devices: 'seeds',
      store: 'memory',
      noise: 'none',
      engine: 'kernel',
      workers: 0,
    });
    for (const [seal, identity] of [
      ['shares', 'none'],
      ['none', 'signed'],
      ['shares', 'signed'],
    ] as const) {
      const { weights, rounds, label } = await run(seal, identity);
      expect([...weights]).toEqual([...plain.weights]);
      expect(rounds[0]).toMatchObject({ uploaded: devices, certified: devices, phase: 'released' });
      expect(label).toMatchObject({ seal, identity });
    }
    expect(plain.weights.some((weight) => weight !== 0)).toBe(true);
  });

  it('under a seal that the plan does not have are refused', async () => {
    expect((await failureOf(run('bfv', 'none'))).code).toBe('CONFIG_INVALID');
  });

  it('in rounds with groups: the combination of plain groups is the plan’s', async () => {
    const grouped = testPlan({
      devices: 24,
      groups: { count: 3, combine: 'mean' },
      privacy: null,
      rounds: { training: 1, cohortMin: 20 },
    });
    const { rounds } = await simulate(grouped, parties, testPopulation(24), plainly);
    expect(rounds[0]).toMatchObject({ phase: 'released', certified: 24 });
  });
});

describe('devices', () => {
  it('drop out, come late and are sampled; who was not certified has its budget back', async () => {
    const devices = 60;
    const plan = testPlan({
      devices,
      rounds: { cohortTarget: 40, cohortMax: 40, cohortMin: 10, stragglerMs: 2000, checkInWindowMs: 1000 },
    });
    const availability = { dropout: 0.3, charging: false, spreadFactor: 8, sampleMs: 500, pollMs: 10_000 };
    const { rounds } = await simulate(plan, parties, testPopulation(devices), { ...plainly, availability });
    for (const { invited, uploaded, certified, dropped, late } of rounds) {
      expect(invited).toBe(40);
      expect(certified).toBe(uploaded);
      expect(dropped).toBeGreaterThan(0);
      expect(uploaded).toBeGreaterThanOrEqual(10);
      expect(uploaded + dropped + late).toBeLessThanOrEqual(invited);
    }
  });

  it('that charge at night make a round wait for the night', async () => {
    const plan = testPlan({
      devices: 30,
      rounds: { training: 1, cohortMin: 20, cohortTarget: 25 },
      eligibility: { recordsMin: 1, recordsMax: 10, chargingRequired: true },
    });
    const run = (zones: number[]) =>
      simulate(plan, parties, testPopulation(30), {
        ...plainly,
        availability: { zones, dropout: 0, spreadHours: 0.5 },
      });
    const [night, noon] = [await run([0]), await run([12])];
    // The simulation begins at midnight UTC.
    expect(night.totals.virtualMs).toBeLessThan(3_600_000);
    expect(noon.totals.virtualMs).toBeGreaterThan(8 * 3_600_000);
    expect(noon.rounds[0]).toMatchObject({ phase: 'released' });
  });

  it('stop exactly at their own filter', async () => {
    const devices = 20;
    // Everybody in every round, so that what is set aside is what is paid.
    const plan = testPlan({ devices, rounds: { training: 4, cohortMin: devices } });
    const whole = await simulate(plan, parties, testPopulation(devices), plainly);
    const afterTwo = whole.rounds[1]!.epsilonSpent!;
    const roundsWithin = async (epsilon: number) => {
      const rounds: SimulatedRound[] = [];
      const run = simulate(plan, parties, testPopulation(devices), {
        ...plainly,
        limits: { epsilon, delta: 1e-5 },
        onRound: (round) => void rounds.push(round),
      });
      expect(await failureOf(run)).toMatchObject({ code: 'BUDGET_EXCEEDED' });
      return rounds.length;
    };
    expect(await roundsWithin(afterTwo * 1.0001)).toBe(2);
    expect(await roundsWithin(afterTwo * 0.9999)).toBe(1);
  });

  it('keep what their strategy asks for, between rounds and across threads', async () => {
    const plan = testPlan({
      devices: 12,
      privacy: null,
      training: { strategy: 'scaffold', populationCount: 12, controlScale: 1 },
      rounds: { training: 3 },
    });
    const run = (workers: number) => simulate(plan, parties, testPopulation(12), { ...plainly, workers });
    const [one, two] = [await run(0), await run(2)];
    expect([...one.weights]).toEqual([...two.weights]);
  });
});

it('a federated evaluation releases metrics of the devices’ own rows', async () => {
  const plan = testPlan({
    devices: 20,
    privacy: null,
    rounds: { training: 1, evaluation: 1 },
    evaluation: { path: 'federated', bins: 20 },
  });
  const population = testPopulation(20);
  const { rounds } = await simulate(plan, parties, { ...population, evaluation: population }, plainly);
  expect(rounds.map(({ kind, phase }) => [kind, phase])).toEqual([
    ['training', 'released'],
    ['evaluation', 'released'],
  ]);
  expect(rounds[0]!.metrics).toBeNull();
  expect(rounds[1]!.metrics).toMatchObject({ auc: expect.any(Number) });
});

it('a plan of other parties is refused', async () => {
  const { simulationParties } = await import('./parties.ts');
  const others = simulationParties('intl', 'others');
  const run = simulate(testPlan({ devices: 4 }), others, testPopulation(4), plainly);
  expect((await failureOf(run)).code).toBe('PLAN_INVALID');
});
