/** Goal: a plan whose label, outputs and evaluation do not fit each other is refused with what to do. */
import { describe, expect, test } from 'vitest';
import type { FeatureSchema } from './features.ts';
import type { ModelSpec } from './model.ts';
import { modelIssues } from './plan-model.ts';

const features: FeatureSchema = {
  dataset: 'sample',
  label: { column: 'y', positive: { above: 0 } },
  features: [{ column: 'x', kind: 'number', minimum: 0, maximum: 1 }],
  complete: true,
};
const model: ModelSpec = { kind: 'lr', inputs: 1, hidden: [], activation: 'relu' };
const none = { path: 'none' as const, bins: 20 };
const classLabel = { column: 'y', classes: ['a', 'b', 'c'] };
const targetLabel = { column: 'y', target: { minimum: 0, maximum: 9 } };
const three: ModelSpec['output'] = { kind: 'classes', count: 3 };
const regression: ModelSpec['output'] = { kind: 'regression' };

describe('label and outputs', () => {
  test.each<[string, FeatureSchema['label'], ModelSpec['output'], string | undefined]>([
    ['binary', features.label, undefined, undefined],
    ['classes', classLabel, three, undefined],
    ['regression', targetLabel, regression, undefined],
    ['binary label, classes', features.label, three, 'no model.output'],
    ['classes, one logit', classLabel, undefined, 'kind: classes'],
    ['classes, another count', classLabel, { kind: 'classes', count: 4 }, '3 classes, the model 4'],
    ['classes, a value', classLabel, regression, 'kind: classes'],
    ['a number, one logit', targetLabel, undefined, 'kind: regression'],
  ])('%s', (_, label, output, message) => {
    const issues = modelIssues({
      features: { ...features, label },
      model: { ...model, ...(output && { output }) },
      evaluation: none,
    });
    expect(issues.map((issue) => issue.message)).toEqual(message ? [expect.stringContaining(message)] : []);
  });
});

test('federated evaluation is for binary labels only', () => {
  const federated = { path: 'federated' as const, bins: 20 };
  expect(modelIssues({ features, model, evaluation: federated })).toEqual([]);
  for (const [label, output] of [
    [classLabel, three],
    [targetLabel, regression],
  ] as const)
    expect(
      modelIssues({
        features: { ...features, label },
        model: { ...model, output },
        evaluation: federated,
      }),
    ).toEqual([{ path: ['evaluation', 'path'], message: expect.stringContaining('binary') }]);
});

test('indexed features are the embedding’s columns, and fit its table', () => {
  const number = features.features[0]!;
  const indexed = {
    column: 'i',
    kind: 'category' as const,
    values: ['a', 'b', 'c'],
    encoding: 'index' as const,
  };
  const embedding = (columns: number, vocabulary: number): ModelSpec => ({
    ...model,
    kind: 'embedding',
    inputs: 2,
    embedding: { columns, vocabulary, size: 2 },
    summary: 'mean',
  });
  const messages = (list: FeatureSchema['features'], spec: ModelSpec): string[] =>
    modelIssues({ features: { ...features, features: list }, model: spec, evaluation: none }).map(
      ({ path, message }) => `${path.join('.')}: ${message}`,
    );
  expect(messages([indexed, number], embedding(1, 3))).toEqual([]);
  const order = expect.stringMatching(/^features\.features: the first . features, and no others/);
  expect(messages([number, indexed], embedding(1, 3))).toEqual([order]);
  expect(messages([indexed, number], embedding(2, 3))).toEqual([order]);
  expect(messages([indexed], embedding(2, 3))).toEqual([order]);
  expect(messages([indexed], model)).toEqual([order]);
  expect(messages([indexed, number], { ...embedding(1, 3), inputs: 3 })).toEqual([
    expect.stringMatching(/^model\.inputs: the features make 2 inputs .* the model reads 3$/),
  ]);
  expect(messages([indexed, number], embedding(1, 2))).toEqual([
    expect.stringContaining('feature i has more'),
  ]);
});

test('the model reads as many numbers as the features make', () => {
  const category = { column: 'c', kind: 'category' as const, values: ['a', 'b', 'c'] };
  const wide = { ...features, features: [...features.features, category] };
  const issuesOf = (inputs: number) =>
    modelIssues({ features: wide, model: { ...model, inputs }, evaluation: none });
  expect(issuesOf(4)).toEqual([]);
  for (const inputs of [2, 3, 5])
    expect(issuesOf(inputs)).toEqual([
      { path: ['model', 'inputs'], message: expect.stringContaining(`4 inputs`) },
    ]);
});
