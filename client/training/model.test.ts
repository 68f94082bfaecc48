/** Goal: the flat layout is what it says, and everybody gets the same initial weights. */
import { describe, expect, test } from 'vitest';
import type { ModelSpec } from './model.ts';
import { initialWeights, modelLayout, parameterCount, parseModelSpec } from './model.ts';

const lr: ModelSpec = { kind: 'lr', inputs: 14, hidden: [], activation: 'relu' };
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
    ['unknown field', { ...lr, seed: 1 }],
  ])('refuses %s', (_, value) => {
    expect(() => parseModelSpec(value)).toThrow(expect.objectContaining({ code: 'PLAN_INVALID' }));
  });
});
