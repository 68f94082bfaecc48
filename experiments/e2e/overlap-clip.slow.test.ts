/**
 * Goal: a clip that adapts while rounds overlap: every round has the clip of the newest release at its opening, and the
 * audit of the run derives each of them, under noise and by real agents and key holders.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { verifyRunDirectory } from '../../auditor/verify.ts';
import { exportRun } from '../../coordinator/export.ts';
import { BudgetLedger } from '../../coordinator/ledger/budget-ledger.ts';
import * as repository from '../../coordinator/rounds/repository.ts';
import { AppendLog } from '../../coordinator/storage/append-log.ts';
import { approvalsOf, strongPrivacy } from '../../coordinator/testing.ts';
import { toHex } from '../../crypto/bytes.ts';
import { Committee } from '../../keyholder/testing.ts';
import { finishPlan } from '../../protos/plan.ts';
import { parseRoundConfig } from '../../protos/round-config.ts';
import {
  createAgent,
  createFederation,
  createIdentity,
  portOf,
  RunningCoordinator,
  servicesOf,
} from './testing-federation.ts';

const [DEVICES, COHORT, ROUNDS] = [6, 3, 4];

it('is derived by the audit, round by round', { timeout: 120_000 }, async () => {
  const runDirectory = mkdtempSync(join(tmpdir(), 'pulsefold-overlap-clip-'));
  const base = await createFederation({ transport: 'shares', privacy: { ...strongPrivacy, epsilon: '100' } });
  const { plan } = base.parsed;
  const adaptiveClip = { quantile: '1/2', learningRate: 0.5, bitUnits: 16, clipMin: '1/100', clipMax: '100' };
  const cohort = { cohortMin: COHORT, cohortTarget: COHORT, cohortMax: COHORT };
  const parsed = finishPlan({
    ...plan,
    training: { ...plan.training, strategy: 'fedbuff' },
    rounds: { ...plan.rounds, training: ROUNDS, overlap: 1, ...cohort },
    mechanism: { ...plan.mechanism, adaptiveClip },
  });
  const world = { ...base, parsed, approvals: approvalsOf(base, parsed) };
  const committee = new Committee(world);
  const services = servicesOf(world, committee.holders.map(portOf));
  const coordinator = new RunningCoordinator(world, services);
  const { store } = services;
  try {
    const joins = Array.from({ length: DEVICES }, async () => {
      const identity = await createIdentity(world);
      const agent = await createAgent(world, identity, coordinator.connect(identity));
      return agent.join();
    });
    await Promise.all(joins);
    expect((await coordinator.ended).message).toBe(`${ROUNDS} rounds released`);
    const { publicKey, secretKey } = world.coordinatorKey;
    const sign = (bytes: Uint8Array) => world.suite.sign(secretKey, bytes);
    const signer = { name: 'test.example/log', algorithm: 'ed25519' as const, publicKey, sign };
    const log = new AppendLog(store, { origin: 'test.example/log' });
    exportRun({ store, ledger: new BudgetLedger(store), log, signer, runDirectory }, parsed);
    const clips = store.read('test', (db) =>
      repository
        .listRounds(db, parsed.hashHex)
        .map(({ config }) => parseRoundConfig(config, world.suite).config.clip),
    );
    // Both of the first two have the plan's own; later ones what a release made of it.
    expect(clips.slice(0, 2)).toEqual(['1', '1']);
    const nextOf = (round: number) =>
      JSON.parse(readFileSync(join(runDirectory, 'rounds', `${round}.json`), 'utf8')).summary.clip.next;
    for (const [i, clip] of clips.slice(2).entries()) expect([nextOf(i + 1), nextOf(i + 2)]).toContain(clip);
    const approvers = [{ id: 'ethics', publicKey: toHex(world.approver.publicKey) }];
    const codes = () =>
      verifyRunDirectory(runDirectory, { approvers })
        .findings.filter(({ severity }) => severity === 'error')
        .map(({ code }) => code);
    expect(codes()).toEqual([]);
    const path = join(runDirectory, 'rounds', '2.json');
    const file = JSON.parse(readFileSync(path, 'utf8'));
    // No clip is a third of anything: they have 20 binary digits.
    file.summary.clip.next = '7/3';
    writeFileSync(path, JSON.stringify(file));
    expect(codes()).toEqual(['CLIP_MISMATCH']);
  } finally {
    await coordinator.stop();
    committee.close();
    rmSync(runDirectory, { recursive: true, force: true });
  }
});
