/**
 * FedNova (Wang et al. 2020, arXiv 2007.07481, §4): devices send Δ_i/τ_i and τ_i, the server multiplies the mean of
 * the first by the mean of the second. For plain SGD ‖a_i‖₁ is the number of local steps.
 *
 * Trusts: a validated plan. May be called by: protos/strategies/index.ts, client/training, coordinator/aggregation.
 */
import type { Plan } from '../plan.ts';
import { groupSizeMin } from '../plan-numbers.ts';
import { COORDINATE_SHARE, coordinateIssues, plainTerms, type StrategyTerms } from './strategy.ts';

/** Steps of a device with as many records as the plan admits. */
const localStepsMax = ({ training, eligibility }: Plan): number =>
  training.epochs * Math.ceil(eligibility.recordsMax / training.batchSize);

/** Value of the extra coordinate per local step, at a clip in model units. */
export const stepUnit = (plan: Plan, clip: number): number => (COORDINATE_SHARE * clip) / localStepsMax(plan);

export const fednova: StrategyTerms = {
  ...plainTerms,
  local: 'own',
  extraLength: () => 1,
  issues: (plan) => coordinateIssues(plan, groupSizeMin(plan)),
};
