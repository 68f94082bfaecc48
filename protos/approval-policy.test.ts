import { describe, expect, it } from 'vitest';
import { toHex } from '../crypto/bytes.ts';
import { getSuite } from '../crypto/identity/suite.ts';
import { type ApprovalPolicy, approvalPolicySchema, SEATS, type Seat } from './approval-policy.ts';
import { approvePlan, finishPlan, requireApproved } from './plan.ts';

const parsed = finishPlan({
  version: 1,
  name: 'governed',
  purpose: 'A test of approvals.',
  suite: 'intl',
  seed: '1',
  features: {
    dataset: 'test',
    label: { column: 'event', positive: { above: 0 } },
    features: [{ column: 'a', kind: 'number', minimum: 0, maximum: 1 }],
    complete: true,
  },
  model: { kind: 'lr', inputs: 1, hidden: [], activation: 'relu' },
  training: { strategy: 'fedavg', epochs: 1, batchSize: 8, learningRate: 0.1 },
  rounds: {
    training: 1,
    cohortMin: 3,
    cohortTarget: 3,
    cohortMax: 4,
    checkInWindowMs: 1000,
    deadlineMs: 10_000,
  },
  mechanism: { clip: '2', unitsPerClip: 32 },
  privacy: null,
  holders: [1, 2, 3, 4].map((i) => ({
    id: `holder-${i}`,
    signingPublicKey: `${i}`.repeat(64),
    sealingPublicKey: `${i + 4}`.repeat(64),
  })),
  registrarSha256: '0'.repeat(64),
  coordinatorPublicKey: '9'.repeat(64),
});

const suite = getSuite('intl');
const people = SEATS.map((seat) => ({ id: `board-${seat}`, seat, key: suite.generateSigningKey() }));
const approvers = people.map(({ id, seat, key }) => ({ id, seat, publicKey: toHex(key.publicKey) }));
const signedBy = (...seats: readonly Seat[]) =>
  people.filter(({ seat }) => seats.includes(seat)).map(({ id, key }) => approvePlan(parsed, id, key));
const policy: ApprovalPolicy = { approvers, required: 2, seats: ['technical', 'legal', 'security', 'user'] };

describe('a policy with seats', () => {
  it('is satisfied by one signature from each', () => {
    expect(() => requireApproved(parsed, signedBy(...SEATS), policy)).not.toThrow();
  });

  it.each(SEATS)('is not satisfied while the %s seat is silent, however many others sign', (missing) => {
    const others = signedBy(...SEATS.filter((seat) => seat !== missing));
    expect(() => requireApproved(parsed, others, policy)).toThrow(
      expect.objectContaining({
        code: 'PLAN_NOT_APPROVED',
        message: expect.stringContaining(`${missing} seat`),
      }),
    );
    // The same signatures are enough where no seat is asked for.
    expect(() => requireApproved(parsed, others, { approvers, required: 2 })).not.toThrow();
  });

  it('does not take an approver’s own word for a seat', () => {
    const technical = people[0]!;
    const asLegal = { ...approvePlan(parsed, 'board-legal', technical.key) };
    const approvals = [...signedBy('technical', 'security', 'user'), asLegal];
    expect(() => requireApproved(parsed, approvals, policy)).toThrow(/legal seat/);
  });
});

describe('a policy that cannot work is refused by the configuration', () => {
  it.each<[string, object, RegExp]>([
    ['a seat that nobody fills', { approvers: approvers.slice(0, 1), seats: ['legal'] }, /legal seat/],
    [
      'a key listed twice',
      { approvers: [approvers[0], { ...approvers[0], id: 'again' }] },
      /key is listed twice/,
    ],
    [
      'an id listed twice',
      { approvers: [approvers[0], { ...approvers[1], id: approvers[0]!.id }] },
      /id is listed/,
    ],
    ['more signatures than keys', { approvers, required: 5 }, /more than the 4/],
    ['an unknown seat', { approvers, seats: ['royal'] }, /seats|Invalid option/],
    ['a seat listed twice', { approvers, seats: ['legal', 'legal'] }, /seat is listed twice/],
  ])('%s', (_name, value, message) => {
    const result = approvalPolicySchema.safeParse(value);
    expect(result.success).toBe(false);
    expect(result.error?.message).toMatch(message);
  });
});
