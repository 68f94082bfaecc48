/**
 * `pulsefold audit export`: packs run directories into one file, a bundle, that can be checked anywhere without keys.
 *
 * A bundle is a plain ustar archive: MANIFEST.json, MANIFEST.sha256, then every member under its run's folder, sorted.
 * Owner, time and mode are fixed, so the same evidence gives the same bytes. `tar xf` unpacks it into run directories.
 * Trusts: nothing; it copies what it finds. May be called by: cli/.
 */

import { createHash } from 'node:crypto';
import {
  closeSync,
  fstatSync,
  fsyncSync,
  lstatSync,
  openSync,
  readSync,
  renameSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { toHex } from '../../crypto/bytes.ts';
import { ensure } from '../../crypto/error.ts';
import { randomBytes } from '../../crypto/random.ts';
import {
  BUNDLE_MEMBERS_MAX,
  DIGEST_NAME,
  digestLine,
  encodeManifest,
  MANIFEST_NAME,
  type Manifest,
  type Member,
  pieceBytesFor,
  pieceHash,
} from './manifest.ts';
import { evidenceOf, folderOf, planOf } from './run-files.ts';
import { END_BYTES, paddingBytes, tarHeader } from './tar.ts';

export interface WrittenBundle {
  readonly path: string;
  readonly bytes: number;
  /** SHA-256 of the whole file: what to put into a letter or a signature. */
  readonly sha256: string;
  readonly runs: readonly { readonly folder: string; readonly planHash: string }[];
  readonly members: number;
}

interface Source {
  readonly name: string;
  readonly path: string;
  readonly bytes: number;
}

/** Reads a file in pieces of at most `pieceBytes`. */
function* piecesOf(path: string, bytes: number, pieceBytes: number): Generator<Uint8Array> {
  const file = openSync(path, 'r');
  try {
    ensure(
      fstatSync(file).size === bytes,
      'DATA_INVALID',
      `${path}: changed while it was exported; try again`,
    );
    const buffer = Buffer.alloc(pieceBytes);
    for (let at = 0; at < bytes; ) {
      const wanted = Math.min(pieceBytes, bytes - at);
      let count = 0;
      while (count < wanted) {
        const got = readSync(file, buffer, count, wanted - count, at + count);
        ensure(got > 0, 'DATA_INVALID', `${path}: changed while it was exported; try again`);
        count += got;
      }
      yield buffer.subarray(0, wanted);
      at += wanted;
    }
  } finally {
    closeSync(file);
  }
}

function memberOf({ name, path, bytes }: Source, pieceBytes: number): Member {
  const whole = createHash('sha256');
  const pieces: string[] = [];
  for (const piece of piecesOf(path, bytes, pieceBytes)) {
    whole.update(piece);
    pieces.push(pieceHash(piece));
  }
  return { name, bytes, sha256: whole.digest('hex'), pieces: pieces.join('') };
}

/**
 * Writes a bundle of these run directories (auditor/bundle/run-files.ts `findRuns`). Throws CONFIG_INVALID where `out`
 * exists or a plan occurs twice, PLAN_INVALID, DATA_INVALID.
 */
export function writeBundle(directories: readonly string[], out: string): WrittenBundle {
  ensure(
    lstatSync(out, { throwIfNoEntry: false }) === undefined,
    'CONFIG_INVALID',
    `${out} exists already; choose another name, evidence is not written over`,
  );
  const runs = directories.map((directory) => {
    const parsed = planOf(directory);
    return { directory, folder: folderOf(parsed), planHash: parsed.hashHex };
  });
  const twice = runs.find((run, i) => runs.findIndex((other) => other.planHash === run.planHash) !== i);
  ensure(
    !twice,
    'CONFIG_INVALID',
    `plan ${twice?.planHash.slice(0, 12)} is exported twice; name each run once`,
  );
  const sources = runs
    .flatMap(({ directory, folder }) =>
      evidenceOf(directory, folder).map((name): Source => {
        const path = join(directory, name);
        return { name: `${folder}/${name}`, path, bytes: lstatSync(path).size };
      }),
    )
    .sort((a, b) => (a.name < b.name ? -1 : 1));
  ensure(sources.length <= BUNDLE_MEMBERS_MAX, 'FIELD_OUT_OF_RANGE', 'too many files for one bundle');
  const pieceBytes = pieceBytesFor(sources.reduce((total, { bytes }) => total + bytes, 0));
  const manifest: Manifest = {
    format: 'pulsefold-audit-bundle',
    version: 1,
    pieceBytes,
    members: sources.map((source) => memberOf(source, pieceBytes)),
  };
  const { bytes, sha256 } = writeArchive(out, manifest, sources);
  return {
    path: out,
    bytes,
    sha256,
    runs: runs.map(({ folder, planHash }) => ({ folder, planHash })),
    members: sources.length,
  };
}

/** Writes beside `out` and renames, so that a bundle is there whole or not at all. */
function writeArchive(
  out: string,
  manifest: Manifest,
  sources: readonly Source[],
): { bytes: number; sha256: string } {
  const temporary = join(dirname(out), `.${basename(out)}.${toHex(randomBytes(6))}`);
  const file = openSync(temporary, 'wx', 0o644);
  const whole = createHash('sha256');
  let bytes = 0;
  const put = (part: Uint8Array) => {
    for (let at = 0; at < part.length; ) at += writeSync(file, part, at);
    whole.update(part);
    bytes += part.length;
  };
  const putMember = (name: string, content: Uint8Array) => {
    put(tarHeader(name, content.length));
    put(content);
    put(new Uint8Array(paddingBytes(content.length)));
  };
  try {
    const encoded = encodeManifest(manifest);
    putMember(MANIFEST_NAME, encoded);
    putMember(DIGEST_NAME, digestLine(encoded));
    sources.forEach((source, i) => {
      put(tarHeader(source.name, source.bytes));
      const again = createHash('sha256');
      for (const piece of piecesOf(source.path, source.bytes, manifest.pieceBytes)) {
        again.update(piece);
        put(piece);
      }
      const same = again.digest('hex') === manifest.members[i]!.sha256;
      ensure(same, 'DATA_INVALID', `${source.path}: changed while it was exported; try again`);
      put(new Uint8Array(paddingBytes(source.bytes)));
    });
    put(new Uint8Array(END_BYTES));
    fsyncSync(file);
    closeSync(file);
    renameSync(temporary, out);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
  return { bytes, sha256: whole.digest('hex') };
}
