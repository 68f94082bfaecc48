/**
 * The few bytes of the ustar format (POSIX.1-1988, IEEE Std 1003.1 "pax", ustar interchange format) that a bundle is
 * made of. Every field but name and size is fixed, so a header is a function of the two and can be compared byte by
 * byte.
 *
 * Trusts: nothing. May be called by: auditor/bundle/.
 */
import { utf8 } from '../../crypto/bytes.ts';
import { ensure } from '../../crypto/error.ts';

export const BLOCK_BYTES = 512;
/** Two zero blocks end an archive. */
export const END_BYTES = 2 * BLOCK_BYTES;
/** Eleven octal digits. */
export const MEMBER_BYTES_MAX = 8 ** 11 - 1;

/** Where the size stands in a header. */
const SIZE_AT = 124;
const NAME_BYTES = 100;
const PREFIX_AT = 345;
const PREFIX_BYTES = 155;
const CHECKSUM_AT = 148;

const octal = (value: number, digits: number): string => `${value.toString(8).padStart(digits, '0')}\0`;

/** Zero bytes after a member of this size, up to the next block. */
export const paddingBytes = (bytes: number): number => (BLOCK_BYTES - (bytes % BLOCK_BYTES)) % BLOCK_BYTES;

/** The one header of a member: mode 0644, owner 0, time 0; a name with a folder stands in prefix and name. */
export function tarHeader(name: string, bytes: number): Uint8Array {
  const slash = name.indexOf('/');
  const [prefix, rest] = slash < 0 ? ['', name] : [name.slice(0, slash), name.slice(slash + 1)];
  ensure(
    utf8(rest).length <= NAME_BYTES && utf8(prefix).length <= PREFIX_BYTES && bytes <= MEMBER_BYTES_MAX,
    'FIELD_OUT_OF_RANGE',
    `the name or size of ${name.slice(0, 80)} does not fit into a tar header`,
  );
  const header = new Uint8Array(BLOCK_BYTES);
  const put = (at: number, text: string) => header.set(utf8(text), at);
  put(0, rest);
  put(100, octal(0o644, 7));
  put(108, octal(0, 7));
  put(116, octal(0, 7));
  put(SIZE_AT, octal(bytes, 11));
  put(136, octal(0, 11));
  put(CHECKSUM_AT, '        ');
  put(156, '0');
  put(257, 'ustar\0');
  put(263, '00');
  put(329, octal(0, 7));
  put(337, octal(0, 7));
  put(PREFIX_AT, prefix);
  const sum = header.reduce((total, byte) => total + byte, 0);
  put(CHECKSUM_AT, `${sum.toString(8).padStart(6, '0')}\0 `);
  return header;
}

/** The size that a header states; undefined unless it is eleven octal digits. */
export function sizeInHeader(header: Uint8Array): number | undefined {
  const text = Buffer.from(header.subarray(SIZE_AT, SIZE_AT + 12)).toString('latin1');
  return /^[0-7]{11}\0$/.test(text) ? Number.parseInt(text.slice(0, 11), 8) : undefined;
}
