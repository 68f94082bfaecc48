/**
 * Four holders from config files over real gRPC and mutual TLS, with a registrar's revocation list; and who
 * may call.
 */
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, type ClientUnaryCall, Metadata } from '@grpc/grpc-js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { stringify } from 'yaml';
import { toHex } from '../crypto/bytes.ts';
import { generateTlsKey, issueCertificate, type Role, subjectIdOf } from '../crypto/identity/certificate.ts';
import { signRevocationList } from '../crypto/identity/revocation.ts';
import type { KeyPair } from '../crypto/identity/suite.ts';
import { parse } from '../protos/fields.ts';
import {
  type CeremonyStepReply,
  ceremonyPhases,
  ceremonyStepReplySchema,
  drawReplySchema,
  openReplySchema,
} from '../protos/keyholder-messages.ts';
import { openClient, type RpcClient } from '../protos/transport/channel.ts';
import { serverTls } from '../protos/transport/enrol.ts';
import { assembleBundle, type IdentityBundle } from '../protos/transport/identity-bundle.ts';
import { saveIdentity } from '../protos/transport/identity-store.ts';
import { type RunningServer, startServer } from '../protos/transport/server.ts';
import { channelCredentials, serverCredentials } from '../protos/transport/tls.ts';
import { type RunningKeyHolder, runKeyHolder } from './server.ts';
import { createWorld, DAY_MS, type World, type WorldOptions } from './testing.ts';
import {
  agreedOf,
  type GroupedRound,
  groupsFrom,
  headerOf,
  openGroups,
  setWith,
  sumsOf,
} from './testing-groups.ts';
import {
  acceptRequest,
  bindingOf,
  certifyRequest,
  createDevices,
  createUpload,
  openHeader,
  openMessages,
  openSum,
  plainSum,
} from './testing-uploads.ts';
import { sharesRound } from './testing-wire.ts';

const PASSPHRASE = 'correct horse battery';
const coded = (code: string, message = /./) =>
  expect.objectContaining({ code, message: expect.stringMatching(message) });

let world: World;
let root: string;
let registrar: RunningServer;
let revoked: string[] = [];
let listNumber = 1;
/** Lists served since the last revocation; each holder polls once a second. */
let listsServed = 0;
let coordinator: IdentityBundle;
const holders: RunningKeyHolder[] = [];
const clients: RpcClient[] = [];

async function bundleOf(
  role: Role,
  keys?: { signing: KeyPair; sealing: KeyPair },
  days = 30,
): Promise<IdentityBundle> {
  const { suite, authority } = world;
  const signing = keys?.signing ?? suite.generateSigningKey();
  const sealing = keys?.sealing ?? suite.generateSealingKey();
  const { tlsKeyPem, tlsPublicKey } = await generateTlsKey();
  const subjectId = subjectIdOf(role, suite.name, signing.publicKey);
  const claims = {
    role,
    suite: suite.name,
    subjectId,
    signingPublicKey: signing.publicKey,
    sealingPublicKey: sealing.publicKey,
  };
  const times = { notBeforeMs: Date.now() - DAY_MS, notAfterMs: Date.now() + days * DAY_MS };
  const { pem: certPem } = await issueCertificate(authority, { claims, tlsPublicKey, ...times });
  return assembleBundle({ caPem: authority.caPem, certPem, tlsKeyPem, signing, sealing });
}

async function startRegistrar(): Promise<RunningServer> {
  const bundle = await bundleOf('registrar');
  const getRevocationList = () => {
    const issuedAtMs = Date.now();
    if (revoked.length > 0) listsServed++;
    const content = { number: listNumber, issuedAtMs, nextUpdateMs: issuedAtMs + DAY_MS, serials: revoked };
    const { suite, signing, certificate } = bundle;
    return { list: signRevocationList(content, { suite, secretKey: signing.secretKey, certificate }) };
  };
  return await startServer({
    services: [{ name: 'Registrar', handlers: { renew: () => ({}), forget: () => ({}), getRevocationList } }],
    credentials: serverCredentials({ ...serverTls(bundle), requireClientCertificate: true }),
    address: '127.0.0.1:0',
    caPem: world.authority.caPem,
    authorise: {
      '/pulsefold.v1.Registrar/Renew': ['keyholder'],
      '/pulsefold.v1.Registrar/Forget': ['client'],
      '/pulsefold.v1.Registrar/GetRevocationList': ['keyholder'],
    },
    isRevoked: () => false,
  });
}

/** Writes identity, CA and config of holder `index`; the path of the config. */
async function configure(index: number, change: Record<string, unknown> = {}): Promise<string> {
  const keys = world.holderKeys[index - 1]!;
  const directory = join(root, keys.id);
  mkdirSync(directory, { recursive: true });
  const scrypt = { costLog2: 14, blockSize: 8, parallelism: 1 };
  await saveIdentity(
    join(directory, 'identity.sealed'),
    await bundleOf('keyholder', keys),
    { passphrase: PASSPHRASE },
    scrypt,
  );
  writeFileSync(join(directory, 'passphrase'), `${PASSPHRASE}\n`, { mode: 0o600 });
  writeFileSync(join(directory, 'ca.pem'), world.authority.caPem);
  const config = {
    role: 'keyholder',
    id: keys.id,
    directory: 'state',
    listen: '127.0.0.1:0',
    identity: { file: 'identity.sealed', passphraseFile: 'passphrase' },
    registrar: { caFile: 'ca.pem', address: `127.0.0.1:${registrar.port}` },
    approvals: { approvers: [{ id: 'ethics', publicKey: toHex(world.approver.publicKey) }] },
    revocations: { pollMs: 1000, listAgeMsMax: 60_000 },
    logLevel: 'silent',
    ...change,
  };
  const file = join(directory, 'keyholder.yaml');
  writeFileSync(file, stringify(config));
  return file;
}

function connect(port: number, bundle: IdentityBundle): RpcClient {
  const { caPem, certPem, tlsKeyPem: keyPem } = bundle;
  const credentials = channelCredentials({ caPem, certPem, keyPem, server: { role: 'keyholder' } });
  const options = {
    service: 'KeyHolder',
    address: `127.0.0.1:${port}`,
    credentials,
    messageBytesMax: 16 * 1024 * 1024,
  };
  const client = openClient(options);
  clients.push(client);
  return client;
}

beforeAll(async () => {
  world = await createWorld();
  root = mkdtempSync(join(tmpdir(), 'pulsefold-holders-'));
  registrar = await startRegistrar();
  coordinator = await bundleOf('coordinator', world.coordinatorKeys!);
  for (const index of [1, 2, 3, 4]) holders.push(await runKeyHolder(await configure(index)));
});
afterAll(async () => {
  for (const client of clients) client.close();
  await Promise.all([...holders, registrar].map((server) => server?.stop()));
  rmSync(root, { recursive: true, force: true });
});

describe('a round over the wire', () => {
  it('from registration to the exact sum, then erased', async () => {
    const rpc = holders.map(({ port }) => connect(port, coordinator));
    const all = <T>(call: (client: RpcClient, i: number) => Promise<T>) => Promise.all(rpc.map(call));
    const { hash: planHash, bytes: plan } = world.parsed;
    const info = await rpc[0]!.call<{ holderId: string }>('getHolderInfo', {});
    expect(info.holderId).toBe('hospital');
    await all((client) => client.call('registerPlan', { plan, approvals: world.approvals }));

    let replies: CeremonyStepReply[] = [];
    for (const phase of ceremonyPhases) {
      const parts = replies.map((reply) => reply.part);
      const shares = replies.flatMap((reply) => reply.shares);
      const request = { planHash, round: 1, phase, parts, shares };
      replies = await all(async (client) =>
        parse(ceremonyStepReplySchema, await client.call('ceremonyStep', request)),
      );
    }
    const { keyId, publicKey } = replies[0]!;
    const binding = bindingOf(world, 1, keyId);
    const devices = await createDevices(world, 4);
    const uploads = devices.map((device, i) => createUpload(world, device, binding, publicKey, i));

    // The fourth device is revoked: every holder knows after its next poll.
    revoked = [devices[3]!.serial];
    listNumber++;
    await expect.poll(() => listsServed, { timeout: 8000, interval: 100 }).toBeGreaterThanOrEqual(4);
    const late = await all((client) =>
      client.call<{ rejected: { code: string }[] }>('accept', acceptRequest(world, 1, [uploads[3]!.entry])),
    );
    for (const { rejected } of late)
      expect(rejected.map(({ code }) => code)).toEqual(['CERTIFICATE_REVOKED']);
    const cohort = uploads.slice(0, 3);
    const entries = cohort.map((upload) => upload.entry);
    await all((client) => client.call('accept', acceptRequest(world, 1, entries)));
    const request = certifyRequest(world, binding, cohort);
    const signatures = await Promise.all(
      rpc
        .slice(0, 3)
        .map((client) => client.call<{ holderId: string; signature: Uint8Array }>('certify', request)),
    );
    const header = openHeader(world, binding, cohort, { signatures, activeSet: [2, 4] });
    const partials = await Promise.all(
      [2, 4].map(async (index) =>
        parse(openReplySchema, await rpc[index - 1]!.send('open', openMessages(header, cohort))),
      ),
    );
    expect(openSum(world, cohort, partials)).toEqual(plainSum(cohort));
    expect(await all((client) => client.call('erase', { planHash, round: 1 }))).toEqual(
      Array(4).fill({ erased: true }),
    );
    await expect(rpc[1]!.send('open', openMessages(header, cohort))).rejects.toThrow(coded('KEY_ERASED'));
  });
});

function roundOver(count: number, options: WorldOptions & { readonly name: string }) {
  const rpc = holders.map(({ port }) => connect(port, coordinator));
  return sharesRound(world, rpc, count, options);
}

describe('a round of transport shares over the wire', () => {
  it('from registration to the exact sum, with a holder that was away', async () => {
    const { shares, planHash, rpc, all, binding, cohort } = await roundOver(4, { name: 'shares' });
    const present = rpc.slice(0, 3);
    // As they arrive.
    for (const { entry } of cohort)
      await Promise.all(present.map((client) => client.call('accept', acceptRequest(shares, 1, [entry]))));
    const request = certifyRequest(shares, binding, cohort);
    const signatures = await Promise.all(
      present.map((client) => client.call<{ holderId: string; signature: Uint8Array }>('certify', request)),
    );
    const header = openHeader(shares, binding, cohort, { signatures, activeSet: [1, 3, 4] });
    const answers = await Promise.all(
      [1, 3, 4].map(async (index) =>
        parse(openReplySchema, await rpc[index - 1]!.send('open', openMessages(header, cohort))),
      ),
    );
    expect(openSum(shares, cohort, answers)).toEqual(plainSum(cohort));
    await all((client) => client.call('erase', { planHash, round: 1 }));
    await expect(rpc[0]!.send('open', openMessages(header, cohort))).rejects.toThrow(coded('KEY_ERASED'));
  });
});

describe('a round that opens in groups, over the wire', () => {
  it('is drawn, and opened by what was drawn', async () => {
    const options = { name: 'groups', cohortMin: 6, groups: 3 };
    const { shares, rpc, all, binding, cohort } = await roundOver(6, options);
    const entries = cohort.map(({ entry }) => entry);
    await all((client) => client.call('accept', acceptRequest(shares, 1, entries)));
    const signatures = await all((client) =>
      client.call<{ holderId: string; signature: Uint8Array }>(
        'certify',
        certifyRequest(shares, binding, cohort),
      ),
    );
    const round: GroupedRound = { world: shares, binding, cohort, signatures };
    const draws = await all(async (client, i) => {
      const header = headerOf(round, { activeSet: setWith(i + 1) });
      return parse(drawReplySchema, await client.send('draw', openMessages(header, cohort)));
    });
    const groups = groupsFrom(round, agreedOf(round, draws));
    const answers = await Promise.all(
      [1, 2, 3].map(async (index) =>
        parse(
          openReplySchema,
          await rpc[index - 1]!.send('open', openMessages(headerOf(round, { draws }), cohort)),
        ),
      ),
    );
    expect(openGroups(round, groups, answers)).toEqual(sumsOf(groups));
    const other = connect(holders[0]!.port, await bundleOf('coordinator'));
    await expect(other.send('draw', openMessages(headerOf(round), cohort))).rejects.toThrow(
      coded('WRONG_ROLE'),
    );
  });
});

describe('who may call', () => {
  it.each(['client', 'keyholder', 'researcher', 'auditor', 'registrar'] as const)(
    'not a %s',
    async (role) => {
      const client = connect(holders[0]!.port, await bundleOf(role));
      await expect(client.call('getHolderInfo', {})).rejects.toThrow(coded('WRONG_ROLE'));
      await expect(client.send('open', [])).rejects.toThrow(coded('WRONG_ROLE'));
      await expect(client.send('draw', [])).rejects.toThrow(coded('WRONG_ROLE'));
    },
  );

  it('not another enrolled coordinator: a plan names its own', async () => {
    const { hash: planHash } = world.parsed;
    const client = connect(holders[1]!.port, await bundleOf('coordinator'));
    const calls: [string, object][] = [
      ['erase', { planHash, round: 2 }],
      ['abort', { planHash, round: 2, reason: 'sabotage' }],
      ['ceremonyStep', { planHash, round: 2, phase: 'BEGIN', parts: [], shares: [] }],
    ];
    for (const [method, request] of calls)
      await expect(client.call(method, request)).rejects.toMatchObject({ code: 'WRONG_ROLE' });
    // The plan's own coordinator may: the refusal is about who asks.
    const own = connect(holders[1]!.port, coordinator);
    await expect(own.call('erase', { planHash, round: 3 })).resolves.toMatchObject({ erased: true });
  });

  it('not somebody without a certificate', async () => {
    const credentials = channelCredentials({ caPem: world.authority.caPem, server: { role: 'keyholder' } });
    const client = openClient({
      service: 'KeyHolder',
      address: `127.0.0.1:${holders[0]!.port}`,
      credentials,
    });
    clients.push(client);
    await expect(client.call('getHolderInfo', {})).rejects.toThrow(coded('UNAVAILABLE'));
  });
});

describe('bad input over the wire', () => {
  it('bytes that are no message are refused, and the holder goes on', async () => {
    const { caPem, certPem, tlsKeyPem: keyPem } = coordinator;
    const credentials = channelCredentials({ caPem, certPem, keyPem, server: { role: 'keyholder' } });
    const raw = new Client(`127.0.0.1:${holders[0]!.port}`, credentials);
    const send = (method: string, bytes: Buffer): Promise<unknown> =>
      new Promise((resolve) => {
        const path = `/pulsefold.v1.KeyHolder/${method}`;
        const identity = (value: Buffer) => value;
        const call: ClientUnaryCall = raw.makeUnaryRequest(
          path,
          identity,
          identity,
          bytes,
          new Metadata(),
          {},
          (error) => resolve(error?.metadata?.get('pulsefold-code')[0]),
        );
        call.on('error', () => {});
      });
    for (const method of ['RegisterPlan', 'CeremonyStep', 'Accept', 'Certify', 'Abort', 'Erase']) {
      expect(await send(method, Buffer.from('0affffffff0f', 'hex'))).toBe('MALFORMED_MESSAGE');
      expect(await send(method, Buffer.alloc(0))).toMatch(/^(FIELD_OUT_OF_RANGE|MALFORMED_MESSAGE)$/);
    }
    raw.close();
    await expect(connect(holders[0]!.port, coordinator).call('getHolderInfo', {})).resolves.toBeDefined();
  });
});

describe('starting', () => {
  it('keeps its files to itself', () => {
    const state = join(root, 'hospital', 'state');
    expect(statSync(state).mode & 0o777).toBe(0o700);
    for (const file of ['keyholder.sqlite', 'storage-key.sealed', 'revocation-list.bin'])
      expect(statSync(join(state, file)).mode & 0o777).toBe(0o600);
  });

  it.each<[string, Record<string, unknown>, string, RegExp]>([
    ['an unknown field', { cohortMin: 1 }, 'CONFIG_INVALID', /keyholder\.yaml: .*cohortMin/],
    ['rules of its own', { rules: {} }, 'CONFIG_INVALID', /rules/],
    ['hooks', { hooks: {} }, 'CONFIG_INVALID', /hooks/],
    ['no approver', { approvals: { approvers: [] } }, 'CONFIG_INVALID', /approvals\.approvers/],
    [
      'no required approval',
      { approvals: { required: 0, approvers: [{ id: 'a', publicKey: '00'.repeat(32) }] } },
      'CONFIG_INVALID',
      /approvals\.required/,
    ],
    [
      'two passphrases',
      { identity: { file: 'x', passphraseEnv: 'A', passphraseFile: 'b' } },
      'CONFIG_INVALID',
      /exactly one/,
    ],
    [
      'a passphrase that is not set',
      { identity: { file: 'identity.sealed', passphraseEnv: 'PULSEFOLD_TEST_UNSET' } },
      'CONFIG_INVALID',
      /PULSEFOLD_TEST_UNSET/,
    ],
    [
      'a passphrase that is wrong',
      { identity: { file: 'identity.sealed', passphraseFile: 'ca.pem' } },
      'FILE_SEALED',
      /./,
    ],
    ['an address that is none', { listen: 'localhost' }, 'CONFIG_INVALID', /listen/],
  ])('fails with %s', async (_name, change, code, message) => {
    const file = await configure(1, change);
    await expect(runKeyHolder(file)).rejects.toThrow(coded(code, message));
  });

  it('fails where another process has the directory', async () => {
    await expect(runKeyHolder(await configure(1))).rejects.toThrow(coded('CONFIG_INVALID', /in use/));
  });
});
