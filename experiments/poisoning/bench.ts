/**
 * `pulsefold bench poisoning`: AUC under 0–20 % malicious clients (label flips, boosted updates, backdoors), for one sum
 * (FedAvg) and for group sums combined robustly, without noise; and what groups cost under a stated ε.
 *
 * Every figure is the mean test AUC over seeds; harness, `seal: none`, noise seeded and not private. Deterministic.
 * May be called by: cli/commands/bench.ts.
 */
import { mean } from '../bench/measuring.ts';
import { type Dataset, findDataRoot, loadDataset } from '../datasets/index.ts';
import { splitPersons } from '../datasets/splits.ts';
import { type PlanSettings, poisoningPlan, type Rule } from './plans.ts';
import { type Attack, type Outcome, type Population, poisonedOutcome } from './study.ts';

export interface PoisoningOptions {
  readonly clients: number;
  readonly seeds: number;
  readonly dataRoot?: string;
  readonly onRow?: (row: PoisoningRow) => void;
  readonly onProgress?: (done: number, total: number) => void;
}

export interface PoisoningRow {
  readonly bench: 'poisoning';
  readonly dataset: string;
  readonly clients: number;
  readonly rule: Rule;
  /** 1: one sum. */
  readonly groups: number;
  readonly attack: Attack;
  /** The attackers' best of those tried; 1: none. */
  readonly boost: number;
  readonly malicious: number;
  readonly malicious_share: number;
  /** Expected share of groups with at least one malicious client, if the partition is fair. */
  readonly spoiled_groups_share: number;
  readonly epsilon: number | null;
  readonly auc: number;
  readonly auc_min: number;
  readonly auc_max: number;
  /** Share of ill people called healthy once their rows carry the backdoor's trigger; mean over seeds. */
  readonly missed_with_trigger: number;
  readonly seeds: number;
}

export const MALICIOUS_SHARES = [0, 0.01, 0.02, 0.05, 0.1, 0.2] as const;
/**
 * Boosts that the attackers try; the figure is their best. A filter lets small ones pass, a sum falls to the largest:
 * model replacement, where one client outweighs the cohort. Beyond 1,000 the integers of a device end.
 */
const boostsOf = ({ clients }: PlanSettings): number[] => [4, 8, 12, 20, Math.min(1000, clients)];
/** Privacy needs large groups, so few malicious clients can be borne: counts, not shares. */
export const MALICIOUS_COUNTS_PRIVATE = [0, 1, 3, 6] as const;
const PRIVATE_CLIENTS_FACTOR = 10;
const PRIVATE_GROUPS = 20;
/** What a plan allows (protos/plan.ts). */
const GROUPS_MAX = 64;
const TEST_ROWS = 4000;
/** Rules that the backdoor is tried on. */
const BACKDOORED: readonly Rule[] = ['fedavg', 'median', 'norm-filter'];

interface Condition {
  readonly settings: PlanSettings;
  readonly attack: Attack;
  readonly malicious: number;
}

function conditions(clients: number): Condition[] {
  const groupsOfSize = (size: number) => Math.min(GROUPS_MAX, Math.floor(clients / size));
  const small = groupsOfSize(5);
  const large = groupsOfSize(10);
  const open: PlanSettings[] = [
    { clients, rule: 'fedavg', groups: 1, epsilon: null },
    { clients, rule: 'median', groups: large, epsilon: null },
    { clients, rule: 'median', groups: small, epsilon: null },
    { clients, rule: 'trimmed-mean', groups: small, epsilon: null },
    { clients, rule: 'norm-filter', groups: small, epsilon: null },
  ];
  const many = clients * PRIVATE_CLIENTS_FACTOR;
  const closed: PlanSettings[] = [8, 3].flatMap((epsilon) => [
    { clients: many, rule: 'fedavg', groups: 1, epsilon },
    { clients: many, rule: 'median', groups: PRIVATE_GROUPS, epsilon },
    { clients: many, rule: 'norm-filter', groups: PRIVATE_GROUPS, epsilon },
  ]);
  return [
    ...(['boosted', 'label-flip'] as const).flatMap((attack) =>
      open.flatMap((settings) =>
        MALICIOUS_SHARES.map((share) => ({ settings, attack, malicious: Math.round(share * clients) })),
      ),
    ),
    ...BACKDOORED.flatMap((rule) =>
      MALICIOUS_SHARES.map((share) => ({
        settings: open.find((settings) => settings.rule === rule && [1, small].includes(settings.groups))!,
        attack: 'backdoor' as const,
        malicious: Math.round(share * clients),
      })),
    ),
    ...closed.flatMap((settings) =>
      MALICIOUS_COUNTS_PRIVATE.map((malicious) => ({ settings, attack: 'boosted' as const, malicious })),
    ),
  ];
}

/** @throws DATA_MISSING where the data set is not there. */
export async function runPoisoningBench(options: PoisoningOptions): Promise<PoisoningRow[]> {
  const dataset = await loadDataset('cardio', { dataRoot: findDataRoot(options.dataRoot) });
  const all = conditions(options.clients);
  const rows: PoisoningRow[] = [];
  let done = 0;
  for (const condition of all) {
    const { settings, attack, malicious } = condition;
    const boosts = attack !== 'label-flip' && malicious > 0 ? boostsOf(settings) : [1];
    const tried: { boost: number; aucs: number[]; missed: number }[] = [];
    for (const [i, boost] of boosts.entries()) {
      const outcomes = await outcomesOf(dataset, condition, boost, options.seeds);
      const missed = mean(outcomes.map(({ missedWithTrigger }) => missedWithTrigger));
      tried.push({ boost, aucs: outcomes.map(({ auc }) => auc), missed });
      options.onProgress?.(done + (i + 1) / boosts.length, all.length);
    }
    done++;
    const worst = tried.reduce((a, b) =>
      (attack === 'backdoor' ? b.missed > a.missed : mean(b.aucs) < mean(a.aucs)) ? b : a,
    );
    const row: PoisoningRow = {
      bench: 'poisoning',
      dataset: 'cardio',
      clients: settings.clients,
      rule: settings.rule,
      groups: settings.groups,
      attack,
      boost: worst.boost,
      malicious,
      malicious_share: malicious / settings.clients,
      spoiled_groups_share: spoiledShare(settings, malicious),
      epsilon: settings.epsilon,
      auc: mean(worst.aucs),
      auc_min: Math.min(...worst.aucs),
      auc_max: Math.max(...worst.aucs),
      missed_with_trigger: Number(worst.missed.toFixed(4)),
      seeds: options.seeds,
    };
    rows.push(row);
    options.onRow?.(row);
  }
  return rows;
}

async function outcomesOf(
  dataset: Dataset,
  { settings, attack, malicious }: Condition,
  boost: number,
  seeds: number,
): Promise<Outcome[]> {
  const parsed = poisoningPlan(dataset, settings);
  const outcomes: Outcome[] = [];
  for (let seed = 0; seed < seeds; seed++) {
    const { clients, test } = splitPersons(dataset, `poisoning/${seed}`, settings.clients);
    const population: Population = { dataset, clients, test: sampled(test) };
    const condition = { parsed, attack, malicious, boost, seed: String(seed) };
    outcomes.push(await poisonedOutcome(population, condition));
  }
  return outcomes;
}

/** The same test rows for every run. */
const sampled = (test: readonly number[]): number[] => {
  const step = Math.max(1, Math.floor(test.length / TEST_ROWS));
  return test.filter((_, i) => i % step === 0);
};

/** 1 − C(N−m, b)/C(N, b): a group of m among N clients, b of them malicious. */
export function spoiledShare({ clients, groups }: PlanSettings, malicious: number): number {
  const size = Math.floor(clients / groups);
  let clean = 1;
  for (let i = 0; i < size; i++) clean *= Math.max(0, (clients - malicious - i) / (clients - i));
  return Number((1 - clean).toFixed(4));
}
