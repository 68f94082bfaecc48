/**
 * SCAFFOLD, option II (Karimireddy et al. 2020, arXiv 1910.06378, Algorithm 1): a device corrects each local step by
 * c − c_i and sends (Δy ‖ scale·Δc_i). The model hash binds w ‖ c, so nobody can be shown another c.
 *
 * Trusts: a validated plan. May be called by: protos/strategies/index.ts, client/training, coordinator/aggregation.
 */
import { parameterCount } from '../model.ts';
import type { Plan } from '../plan.ts';
import { plainTerms, type StrategyTerms, trainingIssue } from './strategy.ts';

/**
 * Factor of Δc_i in the summed vector: model units per gradient unit. By default that of a device with one step per
 * epoch, for which it makes both halves about as long.
 */
export const controlScaleOf = ({ training }: Plan): number =>
  training.controlScale ?? training.learningRate * training.epochs;

export const scaffold: StrategyTerms = {
  ...plainTerms,
  local: 'own',
  memory: 'control',
  fields: ['populationCount', 'controlScale'],
  extraLength: ({ model }) => parameterCount(model),
  companionLength: ({ model }) => parameterCount(model),
  issues({ training, rounds }) {
    const issues = [];
    const { populationCount, weighting } = training;
    if (populationCount === undefined)
      issues.push(
        trainingIssue(
          'populationCount',
          'scaffold moves c by |S|/N: state N, all devices that may take part',
        ),
      );
    else if (populationCount < rounds.cohortTarget)
      issues.push(trainingIssue('populationCount', 'at least rounds.cohortTarget: a cohort is a part of it'));
    if (weighting === 'records')
      issues.push(trainingIssue('weighting', 'scaffold counts every device alike: use "equal"'));
    return issues;
  },
};
