/**
 * `Spool` in files: <directory>/<plan hash>/<round>/NNNN.seg, each written once from its start to its end.
 *
 * Group commit: while one write and its fsync run, further appends gather and share the next. A process never writes into
 * a segment of an earlier one: what a crash left torn at an end has no row, and stays there until the round is dropped.
 * After a failed write or fsync the segment is left alone, too: what the kernel then holds of it is not known.
 * Trusts: the file system below its directory, which only the coordinator may write (mode 0700, files 0600).
 * May be called by: coordinator/server.ts, tests.
 */
import { closeSync, mkdirSync, openSync, readdirSync, readSync, rmSync } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { PulsefoldError } from '../../crypto/error.ts';
import {
  type Spool,
  type SpoolMetrics,
  type SpoolPlace,
  type SpoolRound,
  segmentName,
  spoolClosed,
  spoolFull,
  spoolKey,
} from './spool.ts';

const SEGMENT_BYTES_MAX = 64 * 1024 * 1024;
/** Bytes of one write and its fsync. */
const GROUP_BYTES_MAX = 16 * 1024 * 1024;
/** IOV_MAX: buffers of one writev. */
const GROUP_APPENDS_MAX = 1024;
/** Bytes in memory that wait for the disk. */
const WAITING_BYTES_MAX = 64 * 1024 * 1024;
const READERS_MAX = 32;

export interface FileSpoolOptions {
  readonly directory: string;
  readonly segmentBytesMax?: number;
  readonly waitingBytesMax?: number;
  /** Makes written bytes durable; another one only in tests. */
  readonly sync?: (file: FileHandle) => Promise<void>;
}

interface Append {
  readonly at: SpoolRound;
  readonly key: string;
  readonly data: Uint8Array;
  readonly resolve: (place: SpoolPlace) => void;
  readonly reject: (error: unknown) => void;
}

interface Segment {
  readonly number: number;
  readonly file: FileHandle;
  bytes: number;
}

export class FileSpool implements Spool {
  readonly #directory: string;
  readonly #segmentBytesMax: number;
  readonly #waitingBytesMax: number;
  readonly #sync: (file: FileHandle) => Promise<void>;
  /** The segment being written, by round. */
  readonly #segments = new Map<string, Segment>();
  readonly #nextNumber = new Map<string, number>();
  /** Open files for reading, the latest used last. */
  readonly #readers = new Map<string, number>();
  readonly #dropped = new Set<string>();
  #queue: Append[] = [];
  #writing: Promise<void> | null = null;
  #waitingBytes = 0;
  #appends = 0;
  #appendedBytes = 0;
  #groupCommits = 0;
  #closed = false;

  constructor(options: FileSpoolOptions) {
    this.#directory = options.directory;
    this.#segmentBytesMax = options.segmentBytesMax ?? SEGMENT_BYTES_MAX;
    this.#waitingBytesMax = options.waitingBytesMax ?? WAITING_BYTES_MAX;
    this.#sync = options.sync ?? ((file) => file.datasync());
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
  }

  directoryOf(at: SpoolRound): string {
    return join(this.#directory, spoolKey(at));
  }

  append(at: SpoolRound, data: Uint8Array): Promise<SpoolPlace> {
    const key = spoolKey(at);
    return new Promise((resolve, reject) => {
      if (this.#closed || this.#dropped.has(key)) throw spoolClosed();
      if (this.#waitingBytes + data.length > this.#waitingBytesMax) throw spoolFull();
      this.#waitingBytes += data.length;
      this.#queue.push({ at, key, data, resolve, reject });
      this.#writing ??= this.#drain();
    });
  }

  async #drain(): Promise<void> {
    // One turn later, so that what arrived together is written together.
    await new Promise((resolve) => setImmediate(resolve));
    while (this.#queue.length > 0) await this.#commit(this.#takeGroup());
    // In the same turn as the last look at the queue, so that no append is left behind.
    this.#writing = null;
  }

  /** The first appends in the queue that are of one round and fit one write. */
  #takeGroup(): Append[] {
    const { key } = this.#queue[0]!;
    let bytes = 0;
    let count = 0;
    for (const append of this.#queue) {
      bytes += append.data.length;
      const fits = count === 0 || (bytes <= GROUP_BYTES_MAX && count < GROUP_APPENDS_MAX);
      if (append.key !== key || !fits) break;
      count++;
    }
    return this.#queue.splice(0, count);
  }

  async #commit(group: readonly Append[]): Promise<void> {
    const { key, at } = group[0]!;
    const bytes = group.reduce((sum, { data }) => sum + data.length, 0);
    try {
      const segment = await this.#segmentFor(at, key, bytes);
      await writeAll(
        segment.file,
        group.map(({ data }) => data),
        segment.bytes,
      );
      await this.#sync(segment.file);
      this.#groupCommits++;
      for (const { data, resolve } of group) {
        resolve({ segment: segment.number, position: segment.bytes, length: data.length });
        segment.bytes += data.length;
        this.#appends++;
        this.#appendedBytes += data.length;
      }
    } catch (cause) {
      await this.#abandon(key);
      const error = new PulsefoldError('UNAVAILABLE', 'spool: the bytes could not be made durable; retry', {
        cause,
      });
      for (const { reject } of group) reject(error);
    } finally {
      this.#waitingBytes -= bytes;
    }
  }

  async #segmentFor(at: SpoolRound, key: string, bytes: number): Promise<Segment> {
    const present = this.#segments.get(key);
    if (present && (present.bytes === 0 || present.bytes + bytes <= this.#segmentBytesMax)) return present;
    if (present) await this.#abandon(key);
    if (this.#dropped.has(key)) throw spoolClosed();
    const directory = this.directoryOf(at);
    if (!this.#nextNumber.has(key)) {
      mkdirSync(directory, { recursive: true, mode: 0o700 });
      this.#nextNumber.set(key, lastSegment(directory) + 1);
      for (const parent of [this.#directory, join(this.#directory, at.planHex)]) await syncDirectory(parent);
    }
    const number = this.#nextNumber.get(key)!;
    this.#nextNumber.set(key, number + 1);
    const file = await open(join(directory, segmentName(number)), 'wx', 0o600);
    const segment = { number, file, bytes: 0 };
    this.#segments.set(key, segment);
    await syncDirectory(directory);
    return segment;
  }

  async #abandon(key: string): Promise<void> {
    const segment = this.#segments.get(key);
    this.#segments.delete(key);
    await segment?.file.close().catch(() => {});
  }

  read(at: SpoolRound, place: SpoolPlace, target: Uint8Array = new Uint8Array(place.length)): Uint8Array {
    const { segment, position, length } = place;
    try {
      readFully(this.#reader(join(this.directoryOf(at), segmentName(segment))), target, position, length);
      return target;
    } catch (cause) {
      throw new PulsefoldError('UNAVAILABLE', 'spool: the bytes of an upload cannot be read', { cause });
    }
  }

  #reader(path: string): number {
    const file = this.#readers.get(path) ?? openSync(path, 'r');
    this.#readers.delete(path);
    this.#readers.set(path, file);
    if (this.#readers.size > READERS_MAX) this.#closeReader(this.#readers.keys().next().value!);
    return file;
  }

  #closeReader(path: string): void {
    closeSync(this.#readers.get(path)!);
    this.#readers.delete(path);
  }

  drop(at: SpoolRound): void {
    const key = spoolKey(at);
    this.#dropped.add(key);
    const directory = this.directoryOf(at);
    for (const path of [...this.#readers.keys()]) if (path.startsWith(directory)) this.#closeReader(path);
    void this.#abandon(key);
    rmSync(directory, { recursive: true, force: true });
  }

  metrics(): SpoolMetrics {
    return {
      appends: this.#appends,
      appendedBytes: this.#appendedBytes,
      groupCommits: this.#groupCommits,
      waitingBytes: this.#waitingBytes,
    };
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#writing;
    for (const key of [...this.#segments.keys()]) await this.#abandon(key);
    for (const path of [...this.#readers.keys()]) this.#closeReader(path);
  }
}

/** Reads exactly `length` bytes at `position`. Throws when the file is shorter. */
export function readFully(file: number, target: Uint8Array, position: number, length: number): void {
  for (let at = 0; at < length; ) {
    const count = readSync(file, target, at, length - at, position + at);
    if (count === 0) throw new Error('the segment is shorter than its rows say');
    at += count;
  }
}

async function writeAll(file: FileHandle, buffers: readonly Uint8Array[], position: number): Promise<void> {
  let rest = [...buffers];
  let at = position;
  while (rest.length > 0) {
    const { bytesWritten } = await file.writev(rest, at);
    at += bytesWritten;
    let written = bytesWritten;
    while (rest.length > 0 && written >= rest[0]!.length) written -= rest.shift()!.length;
    if (written > 0) rest = [rest[0]!.subarray(written), ...rest.slice(1)];
  }
}

function lastSegment(directory: string): number {
  const numbers = readdirSync(directory).map((name) => Number.parseInt(name, 10));
  return Math.max(0, ...numbers.filter((number) => Number.isSafeInteger(number)));
}

/** A new file is durable once its name is. */
async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}
