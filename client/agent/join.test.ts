import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { concat, toHex } from '../../crypto/bytes.ts';
import { decodeSum, fromDigits } from '../../crypto/dp/mechanism.ts';
import { ensure } from '../../crypto/error.ts';
import {
  generateTlsKey,
  issueCertificate,
  type Role,
  subjectIdOf,
} from '../../crypto/identity/certificate.ts';
import type { KeyPair } from '../../crypto/identity/suite.ts';
import { randomBytes } from '../../crypto/random.ts';
import { loadBfv } from '../../crypto/secagg/bfv.ts';
import { runCeremony } from '../../crypto/secagg/local-ceremony.ts';
import { mechanismOf } from '../../protos/plan-mechanism.ts';
import { layoutOf } from '../../protos/plan-scheme.ts';
import { formatToken } from '../../protos/transport/enrol.ts';
import { type CallContext, type RunningServer, startServer } from '../../protos/transport/server.ts';
import { serverCredentials } from '../../protos/transport/tls.ts';
import { loadTrainEngine } from '../training/engine.ts';
import { runClient } from './join.ts';
import { START_MS, sampleData } from './testing.ts';
import { FakeCoordinator } from './testing-coordinator.ts';
import { withRights } from './testing-rights.ts';

const rounds = {
  training: 2,
  cohortMin: 3,
  cohortTarget: 3,
  cohortMax: 4,
  checkInWindowMs: 1000,
  deadlineMs: 10_000,
};
/** So little noise that no sane ε pays for it. */
const privacy = { unit: 'person', epsilon: '10000000', delta: '0.00001', gamma: '0', noiseVariance: '1/4' };
const mechanism = { clip: '4', unitsPerClip: 65_536, recordsMax: 100 };

let directory: string;
let coordinator: FakeCoordinator;
const servers: RunningServer[] = [];

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'pulsefold-join-'));
  coordinator = await FakeCoordinator.create({
    rounds,
    privacy,
    mechanism: { ...mechanism, unitsPerClip: 1024 },
  });
});
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.stop(0)));
  await rm(directory, { recursive: true, force: true });
});

const validity = { notBeforeMs: START_MS, notAfterMs: Date.now() + 86_400_000 };

async function serverTls(role: Role, signing: KeyPair) {
  const { suite } = coordinator;
  const { tlsKeyPem, tlsPublicKey } = await generateTlsKey();
  const subjectId = subjectIdOf(role, suite.name, signing.publicKey);
  const claims = { role, suite: suite.name, subjectId, signingPublicKey: signing.publicKey };
  const { pem } = await issueCertificate(coordinator.authority, { claims, tlsPublicKey, ...validity });
  return { certPem: pem, keyPem: tlsKeyPem, caPem: coordinator.authority.caPem };
}

async function serveRounds(role: Role = 'coordinator'): Promise<string> {
  const { caPem } = coordinator.authority;
  const methods = [
    'getPlan',
    'checkIn',
    'getBlob',
    'getUploadState',
    'putUpload',
    'getReceipt',
    'withdraw',
    'consent',
    'subjectAccess',
    'eraseDevice',
  ] as const;
  const handlers = Object.fromEntries(
    methods.map((method) => [
      method,
      (request: never, { identity, certificate }: CallContext) => {
        ensure(identity && certificate, 'UNAUTHENTICATED', 'no certificate');
        // The device enrolled by itself; the fake learns who it is from its certificate.
        coordinator.identity = { ...coordinator.identity, subjectId: identity.subjectId, certificate };
        return withRights(coordinator)[method](request);
      },
    ]),
  );
  const full = (method: string) => `/pulsefold.v1.Rounds/${method.charAt(0).toUpperCase()}${method.slice(1)}`;
  const server = await startServer({
    services: [{ name: 'Rounds', handlers }],
    credentials: serverCredentials({
      ...(await serverTls(role, coordinator.coordinatorKey)),
      requireClientCertificate: true,
    }),
    address: '127.0.0.1:0',
    caPem,
    authorise: Object.fromEntries(methods.map((method) => [full(method), ['client']])),
    isRevoked: () => false,
  });
  servers.push(server);
  return `127.0.0.1:${server.port}`;
}

/** A registrar that gives everybody a client certificate; counts how often it was asked. */
async function serveEnrolment(): Promise<{ address: string; asked: () => number }> {
  let asked = 0;
  const enrol = async (request: {
    signingPublicKey: Uint8Array;
    sealingPublicKey: Uint8Array;
    tlsPublicKey: Uint8Array;
  }) => {
    asked++;
    const { signingPublicKey, sealingPublicKey, tlsPublicKey } = request;
    const subjectId = subjectIdOf('client', 'intl', signingPublicKey);
    const claims = {
      role: 'client' as const,
      suite: 'intl' as const,
      subjectId,
      signingPublicKey,
      sealingPublicKey,
    };
    const { der } = await issueCertificate(coordinator.authority, { claims, tlsPublicKey, ...validity });
    return { certificate: der };
  };
  const tls = await serverTls('registrar', coordinator.suite.generateSigningKey());
  const server = await startServer({
    services: [{ name: 'Enrolment', handlers: { enrol } }],
    credentials: serverCredentials({ ...tls, requireClientCertificate: false }),
    address: '127.0.0.1:0',
    caPem: coordinator.authority.caPem,
    authorise: { '/pulsefold.v1.Enrolment/Enrol': 'anyone' },
    isRevoked: () => false,
  });
  servers.push(server);
  return { address: `127.0.0.1:${server.port}`, asked: () => asked };
}

async function writeConfig(address: string, changes: object = {}): Promise<string> {
  const { features, labels, count } = sampleData(40);
  const rows = Array.from(
    { length: count },
    (_, i) => `${features[2 * i]},${features[2 * i + 1]},${labels[i]}`,
  );
  await writeFile(join(directory, 'rows.csv'), `a,b,y\n${rows.join('\n')}\n`);
  await writeFile(join(directory, 'ca.pem'), coordinator.authority.caPem);
  await writeFile(join(directory, 'key'), `${toHex(randomBytes(32))}\n`, { mode: 0o600 });
  const config = {
    directory: 'vault',
    coordinator: { address },
    registrar: { ca: 'ca.pem' },
    passphrase: { keyFile: 'key' },
    data: { train: 'rows.csv' },
    approvers: { pinned: coordinator.policy.approvers },
    budget: { epsilon: 1000, delta: '0.00001', allowWithoutPrivacy: true },
    engines: ['tfjs-cpu'],
    timing: { patienceMs: 5000, checkInWaitMs: 0 },
    ...changes,
  };
  const file = join(directory, 'client.yaml');
  await writeFile(file, stringify(config));
  return file;
}

describe('client join, over gRPC with mutual TLS and the real cipher', () => {
  it('enrols once, takes part, and what it sealed opens to its update', async () => {
    const bfv = await loadBfv();
    const committee = runCeremony({ ceremonyId: randomBytes(32) });
    coordinator.openRound(1, { committeeKey: committee.publicKey });
    coordinator.openRound(2, { committeeKey: committee.publicKey });
    const enrolment = await serveEnrolment();
    const token = formatToken(randomBytes(32));
    const file = await writeConfig(await serveRounds(), { enrolment: { address: enrolment.address, token } });
    // One-digit plans would hide digit order; noise this small costs more than any sane ε, so the limit is the point.
    await expect(runClient(file)).resolves.toMatchObject({ ended: 'stopped', code: 'BUDGET_EXCEEDED' });
    coordinator.replacePlan({ rounds, privacy: null, mechanism });
    for (const round of [1, 2]) coordinator.openRound(round, { committeeKey: committee.publicKey });
    const summary = await runClient(file);
    expect(enrolment.asked()).toBe(1);
    expect(summary).toMatchObject({
      ended: 'finished',
      deviceId: coordinator.identity.subjectId,
      rounds: [{ outcome: 'certified' }, { outcome: 'certified' }],
    });
    // Any two holders open the sum, here of one device only.
    const { parsed } = coordinator;
    const { header, received } = coordinator.rounds.get(2)!.upload!;
    const { digitCount } = coordinator.rounds.get(2)!.config.config;
    const [c0Sum, c1Sum] = [received.subarray(0, header.bodyBytes), received.subarray(header.bodyBytes)];
    const activeSet = [2, 4];
    const partials = activeSet.map((holderIndex) =>
      bfv.partialDecrypt({
        share: committee.shares[holderIndex - 1]!,
        c1Sum,
        digitCount,
        holderIndex,
        activeSet,
      }),
    );
    const digits = bfv.open({ c0Sum, partials, digitCount });
    const integers = fromDigits(digits, layoutOf(parsed, 'training'), 3);
    const update = decodeSum(integers, mechanismOf(parsed, 'training', 2));
    const engine = await loadTrainEngine(['tfjs-cpu']);
    const weights = Float32Array.of(0, 0.125, 0.25);
    const options = { epochs: 2, batchSize: 16, learningRate: 0.5, proximalMu: 0, l2: 0, seed: 'seed/2' };
    const trained = await engine.train(parsed.plan.model, weights, sampleData(40), options);
    for (let i = 0; i < 3; i++) expect(update[i]).toBeCloseTo(trained[i]! - weights[i]!, 3);
  });

  it('leaves nothing readable in its directory', async () => {
    coordinator.replacePlan({ rounds, privacy: null, mechanism });
    await loadBfv();
    const committee = runCeremony({ ceremonyId: randomBytes(32) });
    coordinator.openRound(1, { committeeKey: committee.publicKey });
    const enrolment = await serveEnrolment();
    const token = formatToken(randomBytes(32));
    const file = await writeConfig(await serveRounds(), { enrolment: { address: enrolment.address, token } });
    await runClient(file);
    const files = await readdir(join(directory, 'vault'));
    const bytes = concat(
      ...(await Promise.all(files.map((name) => readFile(join(directory, 'vault', name))))),
    );
    expect(files.length).toBeGreaterThan(2);
    for (const secret of ['PRIVATE KEY', 'finishedRounds', 'cohortRoot', 'pseudonym'])
      expect(Buffer.from(bytes).includes(secret)).toBe(false);
  });

  it('talks to nobody but the coordinator role, and says how to enrol', async () => {
    const enrolment = await serveEnrolment();
    const token = formatToken(randomBytes(32));
    const timing = { patienceMs: 300, checkInWaitMs: 0 };
    const address = await serveRounds('keyholder');
    const file = await writeConfig(address, { timing, enrolment: { address: enrolment.address, token } });
    await expect(runClient(file)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await rm(join(directory, 'vault'), { recursive: true });
    await expect(runClient(await writeConfig(address))).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringMatching(/enrolment\.token/),
    });
  });
});
