/** Goal: a table whose models are worth no more than nothing, or than one client alone, says so; another does not. */
import { expect, test } from 'vitest';
import type { LabelKind } from '../../protos/features.ts';
import { remarksOf } from './remarks.ts';
import { filledTable } from './rows.ts';
import type { StoredCondition, StoredRun } from './stored.ts';

const METRIC = { binary: 'auc', classes: 'accuracy', regression: 'mae' } as const;

/** Means by model or ε; two seeds .01 either side of each. */
function tableOf(task: LabelKind, figures: Readonly<Record<string, number>>, label = '') {
  const conditions = Object.entries(figures).map(([name, mean]): StoredCondition => {
    const epsilon = Number(name);
    const isPriced = !Number.isNaN(epsilon);
    const values = { [METRIC[task]]: [mean - 0.01, mean + 0.01], r_squared: [1 - mean, 1 - mean] };
    return {
      model: isPriced ? 'federated' : (name as StoredCondition['model']),
      label,
      privacy: isPriced
        ? { unit: 'person', epsilon, epsilonSpent: epsilon, delta: '0.00001', gamma: '1/3' }
        : null,
      clients: 10,
      testRows: 10,
      trainRows: 10,
      rounds: 1,
      bytesPerClientRound: 1,
      seeds: ['0', '1'],
      tests: ['a', 'a'],
      values,
    };
  });
  const run = { id: 'run', task, conditions } as unknown as StoredRun;
  return filledTable({ version: 1, runs: [run] }, { title: 'Table', runs: ['run'] })!;
}

test('good models need no remark', () => {
  expect(remarksOf(tableOf('binary', { local: 0.7, federated: 0.9, 1: 0.8, 8: 0.85 }))).toEqual([]);
});

test('chance, by the interval; one client alone', () => {
  // A Student t interval of two values .01 from their mean is .127 wide on either side.
  expect(remarksOf(tableOf('binary', { local: 0.65, federated: 0.9, 1: 0.6, 3: 0.64, 8: 0.8 }))).toEqual([
    'At ε = 1 the federated model is not told from chance (AUC .5) by its interval.',
    "One client's own rows (.650) are worth more than the federated model at ε = 1 and 3.",
  ]);
  expect(remarksOf(tableOf('binary', { local: 0.95, federated: 0.9 }))).toEqual([
    "One client's own rows (.950) are worth more than the federated model without privacy.",
  ]);
});

test('a rule of thumb that no private model beats, and one number for everybody; less is better', () => {
  const figures = { local: 9, federated: 0.9, 1: 2, 8: 1.2 };
  const naive = { what: '“as today”', value: 1.01 };
  expect(remarksOf(tableOf('regression', figures), naive)).toEqual([
    'No model under privacy beats “as today” (1.010): the best, at ε = 8, reads 1.200.',
  ]);
  expect(remarksOf(tableOf('regression', { ...figures, 8: 1 }), naive)).toEqual([
    'At ε = 1 the federated model does not beat “as today” (1.010).',
  ]);
  expect(remarksOf(tableOf('regression', { federated: 1.1, 8: 0.9 }), naive)).toEqual([
    'Without privacy the federated model does not beat “as today” (1.010).',
  ]);
  expect(remarksOf(tableOf('regression', figures))).toEqual([
    'No model under privacy beats one number for everybody (R² above 0): the best, at ε = 8, reads 1.200.',
  ]);
});

test('places are held apart', () => {
  const table = tableOf('classes', { local: 0.8, federated: 0.7 }, 'split.site=va');
  expect(remarksOf(table)).toEqual([
    "va: One client's own rows (.800) are worth more than the federated model without privacy.",
  ]);
});
