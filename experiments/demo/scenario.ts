/**
 * What a demo runs on each data set: who the clients are, which plan they get. Hyper-parameters were found by
 * experiments/bench/heart-study.ts and its like on public data and are stated here, not tuned at run time.
 *
 * For: experiments/demo. May be called by: demo.ts, experiments/e2e.
 */
import { ensure } from '../../crypto/error.ts';
import type { SuiteName } from '../../crypto/identity/suite.ts';
import { seededRandom, shuffle } from '../../crypto/random.ts';
import { inputCount } from '../../protos/features.ts';
import { finishPlan, type ParsedPlan } from '../../protos/plan.ts';
import { bySite, splitPerSite, splitPersons } from '../datasets/splits.ts';
import type { Dataset } from '../datasets/types.ts';
import { calibratedPlan, type PrivacyDraft } from '../runs/calibrate.ts';
import type { DemoOptions } from './options.ts';
import type { ClientRows } from './population.ts';

export interface Scenario {
  readonly dataset: Dataset;
  readonly clients: readonly ClientRows[];
  readonly train: readonly number[];
  readonly test: readonly number[];
  readonly unit: 'person' | 'record';
  /** Client-host processes. */
  readonly hosts: number;
}

const DEFAULT_PHONES: Readonly<Record<string, number>> = { cardio: 300, 'synthetic-band': 200 };
/** Data sets with a single site are dealt to this many pretended hospitals. */
const SHARDS = 4;

export function scenarioOf(dataset: Dataset, options: DemoOptions, seed: string): Scenario {
  const { name, unit } = dataset.definition;
  if (unit === 'person') {
    const count = options.clients ?? DEFAULT_PHONES[name] ?? 200;
    const split = splitPersons(dataset, seed, count);
    const clients = split.clients.map((row, index) => ({
      name: `phone-${String(index + 1).padStart(4, '0')}`,
      train: [row],
      ...(options.evaluation === 'federated' ? { evaluation: [row] } : {}),
    }));
    return { dataset, clients, train: [...split.clients], test: split.test, unit, hosts: 4 };
  }
  const split = splitPerSite(dataset, seed);
  const train = hospitalsOf(dataset, split.train, seed);
  const test = hospitalsOf(dataset, split.test, seed);
  const clients = [...train].map(([site, rows]) => ({
    name: `hospital-${site.toLowerCase().replace(/[^a-z0-9]+/g, '-')}`,
    train: rows,
    ...(options.evaluation === 'federated' ? { evaluation: test.get(site) ?? [] } : {}),
  }));
  return { dataset, clients, train: split.train, test: split.test, unit, hosts: Math.min(4, clients.length) };
}

/** By site; fewer than three sites are dealt evenly into shards, because a cohort needs at least three. */
function hospitalsOf(dataset: Dataset, rows: readonly number[], seed: string): Map<string, number[]> {
  const sites = bySite(dataset, rows);
  if (sites.size >= 3) return sites;
  const shards = new Map<string, number[]>();
  shuffle([...rows], seededRandom(`shards/${seed}`)).forEach((row, index) => {
    const name = `shard-${(index % SHARDS) + 1}`;
    shards.set(
      name,
      [...(shards.get(name) ?? []), row].sort((a, b) => a - b),
    );
  });
  return shards;
}

export interface PlanParties {
  readonly holders: readonly {
    readonly id: string;
    readonly signingPublicKey: string;
    readonly sealingPublicKey: string;
  }[];
  readonly registrarSha256: string;
  readonly coordinatorPublicKey: string;
}

export interface PlanRequest {
  readonly scenario: Scenario;
  readonly options: DemoOptions;
  readonly parties: PlanParties;
  readonly suite: SuiteName;
  readonly seed: string;
}

/** The demo's people are made up or public records; they consent by themselves (client-host.ts). */
const DEMO_CONSENT = {
  required: true,
  controller: 'Whoever runs this demo',
  contact: 'this machine',
  retentionDays: 30,
} as const;

/** The plan of a demo run, its noise calibrated so that the stated ε holds for the smallest cohort. */
export function planOf(request: PlanRequest): ParsedPlan {
  const { scenario, options } = request;
  const base = scenario.unit === 'record' ? recordPlan(request) : personPlan(request);
  const draft = {
    version: 1,
    name: `${scenario.dataset.definition.name}-${options.dp ? 'dp' : 'no-dp'}`,
    purpose: `Demo: ${scenario.dataset.definition.title}. Research data, not for diagnosis.`,
    consent: DEMO_CONSENT,
    suite: request.suite,
    aggregation: aggregationOf(scenario, options),
    seed: request.seed,
    features: scenario.dataset.schema,
    model: modelOf(request),
    evaluation: { path: options.evaluation, bins: 20 },
    ...request.parties,
    ...base,
  };
  if (!options.dp) return finishPlan({ ...draft, privacy: null });
  return calibratedPlan(draft, base.privacy);
}

function aggregationOf({ unit }: Scenario, { transport, groups, combine = 'norm-filter' }: DemoOptions) {
  if (groups === undefined) return { transport };
  ensure(
    unit === 'person',
    'CONFIG_INVALID',
    'groups are for phones, one person each: choose --dataset cardio or synthetic-band, or leave --groups out',
  );
  return { transport, groups: { count: groups, combine } };
}

function modelOf({ scenario, options }: PlanRequest): object {
  const inputs = inputCount(scenario.dataset.schema);
  return options.model === 'mlp'
    ? { kind: 'mlp', inputs, hidden: [16], activation: 'tanh' }
    : { kind: 'lr', inputs, hidden: [], activation: 'relu' };
}

/** Hospitals: K_min 3, one of them may be corrupt, so two noise shares count (DESIGN §1). */
function recordPlan({ scenario, options }: PlanRequest) {
  const clients = scenario.clients.length;
  ensure(clients >= 3, 'CONFIG_INVALID', 'a record-unit plan needs at least three hospitals');
  const largest = Math.max(...scenario.clients.map((client) => client.train.length));
  const rate = options.dp ? '1/2' : '1';
  // Table sizes are public under this neighbouring relation; coarse numbers all the same.
  const batch = Math.max(10, Math.round(scenario.train.length / 20) * 10);
  // A public bound on the size of a hospital's tables, rounded up.
  const recordsMax = Math.ceil(largest / 100) * 100 + 100;
  return {
    training: options.dp
      ? { ...GRADIENT_TRAINING, ...serverSettings(options, GRADIENT_SERVER) }
      : { ...HOSPITAL_TRAINING, ...serverSettings(options, HOSPITAL_SERVER) },
    rounds: {
      training: options.rounds ?? 6,
      evaluation: options.evaluation === 'federated' ? 1 : 0,
      spare: 2,
      cohortMin: 3,
      cohortTarget: clients,
      cohortMax: Math.max(4, clients),
      checkInWindowMs: 3000,
      deadlineMs: 30_000,
      stragglerMs: 4000,
      holderDeadlineMs: 20_000,
    },
    eligibility: { recordsMin: 10, recordsMax },
    mechanism: options.dp
      ? { clip: '1', unitsPerClip: 1, expectedBatch: String(batch), recordsMax }
      : { clip: '4', unitsPerClip: 2 ** 20, recordsMax },
    privacy: {
      unit: 'record',
      epsilon: options.epsilon ?? '3',
      delta: '0.00001',
      gamma: '1/3',
      samplingRate: rate,
    } satisfies PrivacyDraft,
  };
}

/** Record unit: one round is one DP-SGD step; the client's epochs and rate are not used. */
const GRADIENT_TRAINING = { epochs: 1, batchSize: 1, learningRate: 1 };
const GRADIENT_SERVER = {
  strategy: 'fedadam',
  serverLearningRate: 0.6,
  serverMomentum: 0.3,
  beta2: 0.9,
  tau: 0.03,
} as const;
const HOSPITAL_TRAINING = { epochs: 5, batchSize: 16, learningRate: 0.3 };
const HOSPITAL_SERVER = { strategy: 'fedavgm', serverLearningRate: 1, serverMomentum: 0.5 } as const;
const PHONE_TRAINING = { epochs: 5, batchSize: 1, learningRate: 1 };
const PHONE_SERVER = { strategy: 'fedavg', serverLearningRate: 3 } as const;

/** The data set's own server settings, or those of the strategy that was asked for. */
function serverSettings(
  options: DemoOptions,
  usual: { readonly strategy: string; readonly serverLearningRate: number },
): object {
  const { strategy } = options;
  if (strategy === undefined || strategy === usual.strategy) return usual;
  // An adaptive step is about its learning rate in size, a plain one that times the gradient.
  const serverLearningRate = usual.strategy === 'fedadam' ? 4 : usual.serverLearningRate;
  if (strategy === 'fedadam')
    return { strategy, serverLearningRate: 0.1, serverMomentum: 0.9, beta2: 0.99, tau: 0.001 };
  if (strategy === 'fedavgm') return { strategy, serverLearningRate, serverMomentum: 0.5 };
  return { strategy, serverLearningRate, ...(strategy === 'fedprox' ? { proximalMu: 0.01 } : {}) };
}

/** Phones: one person each; the cohort may lose a third and still release. */
function personPlan({ scenario, options }: PlanRequest) {
  const clients = scenario.clients.length;
  const cohortMin = Math.max(3, Math.floor((clients * 2) / 3));
  return {
    training: { ...PHONE_TRAINING, ...serverSettings(options, PHONE_SERVER) },
    rounds: {
      training: options.rounds ?? 3,
      evaluation: options.evaluation === 'federated' ? 1 : 0,
      spare: 2,
      cohortMin,
      cohortTarget: clients,
      cohortMax: clients,
      checkInWindowMs: 3000,
      deadlineMs: 60_000,
      stragglerMs: 4000,
      holderDeadlineMs: 20_000,
    },
    eligibility: { recordsMin: 1, recordsMax: 100 },
    mechanism: options.dp ? { clip: '2', unitsPerClip: 1 } : { clip: '4', unitsPerClip: 2 ** 20 },
    privacy: {
      unit: 'person',
      epsilon: options.epsilon ?? '8',
      delta: '0.00001',
      gamma: '1/10',
      samplingRate: '1',
    } satisfies PrivacyDraft,
  };
}
