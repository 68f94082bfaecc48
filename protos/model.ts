/**
 * Model specification, flat parameter layout and seeded initial weights.
 *
 * For: everyone who has to agree on what entry i of a weight vector means. Imports only crypto/ and zod.
 * Trusts: nothing; specs come from plans. The seed of initial weights is public (DESIGN §2): it is not a secret.
 */
import { z } from 'zod';
import { ensure, PulsefoldError } from '../crypto/error.ts';
import { seededRandom, uniform } from '../crypto/random.ts';

/** What the last layer says. Absent: one logit, the probability of class 1. */
const outputSchema = z.discriminatedUnion('kind', [
  /** One logit per class; softmax cross-entropy. */
  z.strictObject({ kind: z.literal('classes'), count: z.int().min(2).max(64) }),
  /** One real number; half squared error. */
  z.strictObject({ kind: z.literal('regression') }),
]);

const convolutionSchema = z.strictObject({
  filters: z.int().min(1).max(128),
  /** Steps that a filter sees. */
  width: z.int().min(1).max(128),
  stride: z.int().min(1).max(32),
});

/**
 * Logistic, softmax or linear regression ('lr'); a multi-layer perceptron ('mlp'); or what precedes the dense layers of
 * one: convolutions over a series ('cnn'), a gated recurrent unit ('gru'), a table of vectors ('embedding').
 * Fields that a kind has no use for are absent.
 */
export const modelSpecSchema = z
  .strictObject({
    kind: z.enum(['lr', 'mlp', 'cnn', 'gru', 'embedding']),
    inputs: z.int().min(1).max(1024),
    /** Width of each hidden dense layer; empty for 'lr'. */
    hidden: z.array(z.int().min(1).max(512)).max(3),
    /** Of the hidden layers and the convolutions; without effect for 'lr'. */
    activation: z.enum(['relu', 'tanh']),
    output: outputSchema.optional(),
    /** cnn, gru: a row is a series; channel c of step t is input t·channels + c. */
    channels: z.int().min(1).max(64).optional(),
    /** cnn: one after the other, without padding. */
    convolutions: z.array(convolutionSchema).min(1).max(4).optional(),
    /** cnn, embedding: whether the dense layers see every step (column), or their mean. */
    summary: z.enum(['flatten', 'mean']).optional(),
    /** gru: width of its state; the dense layers see the last one. */
    units: z.int().min(1).max(256).optional(),
    /** embedding: the first `columns` inputs are row numbers of one table, `vocabulary` vectors of `size`. */
    embedding: z
      .strictObject({
        columns: z.int().min(1).max(1024),
        vocabulary: z.int().min(2).max(1024),
        size: z.int().min(1).max(128),
      })
      .optional(),
  })
  .superRefine((spec, context) => {
    for (const [field, message] of specIssues(spec))
      context.addIssue({ code: 'custom', message, path: [field] });
  });

export type ModelSpec = z.infer<typeof modelSpecSchema>;

/** Largest step of a client's gradient descent that a plan may state and an engine takes. */
export const LEARNING_RATE_MAX = 100;

/** Most parameters of a model; the widest 'mlp' has about half of them. */
export const parametersMax = 1 << 21;

const frontFields = {
  lr: [],
  mlp: [],
  cnn: ['channels', 'convolutions', 'summary'],
  gru: ['channels', 'units'],
  embedding: ['embedding', 'summary'],
} as const;

/** Field and reason for what does not fit together. */
function specIssues(spec: ModelSpec): [string, string][] {
  const issues: [string, string][] = [];
  const { kind, inputs, hidden, channels, embedding } = spec;
  if ((kind === 'lr' && hidden.length > 0) || (kind === 'mlp' && hidden.length === 0))
    issues.push(['hidden', 'lr has no hidden layer, mlp has one to three']);
  const needed: readonly string[] = frontFields[kind];
  for (const field of ['channels', 'convolutions', 'summary', 'units', 'embedding'] as const)
    if (needed.includes(field) !== (spec[field] !== undefined))
      issues.push([field, needed.includes(field) ? `${kind} needs it` : `${kind} has no use for it`]);
  if (issues.length > 0) return issues;
  if (channels !== undefined && inputs % channels !== 0)
    return [['channels', `${inputs} inputs are no whole number of steps of ${channels} channels`]];
  if (embedding && embedding.columns > inputs)
    return [['embedding', `${embedding.columns} columns are more than the ${inputs} inputs`]];
  if (convolutionLayout(spec).some(({ outputSteps }) => outputSteps < 1))
    return [['convolutions', 'a filter is wider than the series that reaches it']];
  if (parameterCount(spec) > parametersMax) return [['hidden', `more than ${parametersMax} parameters`]];
  return [];
}

export type OutputKind = 'binary' | 'classes' | 'regression';

export const outputKindOf = (spec: Pick<ModelSpec, 'output'>): OutputKind => spec.output?.kind ?? 'binary';

/** Units of the last layer: one per class, else 1. */
export const outputsOf = (spec: Pick<ModelSpec, 'output'>): number =>
  spec.output?.kind === 'classes' ? spec.output.count : 1;

/** @throws PulsefoldError PLAN_INVALID naming the first offending field. */
export function parseModelSpec(value: unknown): ModelSpec {
  const result = modelSpecSchema.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new PulsefoldError('PLAN_INVALID', `model: ${issue?.path.join('.') || '(root)'}: ${issue?.message}`);
}

export interface LayerLayout {
  readonly inputs: number;
  readonly outputs: number;
  /** Offset of W; entry (i, j), input i to unit j, is at `weightsAt + i * outputs + j`. */
  readonly weightsAt: number;
  /** Offset of the bias; unit j at `biasAt + j`. */
  readonly biasAt: number;
}

/** Lengths of a series on its way through a convolution, and where its arrays are. */
export interface ConvolutionLayout {
  readonly steps: number;
  readonly channels: number;
  readonly outputSteps: number;
  readonly filters: number;
  readonly width: number;
  readonly stride: number;
}

/** The convolutions of a 'cnn'; none for other kinds. */
export function convolutionLayout(spec: ModelSpec): readonly ConvolutionLayout[] {
  if (spec.kind !== 'cnn') return [];
  let channels = spec.channels!;
  let steps = spec.inputs / channels;
  return spec.convolutions!.map(({ filters, width, stride }) => {
    const outputSteps = Math.floor((steps - width) / stride) + 1;
    const layer = { steps, channels, outputSteps, filters, width, stride };
    steps = outputSteps;
    channels = filters;
    return layer;
  });
}

/** One array of parameters within the flat vector, row-major. */
export interface ParameterBlock {
  readonly at: number;
  readonly shape: readonly number[];
  /** Whether the L2 term applies: to weights, not to biases. */
  readonly decays: boolean;
  /** Initial values are uniform in ±limit. */
  readonly limit: number;
}

type Block = Omit<ParameterBlock, 'at'>;

/** Glorot & Bengio 2010, eq. 16. */
const glorot = (inputs: number, outputs: number): number => Math.sqrt(6 / (inputs + outputs));
const weightBlock = (limit: number, ...shape: number[]): Block => ({ shape, decays: true, limit });
const biasBlock = (units: number): Block => ({ shape: [units], decays: false, limit: 0 });

/** Arrays before the dense layers, and how many values a row is when it reaches those. */
function frontOf(spec: ModelSpec): { blocks: Block[]; width: number } {
  const { inputs, embedding } = spec;
  if (spec.kind === 'cnn') {
    const layers = convolutionLayout(spec);
    const last = layers.at(-1)!;
    return {
      blocks: layers.flatMap(({ width, channels, filters }) => [
        weightBlock(glorot(width * channels, width * filters), width, channels, filters),
        biasBlock(filters),
      ]),
      width: last.filters * (spec.summary === 'mean' ? 1 : last.outputSteps),
    };
  }
  if (spec.kind === 'gru') {
    const [units, channels] = [spec.units!, spec.channels!];
    const blocks = [
      weightBlock(glorot(channels, units), channels, 3 * units),
      weightBlock(1 / Math.sqrt(units), units, 3 * units),
      biasBlock(3 * units),
    ];
    return { blocks, width: units };
  }
  if (spec.kind === 'embedding') {
    const { columns, vocabulary, size } = embedding!;
    const width = size * (spec.summary === 'mean' ? 1 : columns) + inputs - columns;
    return { blocks: [weightBlock(0.05, vocabulary, size)], width };
  }
  return { blocks: [], width: inputs };
}

const lengthOf = ({ shape }: Pick<ParameterBlock, 'shape'>): number =>
  shape.reduce((product, size) => product * size, 1);

/**
 * The arrays of the flat vector, in order and without gaps: first those before the dense layers, then W and bias of
 * each dense layer.
 *
 * - cnn, per convolution: filter (width × channels × filters), bias (filters).
 * - gru: input matrix (channels × 3·units), state matrix (units × 3·units), bias (3·units), each in the order update
 *   gate, reset gate, candidate (Cho et al. 1406.1078, as tfjs-layers' GRU lays them out).
 * - embedding: the table (vocabulary × size). The dense layers see its rows for the columns (flatten) or their mean,
 *   then the other inputs.
 */
export function parameterBlocks(spec: ModelSpec): readonly ParameterBlock[] {
  const { blocks } = frontOf(spec);
  for (const { inputs, outputs } of modelLayout(spec))
    blocks.push(
      weightBlock(spec.kind === 'lr' ? 0 : glorot(inputs, outputs), inputs, outputs),
      biasBlock(outputs),
    );
  let at = 0;
  return blocks.map((block) => {
    const placed = { at, ...block };
    at += lengthOf(block);
    return placed;
  });
}

/**
 * The dense layers in the flat vector: layer after layer from input to output; within a layer first W (input-major,
 * inputs × outputs), then the bias (outputs). The last layer has outputsOf(spec) units: logits, or the value. For
 * 'lr' and 'mlp' they are all there is.
 */
export function modelLayout(spec: ModelSpec): readonly LayerLayout[] {
  const front = frontOf(spec);
  const widths = [front.width, ...spec.hidden, outputsOf(spec)];
  const layers: LayerLayout[] = [];
  let at = front.blocks.reduce((sum, block) => sum + lengthOf(block), 0);
  for (let i = 0; i + 1 < widths.length; i++) {
    const inputs = widths[i]!;
    const outputs = widths[i + 1]!;
    layers.push({ inputs, outputs, weightsAt: at, biasAt: at + inputs * outputs });
    at += (inputs + 1) * outputs;
  }
  return layers;
}

/** Length d of the flat weight vector. */
export function parameterCount(spec: ModelSpec): number {
  const last = modelLayout(spec).at(-1)!;
  return last.biasAt + last.outputs;
}

/**
 * Initial weights, the same for every holder of (spec, seed): zeros for 'lr' (its loss is convex); zero biases and
 * uniform weights for the others: Glorot's ±√(6/(inputs+outputs)), for the state of a 'gru' ±1/√units, for an
 * 'embedding' ±0.05.
 * @returns flat vector of length parameterCount(spec).
 */
export function initialWeights(spec: ModelSpec, seed: string): Float32Array {
  ensure(
    seed.length > 0 && seed.length <= 256,
    'FIELD_OUT_OF_RANGE',
    'the seed must have 1 to 256 characters',
  );
  const weights = new Float32Array(parameterCount(spec));
  if (spec.kind === 'lr') return weights;
  const random = seededRandom(`initial-weights/${seed}`);
  for (const block of parameterBlocks(spec)) {
    const { at, limit } = block;
    if (limit === 0) continue;
    for (let i = at; i < at + lengthOf(block); i++) weights[i] = (2 * uniform(random) - 1) * limit;
  }
  return weights;
}
