/**
 * `pulsefold bench attacks`: what gradient inversion and membership inference get out of a plain update, out of the
 * sum of K clients, and out of such a sum with noise. What each layer buys, in one table.
 *
 * cardio, one row one person one client, the first round: the attacker's best, because the model is known and the
 * updates are at their largest. Harness, `seal: none`, noise seeded and not private. Deterministic.
 * May be called by: cli/commands/bench-attacks.ts.
 */
import { type RandomSource, seededRandom, shuffle, uniform } from '../../crypto/random.ts';
import { type Dataset, findDataRoot, loadDataset } from '../datasets/index.ts';
import { poisoningPlan } from '../poisoning/plans.ts';
import { inversion, type Sighting } from './inversion.ts';
import { attackAuc, score, truePositives, truePositivesBound } from './membership.ts';
import { type Observation, openedUpdate, plainUpdate } from './observe.ts';

/** `plain`: an update as ordinary federated learning sends it. */
export type Layer = 'plain' | 'sum' | 'sum+noise';

export interface AttackRow {
  readonly bench: 'attacks';
  readonly dataset: 'cardio';
  readonly layer: Layer;
  readonly clients: number;
  /** Of the whole plan of five rounds; null without noise. */
  readonly epsilon: number | null;
  /** Share of the victim's inputs that is read, 0 to 1, and by which attack. */
  readonly inversion_explained: number;
  readonly inversion_attack: 'ratio' | 'shadow';
  /** An attacker that knows nobody else in the cohort. */
  readonly membership_auc: number;
  /** One that knows everybody else. */
  readonly membership_auc_informed: number;
  readonly membership_tpr_informed: number;
  /** What the plan's ε allows at that false positive rate; null: nothing bounds it. */
  readonly membership_tpr_bound: number | null;
  readonly trials: number;
}

export interface AttackOptions {
  readonly trials: number;
  readonly dataRoot?: string;
  readonly onRow?: (row: AttackRow) => void;
  readonly onProgress?: (done: number, total: number) => void;
}

export const FALSE_POSITIVES = 0.01;
const DELTA = 1e-5;

export const CONDITIONS: readonly { layer: Layer; clients: number; epsilon: number | null }[] = [
  { layer: 'plain', clients: 1, epsilon: null },
  { layer: 'sum', clients: 10, epsilon: null },
  { layer: 'sum', clients: 100, epsilon: null },
  { layer: 'sum', clients: 1000, epsilon: null },
  { layer: 'sum+noise', clients: 1000, epsilon: 8 },
  { layer: 'sum+noise', clients: 1000, epsilon: 3 },
  { layer: 'sum+noise', clients: 1000, epsilon: 1 },
];

/** @throws NOT_FOUND where the data set is not there. */
export async function runAttackBench(options: AttackOptions): Promise<AttackRow[]> {
  const dataset = await loadDataset('cardio', { dataRoot: findDataRoot(options.dataRoot) });
  const rows: AttackRow[] = [];
  for (const [i, condition] of CONDITIONS.entries()) {
    const random = seededRandom(`attacks/${condition.layer}/${condition.clients}/${condition.epsilon}`);
    const row = await attackOne(dataset, condition, options.trials, random, (share) =>
      options.onProgress?.(i + share, CONDITIONS.length),
    );
    rows.push(row);
    options.onRow?.(row);
  }
  return rows;
}

interface Trial extends Sighting {
  readonly update: Float64Array;
  /** The opened vector of the same cohort without the victim. */
  readonly without: Float64Array;
  /** Updates of everybody else, clipped by nothing: the plan's clip lets them all pass. */
  readonly known: Float64Array;
}

async function attackOne(
  dataset: Dataset,
  condition: (typeof CONDITIONS)[number],
  trials: number,
  random: RandomSource,
  onShare: (share: number) => void,
): Promise<AttackRow> {
  const { layer, clients, epsilon } = condition;
  const parsed = poisoningPlan(dataset, {
    clients: Math.max(2, clients),
    rule: 'fedavg',
    groups: 1,
    epsilon,
  });
  const observation: Observation = { parsed, dataset, random };
  const all: Trial[] = [];
  for (let t = 0; t < 2 * trials; t++) {
    all.push(await trialOf(observation, layer, clients));
    onShare((t + 1) / (2 * trials));
  }
  // The first half is the attacker's own: what it fits on never meets the victims.
  const [shadows, victims] = [all.slice(0, trials), all.slice(trials)];
  const inverted = inversion(shadows, victims);
  const blind = {
    members: all.map(({ seen, update }) => score(seen, update)),
    others: all.map(({ without, update }) => score(without, update)),
  };
  const informed = {
    members: all.map(({ seen, known, update }) => score(minus(seen, known), update)),
    others: all.map(({ without, known, update }) => score(minus(without, known), update)),
  };
  return {
    bench: 'attacks',
    dataset: 'cardio',
    layer,
    clients,
    epsilon,
    inversion_explained: rounded(inverted.explained),
    inversion_attack: inverted.attack,
    membership_auc: rounded(attackAuc(blind)),
    membership_auc_informed: rounded(attackAuc(informed)),
    membership_tpr_informed: rounded(truePositives(informed, FALSE_POSITIVES)),
    membership_tpr_bound:
      epsilon === null ? null : rounded(truePositivesBound(epsilon, DELTA, FALSE_POSITIVES)),
    trials: 2 * trials,
  };
}

async function trialOf(observation: Observation, layer: Layer, clients: number): Promise<Trial> {
  const { dataset } = observation;
  const [victim, ...others] = drawn(dataset.count, clients + 1, observation.random);
  const cohort = others.slice(0, clients - 1);
  const update = await plainUpdate(observation, victim!);
  const truth = Float64Array.from(
    dataset.features.subarray(victim! * dataset.inputs, (victim! + 1) * dataset.inputs),
  );
  if (layer === 'plain') {
    // Somebody else's update in place of the victim's: there is no cohort to be missing from.
    const without = await plainUpdate(observation, others[0]!);
    return { seen: update, truth, update, without, known: new Float64Array(update.length) };
  }
  const known = new Float64Array(update.length);
  for (const row of cohort) {
    const theirs = await plainUpdate(observation, row);
    for (let i = 0; i < known.length; i++) known[i] = known[i]! + theirs[i]!;
  }
  const seen = await openedUpdate(observation, [victim!, ...cohort]);
  const without = await openedUpdate(observation, cohort);
  return { seen, truth, update, without, known };
}

const minus = (a: Float64Array, b: Float64Array): Float64Array => a.map((value, i) => value - b[i]!);

/** Distinct rows. */
function drawn(count: number, wanted: number, random: RandomSource): number[] {
  const chosen = new Set<number>();
  while (chosen.size < wanted) chosen.add(Math.floor(uniform(random) * count));
  return shuffle([...chosen], random);
}

const rounded = (value: number): number => Number(value.toFixed(4));
