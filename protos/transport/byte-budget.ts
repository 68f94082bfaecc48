/**
 * How many bytes of requests and replies a server holds at a time: over all peers, and for one connection.
 *
 * For: the http2 engine. Trusts: nothing. The window of HTTP/2 only bounds what a peer may send before we read it; we
 * always read, count, and refuse with UNAVAILABLE (retried by clients) what goes over. One connection cannot use up
 * what is there for all.
 */
import { ensure } from '../../crypto/error.ts';

export interface Allowance {
  /** Takes `bytes` or throws UNAVAILABLE. */
  reserve(bytes: number): void;
  release(bytes: number): void;
  /** True while more than half is taken: then memory is given for bytes that came, not for lengths announced. */
  readonly scarce: boolean;
}

export class ByteBudget {
  readonly bytesMax: number;
  #used = 0;

  constructor(bytesMax: number) {
    this.bytesMax = bytesMax;
  }

  get used(): number {
    return this.#used;
  }

  /** The share of one connection: at most `connectionBytesMax`, and never more than what all have. */
  allowance(connectionBytesMax: number): Allowance {
    const budget = this;
    let own = 0;
    return {
      reserve(bytes) {
        const text = 'try again when earlier calls are answered';
        ensure(
          own + bytes <= connectionBytesMax,
          'UNAVAILABLE',
          `too many bytes on this connection: ${text}`,
        );
        ensure(budget.#used + bytes <= budget.bytesMax, 'UNAVAILABLE', `the server is full: ${text}`);
        own += bytes;
        budget.#used += bytes;
      },
      release(bytes) {
        own -= bytes;
        budget.#used -= bytes;
      },
      get scarce() {
        return 2 * budget.#used > budget.bytesMax || 2 * own > connectionBytesMax;
      },
    };
  }
}
