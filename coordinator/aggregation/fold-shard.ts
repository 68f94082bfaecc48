/**
 * One place where bodies are added up: in this thread, or in a worker (fold-pool.ts).
 *
 * Shards know nothing of devices, certificates or crashes: rounds/round-fold.ts decides what goes in, once, and keeps
 * each sum together with the devices in it. Trusts: places are of the round's own spool, bodies were validated at
 * intake. May be called by: coordinator/rounds, coordinator/server.ts.
 */
import type { BodyFolder } from '../../crypto/secagg/scheme.ts';
import type { SpoolPlace } from '../storage/spool.ts';

/** Where one body stands, in order. */
export type BodyPlaces = readonly SpoolPlace[];

export interface FoldShard {
  /** Where its work is done, for the log. */
  readonly name: string;
  /** Resolves when all are in the sum. After a rejection the sum is of no use any more. */
  add(bodies: readonly BodyPlaces[]): Promise<void>;
  /** The sum of everything whose `add` was called before, in the form of a body. */
  sum(): Promise<Uint8Array>;
  /** Gives its memory back. */
  close(): void;
}

/** Fills `target` with the bytes of `places` from `at` on. */
export function readBody(
  places: BodyPlaces,
  at: number,
  target: Uint8Array,
  read: (place: SpoolPlace, target: Uint8Array) => void,
): void {
  let start = 0;
  let filled = 0;
  for (const place of places) {
    const end = start + place.length;
    const from = Math.max(at + filled, start);
    const length = Math.min(end, at + target.length) - from;
    if (length > 0) {
      const cut = { segment: place.segment, position: place.position + from - start, length };
      read(cut, target.subarray(filled, filled + length));
      filled += length;
    }
    start = end;
  }
  if (filled !== target.length) throw new RangeError('the places of a body are shorter than the body');
}

/** Folding in the main thread goes on for this long before other events get their turn. */
const TURN_MS = 4;

/** Folds in the calling thread, a few milliseconds at a time. */
export class LocalShard implements FoldShard {
  readonly name = 'main thread';
  readonly #folder: BodyFolder;
  readonly #read: (place: SpoolPlace, target: Uint8Array) => void;
  readonly #turn: () => Promise<void>;

  constructor(
    folder: BodyFolder,
    read: (place: SpoolPlace, target: Uint8Array) => void,
    turn: () => Promise<void> = () => new Promise((resolve) => setImmediate(resolve)),
  ) {
    this.#folder = folder;
    this.#read = read;
    this.#turn = turn;
  }

  async add(bodies: readonly BodyPlaces[]): Promise<void> {
    let startMs = performance.now();
    for (const places of bodies) {
      this.#folder.addRead((target, at) => readBody(places, at, target, this.#read));
      if (performance.now() - startMs < TURN_MS) continue;
      await this.#turn();
      startMs = performance.now();
    }
  }

  async sum(): Promise<Uint8Array> {
    return this.#folder.bytes();
  }

  close(): void {}
}
