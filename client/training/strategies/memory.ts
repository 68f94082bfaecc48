/**
 * What a device keeps between the rounds of a plan and never sends: SCAFFOLD's c_i, personal weights.
 *
 * The port. A provider serves one device and one plan. Production: client/agent/strategy-memory.ts over the vault;
 * simulation: flat arrays. Trusts: nobody but the device reads it. May be called by: client/, experiments/.
 */
import type { MemoryKey } from '../../../protos/strategies/index.ts';

export type { MemoryKey } from '../../../protos/strategies/index.ts';

export interface StrategyMemory {
  /** A copy of what was saved last; null before the first time. */
  load(key: MemoryKey): Promise<Float32Array | null>;
  /**
   * May hold the values back until the update that they go with is sealed. A provider that learns that the update was
   * not summed should forget `control` of that round: the server's c has not moved by it (docs/strategies.md).
   */
  save(key: MemoryKey, values: Float32Array): Promise<void>;
}

/** Of a device that forgets when its process ends: for tests and for studies with few devices. */
export class PlainMemory implements StrategyMemory {
  readonly #values = new Map<MemoryKey, Float32Array>();

  async load(key: MemoryKey): Promise<Float32Array | null> {
    return this.#values.get(key)?.slice() ?? null;
  }

  async save(key: MemoryKey, values: Float32Array): Promise<void> {
    this.#values.set(key, values.slice());
  }
}
