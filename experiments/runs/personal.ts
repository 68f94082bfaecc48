/**
 * Personalisation for people whom the model has never seen: each test person's first rows adapt the released model on
 * their own device, the later ones test it. Rows that adapt are tested by nobody, so the model before and after compare.
 *
 * May be called by: experiments.
 */
import type { TrainEngine, TrainOptions } from '../../client/training/engine.ts';
import { ensure } from '../../crypto/error.ts';
import { type ModelSpec, outputsOf } from '../../protos/model.ts';
import { subset } from '../datasets/index.ts';
import type { Dataset } from '../datasets/types.ts';

export interface PersonalPart {
  /** Rows of the data set that adapt. */
  readonly adapt: readonly number[];
  /** Positions in the test list of the same person's rows. */
  readonly positions: readonly number[];
}

export interface PersonalSplit {
  readonly test: readonly number[];
  readonly people: readonly PersonalPart[];
}

/** How much of a person's own data adapts: of each label a share of the rows, or so many of them. */
export type AdaptingRows = { readonly share: number } | { readonly rows: number };

/** What trains on a person's device; the pull, where there is one, is towards the released model. */
export type AdaptingOptions = Pick<TrainOptions, 'epochs' | 'batchSize' | 'learningRate' | 'proximalMu'>;

/**
 * Of each person and label the first round(share·n) or `rows` rows, in the order of the data set, adapt; at least one row
 * of a person is left to test. People with a single row are only tested.
 * @param test row indices, ascending
 * @throws CONFIG_INVALID where nobody has two test rows
 */
export function personalSplit(
  dataset: Dataset,
  test: readonly number[],
  amount: AdaptingRows,
): PersonalSplit {
  const people = new Map<string, number[]>();
  for (const row of test) {
    const { person } = dataset.rows[row]!;
    const rows = people.get(person);
    if (rows) rows.push(row);
    else people.set(person, [row]);
  }
  ensure(
    [...people.values()].some((rows) => rows.length > 1),
    'CONFIG_INVALID',
    `evaluation.personal: no person has several test rows in ${dataset.definition.name}; leave it out, or split by-person`,
  );
  const adapting = new Map([...people].map(([person, rows]) => [person, firstOfEach(dataset, rows, amount)]));
  const kept = test.filter((row) => !adapting.get(dataset.rows[row]!.person)!.has(row));
  const positions = new Map<string, number[]>();
  kept.forEach((row, position) => {
    const { person } = dataset.rows[row]!;
    positions.set(person, [...(positions.get(person) ?? []), position]);
  });
  return {
    test: kept,
    people: [...adapting]
      .filter(([, rows]) => rows.size > 0)
      .map(([person, rows]) => ({ adapt: [...rows], positions: positions.get(person) ?? [] })),
  };
}

/** Targets of a regression are no labels to balance by: then simply the first rows. */
function firstOfEach({ labels }: Dataset, rows: readonly number[], amount: AdaptingRows): Set<number> {
  const strata = new Map<number, number[]>();
  for (const row of rows) {
    const label = labels instanceof Float32Array ? 0 : labels[row]!;
    strata.set(label, [...(strata.get(label) ?? []), row]);
  }
  const first = [...strata.values()].flatMap((own) =>
    own.slice(0, 'rows' in amount ? amount.rows : Math.round(amount.share * own.length)),
  );
  return new Set(first.length < rows.length ? first : first.sort((a, b) => a - b).slice(0, -1));
}

export interface Adapting {
  readonly engine: Pick<TrainEngine, 'train' | 'predict'>;
  readonly spec: ModelSpec;
  readonly dataset: Dataset;
  readonly split: PersonalSplit;
  readonly options: AdaptingOptions;
  readonly seed: string;
}

/**
 * Scores of the split's test rows, each by its person's own model, trained on from `weights`.
 * @param before scores by `weights` itself: of people without rows to adapt to, they stay
 */
export async function adaptedScores(
  { engine, spec, dataset, split, options, seed }: Adapting,
  weights: Float32Array,
  before: Float32Array,
): Promise<Float32Array> {
  const outputs = outputsOf(spec);
  const { epochs, batchSize, learningRate, proximalMu } = options;
  const scores = before.slice();
  for (const [index, { adapt, positions }] of split.people.entries()) {
    const own = await engine.train(spec, weights, subset(dataset, adapt), {
      epochs,
      batchSize,
      learningRate,
      proximalMu,
      l2: 0,
      seed: `personal/${seed}/${index}`,
    });
    const { features, count } = subset(
      dataset,
      positions.map((position) => split.test[position]!),
    );
    const predicted = await engine.predict(spec, own, features, count);
    positions.forEach((position, i) => {
      scores.set(predicted.subarray(i * outputs, (i + 1) * outputs), position * outputs);
    });
  }
  return scores;
}
