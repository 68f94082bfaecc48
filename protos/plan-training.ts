/**
 * The `training` terms of a plan: which strategy, its settings, and what a plan with it must satisfy.
 *
 * Trusts: nothing. May be called by: protos/plan.ts, experiments. Sources of the strategies: docs/strategies.md.
 */
import { z } from 'zod';
import { LEARNING_RATE_MAX } from './model.ts';
import type { Plan } from './plan.ts';
import { type PlanIssue, strategyOf } from './strategies/index.ts';

export const strategyNames = [
  'fedavg',
  'fedprox',
  'fedavgm',
  'fedadam',
  'fedyogi',
  'fedadagrad',
  'fednova',
  'scaffold',
  'qfedavg',
  'fedper',
  'ditto',
  'fedbuff',
] as const;
export type StrategyName = (typeof strategyNames)[number];

const SINGLE_UPDATES =
  'picks among single updates, and only sums of a cohort are ever opened: use groups, ' +
  'e.g. training.strategy: fedavg with aggregation.groups.combine: ';

/** Names that people look for and that no plan can have, with the reason and what does the job. */
const refusals: Readonly<Record<string, string>> = {
  krum: `${SINGLE_UPDATES}krum`,
  multikrum: `${SINGLE_UPDATES}krum, keptCount: 3`,
  bulyan: `${SINGLE_UPDATES}krum or trimmed-mean`,
  median: `${SINGLE_UPDATES}median`,
  fedmedian: `${SINGLE_UPDATES}median`,
  trimmedmean: `${SINGLE_UPDATES}trimmed-mean`,
  fedtrimmedavg: `${SINGLE_UPDATES}trimmed-mean`,
  dpsgd: 'is not a strategy of its own: state privacy.unit: record, and a server step such as fedavg',
  dpfedavg: 'is not a strategy of its own: state privacy.unit: person, and a server step such as fedavg',
  dpftrl:
    'needs noise that one party draws and keeps over rounds; here each cohort draws its own, and more people per ' +
    'round do at least as well for the same uploads (docs/adr/0035): raise rounds.cohortMin',
};

/** Why a name is no strategy, for the message of a refused plan. */
export function unknownStrategy(name: unknown): string {
  const key = typeof name === 'string' ? name.toLowerCase().replaceAll(/[^a-z]/g, '') : '';
  const refusal = Object.hasOwn(refusals, key) ? refusals[key] : undefined;
  const known = `expected one of ${strategyNames.join(', ')}`;
  return refusal === undefined ? known : `${String(name).slice(0, 40)} ${refusal}`;
}

export const trainingSchema = z.strictObject({
  strategy: z.enum(strategyNames, { error: ({ input }) => unknownStrategy(input) }),
  epochs: z.int().min(1).max(1000),
  batchSize: z.int().min(1).max(100_000),
  learningRate: z.number().positive().max(LEARNING_RATE_MAX),
  /** fedprox: μ of the local loss. ditto: λ, the pull of the personal model towards the common one. */
  proximalMu: z.number().min(0).max(1000).default(0),
  l2: z.number().min(0).max(10).default(0),
  serverLearningRate: z.number().positive().max(10_000).default(1),
  /** β of fedavgm and fedbuff, β1 of fedadam, fedyogi and fedadagrad. */
  serverMomentum: z.number().min(0).max(0.9999).default(0),
  beta2: z.number().min(0).max(0.99999).default(0.99),
  tau: z.number().positive().max(1).default(0.001),
  /** `records` weighs a client by its record count (a second, clipped coordinate); refused under DP. */
  weighting: z.enum(['equal', 'records']).default('equal'),
  /** scaffold: N, all devices that may ever take part; public. */
  populationCount: z.int().min(2).max(1_000_000_000).optional(),
  /** scaffold: model units per unit of a control variate in the summed vector; learningRate · epochs where absent. */
  controlScale: z.number().positive().max(1_000_000).optional(),
  /** qfedavg: q; 0 is fedavg, larger favours clients with a larger loss. */
  fairness: z.number().min(0).max(16).optional(),
  /** qfedavg: losses above count as this. Needed under DP. */
  lossMax: z.number().positive().max(1000).optional(),
  /** fedper: how many dense layers, counted from the output, stay on the device; 1 where absent. */
  personalLayers: z.int().min(1).max(8).optional(),
});
export type TrainingTerms = z.output<typeof trainingSchema>;

/** Settings that exist for some strategies only. */
const ownFields = ['populationCount', 'controlScale', 'fairness', 'lossMax', 'personalLayers'] as const;

/** What makes a plan's training terms ones that nobody should run. */
export function trainingIssues(plan: Plan): PlanIssue[] {
  const { training, privacy } = plan;
  const { strategy } = training;
  const terms = strategyOf(plan);
  const issues: PlanIssue[] = [];
  const issue = (field: string, message: string) => issues.push({ path: ['training', field], message });
  for (const field of ownFields)
    if (training[field] !== undefined && !terms.fields.includes(field))
      issue(field, `${strategy} has no such setting: leave it out`);
  if (privacy?.unit === 'record' && terms.local !== 'plain')
    issue(
      'strategy',
      `privacy.unit: record sums gradients of single records at the received model; ${strategy} needs local ` +
        'training, whose outcome every record moves: use fedavg, fedavgm, fedadam, fedyogi or fedadagrad, or unit person',
    );
  if (terms.local !== 'plain' && training.proximalMu > 0 && !terms.fields.includes('proximalMu'))
    issue('proximalMu', `${strategy} has no proximal term; fedprox and ditto have`);
  return [...issues, ...(terms.issues?.(plan) ?? [])];
}
