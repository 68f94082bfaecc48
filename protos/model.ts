/**
 * Model specification, flat parameter layout and seeded initial weights.
 *
 * For: everyone who has to agree on what entry i of a weight vector means. Imports only crypto/ and zod.
 * Trusts: nothing; specs come from plans. The seed of initial weights is public (DESIGN §2): it is not a secret.
 */
import { z } from 'zod';
import { ensure, PulsefoldError } from '../crypto/error.ts';
import { seededRandom, uniform } from '../crypto/random.ts';

/** Binary classifier: logistic regression, or a multi-layer perceptron with one sigmoid output. */
export const modelSpecSchema = z
  .strictObject({
    kind: z.enum(['lr', 'mlp']),
    inputs: z.int().min(1).max(1024),
    /** Width of each hidden layer; empty for 'lr'. */
    hidden: z.array(z.int().min(1).max(512)).max(3),
    /** Of the hidden layers; without effect for 'lr'. */
    activation: z.enum(['relu', 'tanh']),
  })
  .refine((spec) => (spec.kind === 'lr') === (spec.hidden.length === 0), {
    message: 'lr has no hidden layer, mlp has one to three',
    path: ['hidden'],
  });

export type ModelSpec = z.infer<typeof modelSpecSchema>;

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

/**
 * The flat layout: layer after layer from input to output; within a layer first W (input-major, inputs × outputs),
 * then the bias (outputs). The last layer has one output, the logit.
 */
export function modelLayout(spec: ModelSpec): readonly LayerLayout[] {
  const widths = [spec.inputs, ...spec.hidden, 1];
  const layers: LayerLayout[] = [];
  let at = 0;
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
  return modelLayout(spec).reduce((sum, layer) => sum + (layer.inputs + 1) * layer.outputs, 0);
}

/**
 * Initial weights, the same for every holder of (spec, seed): zeros for 'lr' (its loss is convex); Glorot uniform
 * U(±√(6/(inputs+outputs))) and zero biases for 'mlp' (Glorot & Bengio 2010, eq. 16).
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
  for (const layer of modelLayout(spec)) {
    const limit = Math.sqrt(6 / (layer.inputs + layer.outputs));
    for (let i = layer.weightsAt; i < layer.biasAt; i++) weights[i] = (2 * uniform(random) - 1) * limit;
  }
  return weights;
}
