/**
 * Memory of large requests, used again. Most of what an upload costs a server in JavaScript is not copying but garbage
 * collection: every buffer counts as external memory, and some 64 MB of it start a full mark of the heap, however
 * small the garbage (docs: experiments/bench/ingest-bench.ts).
 *
 * For: the http2 engine, for methods whose handlers promise to be done with their request when they reply. Trusts:
 * that promise, but not blindly: giving a buffer back detaches it, so a handler that kept a view of it finds it empty
 * instead of another caller's bytes.
 */
const STEP_BYTES = 64 * 1024;
const SMALL_BYTES = 16 * 1024;

export class BufferPool {
  readonly #bytesMax: number;
  readonly #free = new Map<number, ArrayBuffer[]>();
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Bytes kept for later. */
  get bytes(): number {
    return this.#bytes;
  }

  /** A buffer of `bytes` with any content: its user overwrites all of it before anybody reads it. */
  take(bytes: number): Buffer {
    if (bytes <= SMALL_BYTES) return Buffer.allocUnsafeSlow(bytes);
    const size = Math.ceil(bytes / STEP_BYTES) * STEP_BYTES;
    const memory = this.#free.get(size)?.pop();
    if (!memory) return Buffer.from(Buffer.allocUnsafeSlow(size).buffer, 0, bytes);
    this.#bytes -= size;
    return Buffer.from(memory, 0, bytes);
  }

  /** Takes back what `take` gave. All views of it are empty from now on. */
  give(buffer: Buffer): void {
    const size = buffer.buffer.byteLength;
    if (size % STEP_BYTES !== 0 || size === 0 || this.#bytes + size > this.#bytesMax) return;
    const memory = (buffer.buffer as ArrayBuffer).transfer();
    const free = this.#free.get(size);
    if (free) free.push(memory);
    else this.#free.set(size, [memory]);
    this.#bytes += size;
  }
}
