/**
 * The training kernels (assembly/) in plain TypeScript: the same operations on single floats in the same order.
 *
 * For: tests, which expect the same bits. Slow. Math.fround of one operation on single floats is that operation's
 * correctly rounded single-float result (53 ≥ 2·24 + 2), so doubles can stand in for the kernels' floats.
 */
import type { TrainingData, TrainOptions } from '../engine.ts';
import type { LayerLayout, ModelSpec } from '../model.ts';
import { modelLayout, outputsOf, parameterCount } from '../model.ts';
import { RowOrder } from '../row-order.ts';

const f = Math.fround;
const times = (a: number, b: number): number => f(a * b);
const plus = (a: number, b: number): number => f(a + b);
/** c·x^n + … by Horner's rule, without the last addition: ((c0·x + c1)·x + …)·x. */
const horner = (x: number, [first, ...rest]: readonly number[]): number =>
  rest.reduce((sum, c) => times(plus(sum, f(c)), x), times(x, f(first!)));

function nearestEven(x: number): number {
  const rounded = Math.round(x);
  return Math.abs(x % 1) === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}

export function exp(given: number): number {
  const x = Math.min(Math.max(given, f(-87.3)), 88);
  const n = nearestEven(times(x, f(Math.LOG2E)));
  const r = f(f(x - times(n, f(0.693359375))) - times(n, f(-2.1219444e-4)));
  const cs = [1.98756915e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1];
  const p = plus(horner(r, cs), f(5.0000001201e-1));
  return times(plus(plus(times(p, times(r, r)), r), 1), 2 ** n);
}

export function tanh(x: number): number {
  const size = Math.abs(x);
  if (!(size < 0.625)) {
    const far = f(1 - f(2 / plus(exp(plus(size, size)), 1)));
    return x < 0 ? -far : far;
  }
  const cs = [-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2, 1.33314422036e-1, -3.33332819422e-1];
  return plus(times(horner(times(x, x), cs), x), x);
}

export const sigmoid = (z: number): number => f(1 / plus(1, exp(-z)));

function softmax(values: Float32Array): Float32Array {
  const most = values.reduce((a, b) => Math.max(a, b));
  const powers = values.map((value) => exp(f(value - most)));
  const sum = powers.reduce((a, b) => f(a + b), 0);
  return powers.map((value) => value / sum);
}

/** Four running sums, added (0 + 1) + (2 + 3). */
const lanes = ([a, b, c, d]: Float32Array): number => plus(plus(a!, b!), plus(c!, d!));

class Net {
  readonly #spec: ModelSpec;
  readonly #layers: readonly LayerLayout[];
  readonly weights: Float32Array;
  readonly gradient: Float32Array;

  constructor(spec: ModelSpec, weights: Float32Array) {
    this.#spec = spec;
    this.#layers = modelLayout(spec);
    this.weights = weights.slice();
    this.gradient = new Float32Array(weights.length);
  }

  #sums({ inputs, outputs, weightsAt, biasAt }: LayerLayout, x: Float32Array, first: boolean): Float32Array {
    const w = this.weights;
    if (outputs > 1) {
      const sums = w.slice(biasAt, biasAt + outputs);
      for (let i = 0; i < inputs; i++) {
        if (first && x[i] === 0) continue;
        for (let j = 0; j < outputs; j++) sums[j] = sums[j]! + times(x[i]!, w[weightsAt + i * outputs + j]!);
      }
      return sums;
    }
    const four = new Float32Array(4);
    const last = inputs - (inputs % 4);
    for (let i = 0; i < last; i++) four[i % 4] = four[i % 4]! + times(x[i]!, w[weightsAt + i]!);
    let total = lanes(four);
    for (let i = last; i < inputs; i++) total = plus(total, times(x[i]!, w[weightsAt + i]!));
    return Float32Array.of(total + w[biasAt]!);
  }

  /** Input of every layer, then what the model says. */
  forward(x: Float32Array): Float32Array[] {
    const values = [x];
    this.#layers.forEach((layer, index) => {
      const sums = this.#sums(layer, values[index]!, index === 0);
      if (index + 1 < this.#layers.length)
        values.push(
          sums.map((value) => (this.#spec.activation === 'relu' ? Math.max(value, 0) : tanh(value))),
        );
      else if (this.#spec.output === undefined) values.push(sums.map(sigmoid));
      else values.push(this.#spec.output.kind === 'classes' ? softmax(sums) : sums);
    });
    return values;
  }

  /** Adds the gradient of one row's loss. */
  row(x: Float32Array, label: number): void {
    const values = this.forward(x);
    let delta = values.at(-1)!;
    if (delta.length > 1) delta[label] = delta[label]! - 1;
    else delta[0] = delta[0]! - f(label);
    for (let index = this.#layers.length - 1; index >= 0; index--) {
      const { inputs, outputs, weightsAt, biasAt } = this.#layers[index]!;
      const input = values[index]!;
      const g = this.gradient;
      for (let i = 0; i < inputs; i++)
        if (outputs === 1 || index > 0 || input[i] !== 0)
          for (let j = 0; j < outputs; j++) {
            const at = weightsAt + i * outputs + j;
            g[at] = g[at]! + times(input[i]!, delta[j]!);
          }
      for (let j = 0; j < outputs; j++) g[biasAt + j] = g[biasAt + j]! + delta[j]!;
      if (index > 0) delta = this.#back(this.#layers[index]!, input, delta);
    }
  }

  #back({ outputs, weightsAt }: LayerLayout, input: Float32Array, delta: Float32Array): Float32Array {
    return input.map((a, i) => {
      const four = new Float32Array(4);
      for (let j = 0; j < outputs; j++)
        four[j % 4] = four[j % 4]! + times(delta[j]!, this.weights[weightsAt + i * outputs + j]!);
      const sum = outputs > 1 ? lanes(four) : four[0]!;
      if (this.#spec.activation === 'relu') return a > 0 ? sum : 0;
      return times(sum, f(1 - times(a, a)));
    });
  }
}

const rowOf = (spec: ModelSpec, features: Float32Array, row: number): Float32Array =>
  features.slice(row * spec.inputs, (row + 1) * spec.inputs);

export function twinTrain(
  spec: ModelSpec,
  weights: Float32Array,
  data: TrainingData,
  options: TrainOptions,
): Float32Array {
  const { learningRate, proximalMu, l2, gradientOffset, frozen = [], epochs } = options;
  const net = new Net(spec, weights);
  const batch = Math.min(options.batchSize, data.count);
  const order = batch < data.count ? new RowOrder(data.count, options.seed) : undefined;
  const isBias = new Uint8Array(weights.length);
  for (const { biasAt, outputs } of modelLayout(spec)) isBias.fill(1, biasAt, biasAt + outputs);
  const shift = weights.map((value, i) => learningRate * (proximalMu * value - (gradientOffset?.[i] ?? 0)));
  for (let epoch = 0; epoch < epochs; epoch++) {
    order?.next();
    for (let from = 0; from < data.count; from += batch) {
      const to = Math.min(data.count, from + batch);
      for (let i = from; i < to; i++) {
        const row = order?.rows[i] ?? i;
        net.row(rowOf(spec, data.features, row), data.labels[row]!);
      }
      const rate = f(f(learningRate) / (to - from));
      net.weights.forEach((value, i) => {
        const keep = f(1 - learningRate * (proximalMu + (isBias[i] ? 0 : l2)));
        const moved = plus(f(times(value, keep) - times(net.gradient[i]!, rate)), shift[i]!);
        if (!frozen.some(([start, end]) => i >= start && i < end)) net.weights[i] = moved;
      });
      net.gradient.fill(0);
    }
  }
  return net.weights;
}

export function twinRecordGradients(
  spec: ModelSpec,
  weights: Float32Array,
  data: TrainingData,
): Float32Array {
  const out = new Float32Array(data.count * parameterCount(spec));
  for (let row = 0; row < data.count; row++) {
    const net = new Net(spec, weights);
    net.row(rowOf(spec, data.features, row), data.labels[row]!);
    out.set(net.gradient, row * parameterCount(spec));
  }
  return out;
}

export function twinPredict(
  spec: ModelSpec,
  weights: Float32Array,
  features: Float32Array,
  count: number,
): Float32Array {
  const net = new Net(spec, weights);
  const out = new Float32Array(count * outputsOf(spec));
  for (let row = 0; row < count; row++)
    out.set(net.forward(rowOf(spec, features, row)).at(-1)!, row * outputsOf(spec));
  return out;
}
