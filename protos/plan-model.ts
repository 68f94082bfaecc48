/**
 * What a plan's model, its label rule and its evaluation must satisfy together.
 *
 * Trusts: each field's own form (protos/plan.ts). May be called by: protos/plan.ts.
 */
import { type FeatureSchema, inputCount, isIndexed, labelKindOf } from './features.ts';
import { type ModelSpec, outputKindOf, outputsOf } from './model.ts';
import type { Plan } from './plan.ts';

const outputFor = {
  binary: 'no model.output',
  classes: 'model.output: { kind: classes, count }',
  regression: 'model.output: { kind: regression }',
};

interface ModelIssue {
  readonly path: string[];
  readonly message: string;
}

/** First field and reason for each rule that does not hold. */
export function modelIssues({
  features,
  model,
  evaluation,
}: Pick<Plan, 'features' | 'model' | 'evaluation'>): { path: string[]; message: string }[] {
  const issues: { path: string[]; message: string }[] = [];
  const kind = labelKindOf(features);
  if (outputKindOf(model) !== kind)
    issues.push({ path: ['model', 'output'], message: `a ${kind} label needs ${outputFor[kind]}` });
  else if ('classes' in features.label && outputsOf(model) !== features.label.classes.length)
    issues.push({
      path: ['model', 'output', 'count'],
      message: `the label has ${features.label.classes.length} classes, the model ${outputsOf(model)}`,
    });
  const indexed = indexIssues(features, model);
  issues.push(...(indexed.length > 0 ? indexed : inputIssues(features, model)));
  if (evaluation.path === 'federated' && outputKindOf(model) !== 'binary')
    issues.push({
      path: ['evaluation', 'path'],
      message:
        'score histograms are for binary labels; use path: none and rounds.evaluation: 0, and measure the released model on test data of your own',
    });
  return issues;
}

/** Rows are encoded by the features; the model reads as many numbers as they make. */
function inputIssues(features: FeatureSchema, model: ModelSpec): ModelIssue[] {
  const inputs = inputCount(features);
  if (model.inputs === inputs) return [];
  return [
    {
      path: ['model', 'inputs'],
      message:
        `the features make ${inputs} inputs (a number or an indexed category one, another category one per listed ` +
        `value), the model reads ${model.inputs}`,
    },
  ];
}

/** Indexed features come first, as many as the embedding has columns, and no list is longer than its table. */
function indexIssues({ features }: FeatureSchema, { embedding }: ModelSpec): ModelIssue[] {
  const columns = embedding?.columns ?? 0;
  const wrong = features.findIndex((feature, i) => isIndexed(feature) !== i < columns);
  if (wrong >= 0 || features.length < columns)
    return [
      {
        path: ['features', 'features'],
        message: `the first ${columns} features, and no others, need encoding: index (model.embedding.columns)`,
      },
    ];
  const long = features.find(
    (feature) =>
      feature.kind === 'category' &&
      embedding &&
      isIndexed(feature) &&
      feature.values.length > embedding.vocabulary,
  );
  if (!long) return [];
  return [
    {
      path: ['model', 'embedding', 'vocabulary'],
      message: `feature ${long.column} has more values than the table has vectors`,
    },
  ];
}
