/**
 * A person's rights from a configuration file: consent, withdrawal, export, erasure (docs/adr/0037).
 *
 * No data are read, but for an export that asks for them. Trusts: the configuration. May be called by: cli/.
 */
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { isPulsefoldError, PulsefoldError } from '../../crypto/error.ts';
import { getSuite } from '../../crypto/identity/suite.ts';
import type { ConsentReceipt } from '../../protos/consent.ts';
import type { ErasureReceipt } from '../../protos/erasure.ts';
import type { ForgetReceipt } from '../../protos/forget.ts';
import type { PersonExport } from '../../protos/person-export.ts';
import type { WithdrawalReceipt } from '../../protos/withdrawal.ts';
import type { TrainEngine } from '../training/engine.ts';
import { destroyVault, shredFile } from '../vault/destroy.ts';
import { readKeepsakes } from '../vault/keepsakes.ts';
import { readVaultReceipts } from '../vault/receipts.ts';
import type { Logger } from './agent.ts';
import { type ClientConfig, readClientConfig } from './config.ts';
import { type ConsentDisclosure, disclosureOf, giveConsent } from './consent.ts';
import { eraseAtCoordinator, forgetAtRegistrar } from './erase.ts';
import { keepReceipts, type Told } from './erasure-file.ts';
import { personExportOf } from './export.ts';
import { type OpenedClient, openClient } from './join.ts';
import { askSubjectAccess } from './subject-access.ts';
import type { WithdrawalExtent } from './withdraw.ts';

export interface RightsOptions {
  readonly logger?: Logger;
  readonly signal?: AbortSignal;
}

const trainsNothing = (): Promise<never> =>
  Promise.reject(new PulsefoldError('INTERNAL', 'commands about rights train nothing'));
/** Spares a training engine that would not be used. */
const NO_ENGINE: TrainEngine = {
  name: 'tfjs-cpu',
  skipped: [],
  train: trainsNothing,
  recordGradients: trainsNothing,
  predict: trainsNothing,
};

async function withClient<T>(
  config: ClientConfig,
  options: RightsOptions,
  body: (client: OpenedClient) => Promise<T>,
): Promise<T> {
  const client = await openClient(config, { ...options, engine: NO_ENGINE, withoutData: true });
  try {
    return await body(client);
  } finally {
    await client.close();
  }
}

/**
 * Withdraws from the coordinator's present plan, its family or everything: at once and durably on this device, then by a
 * signed statement to the coordinator. Throws what `openClient` and the agent throw.
 */
export const withdrawClient = async (
  configPath: string,
  extent: WithdrawalExtent,
  options: RightsOptions = {},
): Promise<WithdrawalReceipt> =>
  withClient(await readClientConfig(configPath), options, ({ agent }) => agent.withdraw(extent));

export interface ConsentQuestion {
  /** Asked after the plan and its approvals were checked; false: nothing is signed, kept or sent. */
  readonly decide: (disclosure: ConsentDisclosure) => Promise<boolean>;
  readonly expiresMs?: number;
}

/** Shows the present plan and consents if the person says so; null: they did not. */
export const consentClient = async (
  configPath: string,
  { decide, expiresMs }: ConsentQuestion,
  options: RightsOptions = {},
): Promise<ConsentReceipt | null> =>
  withClient(await readClientConfig(configPath), options, async ({ agent }) => {
    const parts = await agent.rights();
    const nowMs = parts.nowMs();
    if (!(await decide(disclosureOf(parts.session.parsed, parts.state, nowMs)))) return null;
    return await giveConsent(parts, expiresMs === undefined ? {} : { expiresMs });
  });

export interface ExportChoice {
  /** The local tables, too. */
  readonly withData: boolean;
  /** Do not ask the coordinator what it holds. */
  readonly offline: boolean;
}

/** Everything about this device's part (protos/person-export.ts). */
export const exportClient = async (
  configPath: string,
  { withData, offline }: ExportChoice,
  options: RightsOptions = {},
): Promise<PersonExport> => {
  const config = await readClientConfig(configPath);
  return withClient(config, options, async ({ agent, vault, identity, store }) => {
    const parts = offline ? undefined : await agent.rights();
    return personExportOf({
      identity,
      suite: getSuite(identity.suite),
      state: parts?.state ?? (await store.loadState()),
      report: parts ? await askSubjectAccess(parts) : undefined,
      receipts: await readVaultReceipts(vault),
      keepsakes: await readKeepsakes(vault),
      data: withData ? await tablesOf(config) : undefined,
      nowMs: Date.now(),
    });
  });
};

async function tablesOf({ data }: ClientConfig): Promise<{ name: string; text: string }[]> {
  const files = data.evaluation === undefined ? [data.train] : [data.train, data.evaluation];
  return Promise.all(
    files.map(async (file) => ({ name: basename(file), text: await readFile(file, 'utf8') })),
  );
}

export interface EraseChoice {
  /** The tables that the configuration names are destroyed, too. */
  readonly withData: boolean;
  /** Where the receipts are written before anything is destroyed. */
  readonly keepReceipt?: string;
  /** The registrar's service for enrolled devices; default: the configuration's. */
  readonly registrar?: string;
  /** Tell nobody: for a coordinator and a registrar that are gone. */
  readonly localOnly: boolean;
}

export interface EraseOutcome {
  readonly coordinator: ErasureReceipt | null;
  readonly registrar: ForgetReceipt | null;
  /** Of the certificate, for a registrar that was not told. */
  readonly serial: string;
  readonly destroyed: readonly string[];
}

/**
 * Has coordinator and registrar forget this device, keeps the receipts if asked, then destroys the vault with its key. A
 * failure before the last step destroys nothing, and the command can be run again. Throws what the steps throw.
 */
export async function eraseClient(
  configPath: string,
  choice: EraseChoice,
  options: RightsOptions = {},
): Promise<EraseOutcome> {
  const config = await readClientConfig(configPath);
  const told = choice.localOnly
    ? { coordinator: null, registrar: null, serial: '' }
    : await withClient(config, options, (client) => tell(client, config, choice));
  if (choice.keepReceipt !== undefined) await keepReceipts(choice.keepReceipt, told);
  const destroyed = await destroy(config, choice.withData);
  return {
    coordinator: told.coordinator?.content ?? null,
    registrar: told.registrar?.content ?? null,
    serial: told.serial,
    destroyed,
  };
}

async function tell(
  { agent, identity }: OpenedClient,
  config: ClientConfig,
  { registrar: address = config.registrar.address, keepReceipt }: EraseChoice,
): Promise<Told> {
  const { serial } = identity;
  const coordinator = await eraseAtCoordinator(await agent.rights());
  // At once: what follows may fail, and this receipt must not be lost with it.
  if (keepReceipt !== undefined) await keepReceipts(keepReceipt, { coordinator, registrar: null, serial });
  if (address === undefined) return { coordinator, registrar: null, serial };
  try {
    return { coordinator, registrar: await forgetAtRegistrar(address, identity, Date.now()), serial };
  } catch (error) {
    if (!isPulsefoldError(error)) throw error;
    throw new PulsefoldError(
      error.code,
      `the coordinator has erased this device, but the registrar at ${address} did not: ${error.message}; nothing ` +
        'is destroyed here yet: run this again, or with --local-only once its operator has revoked the certificate',
      { cause: error },
    );
  }
}

async function destroy(config: ClientConfig, withData: boolean): Promise<string[]> {
  await destroyVault(config.directory);
  const { passphrase, enrolment, data } = config;
  const files = [
    passphrase.keyFile,
    enrolment?.tokenFile,
    ...(withData ? [data.train, data.evaluation] : []),
  ].filter((file) => file !== undefined);
  const gone: string[] = [config.directory];
  for (const file of files) if (await shredFile(file)) gone.push(file);
  return gone;
}
