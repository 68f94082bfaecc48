/**
 * `pulsefold client join`: from a configuration file to an agent that takes part.
 *
 * Enrols on the first start, then opens vault, channel, data and engine and joins. Trusts: the configuration.
 * May be called by: cli/; `openClient` also by rights.ts and experiments/ (which may pass its own sealer, a thing no configuration
 * and no option of `runClient` can do).
 */
import { readFile } from 'node:fs/promises';
import { fromHex } from '../../crypto/bytes.ts';
import { ensure, isPulsefoldError, PulsefoldError } from '../../crypto/error.ts';
import { certificateDer } from '../../crypto/identity/certificate.ts';
import type { SealingSecret } from '../../crypto/identity/sealed-file.ts';
import { parseTlogPolicy, type TlogPolicy } from '../../crypto/log/tlog-policy.ts';
import type { Plan } from '../../protos/plan.ts';
import { enrol } from '../../protos/transport/enrol.ts';
import type { IdentityBundle } from '../../protos/transport/identity-bundle.ts';
import { readPassphrase } from '../../protos/transport/identity-store.ts';
import { loadLocalData } from '../sources/local-data.ts';
import { loadTrainEngine, type TrainEngine } from '../training/engine.ts';
import { openOrCreateVault, type Vault } from '../vault/vault.ts';
import { ClientAgent, type JoinSummary, type Logger } from './agent.ts';
import { type ClientConfig, readClientConfig } from './config.ts';
import type { DeviceData } from './eligibility.ts';
import { openRounds } from './grpc-rounds.ts';
import { loadSealer, type Sealer } from './seal.ts';
import { type ClientStore, openVaultStore } from './store.ts';

export interface RunClientOptions {
  readonly logger?: Logger;
  readonly signal?: AbortSignal;
  /** Shared by the agents of one process; loaded by `config.engines` when absent. */
  readonly engine?: TrainEngine;
}

/** Joins the coordinator's plan as the configuration says. Throws CONFIG_INVALID, TOKEN_*, and what the agent throws. */
export async function runClient(configPath: string, options: RunClientOptions = {}): Promise<JoinSummary> {
  const { logger, signal, engine } = options;
  const client = await openClient(await readClientConfig(configPath), {
    ...(logger ? { logger } : {}),
    ...(signal ? { signal } : {}),
    ...(engine ? { engine } : {}),
  });
  try {
    return await client.agent.join();
  } finally {
    await client.close();
  }
}

export interface OpenedClient {
  readonly agent: ClientAgent;
  readonly engine: TrainEngine;
  readonly vault: Vault;
  readonly identity: IdentityBundle;
  readonly store: ClientStore;
  close(): Promise<void>;
}

/** Everything `runClient` does short of joining. */
export async function openClient(
  config: ClientConfig,
  options: RunClientOptions & { readonly sealer?: Sealer; readonly withoutData?: boolean } = {},
): Promise<OpenedClient> {
  const { logger, signal } = options;
  const caPem = await readNamed(
    config.registrar.ca,
    'registrar.ca',
    'the CA certificate that the registrar published',
  );
  const vault = await openOrCreateVault(config.directory, config.suite, await vaultSecret(config));
  // The lock comes before enrolment: two agents must not spend the token of one directory.
  const store = await openVaultStore(vault);
  try {
    const identity = await identityOf(config, vault, caPem);
    const engine = options.engine ?? (await loadTrainEngine(config.engines));
    const sealer = options.sealer ?? (await loadSealer());
    const rounds = openRounds(config.coordinator.address, identity, signal);
    const agent = new ClientAgent({
      identity,
      policy: { ...config.approvers, approvers: config.approvers.pinned },
      pins: { registrarCa: certificateDer(caPem), planHash: config.plan.hash, planName: config.plan.name },
      limits: config.budget,
      data: options.withoutData ? NO_DATA : (plan) => loadData(config, plan),
      engine,
      sealer,
      rounds,
      store,
      conditions: () => config.conditions,
      timing: withoutUndefined(config.timing),
      ...(config.log.policy ? { logPolicy: await logPolicyOf(config.log.policy) } : {}),
      continueAfterLogAlarm: config.log.continueAfterAlarm,
      ...(logger ? { logger } : {}),
      ...(signal ? { signal } : {}),
    });
    const close = async (): Promise<void> => {
      rounds.close();
      await store.close();
      vault.close();
    };
    return { agent, engine, vault, identity, store, close };
  } catch (error) {
    await store.close();
    vault.close();
    throw error;
  }
}

/** For a device that comes to leave. */
const NO_DATA: DeviceData = {
  train: { features: new Float32Array(0), labels: new Uint8Array(0), count: 0 },
};

/** Throws CONFIG_INVALID. */
async function logPolicyOf(file: string): Promise<TlogPolicy> {
  const text = await readNamed(file, 'log.policy', 'a tlog-policy');
  try {
    return parseTlogPolicy(text);
  } catch (cause) {
    throw new PulsefoldError('CONFIG_INVALID', `${file} (log.policy): ${(cause as Error).message}`, {
      cause,
    });
  }
}

async function loadData(config: ClientConfig, plan: Plan): Promise<DeviceData> {
  const train = await loadLocalData(config.data.train, plan.features);
  if (config.data.evaluation === undefined) return { train };
  return { train, evaluation: await loadLocalData(config.data.evaluation, plan.features) };
}

async function vaultSecret({ passphrase }: ClientConfig): Promise<SealingSecret> {
  const { env, file, keyFile } = passphrase;
  if (keyFile === undefined) return { passphrase: await readPassphrase({ env, file }) };
  const text = (
    await readNamed(keyFile, 'passphrase.keyFile', '32 random bytes as 64 hexadecimal digits')
  ).trim();
  ensure(
    /^[0-9a-f]{64}$/.test(text),
    'CONFIG_INVALID',
    `${keyFile}: expected 64 lower-case hexadecimal digits`,
  );
  return { key: fromHex(text) };
}

/** The stored identity, or a new one for the configured token. */
async function identityOf(config: ClientConfig, vault: Vault, caPem: string): Promise<IdentityBundle> {
  if (await vault.has('identity')) {
    const identity = await vault.loadIdentity();
    const sameCa = Buffer.compare(certificateDer(identity.caPem), certificateDer(caPem)) === 0;
    ensure(
      sameCa,
      'CONFIG_INVALID',
      `${config.registrar.ca}: this directory enrolled with another registrar (registrar.ca)`,
    );
    return identity;
  }
  const { enrolment } = config;
  ensure(
    enrolment,
    'CONFIG_INVALID',
    `${config.directory} has no identity yet: add enrolment.address and enrolment.token (from the registrar) to enrol`,
  );
  const token =
    enrolment.token ?? (await readNamed(enrolment.tokenFile!, 'enrolment.tokenFile', 'an enrolment token'));
  const identity = await enrol({
    enrolAddress: enrolment.address,
    caPem,
    token: token.trim(),
    role: 'client',
    suite: config.suite,
  });
  await vault.saveIdentity(identity);
  return identity;
}

async function readNamed(path: string, field: string, what: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    if (isPulsefoldError(cause)) throw cause;
    throw new PulsefoldError('CONFIG_INVALID', `${path}: cannot be read (${field}); it should hold ${what}`, {
      cause,
    });
  }
}

type Defined<T> = { [K in keyof T]?: Exclude<T[K], undefined> };
const withoutUndefined = <T extends object>(value: T): Defined<T> =>
  Object.fromEntries(Object.entries(value).filter(([, item]) => item !== undefined)) as Defined<T>;
