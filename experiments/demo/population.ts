/**
 * Writes a population of clients to disk: each with its own rows, token, vault key and configuration file.
 *
 * For: the demo and e2e runs. This is the only place that sees everybody's rows, because it is what splits a public
 * data set into pretended owners.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { toHex } from '../../crypto/bytes.ts';
import { randomBytes } from '../../crypto/random.ts';
import { type Dataset, localTableCsv } from '../datasets/index.ts';
import type { HostedClient } from './client-host.ts';
import type { Deployment } from './deployment.ts';

export interface ClientRows {
  readonly name: string;
  readonly train: readonly number[];
  /** Rows that a federated evaluation may score; the client keeps them out of training. */
  readonly evaluation?: readonly number[];
}

export interface PopulationOptions {
  readonly deployment: Deployment;
  readonly dataset: Dataset;
  readonly directory: string;
  readonly clients: readonly ClientRows[];
  /** The clients' own limits; they refuse anything beyond, whatever the plan says. */
  readonly budget: { readonly epsilon: string; readonly delta: string };
  /** What the plan protects; null: no differential privacy (--no-dp), which the pretended owners then allow. */
  readonly unit: 'person' | 'record' | null;
  readonly planHash: string;
}

export function writePopulation(options: PopulationOptions): HostedClient[] {
  const { deployment, directory } = options;
  return options.clients.map((client) => {
    const home = join(directory, client.name);
    mkdirSync(home, { recursive: true, mode: 0o700 });
    const write = (file: string, text: string) => writeFileSync(join(home, file), text, { mode: 0o600 });
    write('train.csv', localTableCsv(options.dataset, client.train));
    if (client.evaluation) write('evaluation.csv', localTableCsv(options.dataset, client.evaluation));
    // Stands for the phone's key store: the vault opens with this key, not with a typed passphrase.
    write('vault.key', `${toHex(randomBytes(32))}\n`);
    write('client.yaml', stringify(clientConfig(options, client, deployment)));
    return { name: client.name, configFile: join(home, 'client.yaml') };
  });
}

function clientConfig(options: PopulationOptions, client: ClientRows, deployment: Deployment): object {
  const { addresses, approver } = deployment;
  return {
    suite: deployment.options.suite,
    directory: 'vault',
    coordinator: { address: addresses.coordinator },
    registrar: { ca: join(deployment.options.directory, 'ca.pem'), address: addresses.registrar },
    enrolment: { address: addresses.enrolment, token: deployment.clientToken() },
    passphrase: { keyFile: 'vault.key' },
    data: { train: 'train.csv', ...(client.evaluation ? { evaluation: 'evaluation.csv' } : {}) },
    approvers: { required: 1, pinned: [{ id: approver.id, publicKey: toHex(approver.key.publicKey) }] },
    budget: {
      epsilon: options.budget.epsilon,
      delta: options.budget.delta,
      // A client's own consent: phones take plans that protect the person, hospitals such that protect a record.
      ...(options.unit === null ? { allowWithoutPrivacy: true } : { units: [options.unit] }),
    },
    plan: { hash: options.planHash },
    // Rounds may wait for a killed coordinator or a missing key holder; the receipts come after that.
    timing: { receiptPatienceMs: 120_000 },
  };
}
