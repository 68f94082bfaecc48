/**
 * gRPC's own layer on HTTP/2: length-prefixed messages, timeouts, status messages.
 *
 * For: http2-call.ts, http2-server.ts, load generators. Trusts: nothing; every byte is the peer's. Source: the gRPC
 * over HTTP/2 document (github.com/grpc/grpc, doc/PROTOCOL-HTTP2.md). Messages are never compressed here.
 */
import { ensure, PulsefoldError } from '../../crypto/error.ts';
import type { BufferPool } from './buffer-pool.ts';
import type { Allowance } from './byte-budget.ts';

export const CONTENT_TYPE = 'application/grpc+proto';
/** Compressed flag (1 byte) and length (4 bytes, big-endian). */
export const PREFIX_BYTES = 5;
/** First buffer for a message while memory is scarce: the rest is taken as bytes really come. */
const SCARCE_BYTES = 16 * 1024;
const STATUS_MESSAGE_BYTES_MAX = 512;

const malformed = (text: string): PulsefoldError => new PulsefoldError('MALFORMED_MESSAGE', text);

/** `application/grpc`, optionally with `+proto` and parameters: we speak no other encoding of messages. */
export const isGrpcContentType = (value: string | undefined): boolean =>
  value !== undefined && /^application\/grpc(\+proto)?\s*(;|$)/i.test(value);

const UNIT_MS: Readonly<Record<string, number>> = {
  H: 3_600_000,
  M: 60_000,
  S: 1000,
  m: 1,
  u: 1e-3,
  n: 1e-6,
};

/** Milliseconds of a `grpc-timeout` header; Infinity without one. Throws MALFORMED_MESSAGE. */
export function parseTimeout(value: string | undefined): number {
  if (value === undefined) return Infinity;
  const match = /^(\d{1,8})([HMSmun])$/.exec(value);
  if (!match) throw malformed('grpc-timeout is not a number of at most 8 digits and a unit');
  return Number(match[1]) * UNIT_MS[match[2]!]!;
}

/** Percent-encoded as `grpc-message` must be, at most 512 bytes of text; no header can be smuggled in. */
export function encodeStatusMessage(text: string): string {
  const bytes = Buffer.from(text).subarray(0, STATUS_MESSAGE_BYTES_MAX);
  let encoded = '';
  for (const [at, byte] of bytes.entries()) {
    const edge = byte === 0x20 && (at === 0 || at === bytes.length - 1);
    const plain = byte >= 0x20 && byte <= 0x7e && byte !== 0x25 && !edge;
    encoded += plain ? String.fromCharCode(byte) : `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
  }
  return encoded;
}

/** Prefix of an uncompressed message. */
export function messagePrefix(length: number): Buffer {
  const prefix = Buffer.allocUnsafe(PREFIX_BYTES);
  prefix[0] = 0;
  prefix.writeUInt32BE(length, 1);
  return prefix;
}

/** One uncompressed message with its prefix. */
export const frameMessage = (message: Uint8Array): Buffer =>
  Buffer.concat([messagePrefix(message.length), message]);

/**
 * Cuts a stream of DATA into messages. Each message is one buffer of its own, so nothing of a peer's other data stays
 * in memory with it. A length over the cap is refused before a byte of the message is kept; what is kept is counted in
 * the allowance, and given back with `allowance.release` by whoever is done with the message.
 */
export class MessageReader {
  readonly #bytesMax: number;
  readonly #allowance: Allowance;
  readonly #pool: BufferPool | undefined;
  readonly #prefix = new Uint8Array(PREFIX_BYTES);
  #prefixBytes = 0;
  #length = 0;
  #body: Buffer | undefined;
  #filled = 0;

  /** With a pool large messages come from there; whoever is done with one may give it back. */
  constructor(bytesMax: number, allowance: Allowance, pool?: BufferPool) {
    this.#bytesMax = bytesMax;
    this.#allowance = allowance;
    this.#pool = pool;
  }

  /** True between messages: the only place where a request may end. */
  get atBoundary(): boolean {
    return this.#prefixBytes === 0;
  }

  /**
   * Takes the next bytes; calls `onMessage` for each message that they complete. Throws CHUNK_TOO_LARGE,
   * MALFORMED_MESSAGE (compressed), UNAVAILABLE (no allowance left); the reader is of no use afterwards.
   */
  push(chunk: Uint8Array, onMessage: (message: Buffer) => void): void {
    for (let at = 0; at < chunk.length; ) {
      if (!this.#body) {
        at = this.#readPrefix(chunk, at);
        if (!this.#body) return;
      }
      const take = Math.min(chunk.length - at, this.#length - this.#filled);
      if (take > 0) this.#append(chunk, at, take);
      at += take;
      if (this.#filled < this.#length) return;
      const message = this.#body;
      this.#body = undefined;
      this.#prefixBytes = 0;
      onMessage(message!);
    }
  }

  /** Gives back what an unfinished message holds. */
  abandon(): void {
    if (this.#body) this.#allowance.release(this.#body.length);
    this.#body = undefined;
  }

  #readPrefix(chunk: Uint8Array, from: number): number {
    let at = from;
    while (at < chunk.length && this.#prefixBytes < PREFIX_BYTES)
      this.#prefix[this.#prefixBytes++] = chunk[at++]!;
    if (this.#prefixBytes < PREFIX_BYTES) return at;
    if (this.#prefix[0] !== 0) throw malformed('compressed messages are not accepted: send them as they are');
    this.#length = new DataView(this.#prefix.buffer).getUint32(1);
    ensure(
      this.#length <= this.#bytesMax,
      'CHUNK_TOO_LARGE',
      `a message of ${this.#length} bytes; at most ${this.#bytesMax} are taken`,
    );
    const capacity = this.#allowance.scarce ? Math.min(this.#length, SCARCE_BYTES) : this.#length;
    this.#body = this.#take(capacity);
    this.#filled = 0;
    return at;
  }

  #append(chunk: Uint8Array, at: number, count: number): void {
    const wanted = this.#filled + count;
    if (wanted > this.#body!.length) {
      const grown = this.#take(Math.min(this.#length, Math.max(wanted, 2 * this.#body!.length)));
      grown.set(this.#body!.subarray(0, this.#filled));
      this.#allowance.release(this.#body!.length);
      this.#body = grown;
    }
    const whole = at === 0 && count === chunk.length;
    this.#body!.set(whole ? chunk : chunk.subarray(at, at + count), this.#filled);
    this.#filled = wanted;
  }

  #take(bytes: number): Buffer {
    this.#allowance.reserve(bytes);
    // Uninitialised, but handed on only when every byte was overwritten; pages no peer filled cost no memory.
    return this.#pool ? this.#pool.take(bytes) : Buffer.allocUnsafeSlow(bytes);
  }
}
