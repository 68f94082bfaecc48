/**
 * Goal: rounds that overlap between real parties: registrar, four key holders, coordinator and agents talk gRPC over TLS;
 * two rounds stand open, sums are released in order, keys go when they may, and the audit finds nothing but what is changed.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { verifyRunDirectory } from '../../auditor/verify.ts';
import { openRounds } from '../../client/agent/grpc-rounds.ts';
import { toHex } from '../../crypto/bytes.ts';
import { certificateDer } from '../../crypto/identity/certificate.ts';
import { LoopbackDeployment } from './testing-deployment.ts';
import { createAgent } from './testing-federation.ts';

const [DEVICES, COHORT, ROUNDS] = [6, 3, 3];

interface ReleaseLeaf {
  readonly kind: string;
  readonly round: number;
  readonly staleness?: number;
}

it('runs two rounds at a time over mutual TLS', { timeout: 60_000 }, async () => {
  const deployment = new LoopbackDeployment();
  try {
    await deployment.startOthers();
    await deployment.startCoordinator();
    const rounds = {
      training: ROUNDS,
      overlap: 1,
      cohortMin: COHORT,
      cohortTarget: COHORT,
      cohortMax: COHORT,
    };
    const parsed = deployment.plan('overlap', rounds, { transport: 'shares' }, { strategy: 'fedbuff' });
    await deployment.submit(parsed, deployment.wire(await deployment.enrol('researcher')));
    const world = { parsed, approver: deployment.approver, caDer: certificateDer(deployment.caPem) };
    const joins = Array.from({ length: DEVICES }, async () => {
      const identity = await deployment.enrol('client');
      const transport = openRounds(deployment.address, identity);
      const agent = await createAgent(world, identity, transport);
      return agent.join().finally(() => transport.close());
    });
    const reports = await Promise.all(joins);
    expect(await deployment.ended()).toBe(`${ROUNDS} rounds released`);
    const taken = reports.flatMap(({ rounds }) => rounds).filter(({ outcome }) => outcome === 'certified');
    expect(taken).toHaveLength(ROUNDS * COHORT);
    const run = deployment.runOf(parsed);
    const approvers = [{ id: 'ethics', publicKey: toHex(deployment.approver.publicKey) }];
    const path = join(run, 'log', 'leaves.ndjson');
    const lines = readFileSync(path, 'utf8').split('\n');
    const releases = lines
      .filter((line) => line.length > 0)
      .map((line) => JSON.parse(line) as ReleaseLeaf)
      .filter(({ kind }) => kind === 'release');
    expect(releases.map(({ round }) => round)).toEqual([1, 2, 3]);
    // The second opens as soon as the first is full, so before its release.
    expect(releases[1]).toMatchObject({ staleness: 1 });
    const codes = () =>
      verifyRunDirectory(run, { approvers })
        .findings.filter(({ severity }) => severity === 'error')
        .map(({ code }) => code);
    expect(codes()).toEqual([]);
    writeFileSync(path, lines.map((line) => line.replace('"staleness":1', '"staleness":0')).join('\n'));
    expect(codes()).toContain('STALENESS_MISMATCH');
  } finally {
    await deployment.stop();
  }
});
