/**
 * What virtual devices keep between rounds (client/training/strategies/memory.ts), in flat arrays that threads share.
 *
 * Trusts: that no device is at work in two threads at once. May be called by: experiments/simulation.
 */
import type { StrategyMemory } from '../../client/training/strategies/memory.ts';
import { ensure } from '../../crypto/error.ts';
import { parameterCount } from '../../protos/model.ts';
import type { Plan } from '../../protos/plan.ts';
import { strategyOf } from '../../protos/strategies/index.ts';

/** Arrays of SharedArrayBuffers: values devices × length, and for each device how many of them it keeps. */
export interface MemoryArrays {
  readonly values: Float32Array;
  readonly lengths: Uint32Array;
  /** The same for what counts only once the device's update was certified (`control`); null where all is kept at once. */
  readonly held: { readonly values: Float32Array; readonly lengths: Uint32Array } | null;
  readonly length: number;
}

/** 4 GB hold the personal weights of a million devices with a thousand parameters. */
const BYTES_MAX = 2 ** 32;

/** Null where the plan's strategy keeps nothing. */
export function memoryArraysOf(plan: Plan, devices: number): MemoryArrays | null {
  const { memory } = strategyOf(plan);
  if (memory === undefined) return null;
  const length = parameterCount(plan.model);
  const isHeld = memory === 'control';
  const bytes = 4 * devices * length;
  ensure(
    (isHeld ? 2 : 1) * bytes <= BYTES_MAX,
    'CONFIG_INVALID',
    `${plan.training.strategy} keeps ${length} numbers on each of ${devices} devices: simulate fewer devices`,
  );
  const made = () => ({
    values: new Float32Array(new SharedArrayBuffer(bytes)),
    lengths: new Uint32Array(new SharedArrayBuffer(4 * devices)),
  });
  return { ...made(), held: isHeld ? made() : null, length };
}

export class DeviceMemories {
  readonly #arrays: MemoryArrays;

  constructor(arrays: MemoryArrays) {
    this.#arrays = arrays;
  }

  /** One strategy keeps one thing, so the key need not be told apart. */
  of(device: number): StrategyMemory {
    const { values, lengths, held, length } = this.#arrays;
    const target = held ?? { values, lengths };
    return {
      async load() {
        const count = lengths[device]!;
        return count === 0 ? null : values.slice(device * length, device * length + count);
      },
      async save(_key, kept) {
        ensure(kept.length <= length, 'INTERNAL', 'a device keeps more than a model');
        target.values.set(kept, device * length);
        target.lengths[device] = kept.length;
      },
    };
  }

  /** These devices' updates were summed: what they held back with them is what they keep (docs/strategies.md). */
  certify(devices: Iterable<number>): void {
    const { values, lengths, held, length } = this.#arrays;
    if (held === null) return;
    for (const device of devices) {
      const count = held.lengths[device]!;
      if (count === 0) continue;
      const at = device * length;
      values.set(held.values.subarray(at, at + count), at);
      lengths[device] = count;
    }
  }

  /** Whatever is still held back was not summed. */
  forgetOpen(): void {
    this.#arrays.held?.lengths.fill(0);
  }
}
