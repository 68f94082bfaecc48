import { describe, expect, it } from 'vitest';
import { type ErrorCode, PulsefoldError } from '../../crypto/error.ts';
import type { TrainEngine, TrainingData } from '../training/engine.ts';
import type { AgentOptions } from './agent.ts';
import { MemoryClientStore } from './store.ts';
import { sampleData } from './testing.ts';
import { agentOf, allWell, engine } from './testing-agent.ts';
import { FakeCoordinator } from './testing-coordinator.ts';

const broken = (change: (data: TrainingData) => TrainingData): TrainingData => change(sampleData(40));

describe('declining for reasons of the device', () => {
  const cases: [string, ErrorCode, Record<string, unknown>, Partial<AgentOptions>][] = [
    [
      'no rows',
      'DATA_EMPTY',
      {},
      { data: { train: { features: new Float32Array(0), labels: new Uint8Array(0), count: 0 } } },
    ],
    [
      'NaN in its rows',
      'DATA_INVALID',
      {},
      {
        data: {
          train: broken((data) => ({
            ...data,
            features: data.features.map((value, i) => (i === 9 ? Number.NaN : value)),
          })),
        },
      },
    ],
    ['too few rows', 'NOT_ELIGIBLE', { eligibility: { recordsMin: 41 } }, {}],
    ['too many rows', 'NOT_ELIGIBLE', { eligibility: { recordsMax: 39 } }, {}],
    [
      'not charging',
      'NOT_ELIGIBLE',
      { eligibility: { chargingRequired: true } },
      { conditions: () => ({ ...allWell, charging: false }) },
    ],
    [
      'a metered network',
      'NOT_ELIGIBLE',
      { eligibility: { unmeteredRequired: true } },
      { conditions: () => ({ ...allWell, unmetered: false }) },
    ],
    [
      'a budget of its own that is too small',
      'BUDGET_EXCEEDED',
      {},
      { limits: { epsilon: 0.01, delta: 1e-5 } },
    ],
    ['a plan without differential privacy', 'BUDGET_EXCEEDED', { privacy: null }, {}],
    [
      'a plan that protects another unit than it accepts',
      'BUDGET_EXCEEDED',
      {},
      { limits: { epsilon: 8, delta: 1e-5, units: ['record'] } },
    ],
    ['a budget of nothing', 'BUDGET_EXCEEDED', {}, { limits: { epsilon: 0, delta: 1e-5 } }],
  ];

  it.each(cases)('%s → %s, before it checks in', async (_name, code, plan, changes) => {
    const coordinator = await FakeCoordinator.create(plan);
    coordinator.openRound(1);
    const control = await FakeCoordinator.create();
    control.openRound(1);
    expect((await agentOf(control).join()).rounds).toHaveLength(1);
    const summary = await agentOf(coordinator, changes).join();
    expect(summary).toMatchObject({ ended: 'stopped', code, rounds: [] });
    expect(summary.reason.length).toBeGreaterThan(20);
    expect(coordinator.checkIns).toEqual([]);
    expect(coordinator.sent).toEqual([]);
  });

  it.each(cases)('%s → %s, also when a round is pressed on it', async (_name, code, plan, changes) => {
    const coordinator = await FakeCoordinator.create(plan);
    coordinator.openRound(1);
    const store = new MemoryClientStore();
    const report = await agentOf(coordinator, { ...changes, store }).runRound(coordinator.invitation(1));
    expect(report).toMatchObject({ outcome: 'declined', code, uploadBytes: 0 });
    expect(coordinator.sent).toEqual([]);
    expect((await store.loadState()).undecided).toEqual([]);
  });

  it('stops in the middle of a plan when its own budget is used up, whatever the plan allows', async () => {
    const coordinator = await FakeCoordinator.create();
    for (const round of [1, 2, 3]) coordinator.openRound(round);
    const whole = await agentOf(coordinator).join();
    const limits = { epsilon: whole.budget.epsilonSpent * 0.9, delta: 1e-5 };
    const second = await FakeCoordinator.create();
    for (const round of [1, 2, 3]) second.openRound(round);
    const summary = await agentOf(second, { limits }).join();
    expect(summary).toMatchObject({ ended: 'stopped', code: 'BUDGET_EXCEEDED' });
    expect(summary.reason).toMatch(/this device has used ε = [\d.]+ of the ε/);
    expect(summary.rounds).toHaveLength(2);
    expect(summary.budget.epsilonSpent).toBeLessThanOrEqual(limits.epsilon);
  });

  it('waits for the charger when it may', async () => {
    const coordinator = await FakeCoordinator.create({ eligibility: { chargingRequired: true } });
    coordinator.openRound(1);
    let asked = 0;
    const conditions = () => ({ ...allWell, charging: ++asked > 4 });
    const timing = { patienceMs: 60_000, conditionPatienceMs: 600_000 };
    expect((await agentOf(coordinator, { conditions, timing }).join()).rounds).toMatchObject([
      { outcome: 'certified' },
    ]);
    expect(asked).toBeGreaterThan(4);
  });

  it('releases the reservation of a round whose training failed, and goes on', async () => {
    const coordinator = await FakeCoordinator.create();
    coordinator.openRound(1);
    coordinator.openRound(2);
    let calls = 0;
    const failing: TrainEngine = {
      ...engine,
      name: engine.name,
      skipped: [],
      train: async (...input) => {
        if (calls++ === 0)
          throw new PulsefoldError('DATA_INVALID', 'training diverged; lower the learning rate');
        return engine.train(...input);
      },
    };
    const both = await agentOf(coordinator, { engine: failing }).join();
    expect(both.rounds.map(({ outcome }) => outcome)).toEqual(['declined', 'certified']);
    const one = await FakeCoordinator.create();
    one.openRound(1);
    expect(both.budget).toEqual((await agentOf(one).join()).budget);
  });
});
