/**
 * A device's memory of a strategy (client/training/strategies/memory.ts) over its store, one round at a time.
 *
 * Values of a round are written after its sealed update and before the state that names it: a crash in between repeats
 * the round from the values before. SCAFFOLD's c_i goes back to them, too, where the round did not count the update;
 * a personal model stays what it learned. Trusts: its store, and the receipts in it, which were verified before.
 * May be called by: client/agent/round.ts.
 */
import { ensure, isPulsefoldError } from '../../crypto/error.ts';
import { parseReceipt } from '../../protos/receipt.ts';
import type { MemoryKey, StrategyMemory } from '../training/strategies/index.ts';
import { type ClientState, type ClientStore, uploadName } from './store.ts';

/** What is stored under a key: the values after `round`, and those before it (null in a device's first round). */
interface MemoryEntry {
  readonly round: number;
  readonly before: Float32Array | null;
  readonly after: Float32Array;
}

const HEADER_BYTES = 12;

function encodeEntry({ round, before, after }: MemoryEntry): Uint8Array {
  const values = [...(before ? [before] : []), after];
  const bytes = new Uint8Array(HEADER_BYTES + 4 * values.length * after.length);
  const view = new DataView(bytes.buffer);
  [round, after.length, values.length].forEach((word, i) => {
    view.setUint32(4 * i, word, true);
  });
  values.forEach((part, p) => {
    for (let i = 0; i < part.length; i++)
      view.setFloat32(HEADER_BYTES + 4 * (p * after.length + i), part[i]!, true);
  });
  return bytes;
}

function parseEntry(bytes: Uint8Array): MemoryEntry {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  ensure(bytes.length >= HEADER_BYTES, 'FILE_SEALED', "the strategy's memory is cut off");
  const [round, length, parts] = [0, 4, 8].map((at) => view.getUint32(at, true)) as [number, number, number];
  const whole = (parts === 1 || parts === 2) && bytes.length === HEADER_BYTES + 4 * parts * length;
  ensure(whole, 'FILE_SEALED', "the strategy's memory has another length than it says");
  const part = (p: number) =>
    Float32Array.from({ length }, (_, i) => view.getFloat32(HEADER_BYTES + 4 * (p * length + i), true));
  return { round, before: parts === 2 ? part(0) : null, after: part(parts - 1) };
}

export interface MemoryRound {
  readonly store: Pick<ClientStore, 'getMemory' | 'putMemory' | 'getReceipt'>;
  readonly state: Pick<ClientState, 'undecided'>;
  readonly planHash: string;
  readonly round: number;
}

export class RoundMemory implements StrategyMemory {
  readonly #of: MemoryRound;
  readonly #pending = new Map<MemoryKey, Float32Array>();

  constructor(of: MemoryRound) {
    this.#of = of;
  }

  async load(key: MemoryKey): Promise<Float32Array | null> {
    const stored = await this.#of.store.getMemory(this.#name(key));
    if (stored === undefined) return null;
    const { round, before, after } = parseEntry(stored);
    // Of this round: an attempt that never left. The other keys are of updates that did.
    if (round >= this.#of.round) return before;
    return key === 'personal' || (await this.#counted(round)) ? after : before;
  }

  /** Kept until `flush`. */
  async save(key: MemoryKey, values: Float32Array): Promise<void> {
    this.#pending.set(key, values.slice());
  }

  /** Makes what was saved durable; to be called when the round's sealed update is. */
  async flush(): Promise<void> {
    for (const [key, after] of this.#pending) {
      const before = await this.load(key);
      const entry = encodeEntry({ round: this.#of.round, before, after });
      await this.#of.store.putMemory(this.#name(key), entry);
    }
    this.#pending.clear();
  }

  #name(key: MemoryKey): string {
    return `${this.#of.planHash}-${key}`;
  }

  /** Whether the update of that round is in the sum, as far as this device knows; an open question is a yes. */
  async #counted(round: number): Promise<boolean> {
    const { store, state, planHash } = this.#of;
    const upload = state.undecided.find((other) => other.planHash === planHash && other.round === round);
    if (upload) return upload.progress !== 'late' && upload.progress !== 'refused';
    try {
      const stored = await store.getReceipt(uploadName({ planHash, round }));
      return stored === undefined || parseReceipt(stored.receipt).outcome === 'certified';
    } catch (error) {
      if (isPulsefoldError(error) && error.code === 'MALFORMED_MESSAGE') return true;
      throw error;
    }
  }
}
