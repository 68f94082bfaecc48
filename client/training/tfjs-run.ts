/**
 * One train() call on TensorFlow.js: parameter tensors that are replaced step by step.
 *
 * Trusts: checked weights, rows and options. May be called by: tfjs-engine.ts. Leaves no tensor behind once disposed.
 */
import { seededRandom, shuffle } from '../../crypto/random.ts';
import type { TrainingData, TrainOptions } from './engine.ts';
import type { ModelSpec, ParameterBlock } from './model.ts';
import { convolutionLayout, parameterBlocks, parameterCount } from './model.ts';
import type { Tensor, Tensor2D, Tfjs } from './tfjs-network.ts';
import { summedGradients, toParameters, toRows } from './tfjs-network.ts';

/** Most floats of one step's intermediate tensors, about. */
const tapeFloatsMax = 1 << 25;

/**
 * Most rows whose gradients are taken at once; the sums of several pieces make one step. Dense models keep a few floats
 * a row, series keep every step for the way back.
 */
export function pieceRowsOf(spec: ModelSpec): number {
  const series = convolutionLayout(spec).map(({ outputSteps, filters }) => 4 * outputSteps * filters);
  const states = spec.kind === 'gru' ? (16 * spec.units! * spec.inputs) / spec.channels! : 0;
  const floats = states + series.reduce((sum, length) => sum + length, 0);
  return floats === 0 ? Number.POSITIVE_INFINITY : Math.max(1, Math.floor(tapeFloatsMax / floats));
}

/** How one block moves: value·keep − rate·gradient + shift, where `moves`. */
interface Motion {
  /** 1 − rate·(l2 + μ) for weights, 1 − rate·μ for biases; undefined when 1. */
  readonly keep: Tensor | undefined;
  /** rate·(μ·received − gradientOffset); undefined when 0. */
  readonly shift: Tensor | undefined;
  /** Undefined: all of it. Otherwise a mask of what moves, or nothing at all. */
  readonly moves: Tensor | 'nothing' | undefined;
}

export class TrainingRun {
  readonly #tf: Tfjs;
  readonly #spec: ModelSpec;
  readonly #data: TrainingData;
  readonly #batchSize: number;
  readonly #pieceRows: number;
  readonly #order: number[];
  readonly #random: ReturnType<typeof seededRandom> | undefined;
  readonly #rate: Tensor;
  readonly #motions: readonly Motion[];
  #parameters: Tensor[];
  /** The whole table as tensors, kept when every batch is the whole table. */
  #full: readonly [Tensor2D, Tensor2D] | undefined;
  #steps = 0;

  constructor(
    tf: Tfjs,
    spec: ModelSpec,
    weights: Float32Array,
    data: TrainingData,
    options: TrainOptions,
    pieceRows = pieceRowsOf(spec),
  ) {
    this.#tf = tf;
    this.#spec = spec;
    this.#data = data;
    this.#batchSize = Math.min(options.batchSize, data.count);
    this.#pieceRows = Math.min(pieceRows, this.#batchSize);
    this.#order = Array.from({ length: data.count }, (_, i) => i);
    this.#random = this.#batchSize < data.count ? seededRandom(`batches/${options.seed}`) : undefined;
    this.#parameters = toParameters(tf, spec, weights);
    this.#rate = tf.scalar(options.learningRate);
    this.#motions = motionsOf(tf, spec, weights, options);
    if (!this.#random && this.#pieceRows === data.count) this.#full = toRows(tf, spec, data, this.#order);
  }

  get steps(): number {
    return this.#steps;
  }

  /** Ranges of the current order; reshuffled for every epoch. */
  *batches(): Generator<readonly [number, number]> {
    if (this.#random) shuffle(this.#order, this.#random);
    for (let from = 0; from < this.#data.count; from += this.#batchSize)
      yield [from, Math.min(this.#data.count, from + this.#batchSize)];
  }

  step([from, to]: readonly [number, number]): void {
    const tf = this.#tf;
    const next = tf.tidy(() => {
      const gradients = this.#gradients(from, to);
      const rate = tf.div(this.#rate, to - from);
      return gradients.map((gradient, i) =>
        this.#moved(this.#parameters[i]!, gradient, rate, this.#motions[i]!),
      );
    });
    for (const tensor of this.#parameters) tensor.dispose();
    this.#parameters = next;
    this.#steps++;
  }

  #gradients(from: number, to: number): Tensor[] {
    const tf = this.#tf;
    let sums: Tensor[] | undefined;
    for (let at = from; at < to; at += this.#pieceRows) {
      const before = sums;
      sums = tf.tidy(() => {
        const order = this.#order.slice(at, Math.min(to, at + this.#pieceRows));
        const rows = this.#full ?? toRows(tf, this.#spec, this.#data, order);
        const own = summedGradients(tf, this.#spec, this.#parameters, rows);
        return before ? own.map((gradient, i) => tf.add(before[i]!, gradient)) : own;
      });
      tf.dispose(before ?? []);
    }
    return sums!;
  }

  #moved(value: Tensor, gradient: Tensor, rate: Tensor, { keep, shift, moves }: Motion): Tensor {
    const tf = this.#tf;
    if (moves === 'nothing') return tf.clone(value);
    const descended = tf.sub(keep ? tf.mul(value, keep) : value, tf.mul(gradient, rate));
    const moved = shift ? tf.add(descended, shift) : descended;
    return moves ? tf.where(moves, moved, value) : moved;
  }

  flatWeights(): Float32Array {
    const flat = new Float32Array(parameterCount(this.#spec));
    parameterBlocks(this.#spec).forEach(({ at }, i) => {
      flat.set(this.#parameters[i]!.dataSync<'float32'>(), at);
    });
    return flat;
  }

  dispose(): void {
    const constants = this.#motions.flatMap(({ keep, shift, moves }) => [keep, shift, moves]);
    for (const tensor of [...this.#parameters, this.#rate, ...constants, ...(this.#full ?? [])])
      if (tensor !== 'nothing') tensor?.dispose();
  }
}

function motionsOf(tf: Tfjs, spec: ModelSpec, weights: Float32Array, options: TrainOptions): Motion[] {
  const { learningRate, proximalMu, l2, gradientOffset } = options;
  const shifts =
    proximalMu > 0 || gradientOffset
      ? weights.map((value, i) => learningRate * (proximalMu * value - (gradientOffset?.[i] ?? 0)))
      : undefined;
  return parameterBlocks(spec).map((block) => {
    const { at, shape, decays } = block;
    const decay = proximalMu + (decays ? l2 : 0);
    return {
      keep: decay > 0 ? tf.scalar(1 - learningRate * decay) : undefined,
      shift: shifts && tf.tensor(shifts.slice(at, at + lengthOf(block)), [...shape]),
      moves: movesOf(tf, block, options.frozen ?? []),
    };
  });
}

const lengthOf = ({ shape }: ParameterBlock): number => shape.reduce((product, size) => product * size, 1);

function movesOf(
  tf: Tfjs,
  block: ParameterBlock,
  frozen: readonly (readonly [number, number])[],
): Motion['moves'] {
  const length = lengthOf(block);
  const mask = new Uint8Array(length).fill(1);
  for (const [from, to] of frozen)
    mask.fill(
      0,
      Math.min(length, Math.max(0, from - block.at)),
      Math.min(length, Math.max(0, to - block.at)),
    );
  if (!mask.includes(0)) return undefined;
  return mask.includes(1) ? tf.tensor(mask, [...block.shape], 'bool') : 'nothing';
}
