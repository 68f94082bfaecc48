/**
 * A registrar on real sockets with a directory of its own, for the tests of this folder.
 *
 * For: *.test.ts here only.
 */
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PulsefoldError } from '../crypto/error.ts';
import { type EnrolledRole, generateTlsKey } from '../crypto/identity/certificate.ts';
import type { ScryptParameters } from '../crypto/identity/sealed-file.ts';
import { getSuite, type SuiteName } from '../crypto/identity/suite.ts';
import { openClient, type RpcClient } from '../protos/transport/channel.ts';
import { enrol, parseToken } from '../protos/transport/enrol.ts';
import { enrolStatement, signWithTlsKey } from '../protos/transport/enrolment-messages.ts';
import { channelCredentials } from '../protos/transport/tls.ts';
import { initialiseRegistrar, mintToken, type RunningRegistrar, startRegistrar } from './registrar.ts';

export const PASSPHRASE = 'registrar passphrase for tests';
export const MINUTE = 60_000;
export const scrypt: ScryptParameters = { costLog2: 14, blockSize: 8, parallelism: 1 };

export const codeOf = async (body: () => unknown): Promise<string> => {
  try {
    await body();
  } catch (error) {
    return error instanceof PulsefoldError ? error.code : String(error);
  }
  return 'no error';
};

export interface Fixture {
  dir: string;
  registrar: RunningRegistrar;
  internal: unknown[];
  clock: { skewMs: number };
}

export async function fixture(suite: SuiteName): Promise<Fixture> {
  const dir = await mkdtemp(join(tmpdir(), 'pulsefold-registrar-'));
  const internal: unknown[] = [];
  const clock = { skewMs: 0 };
  await initialiseRegistrar(dir, { suite, passphrase: PASSPHRASE, scrypt });
  const registrar = await startRegistrar({
    directory: dir,
    passphrase: PASSPHRASE,
    enrolAddress: '127.0.0.1:0',
    address: '127.0.0.1:0',
    now: () => Date.now() + clock.skewMs,
    onInternalError: (_method, error) => internal.push(error),
  });
  return { dir, registrar, internal, clock };
}

export const applyWith = (
  f: Fixture,
  token: string,
  role: EnrolledRole = 'client',
  suite: SuiteName = 'intl',
) =>
  enrol({ enrolAddress: `127.0.0.1:${f.registrar.enrolPort}`, caPem: f.registrar.caPem, token, role, suite });

export const enrolled = (f: Fixture, role: EnrolledRole = 'client', suite: SuiteName = 'intl') =>
  applyWith(f, mintToken(f.dir, role, MINUTE), role, suite);

export const address = (f: Fixture) => `127.0.0.1:${f.registrar.port}`;

export async function withClient<Result>(
  rpc: RpcClient,
  body: (rpc: RpcClient) => Promise<Result>,
): Promise<Result> {
  try {
    return await body(rpc);
  } finally {
    rpc.close();
  }
}

export const enrolmentClient = (f: Fixture) =>
  openClient({
    service: 'Enrolment',
    address: `127.0.0.1:${f.registrar.enrolPort}`,
    credentials: channelCredentials({ caPem: f.registrar.caPem, server: { role: 'registrar' } }),
  });

/** A valid request, to be spoilt field by field. */
export async function request(token: string, role: EnrolledRole = 'client') {
  const suite = getSuite('intl');
  const signing = suite.generateSigningKey();
  const sealing = suite.generateSealingKey();
  const { tlsKeyPem, tlsPublicKey } = await generateTlsKey();
  const claims = {
    token: parseToken(token),
    role,
    suite: 'intl' as const,
    signingPublicKey: signing.publicKey,
    sealingPublicKey: sealing.publicKey,
    tlsPublicKey,
  };
  const statement = enrolStatement(claims);
  const signingProof = suite.sign(signing.secretKey, statement);
  return { ...claims, signingProof, tlsProof: signWithTlsKey(tlsKeyPem, statement) };
}
