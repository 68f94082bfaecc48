/**
 * Goal: a run with groups, with real key holders and real clients: noise as the plan says, one holder away, a device in
 * it that nobody sees alone; what is charged is what its smallest group's noise costs, and an audit of the run directory
 * finds nothing; every altered draw, size or charge it finds.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { verifyRunDirectory } from '../../auditor/verify.ts';
import { openRounds } from '../../client/agent/grpc-rounds.ts';
import { exportRun } from '../../coordinator/export.ts';
import { BudgetLedger } from '../../coordinator/ledger/budget-ledger.ts';
import { AppendLog } from '../../coordinator/storage/append-log.ts';
import { toHex } from '../../crypto/bytes.ts';
import { chargeOf } from '../../crypto/dp/filter.ts';
import { roundEvent } from '../../crypto/dp/plan-accounting.ts';
import { certificateDer } from '../../crypto/identity/certificate.ts';
import { Committee } from '../../keyholder/testing.ts';
import { groupsOf } from '../../protos/plan.ts';
import { accountPlan, roundMechanismOf } from '../../protos/plan-mechanism.ts';
import { away } from './testing-attacks.ts';
import { LoopbackDeployment } from './testing-deployment.ts';
import {
  createAgent,
  createFederation,
  createIdentity,
  type FederationWorld,
  portOf,
  RunningCoordinator,
  rowsOf,
  servicesOf,
} from './testing-federation.ts';

const PEOPLE = 17;
/** Members of the smallest of three groups: five; three others of them may be corrupt at γ = 1/100. */
const federation = {
  transport: 'shares' as const,
  inputs: 4,
  rounds: { training: 2, evaluation: 1, cohortMin: 15, cohortTarget: PEOPLE, cohortMax: 20 },
  aggregation: { groups: { count: 3, combine: 'median' } },
  evaluation: { path: 'federated', bins: 20 },
  privacy: {
    unit: 'person',
    epsilon: '8',
    delta: '1/100000',
    gamma: '1/100',
    noiseVariance: '4096',
    evaluationNoiseVariance: '4',
  },
};

describe('a run with groups', () => {
  const root = mkdtempSync(join(tmpdir(), 'pulsefold-groups-run-'));
  let world: FederationWorld;
  let committee: Committee;
  let message: string;
  beforeAll(async () => {
    world = await createFederation(federation);
    committee = new Committee(world);
    const holders = committee.holders.map(portOf);
    const failing = { ...holders[1]!, draw: away(holders[1]!).draw, open: away(holders[1]!).open };
    const services = servicesOf(world, [holders[0]!, failing, holders[2]!, holders[3]!]);
    const coordinator = new RunningCoordinator(world, services);
    const agents = await Promise.all(
      Array.from({ length: PEOPLE }, async () => {
        const identity = await createIdentity(world);
        const rows = rowsOf(identity.subjectId, federation.inputs);
        const data = { train: rows, evaluation: rows };
        return createAgent(world, identity, coordinator.connect(identity), { data });
      }),
    );
    await Promise.all(agents.map((agent) => agent.join()));
    message = (await coordinator.ended).message;
    const { store } = services;
    const ledger = new BudgetLedger(store);
    const log = new AppendLog(store, { origin: 'test.example/log' });
    const { publicKey, secretKey } = world.coordinatorKey;
    const sign = (bytes: Uint8Array) => world.suite.sign(secretKey, bytes);
    const signer = { name: 'test.example/log', algorithm: 'ed25519' as const, publicKey, sign };
    exportRun({ store, ledger, log, signer, runDirectory: root }, world.parsed);
    await coordinator.stop();
  }, 120_000);
  afterAll(() => {
    committee?.close();
    rmSync(root, { recursive: true, force: true });
  });

  const approvers = () => [{ id: 'ethics', publicKey: toHex(world.approver.publicKey) }];
  const errors = () =>
    verifyRunDirectory(root, { approvers: approvers() })
      .findings.filter(({ severity }) => severity === 'error')
      .map(({ code }) => code);
  const roundFile = (round: number) =>
    JSON.parse(readFileSync(join(root, 'rounds', `${round}.json`), 'utf8'));

  it('is released round by round without the holder that is away, and the audit finds nothing', () => {
    expect(message).toBe('3 rounds released');
    expect(errors()).toEqual([]);
    for (const round of [1, 2]) {
      const file = roundFile(round);
      expect(file.phase).toBe('released');
      expect(file.groups).toEqual({ sizes: [6, 6, 5], valid: [true, true, true] });
      expect(file.draws.map(({ holderId }: { holderId: string }) => holderId).sort()).toEqual(
        world.parsed.plan.holders
          .map(({ id }) => id)
          .toSpliced(1, 1)
          .sort(),
      );
    }
    expect(roundFile(1).draws).not.toEqual(roundFile(2).draws);
    // Evaluations are one sum.
    expect(groupsOf(world.parsed.plan, 'evaluation')).toBe(1);
    const evaluation = roundFile(3);
    expect([evaluation.phase, evaluation.groups, evaluation.draws]).toEqual([
      'released',
      undefined,
      undefined,
    ]);
  });

  it('charges what the noise of the smallest group costs', () => {
    const mechanism = roundMechanismOf(world.parsed, 'training', PEOPLE)!;
    expect(mechanism.noiseShares).toBe(2);
    const { order } = accountPlan(world.parsed)!;
    const leaves = readFileSync(join(root, 'log', 'leaves.ndjson'), 'utf8')
      .trim()
      .split('\n');
    const charged = leaves.map((line) => JSON.parse(line)).filter(({ kind }) => kind === 'mechanism');
    expect(Number(charged[0].charge)).toBeCloseTo(chargeOf(roundEvent(mechanism), order), 9);
    expect(charged[0].event.noiseShares).toBe(2);
    // One sum of all: ⌊0.99·17⌋ shares, an eighth of the charge.
    expect(charged[2].event.noiseShares).toBe(16);
  });

  it.each<[string, (file: ReturnType<typeof roundFile>) => void, string]>([
    ['a draw', ({ draws }) => (draws[0].values = `00${draws[0].values.slice(2)}`), 'DRAWS_MISMATCH'],
    ['a signer', ({ draws }) => (draws[0].holderId = draws[1].holderId), 'DRAWS_MISMATCH'],
    ['a draw less', ({ draws }) => draws.pop(), 'DRAWS_MISMATCH'],
    ['a size', ({ groups }) => (groups.sizes = [7, 5, 5]), 'GROUPS_MISMATCH'],
    ['a validity', ({ groups }) => (groups.valid = [true, true, false]), 'GROUPS_MISMATCH'],
    ['the groups', (file) => delete file.groups, 'GROUPS_MISMATCH'],
    ['a digit of the last group', ({ sum }) => (sum.digits[sum.digits.length - 1] += 1), 'SUM_MISMATCH'],
  ])('%s that is altered afterwards is found', (_name, alter, code) => {
    const path = join(root, 'rounds', '2.json');
    const text = readFileSync(path, 'utf8');
    const file = JSON.parse(text);
    alter(file);
    writeFileSync(path, JSON.stringify(file));
    try {
      expect(errors()).toContain(code);
    } finally {
      writeFileSync(path, text);
    }
    expect(errors()).toEqual([]);
  });
});

it('the same over mutual TLS: draws, openings and all', { timeout: 60_000 }, async () => {
  const deployment = new LoopbackDeployment();
  try {
    await deployment.startOthers();
    await deployment.startCoordinator();
    const rounds = { training: 1, cohortMin: 6, cohortTarget: 7, cohortMax: 8 };
    const groups = { count: 3, combine: 'trimmed-mean', trim: '1/3' };
    const parsed = deployment.plan('groups-over-the-wire', rounds, { transport: 'shares', groups });
    await deployment.submit(parsed, deployment.wire(await deployment.enrol('researcher')));
    const identities = await Promise.all(Array.from({ length: 7 }, () => deployment.enrol('client')));
    const world = { parsed, approver: deployment.approver, caDer: certificateDer(deployment.caPem) };
    const joins = identities.map(async (identity) => {
      const rounds = openRounds(deployment.address, identity);
      const agent = await createAgent(world, identity, rounds);
      return agent.join().finally(() => rounds.close());
    });
    for (const { rounds: taken } of await Promise.all(joins))
      expect(taken).toMatchObject([{ outcome: 'certified' }]);
    expect(await deployment.ended()).toBe('1 rounds released');
    const run = deployment.runOf(parsed);
    const file = JSON.parse(readFileSync(join(run, 'rounds', '1.json'), 'utf8'));
    expect(file.groups).toEqual({ sizes: [3, 2, 2], valid: [true, true, true] });
    expect(file.draws.length).toBeGreaterThanOrEqual(3);
    const approvers = [{ id: 'ethics', publicKey: toHex(deployment.approver.publicKey) }];
    const { findings } = verifyRunDirectory(run, { approvers });
    expect(findings.filter(({ severity }) => severity === 'error')).toEqual([]);
  } finally {
    await deployment.stop();
  }
});
