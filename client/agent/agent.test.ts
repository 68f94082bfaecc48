import { beforeAll, describe, expect, it } from 'vitest';
import { toHex } from '../../crypto/bytes.ts';
import { type ErrorCode, isPulsefoldError, PulsefoldError } from '../../crypto/error.ts';
import { randomBytes } from '../../crypto/random.ts';
import { committeeKeyIdOf } from '../../protos/keyholder-messages.ts';
import { encodeRoundConfig } from '../../protos/round-config.ts';
import { loadTrainEngine, type TrainEngine, type TrainingData } from '../training/engine.ts';
import { type AgentOptions, ClientAgent } from './agent.ts';
import { MemoryClientStore } from './store.ts';
import { FakeClock, RandomSealer, sampleData } from './testing.ts';
import { FakeCoordinator } from './testing-coordinator.ts';

let engine: TrainEngine;
beforeAll(async () => {
  engine = await loadTrainEngine(['tfjs-cpu']);
});

const allWell = { charging: true, unmetered: true, worn: true };

function agentOf(coordinator: FakeCoordinator, changes: Partial<AgentOptions> = {}): ClientAgent {
  return new ClientAgent({
    identity: coordinator.identity,
    policy: coordinator.policy,
    pins: coordinator.pins,
    limits: { epsilon: 8, delta: 1e-5 },
    data: { train: sampleData(40) },
    engine,
    sealer: new RandomSealer(),
    rounds: coordinator,
    store: new MemoryClientStore(),
    conditions: () => allWell,
    clock: new FakeClock(),
    timing: { patienceMs: 60_000, receiptPatienceMs: 1000 },
    ...changes,
  });
}

async function codeOf(run: Promise<unknown>): Promise<ErrorCode | 'no error'> {
  try {
    await run;
    return 'no error';
  } catch (error) {
    if (isPulsefoldError(error)) return error.code;
    throw error;
  }
}

describe('joining', () => {
  it.each(['intl', 'gm'] as const)('takes part until the plan is finished (%s)', async (suite) => {
    const coordinator = await FakeCoordinator.create({}, suite);
    for (const round of [1, 2, 3]) coordinator.openRound(round);
    const store = new MemoryClientStore();
    const summary = await agentOf(coordinator, { store }).join();
    expect(summary).toMatchObject({
      ended: 'finished',
      planName: 'test-plan',
      deviceId: coordinator.identity.subjectId,
    });
    expect(summary.rounds.map(({ round, outcome, cohortCount }) => [round, outcome, cohortCount])).toEqual([
      [1, 'certified', 3],
      [2, 'certified', 3],
      [3, 'certified', 3],
    ]);
    expect(summary.rounds[0]!.uploadBytes).toBe(1_200_000);
    expect(summary.budget.epsilonSpent).toBeGreaterThan(0);
    expect(summary.budget.epsilonSpent).toBeLessThanOrEqual(8);
    expect(store.receipts.size).toBe(3);
    expect((await store.loadState()).undecided).toEqual([]);
    // A later check-in names the last round, so no round is joined twice.
    expect(coordinator.checkIns.map((request) => request.roundAfter)).toEqual([0, 1, 2, 3]);
  });

  it('sends chunks within the cap, each with the signed header', async () => {
    const coordinator = await FakeCoordinator.create();
    coordinator.openRound(1);
    await agentOf(coordinator).join();
    expect(coordinator.sent.map(({ data }) => data.length)).toEqual([
      262_144, 262_144, 262_144, 262_144, 151_424,
    ]);
    expect(coordinator.rounds.get(1)!.upload!.received).toEqual(coordinator.bytesSent(1));
  });

  it('waits out a coordinator that is away, and stops when told to', async () => {
    const coordinator = await FakeCoordinator.create();
    coordinator.openRound(1);
    let failures = 0;
    coordinator.before.getPlan = () => {
      if (failures++ < 5) throw new PulsefoldError('UNAVAILABLE', 'restarting');
    };
    expect((await agentOf(coordinator).join()).rounds).toHaveLength(1);
    expect(failures).toBe(6);
    const stopper = new AbortController();
    coordinator.before.checkIn = () => {
      stopper.abort();
      throw new PulsefoldError('UNAVAILABLE', 'cancelled');
    };
    expect(await agentOf(coordinator, { signal: stopper.signal }).join()).toMatchObject({
      ended: 'interrupted',
    });
  });

  it('gives up on a coordinator that stays away', async () => {
    const coordinator = await FakeCoordinator.create();
    coordinator.before.getPlan = () => {
      throw new PulsefoldError('UNAVAILABLE', 'gone');
    };
    expect(await codeOf(agentOf(coordinator).join())).toBe('UNAVAILABLE');
  });

  it('uses the same pseudonym in one epoch and another in the next', async () => {
    const coordinator = await FakeCoordinator.create();
    coordinator.openRound(1);
    await agentOf(coordinator).join();
    const [first, second] = coordinator.checkIns.map(({ pseudonym }) => toHex(pseudonym));
    expect(first).toBe(second);
    coordinator.replacePlan({ epoch: '2' });
    coordinator.rounds.clear();
    await agentOf(coordinator).join();
    expect(toHex(coordinator.checkIns.at(-1)!.pseudonym)).not.toBe(first);
  });

  it('evaluates only where it has a table for it', async () => {
    const plan = {
      rounds: {
        training: 1,
        evaluation: 1,
        cohortMin: 3,
        cohortTarget: 4,
        cohortMax: 8,
        checkInWindowMs: 1000,
        deadlineMs: 10_000,
      },
      evaluation: { path: 'federated', bins: 20 },
      privacy: null,
    };
    const coordinator = await FakeCoordinator.create(plan);
    coordinator.openRound(1);
    coordinator.openRound(2, { kind: 'evaluation' });
    const data = { train: sampleData(40), evaluation: sampleData(20) };
    const both = await agentOf(coordinator, { data }).join();
    expect(both.rounds.map(({ kind, outcome }) => [kind, outcome])).toEqual([
      ['training', 'certified'],
      ['evaluation', 'certified'],
    ]);
    const again = await FakeCoordinator.create(plan);
    again.openRound(1);
    again.openRound(2, { kind: 'evaluation' });
    const one = await agentOf(again).join();
    expect(one.rounds[1]).toMatchObject({
      kind: 'evaluation',
      outcome: 'declined',
      code: 'NOT_ELIGIBLE',
      uploadBytes: 0,
    });
  });
});

/** Each case lies in one thing only; the same world without the lie takes part (first test of the block). */
const lies: [string, ErrorCode, (coordinator: FakeCoordinator) => unknown][] = [
  ['a plan nobody approved', 'PLAN_NOT_APPROVED', (c) => void c.approvals.splice(0)],
  [
    'a plan changed after its approval',
    'PLAN_NOT_APPROVED',
    (c) => c.replacePlan({ purpose: 'another' }, false),
  ],
  [
    'an approver who is not pinned',
    'PLAN_NOT_APPROVED',
    (c) => ({
      policy: { approvers: [{ id: 'board', publicKey: toHex(c.coordinatorKey.publicKey) }], required: 1 },
    }),
  ],
  [
    'another registrar',
    'WRONG_PLAN',
    (c) => {
      c.replacePlan({ registrarSha256: '0'.repeat(64) });
      c.openRound(1);
    },
  ],
  [
    'another plan than the pinned one',
    'WRONG_PLAN',
    (c) => ({ pins: { ...c.pins, planHash: '0'.repeat(64) } }),
  ],
  [
    'another plan name than the pinned one',
    'WRONG_PLAN',
    (c) => ({ pins: { ...c.pins, planName: 'other' } }),
  ],
  [
    'a coordinator without the key of the plan',
    'WRONG_PLAN',
    (c) => {
      c.on.getPlan = (reply: object) => ({ ...reply, coordinatorPublicKey: randomBytes(32) });
    },
  ],
  [
    'a plan that is not canonical',
    'PLAN_INVALID',
    (c) => {
      c.on.getPlan = (reply: { plan: Uint8Array }) => ({
        ...reply,
        plan: new Uint8Array([...reply.plan, 0x20]),
      });
    },
  ],
  ['a round of another plan', 'WRONG_PLAN', (c) => rewrite(c, { planHash: '0'.repeat(64) })],
  ['a round past the plan', 'WRONG_ROUND', (c) => rewrite(c, { round: 99 })],
  ['an evaluation that was not planned', 'WRONG_CONFIG', (c) => rewrite(c, { kind: 'evaluation' })],
  ['another number of digits', 'WRONG_CONFIG', (c) => rewrite(c, { digitCount: 1 })],
  [
    'a committee key without the signature of one holder',
    'WRONG_COMMITTEE_KEY',
    (c) => void c.rounds.get(1)!.signatures.pop(),
  ],
  [
    'a committee key with one holder signing twice',
    'WRONG_COMMITTEE_KEY',
    (c) => {
      const round = c.rounds.get(1)!;
      round.signatures[3] = { ...round.signatures[2]!, holderId: 'university' };
    },
  ],
  [
    'holder signatures of another round',
    'WRONG_COMMITTEE_KEY',
    (c) => {
      const round = c.rounds.get(1)!;
      round.signatures = c.signKey(2, committeeKeyIdOf(c.suite, round.committeeKey));
    },
  ],
  [
    'a swapped committee key',
    'WRONG_COMMITTEE_KEY',
    (c) => {
      c.putBlob(committeeKeyIdOf(c.suite, c.rounds.get(1)!.committeeKey), randomBytes(1000));
    },
  ],
  [
    'a committee key of the coordinator under its own id',
    'WRONG_COMMITTEE_KEY',
    (c) => {
      const own = randomBytes(1000);
      c.putBlob(committeeKeyIdOf(c.suite, own), own);
      rewrite(c, { committeeKeyId: toHex(committeeKeyIdOf(c.suite, own)) });
    },
  ],
  [
    'other model bytes than the hash names',
    'WRONG_MODEL',
    (c) => changeModel(c, (bytes) => bytes.fill(1, 0, 1)),
  ],
  ['a model of another length', 'WRONG_MODEL', (c) => changeModel(c, (bytes) => bytes.subarray(4))],
  [
    'an acknowledgement that is not signed',
    'BAD_SIGNATURE',
    (c) => {
      c.on.putUpload = (reply: { acknowledged: boolean }) =>
        reply.acknowledged ? { ...reply, signature: randomBytes(64) } : reply;
    },
  ],
  [
    'a "late" that is signed as an acknowledgement',
    'BAD_SIGNATURE',
    (c) => {
      c.on.putUpload = (reply: { acknowledged: boolean }) =>
        reply.acknowledged ? { ...reply, late: true } : reply;
    },
  ],
  [
    'a reply of other types',
    'MALFORMED_MESSAGE',
    (c) => {
      c.on.getPlan = (reply: object) => ({ ...reply, approvals: 'many' });
    },
  ],
  [
    'a blob page that is too long',
    'FIELD_OUT_OF_RANGE',
    (c) => {
      c.on.getBlob = (reply: object) => ({ ...reply, totalBytes: 2 ** 31 });
    },
  ],
];

function rewrite(coordinator: FakeCoordinator, changes: object): void {
  const round = coordinator.rounds.get(1)!;
  round.config = encodeRoundConfig({ ...round.config.config, ...changes }, coordinator.suite);
}

function changeModel(coordinator: FakeCoordinator, change: (bytes: Uint8Array) => Uint8Array): void {
  const { modelHash } = coordinator.rounds.get(1)!.config.config;
  coordinator.on.getBlob = (
    reply: { data: Uint8Array; totalBytes: number },
    request: { digest: Uint8Array },
  ) => {
    if (toHex(request.digest) !== modelHash) return reply;
    const copy = reply.data.slice();
    const data = change(copy);
    return { data, totalBytes: data.length };
  };
}

describe('refusals', () => {
  it('refuses nothing of the honest coordinator that the cases below start from', async () => {
    const coordinator = await FakeCoordinator.create();
    coordinator.openRound(1);
    expect((await agentOf(coordinator).join()).rounds).toMatchObject([{ outcome: 'certified' }]);
  });

  it.each(lies)('%s → %s', async (_name, code, lie) => {
    const coordinator = await FakeCoordinator.create();
    coordinator.openRound(1);
    const changes = (lie(coordinator) ?? {}) as Partial<AgentOptions>;
    expect(await codeOf(agentOf(coordinator, changes).join())).toBe(code);
    if (code !== 'BAD_SIGNATURE') expect(coordinator.sent).toEqual([]);
  });

  it('refuses a second invitation with another model for a round that it sealed', async () => {
    const coordinator = await FakeCoordinator.create();
    coordinator.openRound(1, { fate: 'open' });
    const agent = agentOf(coordinator);
    await agent.start();
    const first = coordinator.invitation(1);
    await agent.runRound(first);
    // The same one again: the same bytes, no second update.
    await agent.runRound(first);
    const sealed = coordinator.bytesSent(1);
    expect(coordinator.rounds.get(1)!.upload!.received).toEqual(sealed);
    coordinator.openRound(1, { fate: 'open', weight: 0.5 });
    expect(await codeOf(agent.runRound(coordinator.invitation(1)))).toBe('STATEMENT_CONFLICT');
    expect(coordinator.bytesSent(1)).toEqual(sealed);
  });

  it('refuses a round that is finished for it', async () => {
    const coordinator = await FakeCoordinator.create();
    coordinator.openRound(1);
    coordinator.openRound(2);
    const agent = agentOf(coordinator);
    await agent.join();
    coordinator.openRound(1, { weight: 0.5 });
    expect(await codeOf(agent.runRound(coordinator.invitation(1)))).toBe('WRONG_ROUND');
  });
});

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
