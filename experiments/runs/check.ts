/**
 * What an experiment would run, without running it: every point's plan for its first seed.
 *
 * May be called by: cli.
 */
import { noiseMultiplier } from '../../crypto/dp/plan-accounting.ts';
import { parameterCount } from '../../protos/model.ts';
import { accountPlan, roundMechanismOf } from '../../protos/plan-mechanism.ts';
import { schemeText } from '../../protos/plan-scheme.ts';
import type { ExperimentFile } from './experiment.ts';
import { datasetOf, planFor, type RunOptions } from './run.ts';

export interface CheckedPoint {
  readonly point: number;
  readonly label: string;
  readonly dataset: string;
  readonly clients: number;
  readonly train_rows: number;
  readonly test_rows: number;
  readonly parameters: number;
  readonly rounds: number;
  readonly cohort_min: number;
  readonly cohort_max: number;
  /** If every round runs with the smallest cohort. */
  readonly epsilon: number | null;
  /** Deviation of the sum's noise over its sensitivity, smallest cohort. */
  readonly noise_multiplier: number | null;
  readonly units_per_clip: number;
  readonly sums: string;
}

/** @throws CONFIG_INVALID with the place in the file. */
export async function checkExperiment(
  file: ExperimentFile,
  options: Pick<RunOptions, 'dataDirectory'>,
): Promise<CheckedPoint[]> {
  const dataset = await datasetOf(file, options);
  return file.points.map((point) => {
    const seed = file.experiment.seeds[0]!;
    const { scenario, parsed } = planFor(dataset, { experimentPoint: point, seed, seedIndex: 0 });
    const { plan } = parsed;
    const mechanism = roundMechanismOf(parsed, 'training', plan.rounds.cohortMin);
    return {
      point: point.index,
      label: point.label,
      dataset: dataset.definition.name,
      clients: scenario.clients.length,
      train_rows: scenario.train.length,
      test_rows: scenario.test.length,
      parameters: parameterCount(plan.model),
      rounds: plan.rounds.training,
      cohort_min: plan.rounds.cohortMin,
      cohort_max: plan.rounds.cohortMax,
      epsilon: accountPlan(parsed)?.epsilon ?? null,
      noise_multiplier: mechanism && noiseMultiplier(mechanism),
      units_per_clip: plan.mechanism.unitsPerClip,
      sums: schemeText(parsed),
    };
  });
}
