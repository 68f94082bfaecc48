/**
 * The requests of a stream, as an async iterable with back-pressure.
 *
 * For: http2-call.ts. Trusts: nothing. While a message waits for its handler the HTTP/2 stream is paused, so a caller
 * that is faster than the handler is held back by its window. Leaving the loop early drops the rest; the reply still
 * travels on the stream.
 */
import type { Readable } from 'node:stream';
import type { Allowance } from './byte-budget.ts';

export class RequestQueue implements AsyncIterable<object> {
  readonly #source: Readable;
  readonly #allowance: Allowance;
  readonly #decode: (bytes: Buffer) => object;
  #waiting: Buffer[] = [];
  /** Of the message that the handler works on. */
  #heldBytes = 0;
  #ended = false;
  #discarding = false;
  #error: unknown;
  #wake: () => void = () => {};

  constructor(source: Readable, allowance: Allowance, decode: (bytes: Buffer) => object) {
    this.#source = source;
    this.#allowance = allowance;
    this.#decode = decode;
  }

  push(message: Buffer): void {
    if (this.#discarding) {
      this.#allowance.release(message.length);
      return;
    }
    this.#waiting.push(message);
    this.#source.pause();
    this.#wake();
  }

  end(): void {
    this.#ended = true;
    this.#wake();
  }

  /** The next read throws `error`. */
  fail(error: unknown): void {
    this.#error = error;
    this.#wake();
  }

  /** Nobody reads on. */
  discard(): void {
    this.#discarding = true;
    for (const message of this.#waiting.splice(0)) this.#allowance.release(message.length);
    this.#releaseHeld();
    this.#source.resume();
  }

  #releaseHeld(): void {
    this.#allowance.release(this.#heldBytes);
    this.#heldBytes = 0;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<object> {
    try {
      for (;;) {
        if (this.#error !== undefined) throw this.#error;
        const message = this.#waiting.shift();
        if (message) {
          this.#heldBytes = message.length;
          yield this.#decode(message);
          this.#releaseHeld();
        } else if (this.#ended) {
          return;
        } else {
          const woken = new Promise<void>((resolve) => {
            this.#wake = resolve;
          });
          this.#source.resume();
          await woken;
        }
      }
    } finally {
      this.discard();
    }
  }
}
