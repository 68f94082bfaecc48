/**
 * The little DER (X.690) that the identity extension needs: definite lengths, primitive types, one SEQUENCE.
 *
 * For: certificate.ts. Trusts: nothing; `DerReader` takes hostile bytes and accepts only the shortest encoding.
 */
import { concat } from '../bytes.ts';
import { ensure } from '../error.ts';

export const TAG = {
  boolean: 0x01,
  integer: 0x02,
  octetString: 0x04,
  objectIdentifier: 0x06,
  utf8String: 0x0c,
  sequence: 0x30,
  context0: 0x80,
  explicit0: 0xa0,
  explicit3: 0xa3,
} as const;
const CONTENT_BYTES_MAX = 0xffff;

export function encodeDer(tag: number, content: Uint8Array): Uint8Array {
  const length = content.length;
  ensure(length <= CONTENT_BYTES_MAX, 'FIELD_OUT_OF_RANGE', 'DER value longer than 65535 bytes');
  if (length < 0x80) return concat(Uint8Array.of(tag, length), content);
  if (length < 0x100) return concat(Uint8Array.of(tag, 0x81, length), content);
  return concat(Uint8Array.of(tag, 0x82, length >> 8, length & 0xff), content);
}

export class DerReader {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get done(): boolean {
    return this.#at === this.#bytes.length;
  }

  /** True when the next value has this tag. */
  peek(tag: number): boolean {
    return this.#bytes[this.#at] === tag;
  }

  /** Content of the next value. Throws MALFORMED_MESSAGE for another tag, a longer encoding or a short buffer. */
  read(tag: number): Uint8Array {
    ensure(this.peek(tag), 'MALFORMED_MESSAGE', 'unexpected DER tag');
    let at = this.#at + 1;
    let length = this.#bytes[at++];
    if (length === 0x81) {
      length = this.#bytes[at++];
      ensure(
        length !== undefined && length >= 0x80,
        'MALFORMED_MESSAGE',
        'DER length is not in its shortest form',
      );
    } else if (length === 0x82) {
      const high = this.#bytes[at++];
      const low = this.#bytes[at++];
      ensure(
        high !== undefined && low !== undefined && high > 0,
        'MALFORMED_MESSAGE',
        'DER length is malformed',
      );
      length = high * 256 + low;
    } else {
      ensure(length !== undefined && length < 0x80, 'MALFORMED_MESSAGE', 'DER length is malformed');
    }
    ensure(at + length <= this.#bytes.length, 'MALFORMED_MESSAGE', 'DER value is cut short');
    this.#at = at + length;
    return this.#bytes.subarray(at, at + length);
  }

  end(): void {
    ensure(this.done, 'MALFORMED_MESSAGE', 'bytes after the end of a DER value');
  }
}
