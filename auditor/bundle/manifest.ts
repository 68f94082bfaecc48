/**
 * The manifest of a bundle: every member with its size, SHA-256 and a short hash of each piece, so that a damaged byte
 * is found and its place named. It protects against damage, not against a forger, who can write a manifest of his own:
 * what a bundle is worth comes from the signatures inside (auditor/verify.ts).
 *
 * Trusts: nothing; a manifest is hostile. May be called by: auditor/bundle/.
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { ensure, PulsefoldError } from '../../crypto/error.ts';
import { canonicalBytes, parseCanonicalJson } from '../../crypto/log/canonical-json.ts';

export const MANIFEST_NAME = 'MANIFEST.json';
/** Holds one line as `sha256sum` writes it, over the manifest. */
export const DIGEST_NAME = 'MANIFEST.sha256';
export const MANIFEST_BYTES_MAX = 64 * 1024 * 1024;
export const BUNDLE_MEMBERS_MAX = 200_000;
export const BUNDLE_RUNS_MAX = 64;
/** Larger pieces for large bundles keep the manifest small. */
export const PIECE_BYTES = 4096;
const LARGE_PIECE_BYTES = 256 * 1024;
const LARGE_FROM_BYTES = 256 * 1024 * 1024;
/** Hexadecimal digits of SHA-256 per piece: they only locate, `sha256` decides. */
export const PIECE_HASH_DIGITS = 16;

/** `<folder>/<file>`: a run's folder, then what docs/protocol.md "Run directory" names. */
const memberName = z
  .string()
  .regex(
    /^[a-z0-9][a-z0-9-]{0,80}\/((plan|approvals|model|ledger|alarms)\.json|rounds\/[1-9][0-9]{0,5}\.json|log\/([a-zA-Z0-9_-][a-zA-Z0-9._-]{0,60}\/){0,6}[a-zA-Z0-9_-][a-zA-Z0-9._-]{0,60})$/,
  );
const manifestSchema = z.strictObject({
  format: z.literal('pulsefold-audit-bundle'),
  version: z.literal(1),
  pieceBytes: z.union([z.literal(PIECE_BYTES), z.literal(LARGE_PIECE_BYTES)]),
  members: z
    .array(
      z.strictObject({
        name: memberName,
        bytes: z.int().min(0),
        sha256: z.string().regex(/^[0-9a-f]{64}$/),
        /** Hashes of the pieces, one after the other. */
        pieces: z.string().regex(/^([0-9a-f]{16})*$/),
      }),
    )
    .min(1)
    .max(BUNDLE_MEMBERS_MAX),
});
export type Manifest = z.output<typeof manifestSchema>;
export type Member = Manifest['members'][number];

export const isMemberName = (name: string): boolean => memberName.safeParse(name).success;
export const pieceBytesFor = (totalBytes: number): Manifest['pieceBytes'] =>
  totalBytes >= LARGE_FROM_BYTES ? LARGE_PIECE_BYTES : PIECE_BYTES;

export const sha256Hex = (...parts: readonly Uint8Array[]): string => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest('hex');
};
export const pieceHash = (piece: Uint8Array): string => sha256Hex(piece).slice(0, PIECE_HASH_DIGITS);

/** Canonical JSON and a newline. */
export function encodeManifest(manifest: Manifest): Uint8Array {
  const bytes = Buffer.concat([canonicalBytes(manifest), Buffer.from('\n')]);
  ensure(bytes.length <= MANIFEST_BYTES_MAX, 'FIELD_OUT_OF_RANGE', 'the bundle has too many members');
  return new Uint8Array(bytes);
}

/** Throws MALFORMED_MESSAGE for anything but what `encodeManifest` writes: sorted, distinct names, fitting sizes. */
export function parseManifest(bytes: Uint8Array): Manifest {
  ensure(bytes.at(-1) === 0x0a, 'MALFORMED_MESSAGE', `${MANIFEST_NAME}: does not end in a newline`);
  const value = parseCanonicalJson(bytes.subarray(0, -1), MANIFEST_BYTES_MAX);
  const result = manifestSchema.safeParse(value);
  if (!result.success) {
    const issue = result.error.issues[0];
    throw new PulsefoldError(
      'MALFORMED_MESSAGE',
      `${MANIFEST_NAME}: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'invalid'}`,
    );
  }
  const { members, pieceBytes } = result.data;
  members.forEach((member, i) => {
    const before = members[i - 1];
    ensure(
      before === undefined || before.name < member.name,
      'MALFORMED_MESSAGE',
      `${MANIFEST_NAME}: members must be sorted and distinct`,
    );
    ensure(
      member.pieces.length === Math.ceil(member.bytes / pieceBytes) * PIECE_HASH_DIGITS,
      'MALFORMED_MESSAGE',
      `${MANIFEST_NAME}: ${member.name} has another number of pieces than its size asks for`,
    );
  });
  return result.data;
}

/** `<hex>  MANIFEST.json`, for `sha256sum --check`. */
export const digestLine = (manifest: Uint8Array): Uint8Array =>
  new Uint8Array(Buffer.from(`${sha256Hex(manifest)}  ${MANIFEST_NAME}\n`));

/** Folders of the runs in a bundle, sorted. */
export const runFoldersOf = (manifest: Manifest): string[] => [
  ...new Set(manifest.members.map(({ name }) => name.slice(0, name.indexOf('/')))),
];
