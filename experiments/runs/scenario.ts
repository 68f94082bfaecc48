/**
 * Who takes part in one run of an experiment, and with which rows: data set, split and clients for one seed.
 *
 * Harness: everybody's rows in one place, because a public table is dealt to pretended owners. The split depends on the
 * data set, its rule and the seed alone, so runs with the same seed compare in pairs whatever else they change.
 * May be called by: experiments.
 */
import { dirname, resolve } from 'node:path';
import { ensure } from '../../crypto/error.ts';
import { seededRandom, shuffle } from '../../crypto/random.ts';
import { clientsOf } from '../datasets/clients.ts';
import { type DatasetName, loadCsvDataset, loadDataset } from '../datasets/index.ts';
import { splitOf } from '../datasets/split-rules.ts';
import type { ClientRule, Dataset, SplitRule } from '../datasets/types.ts';
import type { Experiment } from './format.ts';
import { type PersonalPart, personalSplit } from './personal.ts';

export interface ExperimentClient {
  readonly name: string;
  /** Training rows of the data set. */
  readonly rows: readonly number[];
}

export interface ExperimentScenario {
  readonly dataset: Dataset;
  readonly seed: string;
  readonly clients: readonly ExperimentClient[];
  /** Rows that each client would score in a federated evaluation, in the order of `clients`. */
  readonly evaluation: readonly { readonly rows: readonly number[] }[];
  /** Rows of all clients, ascending. */
  readonly train: readonly number[];
  readonly test: readonly number[];
  /** Test people who adapt the model to their first rows, where the experiment asks for it. */
  readonly people: readonly PersonalPart[];
}

/** @param file the experiment file's own path: a schema or CSV is named relative to it. */
export async function loadExperimentDataset(
  { dataset }: Experiment,
  file: string,
  dataRoot: string | undefined,
): Promise<Dataset> {
  if ('schema' in dataset) {
    const from = (path: string) => resolve(dirname(file), path);
    return await loadCsvDataset(
      from(dataset.schema),
      dataset.csv === undefined ? {} : { csv: from(dataset.csv) },
    );
  }
  const { name, rows, seed } = { rows: undefined, seed: undefined, ...dataset };
  return await loadDataset(name as DatasetName, {
    dataRoot,
    ...(rows === undefined ? {} : { syntheticRows: rows }),
    ...(seed === undefined ? {} : { seed }),
  });
}

/** @param seedIndex position of the seed in the experiment's list: chooses the fold where the file names none. */
export function scenarioOf(
  experiment: Experiment,
  dataset: Dataset,
  seed: string,
  seedIndex: number,
): ExperimentScenario {
  const split = splitFor(experiment, dataset, seed, seedIndex);
  const clients = clientsFor(experiment, dataset, seed, split.train);
  ensure(
    clients.length >= 2,
    'CONFIG_INVALID',
    `${dataset.definition.name} has ${clients.length} client with training rows: choose clients: {by: row} or dirichlet`,
  );
  const train = clients.flatMap(({ rows }) => rows).sort((a, b) => a - b);
  const evaluation = evaluationOf(experiment, dataset, clients, split.test);
  const { personal } = experiment.evaluation;
  const { test, people } = personal
    ? personalSplit(dataset, split.test, amountOf(personal))
    : { test: split.test, people: [] };
  return { dataset, seed, clients, evaluation, train, test, people };
}

/** Hospitals score the rows that they keep out of training; a phone has only what it trains on. */
function evaluationOf(
  { clients: rule }: Experiment,
  dataset: Dataset,
  clients: readonly ExperimentClient[],
  test: readonly number[],
): readonly { readonly rows: readonly number[] }[] {
  if ((rule?.by ?? dataset.definition.clients.by) !== 'site') return clients;
  const kept = new Map(clientsOf(dataset, { kind: 'site' }, test).map(({ name, rows }) => [name, rows]));
  return clients.map(({ name }) => ({ rows: kept.get(name) ?? [] }));
}

const amountOf = ({ share = 0.5, rows }: { share?: number | undefined; rows?: number | undefined }) =>
  rows === undefined ? { share } : { rows };

function splitFor({ split }: Experiment, dataset: Dataset, seed: string, seedIndex: number) {
  if (split?.rule === 'by-person' && split.fold === undefined) {
    // So many seeds in a row share one deal of the people: each person is tested once in them.
    const { rule, folds } = split;
    const deal = `folds/${Math.floor(seedIndex / folds)}`;
    return splitOf(dataset, deal, { rule, folds, fold: seedIndex % folds });
  }
  return splitOf(dataset, seed, split ? ruleOf(split) : dataset.definition.split);
}

function ruleOf(split: NonNullable<Experiment['split']>): SplitRule {
  if (split.rule === 'by-person') return { rule: 'by-person', folds: split.folds, fold: split.fold ?? 0 };
  if (split.rule === 'per-site' || split.rule === 'random')
    return { rule: split.rule, ...(split.share === undefined ? {} : { share: split.share }) };
  return split;
}

function clientsFor(
  { clients }: Experiment,
  dataset: Dataset,
  seed: string,
  train: readonly number[],
): readonly ExperimentClient[] {
  const all = clientsOf(dataset, clientRuleOf(clients, dataset, seed), train);
  const count = clients && 'count' in clients && clients.by !== 'dirichlet' ? clients.count : undefined;
  if (count === undefined) return all;
  ensure(
    count <= all.length,
    'CONFIG_INVALID',
    `clients.count ${count}: the training rows make ${all.length} clients`,
  );
  return shuffle([...all], seededRandom(`clients/${seed}`)).slice(0, count);
}

function clientRuleOf(clients: Experiment['clients'], { definition }: Dataset, seed: string): ClientRule {
  if (clients?.by === 'dirichlet')
    return { kind: 'dirichlet', alpha: clients.alpha, clients: clients.count, seed };
  const kind = clients?.by ?? definition.clients.by;
  ensure(kind !== 'dirichlet', 'CONFIG_INVALID', 'clients: say {by: dirichlet, alpha: …, count: …}');
  return { kind };
}
