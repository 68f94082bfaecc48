import { describe, expect, it } from 'vitest';
import { toHex } from '../../crypto/bytes.ts';
import { type ErrorCode, PulsefoldError } from '../../crypto/error.ts';
import { randomBytes } from '../../crypto/random.ts';
import { committeeKeyIdOf } from '../../protos/keyholder-messages.ts';
import { encodeRoundConfig } from '../../protos/round-config.ts';
import type { AgentOptions } from './agent.ts';
import { MemoryClientStore } from './store.ts';
import { sampleData } from './testing.ts';
import { agentOf, codeOf } from './testing-agent.ts';
import { FakeCoordinator } from './testing-coordinator.ts';

describe('a round with an adaptive clip', () => {
  const mechanism = {
    clip: '1',
    unitsPerClip: 64,
    adaptiveClip: { quantile: '1/2', learningRate: 0.2, bitUnits: 16, clipMin: '1/2', clipMax: '2' },
  };
  it('is joined at a clip of the plan, and at no other', async () => {
    const outcomes: string[] = [];
    for (const clip of ['3/4', '3', undefined]) {
      const coordinator = await FakeCoordinator.create({ mechanism });
      coordinator.openRound(1, clip === undefined ? {} : { clip });
      const { rounds } = await agentOf(coordinator)
        .join()
        .catch((error: PulsefoldError) => ({ rounds: [{ outcome: error.code }] }));
      outcomes.push(rounds[0]!.outcome);
      expect(coordinator.sent.length > 0).toBe(clip === '3/4');
    }
    expect(outcomes).toEqual(['certified', 'WRONG_CONFIG', 'WRONG_CONFIG']);
  });
});

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
    const limits = { epsilon: 8, delta: 1e-5, allowWithoutPrivacy: true };
    const both = await agentOf(coordinator, { data, limits }).join();
    expect(both.rounds.map(({ kind, outcome }) => [kind, outcome])).toEqual([
      ['training', 'certified'],
      ['evaluation', 'certified'],
    ]);
    const again = await FakeCoordinator.create(plan);
    again.openRound(1);
    again.openRound(2, { kind: 'evaluation' });
    const one = await agentOf(again, { limits }).join();
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
