/**
 * Server-side optimisers: how an opened, averaged update moves the released model. Rules: strategies/.
 *
 * For: coordinator/rounds after a sum was opened (post-processing, so no privacy cost), and experiments.
 * Pure. Trusts: its caller that the pseudo-gradient comes from a certified sum; checks lengths and
 * finiteness itself.
 *
 * State is float64 whatever the model's float32: momentum must not depend on how a replica rounded it.
 */
import { z } from 'zod';
import { fromBase64, toBase64 } from '../../crypto/bytes.ts';
import { ensure, PulsefoldError } from '../../crypto/error.ts';
import { type StrategyName, strategyNames } from '../../protos/plan-training.ts';
import { type Moments, type ServerHyper, serverStrategyOf } from './strategies/index.ts';

export { type ServerHyper, serverHyper } from './strategies/index.ts';

export interface ServerOptimizerState extends Moments {
  readonly strategy: StrategyName;
  /** Steps taken. */
  readonly step: number;
}

/** State before the first round, for a blob of `dimension` entries. */
export function initialServerState(hyper: ServerHyper, dimension: number): ServerOptimizerState {
  const { strategy } = hyper;
  return { strategy, step: 0, ...serverStrategyOf(strategy).initialMoments(hyper, dimension) };
}

/**
 * One server step. Inputs are not changed.
 * @param weights current blob (scaffold: w ‖ c; else the model), d entries
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
  const strategy = serverStrategyOf(hyper.strategy);
  const moments = { first: state.first.slice(), second: state.second.slice() };
  const next = new Float32Array(dimension);
  for (let i = 0; i < dimension; i++) {
    next[i] = weights[i]! + strategy.move(hyper, pseudoGradient[i]!, moments, i, dimension);
    if (!Number.isFinite(next[i]!))
      throw new PulsefoldError('DATA_INVALID', `parameter ${i} would not be finite; the update is refused`);
  }
  return { weights: next, state: { strategy: state.strategy, step: state.step + 1, ...moments } };
}

const storedState = z.strictObject({
  version: z.literal(1),
  strategy: z.enum(strategyNames),
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
