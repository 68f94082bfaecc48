/**
 * The `Spool` port: bytes of uploads, appended once, read until their round is over, then dropped as a whole.
 *
 * Uploads are far too large for the database, which keeps only where they stand. Order makes it safe: an append
 * resolves after its bytes are durable, the row that points at them is committed after that, and the device is answered
 * last. Bytes without a row are those of a crash or a refused upload; nothing ever reads them.
 * Trusts: its own file system. May be called by: coordinator/ (rounds, server); the memory form by tests and simulation.
 */
import { ensure, PulsefoldError } from '../../crypto/error.ts';

export interface SpoolRound {
  /** Plan hash, 64 lower-case hexadecimal digits. */
  readonly planHex: string;
  readonly round: number;
}

/** Where appended bytes stand. Never reused within a round, so equal places mean equal bytes. */
export interface SpoolPlace {
  readonly segment: number;
  /** Byte offset in the segment. */
  readonly position: number;
  readonly length: number;
}

export interface SpoolMetrics {
  readonly appends: number;
  readonly appendedBytes: number;
  /** Each is one write and one fsync. */
  readonly groupCommits: number;
  readonly waitingBytes: number;
}

export interface Spool {
  /**
   * Resolves once `data` is durable; until then it must not change. Appends that arrive while the disk works share the
   * next fsync. Rejects UNAVAILABLE at once when too many bytes wait (the caller is to slow down), and when the disk fails.
   */
  append(at: SpoolRound, data: Uint8Array): Promise<SpoolPlace>;
  /** The bytes of a place, into `target` (of its length) where given. UNAVAILABLE if they cannot be read. */
  read(at: SpoolRound, place: SpoolPlace, target?: Uint8Array): Uint8Array;
  /** Directory of the round's segments, for readers in other threads; null for a spool in memory. */
  directoryOf(at: SpoolRound): string | null;
  /** Forgets everything of a round, which takes no appends any more. Idempotent. */
  drop(at: SpoolRound): void;
  metrics(): SpoolMetrics;
  /** Waits for what is being written. Later appends reject UNAVAILABLE. Idempotent. */
  close(): Promise<void>;
}

/** File name of a segment in `directoryOf`. */
export const segmentName = (segment: number): string => `${String(segment).padStart(4, '0')}.seg`;

export const spoolKey = ({ planHex, round }: SpoolRound): string => {
  ensure(/^[0-9a-f]{64}$/.test(planHex), 'INTERNAL', 'spool: a plan is named by its hash');
  ensure(Number.isSafeInteger(round) && round >= 0, 'INTERNAL', 'spool: a round is a number');
  return `${planHex}/${round}`;
};

export const spoolFull = (): PulsefoldError =>
  new PulsefoldError('UNAVAILABLE', 'spool: too many uploads are waiting for the disk; retry later');

export const spoolClosed = (): PulsefoldError =>
  new PulsefoldError('UNAVAILABLE', 'spool: the round is over, or the coordinator stops');

/** A spool that dies with the process: one segment of separate pieces. For tests and simulation. */
export class MemorySpool implements Spool {
  readonly #rounds = new Map<string, Uint8Array[]>();
  /** What was read last: rounds are read body by body. */
  #latest: { readonly at: SpoolRound; readonly pieces: readonly Uint8Array[] | undefined } | null = null;
  #appends = 0;
  #appendedBytes = 0;
  #closed = false;

  async append(at: SpoolRound, data: Uint8Array): Promise<SpoolPlace> {
    if (this.#closed) throw spoolClosed();
    const key = spoolKey(at);
    const pieces = this.#rounds.get(key) ?? [];
    this.#rounds.set(key, pieces);
    this.#latest = null;
    // A copy: the caller's buffer may be a view of a message that is reused.
    const segment = pieces.push(data.slice()) - 1;
    this.#appends++;
    this.#appendedBytes += data.length;
    return { segment, position: 0, length: data.length };
  }

  read(at: SpoolRound, { segment, position, length }: SpoolPlace, target?: Uint8Array): Uint8Array {
    if (this.#latest?.at !== at) this.#latest = { at, pieces: this.#rounds.get(spoolKey(at)) };
    const bytes = this.#latest.pieces?.[segment]?.subarray(position, position + length);
    ensure(bytes?.length === length, 'UNAVAILABLE', 'spool: these bytes were dropped');
    if (!target) return bytes;
    target.set(bytes);
    return target;
  }

  directoryOf(): null {
    return null;
  }

  drop(at: SpoolRound): void {
    this.#latest = null;
    this.#rounds.delete(spoolKey(at));
  }

  metrics(): SpoolMetrics {
    const appends = this.#appends;
    return { appends, appendedBytes: this.#appendedBytes, groupCommits: appends, waitingBytes: 0 };
  }

  async close(): Promise<void> {
    this.#closed = true;
  }
}
