/**
 * FedPer (Arivazhagan et al. 2019, arXiv 1912.00818): the last layers are the device's own. They are trained with the
 * others, stay in the vault, and have no place in the summed vector; the released model keeps its initial values there.
 *
 * Trusts: a validated plan. May be called by: protos/strategies/index.ts.
 */
import { modelLayout } from '../model.ts';
import type { Plan } from '../plan.ts';
import { layersFrom, plainTerms, type StrategyTerms, trainingIssue } from './strategy.ts';

const personalLayers = ({ training }: Plan): number => training.personalLayers ?? 1;

export const fedper: StrategyTerms = {
  ...plainTerms,
  local: 'own',
  memory: 'personal',
  fields: ['personalLayers'],
  sharedLength: (plan) => layersFrom(plan, personalLayers(plan)),
  issues(plan) {
    if (layersFrom(plan, personalLayers(plan)) > 0) return [];
    const layers = modelLayout(plan.model).length;
    const message = `the model has ${layers} dense layer${layers > 1 ? 's' : ''}, so nothing would be shared: add a layer, or use ditto`;
    return [trainingIssue('personalLayers', message)];
  },
};
