/**
 * q-FedAvg (Li, Sanjabi, Beirami, Smith 2020, arXiv 1905.10497, Algorithm 2): a device sends F^q·Δ and
 * h = q·F^(q−1)·L·‖Δ‖² + F^q, both of Algorithm 2 divided by L = 1/learningRate; the server adds ΣF^qΔ / Σh.
 *
 * F counts in units of `lossMax`, which cancels in the quotient and gives F^q a public bound of 1.
 * Trusts: a validated plan. May be called by: protos/strategies/index.ts, client/training, coordinator/aggregation.
 */
import { groupSizeMin } from '../plan-numbers.ts';
import {
  COORDINATE_SHARE,
  coordinateIssues,
  plainTerms,
  type StrategyTerms,
  trainingIssue,
} from './strategy.ts';

/** Value of the extra coordinate where h = 1, at a clip in model units. */
export const gainUnit = (clip: number): number => COORDINATE_SHARE * clip;

export const qfedavg: StrategyTerms = {
  ...plainTerms,
  local: 'own',
  fields: ['fairness', 'lossMax'],
  extraLength: () => 1,
  issues(plan) {
    const { training, privacy } = plan;
    const issues = coordinateIssues(plan, groupSizeMin(plan));
    if (training.fairness === undefined)
      issues.push(trainingIssue('fairness', 'qfedavg weighs devices by loss^q: state q; 0 is fedavg'));
    if (training.weighting === 'records')
      issues.push(trainingIssue('weighting', 'qfedavg weighs devices by their loss: use "equal"'));
    if (privacy && training.lossMax === undefined)
      issues.push(
        trainingIssue(
          'lossMax',
          'a loss has no public bound, so one device could outweigh every other and the noise beside it: state the ' +
            'largest loss that counts, e.g. 2',
        ),
      );
    return issues;
  },
};
