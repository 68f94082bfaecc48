/**
 * LongSum: sums of long integer vectors at the price of one short sum. Entry point for clients and the coordinator.
 *
 * A client seals its vector under a fresh key s and gives s to the short sum (shares or bfv); the coordinator folds
 * what is sealed and opens it with Σs. Trusts: the short sum to keep each s secret; random.ts.
 * May be called by: crypto/secagg, client, coordinator, experiments, cli.
 */
import { isPulsefoldError } from '../../error.ts';
import type { RandomSource } from '../../random.ts';
import type { LongEngine } from './engine.ts';
import { typescriptEngine } from './engine-typescript.ts';
import { aSeedOf } from './expansion.ts';
import { ensureLongParameters, type LongParameters } from './parameters.ts';
import { sampleSmallGaussian } from './sampler.ts';

export type { LongEngine, LongFolder, OpenInput, SealInput } from './engine.ts';
export { aSeedOf } from './expansion.ts';
export {
  chooseLong,
  describeLong,
  type LongDescription,
  type LongParameters,
  type LongRequest,
  type ShortSumKind,
} from './parameters.ts';

export type LongEngineChoice = 'auto' | 'wasm-simd' | 'typescript';

/**
 * The engine asked for; its `name` says which one it is. `auto` takes the SIMD kernels where they instantiate, else
 * the TypeScript twin; `wasm-simd` throws UNAVAILABLE where they do not. Any other fault of the kernels is thrown
 * under either: a broken build must not pass for a missing feature.
 */
export async function loadLongEngine(options: { engine?: LongEngineChoice } = {}): Promise<LongEngine> {
  const choice = options.engine ?? 'auto';
  if (choice === 'typescript') return typescriptEngine;
  // Only here, so that whoever asks for the twin loads no kernels.
  const { loadWasmLongEngine } = await import('../../kernels/long-wasm.ts');
  try {
    return await loadWasmLongEngine();
  } catch (error) {
    if (choice === 'auto' && isPulsefoldError(error) && error.code === 'UNAVAILABLE') return typescriptEngine;
    throw error;
  }
}

export interface LongSealed {
  /** parameters.packedBytes bytes; the body of an upload is this and then the short body of `secret`. */
  readonly packed: Uint8Array;
  /** The one-time key, polyDegree small integers, for the short sum. The caller overwrites it after that. */
  readonly secret: Int32Array;
}

/**
 * Seals `slots` for the round with this config hash: samples key and errors, and overwrites all of them but the key
 * it returns. Throws VECTOR_LENGTH_MISMATCH unless there are slotCount slots.
 */
export function sealLong(
  engine: LongEngine,
  parameters: LongParameters,
  input: { readonly configHash: Uint8Array; readonly slots: Int32Array; readonly random: RandomSource },
): LongSealed {
  ensureLongParameters(parameters);
  const { sigma256, polyDegree, coefficientCount } = parameters;
  const secret = sampleSmallGaussian(sigma256, polyDegree, input.random, engine.scan);
  const errors = sampleSmallGaussian(sigma256, coefficientCount, input.random, engine.scan);
  try {
    const aSeed = aSeedOf(input.configHash);
    const packed = engine.seal(parameters, { aSeed, secret, errors, slots: input.slots });
    return { packed, secret: Int32Array.from(secret) };
  } finally {
    errors.fill(0);
    secret.fill(0);
  }
}
