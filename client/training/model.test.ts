/** Goal: the flat layout is what it says, and everybody gets the same initial weights. */
import { describe, expect, test } from 'vitest';
import type { ModelSpec } from './model.ts';
import {
  convolutionLayout,
  initialWeights,
  modelLayout,
  outputsOf,
  parameterBlocks,
  parameterCount,
  parseModelSpec,
} from './model.ts';

const lr: ModelSpec = { kind: 'lr', inputs: 14, hidden: [], activation: 'relu' };
const cnn = parseModelSpec({
  kind: 'cnn',
  inputs: 120,
  hidden: [4],
  activation: 'relu',
  channels: 2,
  convolutions: [
    { filters: 5, width: 8, stride: 4 },
    { filters: 6, width: 3, stride: 1 },
  ],
  summary: 'flatten',
});
const gru = parseModelSpec({
  kind: 'gru',
  inputs: 60,
  hidden: [],
  activation: 'tanh',
  channels: 6,
  units: 10,
});
const embedding = parseModelSpec({
  kind: 'embedding',
  inputs: 5,
  hidden: [],
  activation: 'relu',
  embedding: { columns: 3, vocabulary: 20, size: 4 },
  summary: 'flatten',
});
const mlp: ModelSpec = { kind: 'mlp', inputs: 14, hidden: [32, 16], activation: 'tanh' };

describe('model', () => {
  test('parameter counts and offsets', () => {
    expect(parameterCount(lr)).toBe(15);
    expect(parameterCount(mlp)).toBe(14 * 32 + 32 + 32 * 16 + 16 + 16 + 1);
    expect(modelLayout(mlp).map((layer) => [layer.weightsAt, layer.biasAt])).toEqual([
      [0, 448],
      [480, 992],
      [1008, 1024],
    ]);
  });

  test('outputs: classes widen the last layer; an absent field stays absent', () => {
    const classes = parseModelSpec({ ...mlp, output: { kind: 'classes', count: 10 } });
    expect([outputsOf(classes), outputsOf(lr), outputsOf({ output: { kind: 'regression' } })]).toEqual([
      10, 1, 1,
    ]);
    expect(parameterCount(classes)).toBe(parameterCount(mlp) + 9 * 17);
    expect(Object.keys(parseModelSpec(mlp))).toEqual(['kind', 'inputs', 'hidden', 'activation']);
  });

  test.each([lr, mlp, cnn, gru, embedding])(
    'blocks cover the flat vector without gaps; biases do not decay and start at 0: $kind',
    (spec) => {
      let end = 0;
      const weights = initialWeights(spec, 'a');
      for (const { at, shape, decays, limit } of parameterBlocks(spec)) {
        expect(at).toBe(end);
        expect(decays).toBe(shape.length > 1);
        end += shape.reduce((product, size) => product * size, 1);
        const most = Math.max(...weights.subarray(at, end).map(Math.abs));
        expect(most).toBeLessThanOrEqual(limit);
        if (decays && spec.kind !== 'lr') expect(most).toBeGreaterThan(0.4 * limit);
        else expect(most).toBe(0);
      }
      expect(end).toBe(parameterCount(spec));
      expect(weights.length).toBe(end);
    },
  );

  test('what precedes the dense layers: counts, lengths and widths', () => {
    // Steps 60 → (60 − 8) / 4 + 1 = 14 → 14 − 3 + 1 = 12.
    expect(convolutionLayout(cnn).map(({ steps, outputSteps }) => [steps, outputSteps])).toEqual([
      [60, 14],
      [14, 12],
    ]);
    expect(modelLayout(cnn)[0]!.inputs).toBe(12 * 6);
    expect(modelLayout(parseModelSpec({ ...cnn, summary: 'mean' }))[0]!.inputs).toBe(6);
    expect(parameterCount(cnn)).toBe(8 * 2 * 5 + 5 + 3 * 5 * 6 + 6 + 72 * 4 + 4 + 5);
    expect(parameterCount(gru)).toBe(3 * 10 * (6 + 10 + 1) + 11);
    expect(modelLayout(embedding)[0]!.inputs).toBe(3 * 4 + 2);
    expect(parameterCount(embedding)).toBe(20 * 4 + 14 + 1);
    expect(modelLayout(parseModelSpec({ ...embedding, summary: 'mean' }))[0]!.inputs).toBe(4 + 2);
  });

  test('initial weights: LR zeros; MLP seeded, within Glorot limits, biases zero', () => {
    expect(initialWeights(lr, 'a').every((value) => value === 0)).toBe(true);
    const weights = initialWeights(mlp, 'a');
    expect(weights).toEqual(initialWeights(mlp, 'a'));
    expect(weights).not.toEqual(initialWeights(mlp, 'b'));
    const first = weights.subarray(0, 448);
    const limit = Math.sqrt(6 / 46);
    expect(Math.max(...first.map(Math.abs))).toBeLessThanOrEqual(limit);
    expect(Math.sqrt(first.reduce((sum, value) => sum + value ** 2, 0) / 448)).toBeCloseTo(
      limit / Math.sqrt(3),
      1,
    );
    expect([...weights.subarray(448, 480), weights[1024]].every((value) => value === 0)).toBe(true);
  });

  test.each<[string, unknown]>([
    ['lr with hidden layers', { ...lr, hidden: [4] }],
    ['mlp without', { ...mlp, hidden: [] }],
    ['four layers', { ...mlp, hidden: [1, 1, 1, 1] }],
    ['too wide', { ...mlp, hidden: [513] }],
    ['fractional', { ...mlp, hidden: [1.5] }],
    ['no inputs', { ...lr, inputs: 0 }],
    ['unknown activation', { ...lr, activation: 'gelu' }],
    ['one class', { ...lr, output: { kind: 'classes', count: 1 } }],
    ['65 classes', { ...lr, output: { kind: 'classes', count: 65 } }],
    ['a count for a regression', { ...lr, output: { kind: 'regression', count: 2 } }],
    ['convolutions for an mlp', { ...mlp, convolutions: cnn.convolutions }],
    ['a cnn without channels', { ...cnn, channels: undefined }],
    ['a cnn without convolutions', { ...cnn, convolutions: undefined }],
    ['a cnn without a summary', { ...cnn, summary: undefined }],
    ['a cnn with units', { ...cnn, units: 3 }],
    ['half a step', { ...cnn, inputs: 121 }],
    ['a filter wider than the series', { ...cnn, inputs: 14 }],
    ['a second filter wider than what is left', { ...cnn, inputs: 24 }],
    ['a gru without units', { ...gru, units: undefined }],
    ['a gru with a summary', { ...gru, summary: 'mean' }],
    ['an embedding without a table', { ...embedding, embedding: undefined }],
    ['more columns than inputs', { ...embedding, inputs: 2 }],
    [
      'too many parameters',
      { ...cnn, hidden: [512], inputs: 1024, convolutions: [{ filters: 128, width: 8, stride: 1 }] },
    ],
    ['unknown field', { ...lr, seed: 1 }],
  ])('refuses %s', (_, value) => {
    expect(() => parseModelSpec(value)).toThrow(expect.objectContaining({ code: 'PLAN_INVALID' }));
  });
});
