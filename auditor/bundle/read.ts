/**
 * Reads a bundle: compares every byte with the manifest, names each place that differs, and unpacks on demand.
 *
 * Every byte is covered: headers and padding have one value only, members have hashes, the manifest has its digest, and
 * nothing may follow the end. Trusts: nothing; file names are checked before anything is written.
 * May be called by: auditor/bundle/.
 */
import { createHash } from 'node:crypto';
import { closeSync, fstatSync, mkdirSync, openSync, readSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { equalBytes } from '../../crypto/bytes.ts';
import { ensure, isPulsefoldError } from '../../crypto/error.ts';
import {
  DIGEST_NAME,
  digestLine,
  MANIFEST_BYTES_MAX,
  MANIFEST_NAME,
  type Manifest,
  type Member,
  PIECE_HASH_DIGITS,
  parseManifest,
  pieceHash,
} from './manifest.ts';
import { BLOCK_BYTES, END_BYTES, paddingBytes, sizeInHeader, tarHeader } from './tar.ts';

/** One place where a bundle is not what its manifest says. */
export interface BundleFault {
  /** A member's name, or what stands around members: 'tar header of …', 'padding after …', 'end of the archive'. */
  readonly place: string;
  /** First byte and number of bytes within that place. */
  readonly offset: number;
  readonly bytes: number;
  /** The same first byte in the file. */
  readonly fileOffset: number;
  readonly message: string;
}

export interface ReadBundle {
  /** Empty if every byte is as the manifest says. */
  readonly faults: readonly BundleFault[];
  /** Absent where it could not be read. */
  readonly manifest: Manifest | undefined;
  /** SHA-256 of the whole file. */
  readonly sha256: string;
  readonly bytes: number;
}

const FAULTS_MAX = 100;
const CHUNK_BYTES = 1 << 20;

class Reader {
  readonly faults: BundleFault[] = [];
  readonly size: number;
  readonly #file: number;
  readonly #whole = createHash('sha256');
  at = 0;

  constructor(file: number) {
    this.#file = file;
    this.size = fstatSync(file).size;
  }

  /** The next bytes, fewer at the end of the file. */
  take(wanted: number): Uint8Array {
    const buffer = Buffer.alloc(Math.max(0, Math.min(wanted, this.size - this.at)));
    let count = 0;
    while (count < buffer.length) {
      const got = readSync(this.#file, buffer, count, buffer.length - count, this.at + count);
      if (got === 0) break;
      count += got;
    }
    this.at += count;
    const bytes = new Uint8Array(buffer.buffer, buffer.byteOffset, count);
    this.#whole.update(bytes);
    return bytes;
  }

  fault(place: string, offset: number, bytes: number, fileOffset: number, message: string): void {
    if (this.faults.length < FAULTS_MAX) this.faults.push({ place, offset, bytes, fileOffset, message });
  }

  /** Takes exactly these bytes; the first difference is a fault. False if the file ends here. */
  expect(expected: Uint8Array, place: string): boolean {
    const start = this.at;
    const got = this.take(expected.length);
    const wrong = expected.findIndex((byte, i) => byte !== got[i]);
    if (wrong < 0) return true;
    const ended = wrong >= got.length;
    const last =
      expected.length -
      1 -
      [...expected].reverse().findIndex((byte, i) => byte !== got[expected.length - 1 - i]);
    this.fault(
      place,
      wrong,
      ended ? expected.length - wrong : last - wrong + 1,
      start + wrong,
      ended ? 'the file ends here' : 'another byte than the format has there',
    );
    return !ended;
  }

  /** Hash of the file, read to its end. */
  finish(): string {
    while (this.at < this.size) if (this.take(CHUNK_BYTES).length === 0) break;
    return this.#whole.digest('hex');
  }
}

/** Reads and checks; with `into`, an empty directory, writes the members there. Throws what the file system throws. */
export function readBundle(path: string, into?: string): ReadBundle {
  const file = openSync(path, 'r');
  try {
    ensure(fstatSync(file).isFile(), 'NOT_FOUND', `${path}: name a bundle file or a run directory`);
    const reader = new Reader(file);
    const manifest = readManifest(reader);
    if (manifest !== undefined) {
      for (const member of manifest.members) if (!readMember(reader, member, manifest, into)) break;
      if (reader.at < reader.size || reader.faults.length === 0) readEnd(reader);
      settleDigest(reader);
    }
    return { faults: reader.faults, manifest, sha256: reader.finish(), bytes: reader.size };
  } finally {
    closeSync(file);
  }
}

const DIGEST_PLACEHOLDER = 'MANIFEST';

/** The manifest, if it can be read; its digest may then still be wrong (`settleDigest`). */
function readManifest(reader: Reader): Manifest | undefined {
  const header = reader.take(BLOCK_BYTES);
  const bytes = sizeInHeader(header);
  const place = `tar header of ${MANIFEST_NAME}`;
  const fits = bytes !== undefined && bytes <= MANIFEST_BYTES_MAX;
  if (!fits || !equalBytes(header, tarHeader(MANIFEST_NAME, bytes))) {
    reader.fault(place, 0, BLOCK_BYTES, 0, 'not the header of a bundle: damaged, or another kind of file');
    if (!fits) return undefined;
  }
  const content = reader.take(bytes);
  if (content.length < bytes) {
    reader.fault(MANIFEST_NAME, content.length, bytes - content.length, reader.at, 'the file ends here');
    return undefined;
  }
  reader.expect(new Uint8Array(paddingBytes(bytes)), `padding after ${MANIFEST_NAME}`);
  const line = digestLine(content);
  reader.expect(tarHeader(DIGEST_NAME, line.length), `tar header of ${DIGEST_NAME}`);
  const digestAt = reader.at;
  const stated = reader.take(line.length);
  reader.expect(new Uint8Array(paddingBytes(line.length)), `padding after ${DIGEST_NAME}`);
  if (!equalBytes(stated, line))
    // Which of the two is damaged is known once the members have been compared.
    reader.fault(DIGEST_PLACEHOLDER, 0, bytes, digestAt, 'differs from its SHA-256');
  try {
    return parseManifest(content);
  } catch (error) {
    if (!isPulsefoldError(error)) throw error;
    reader.faults.splice(
      0,
      reader.faults.length,
      ...reader.faults.filter((fault) => fault.place !== DIGEST_PLACEHOLDER),
    );
    reader.fault(MANIFEST_NAME, 0, bytes, BLOCK_BYTES, error.message);
    return undefined;
  }
}

/** If all members fit the manifest, its digest is what was damaged; else the manifest is. */
function settleDigest(reader: Reader): void {
  const at = reader.faults.findIndex((fault) => fault.place === DIGEST_PLACEHOLDER);
  if (at < 0) return;
  const fault = reader.faults[at]!;
  const others = reader.faults.filter((_, i) => i !== at);
  reader.faults.length = 0;
  const digest = others.length === 0;
  reader.faults.push(
    digest
      ? { ...fault, place: DIGEST_NAME, bytes: digestLine(new Uint8Array()).length }
      : { ...fault, place: MANIFEST_NAME, fileOffset: BLOCK_BYTES },
    ...others,
  );
}

/** Compares one member and writes it on demand; false if the file ends. */
function readMember(reader: Reader, member: Member, { pieceBytes }: Manifest, into?: string): boolean {
  const { name, bytes } = member;
  if (!reader.expect(tarHeader(name, bytes), `tar header of ${name}`)) return false;
  const output = into === undefined ? undefined : createFile(join(into, name));
  const whole = createHash('sha256');
  const faultsBefore = reader.faults.length;
  const start = reader.at;
  try {
    for (let offset = 0, i = 0; offset < bytes; offset += pieceBytes, i++) {
      const wanted = Math.min(pieceBytes, bytes - offset);
      const piece = reader.take(wanted);
      if (piece.length < wanted) {
        const from = offset + piece.length;
        reader.fault(name, from, bytes - from, start + from, 'the file ends here');
        return false;
      }
      whole.update(piece);
      if (output !== undefined) writeAll(output, piece);
      const expected = member.pieces.slice(i * PIECE_HASH_DIGITS, (i + 1) * PIECE_HASH_DIGITS);
      if (pieceHash(piece) !== expected)
        reader.fault(name, offset, wanted, start + offset, 'other bytes than were exported');
    }
  } finally {
    if (output !== undefined) closeSync(output);
  }
  if (whole.digest('hex') !== member.sha256 && reader.faults.length === faultsBefore)
    reader.fault(name, 0, bytes, start, 'another SHA-256 than the manifest states');
  return reader.expect(new Uint8Array(paddingBytes(bytes)), `padding after ${name}`);
}

function readEnd(reader: Reader): void {
  const place = 'end of the archive';
  if (!reader.expect(new Uint8Array(END_BYTES), place)) return;
  const rest = reader.size - reader.at;
  if (rest > 0) reader.fault(place, END_BYTES, rest, reader.at, `${rest} bytes follow the end`);
}

function createFile(path: string): number {
  mkdirSync(dirname(path), { recursive: true });
  return openSync(path, 'wx', 0o600);
}

function writeAll(file: number, bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; ) at += writeSync(file, bytes, at);
}

/** `heart-0123/ledger.json, bytes 4096–8191 (file offset 51200): other bytes than were exported`. */
export const describeFault = ({ place, offset, bytes, fileOffset, message }: BundleFault): string =>
  `${place}, bytes ${offset}–${offset + Math.max(1, bytes) - 1} (file offset ${fileOffset}): ${message}`;
