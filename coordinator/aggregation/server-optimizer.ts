/**
 * Server-side optimisers: how an opened, averaged update moves the released model.
 *
 * For: coordinator/rounds after a sum was opened (post-processing, so no privacy cost), and experiments.
 * Pure. Trusts: its caller that the pseudo-gradient comes from a certified sum; checks lengths and
 * finiteness itself.
 *
 * - fedavg   w ← w + η·Δ (McMahan et al. 1602.05629; η = 1 is the plain average)
 * - fedprox  the same on the server; the proximal term is the clients' (Li et al. 1812.06127)
 * - fedavgm  v ← β·v + Δ; w ← w + η·v (Hsu et al. 1909.06335)
 * - fedadam  m ← β1·m + (1−β1)·Δ; u ← β2·u + (1−β2)·Δ²; w ← w + η·m/(√u + τ), no bias correction
 *            (Reddi et al. 2003.00295, Algorithm 2, with u started at τ² as there)
 *
 * State is float64 whatever the model's float32: momentum must not depend on how a replica rounded it.
 */
import { z } from 'zod';
import { fromBase64, toBase64 } from '../../crypto/bytes.ts';
import { ensure, PulsefoldError } from '../../crypto/error.ts';

const learningRate = z.number().positive().max(1000);
const beta = z.number().min(0).max(0.9999);

/** Hyper-parameters as a plan states them. */
export const serverHyper = z.discriminatedUnion('strategy', [
  z.strictObject({ strategy: z.literal('fedavg'), learningRate }),
  z.strictObject({ strategy: z.literal('fedprox'), learningRate }),
  z.strictObject({ strategy: z.literal('fedavgm'), learningRate, momentum: beta }),
  z.strictObject({
    strategy: z.literal('fedadam'),
    learningRate,
    beta1: beta,
    beta2: beta,
    /** Adaptivity τ: smaller is more adaptive. */
    tau: z.number().positive().max(1),
  }),
]);
export type ServerHyper = z.infer<typeof serverHyper>;
export type ServerStrategy = ServerHyper['strategy'];

export interface ServerOptimizerState {
  readonly strategy: ServerStrategy;
  /** Steps taken. */
  readonly step: number;
  /** v of fedavgm, m of fedadam; empty otherwise. */
  readonly first: Float64Array;
  /** u of fedadam; empty otherwise. */
  readonly second: Float64Array;
}

/** State before the first round, for a model of `dimension` parameters. */
export function initialServerState(hyper: ServerHyper, dimension: number): ServerOptimizerState {
  const withFirst = hyper.strategy === 'fedavgm' || hyper.strategy === 'fedadam';
  return {
    strategy: hyper.strategy,
    step: 0,
    first: new Float64Array(withFirst ? dimension : 0),
    second:
      hyper.strategy === 'fedadam' ? new Float64Array(dimension).fill(hyper.tau ** 2) : new Float64Array(0),
  };
}

/**
 * One server step. Inputs are not changed.
 * @param weights current model, d entries
 * @param pseudoGradient d entries: mean client delta (person unit), or MINUS the mean record gradient
 * (record unit)
 * @throws PulsefoldError VECTOR_LENGTH_MISMATCH, WRONG_CONFIG (state of another strategy), DATA_INVALID (not
 * finite)
 */
export function serverStep(
  state: ServerOptimizerState,
  weights: Float32Array,
  pseudoGradient: Float64Array,
  hyper: ServerHyper,
): { weights: Float32Array; state: ServerOptimizerState } {
  const dimension = weights.length;
  ensure(
    pseudoGradient.length === dimension,
    'VECTOR_LENGTH_MISMATCH',
    `the model has ${dimension} parameters, the update ${pseudoGradient.length}`,
  );
  ensure(
    state.strategy === hyper.strategy,
    'WRONG_CONFIG',
    'the optimiser state belongs to another strategy',
  );
  const fresh = initialServerState(hyper, dimension);
  ensure(
    state.first.length === fresh.first.length && state.second.length === fresh.second.length,
    'VECTOR_LENGTH_MISMATCH',
    'the optimiser state belongs to a model of another size',
  );
  const first = state.first.slice();
  const second = state.second.slice();
  const next = new Float32Array(dimension);
  for (let i = 0; i < dimension; i++) {
    const move = moveOf(hyper, pseudoGradient[i]!, first, second, i);
    next[i] = weights[i]! + hyper.learningRate * move;
    if (!Number.isFinite(next[i]!))
      throw new PulsefoldError('DATA_INVALID', `parameter ${i} would not be finite; the update is refused`);
  }
  return { weights: next, state: { strategy: state.strategy, step: state.step + 1, first, second } };
}

/** Direction for entry i before the learning rate; updates the moments in place. */
function moveOf(
  hyper: ServerHyper,
  delta: number,
  first: Float64Array,
  second: Float64Array,
  i: number,
): number {
  switch (hyper.strategy) {
    case 'fedavg':
    case 'fedprox':
      return delta;
    case 'fedavgm':
      first[i] = hyper.momentum * first[i]! + delta;
      return first[i]!;
    case 'fedadam':
      first[i] = hyper.beta1 * first[i]! + (1 - hyper.beta1) * delta;
      second[i] = hyper.beta2 * second[i]! + (1 - hyper.beta2) * delta * delta;
      return first[i]! / (Math.sqrt(second[i]!) + hyper.tau);
  }
}

const storedState = z.strictObject({
  version: z.literal(1),
  strategy: z.enum(['fedavg', 'fedprox', 'fedavgm', 'fedadam']),
  step: z.int().min(0),
  first: z.base64().max(2 ** 26),
  second: z.base64().max(2 ** 26),
});

/**
 * JSON text for the store; moments as base64 of little-endian float64, so that a restart resumes bit for bit.
 */
export function serializeServerState(state: ServerOptimizerState): string {
  const { strategy, step, first, second } = state;
  return JSON.stringify({ version: 1, strategy, step, first: encode(first), second: encode(second) });
}

/** @throws PulsefoldError MALFORMED_MESSAGE. */
export function parseServerState(text: string): ServerOptimizerState {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new PulsefoldError('MALFORMED_MESSAGE', 'the optimiser state is not JSON');
  }
  const result = storedState.safeParse(value);
  ensure(result.success, 'MALFORMED_MESSAGE', 'the optimiser state has missing or unknown fields');
  const { strategy, step, first, second } = result.data;
  return { strategy, step, first: decode(first), second: decode(second) };
}

function encode(values: Float64Array): string {
  const bytes = new Uint8Array(values.length * 8);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < values.length; i++) view.setFloat64(i * 8, values[i]!, true);
  return toBase64(bytes);
}

function decode(text: string): Float64Array {
  const bytes = fromBase64(text);
  ensure(bytes.length % 8 === 0, 'MALFORMED_MESSAGE', 'the optimiser state is cut off');
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const values = Float64Array.from({ length: bytes.length / 8 }, (_, i) => view.getFloat64(i * 8, true));
  ensure(values.every(Number.isFinite), 'MALFORMED_MESSAGE', 'the optimiser state has a non-finite entry');
  return values;
}
