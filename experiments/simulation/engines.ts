/**
 * The training engine of a simulation: the SIMD kernel for the models that it knows, tfjs for the others.
 *
 * Trusts: nothing. May be called by: experiments/simulation.
 */
import { loadTrainEngine, type TrainEngine } from '../../client/training/engine.ts';
import { loadKernelEngine } from '../../client/training/kernel-engine.ts';
import type { ModelSpec } from '../../protos/model.ts';
import type { Engine } from './device-work.ts';

export type SimulationEngine = 'kernel' | 'tfjs-wasm' | 'tfjs-cpu';

/** Loads one; `name` is the one that runs. */
export async function loadEngine(
  wanted: SimulationEngine,
  model: ModelSpec,
): Promise<{ readonly engine: Engine & TrainEngine; readonly name: string }> {
  const isDense = model.kind === 'lr' || model.kind === 'mlp';
  const engine =
    wanted === 'kernel' && isDense
      ? await loadKernelEngine()
      : await loadTrainEngine([wanted === 'kernel' ? 'tfjs-wasm' : wanted]);
  return { engine, name: engine.name };
}
