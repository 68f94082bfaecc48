/**
 * Goal: a strategy with a second vector, a companion of the model and device memory runs through real agents, a real
 * coordinator and real key holders, gives the blob that the plain arithmetic gives, and passes the audit.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { verifyRunDirectory } from '../../auditor/verify.ts';
import { MemoryClientStore } from '../../client/agent/store.ts';
import { loadTrainEngine } from '../../client/training/engine.ts';
import { exportRun } from '../../coordinator/export.ts';
import { BudgetLedger } from '../../coordinator/ledger/budget-ledger.ts';
import { AppendLog } from '../../coordinator/storage/append-log.ts';
import { approvalsOf } from '../../coordinator/testing.ts';
import { toHex } from '../../crypto/bytes.ts';
import { Committee } from '../../keyholder/testing.ts';
import { finishPlan } from '../../protos/plan.ts';
import { sharedLength } from '../../protos/strategies/index.ts';
import {
  createAgent,
  createFederation,
  createIdentity,
  type FederationWorld,
  portOf,
  RunningCoordinator,
  rowsOf,
  servicesOf,
} from '../e2e/testing-federation.ts';
import { Federation } from './testing-quadratic.ts';

const ROUNDS = 2;
const lr = { kind: 'lr', inputs: 2, hidden: [], activation: 'relu' };
const MODELS = { scaffold: lr, fedper: { ...lr, kind: 'mlp', hidden: [2] } };
/** Keys of all parties: made once for both. */
const deployment = createFederation({ transport: 'shares', rounds: { training: ROUNDS } });

describe.each([
  ['scaffold', { populationCount: 3, epochs: 2, batchSize: 8 }],
  ['fedper', { epochs: 2, batchSize: 8 }],
] as const)('%s over real parties', (strategy, training) => {
  const root = mkdtempSync(join(tmpdir(), 'pulsefold-strategy-run-'));
  const stores = [0, 1, 2].map(() => new MemoryClientStore());
  let world: FederationWorld;
  let committee: Committee;
  let message: string;
  let seeds: string[];

  beforeAll(async () => {
    const base = await deployment;
    const parsed = finishPlan({
      ...base.parsed.plan,
      model: MODELS[strategy],
      mechanism: { ...base.parsed.plan.mechanism, unitsPerClip: 2 ** 20 },
      training: { ...base.parsed.plan.training, strategy, learningRate: 0.5, ...training },
    });
    world = { ...base, parsed, approvals: approvalsOf(base, parsed) };
    committee = new Committee(world);
    const services = servicesOf(world, committee.holders.map(portOf));
    const coordinator = new RunningCoordinator(world, services);
    const agents = await Promise.all(
      stores.map(async (store) => {
        const identity = await createIdentity(world);
        return {
          seed: identity.subjectId,
          agent: await createAgent(world, identity, coordinator.connect(identity), { store }),
        };
      }),
    );
    seeds = agents.map(({ seed }) => seed);
    await Promise.all(agents.map(({ agent }) => agent.join()));
    message = (await coordinator.ended).message;
    const { store } = services;
    const { publicKey, secretKey } = world.coordinatorKey;
    const sign = (bytes: Uint8Array) => world.suite.sign(secretKey, bytes);
    const signer = { name: 'test.example/log', algorithm: 'ed25519' as const, publicKey, sign };
    const log = new AppendLog(store, { origin: 'test.example/log' });
    exportRun({ store, ledger: new BudgetLedger(store), log, signer, runDirectory: root }, parsed);
    await coordinator.stop();
  }, 120_000);
  afterAll(() => {
    committee?.close();
    rmSync(root, { recursive: true, force: true });
  });

  const modelFile = () => JSON.parse(readFileSync(join(root, 'model.json'), 'utf8'));

  it('releases the blob of the arithmetic without parties, bit for bit', async () => {
    expect(message).toBe(`${ROUNDS} rounds released`);
    const engine = await loadTrainEngine(['tfjs-cpu']);
    const { parsed } = world;
    const plain = new Federation(
      parsed,
      engine,
      seeds.map((seed) => rowsOf(seed, parsed.plan.model.inputs)),
    );
    const start = plain.blob.slice();
    await plain.run(ROUNDS);
    const { weights, companion = [] } = modelFile();
    expect([...weights, ...companion]).toEqual([...plain.blob]);
    expect([...plain.blob]).not.toEqual([...start]);
    const [key, kept] = strategy === 'scaffold' ? ['control', 3] : ['personal', 3];
    for (const [i, store] of stores.entries()) {
      const bytes = (await store.getMemory(`${parsed.hashHex}-${key}`))!;
      const last = new Float32Array(bytes.slice(-4 * kept).buffer);
      expect(last).toEqual(await plain.devices[i]!.memory.load(key as 'control'));
    }
    if (strategy === 'fedper')
      expect(weights.slice(sharedLength(parsed.plan))).toEqual([
        ...start.subarray(sharedLength(parsed.plan)),
      ]);
    else expect(companion).toHaveLength(3);
  });

  it('passes the audit, which a changed companion does not', () => {
    const approvers = [{ id: 'ethics', publicKey: toHex(world.approver.publicKey) }];
    const codes = () =>
      verifyRunDirectory(root, { approvers })
        .findings.filter(({ severity }) => severity === 'error')
        .map(({ code }) => code);
    expect(codes()).toEqual([]);
    if (strategy !== 'scaffold') return;
    const file = modelFile();
    file.companion[0] += 1;
    const path = join(root, 'model.json');
    const text = readFileSync(path, 'utf8');
    writeFileSync(path, JSON.stringify(file));
    expect(codes()).toEqual(['MODEL_MISMATCH']);
    writeFileSync(path, text);
  });
});
