/**
 * C2SP signed notes and tlog checkpoints (c2sp.org/signed-note@v1.0.0, c2sp.org/tlog-checkpoint).
 *
 * A checkpoint is what a log signs: origin, tree size, root. Several signature lines are allowed, so that
 * witnesses can cosign later; lines of unknown keys are ignored, a bad line of a *known* key spoils the note.
 * Signature types:
 *   Ed25519  0x01, the type of the signed-note document; key = 32 raw bytes (RFC 8032).
 *   SM2      0xff ‖ "pulsefold.sm2-with-sm3.v1", the private range of the document; key = 65 bytes
 *            0x04 ‖ x ‖ y; the signature is r ‖ s (64 bytes) of GB/T 32918.2 over the note text with the
 *            default user ID.
 *   Cosignatures of witnesses, with their own signed message and a timestamp: see cosignature.ts.
 * Keys and algorithms come in as functions; this module knows only the format.
 * Trusts: the `verify` functions it is given. The text is hostile. May be called by: everyone.
 */
import { createHash } from 'node:crypto';
import { concat, equalBytes, fromBase64, fromUtf8, toBase64, toHex, utf8 } from '../bytes.ts';
import { ensure, PulsefoldError } from '../error.ts';
import { HASH_BYTES } from './merkle.ts';

export const NOTE_BYTES_MAX = 64 * 1024;
export const NOTE_SIGNATURES_MAX = 32;
export const EXTENSION_LINES_MAX = 16;
const SIGNATURE_BYTES_MAX = 8 * 1024;
const KEY_NAME_LENGTH_MAX = 255;
const KEY_ID_BYTES = 4;

export const cosignatureAlgorithms = [
  'cosignature-ed25519',
  'cosignature-ml-dsa-44',
  'cosignature-sm2',
] as const;
export type CosignatureAlgorithm = (typeof cosignatureAlgorithms)[number];
export type NoteAlgorithm = 'ed25519' | 'sm2' | CosignatureAlgorithm;

const SIGNATURE_TYPE: Record<NoteAlgorithm, Uint8Array> = {
  ed25519: Uint8Array.of(0x01),
  sm2: concat(Uint8Array.of(0xff), utf8('pulsefold.sm2-with-sm3.v1')),
  'cosignature-ed25519': Uint8Array.of(0x04),
  'cosignature-ml-dsa-44': Uint8Array.of(0x06),
  'cosignature-sm2': concat(Uint8Array.of(0xff), utf8('pulsefold.sm2-with-sm3-cosignature.v1')),
};
const PUBLIC_KEY_BYTES: Record<NoteAlgorithm, number> = {
  ed25519: 32,
  sm2: 65,
  'cosignature-ed25519': 32,
  'cosignature-ml-dsa-44': 1312,
  'cosignature-sm2': 65,
};
const KEY_LINE_LENGTH_MAX = 4096;

/** A name and public key that stand in a signature line. */
export interface NoteKey {
  /** Schema-less URL of the signer, without spaces or '+', for instance `pulsefold.example/log`. */
  readonly name: string;
  readonly algorithm: NoteAlgorithm;
  readonly publicKey: Uint8Array;
}
export interface NoteSigner extends NoteKey {
  readonly sign: (message: Uint8Array) => Uint8Array;
}
export interface NoteVerifier extends NoteKey {
  readonly verify: (message: Uint8Array, signature: Uint8Array) => boolean;
}

export interface Checkpoint {
  readonly origin: string;
  /** Number of leaves. */
  readonly size: number;
  /** Root hash, 32 bytes. */
  readonly root: Uint8Array;
  /** Opaque lines after the root; not audited, so Pulsefold writes none. */
  readonly extensions?: readonly string[];
}

export interface NoteSignature {
  readonly name: string;
  /** Four bytes as eight hexadecimal digits. */
  readonly keyId: string;
  readonly signature: Uint8Array;
}

export interface SignedNote {
  /** The signed text, ending in a newline. */
  readonly text: string;
  readonly signatures: readonly NoteSignature[];
}

function checkKeyName(name: string): void {
  ensure(
    name.length > 0 &&
      name.length <= KEY_NAME_LENGTH_MAX &&
      !/[\p{White_Space}\p{Cc}+]/u.test(name) &&
      name.isWellFormed(),
    'MALFORMED_MESSAGE',
    'signed note: a key name is 1 to 255 characters without spaces or +',
  );
}

/** SHA-256(name ‖ 0x0A ‖ signature type ‖ public key)[:4], signed-note "Signatures". */
export function noteKeyId(key: NoteKey): Uint8Array {
  checkKeyName(key.name);
  ensure(
    key.publicKey.length === PUBLIC_KEY_BYTES[key.algorithm],
    'FIELD_OUT_OF_RANGE',
    `signed note: a public key of ${key.algorithm} has ${PUBLIC_KEY_BYTES[key.algorithm]} bytes`,
  );
  const input = concat(utf8(`${key.name}\n`), SIGNATURE_TYPE[key.algorithm], key.publicKey);
  return new Uint8Array(createHash('sha256').update(input).digest().subarray(0, KEY_ID_BYTES));
}

/** One line, `— name base64\n`, over the text of a note. */
export function signatureLine(signer: NoteSigner, text: string): string {
  const signature = concat(noteKeyId(signer), signer.sign(utf8(text)));
  return `— ${signer.name} ${toBase64(signature)}\n`;
}

/** Signs `text` (ends in a newline, no control characters) with each signer. */
export function signNote(text: string, signers: readonly NoteSigner[]): string {
  checkText(text);
  ensure(signers.length > 0, 'FIELD_OUT_OF_RANGE', 'signed note: at least one signer');
  return `${text}\n${signers.map((signer) => signatureLine(signer, text)).join('')}`;
}

/** Adds one signature line to a note, as a witness does. The note is parsed, not verified. */
export function cosignNote(note: string, signer: NoteSigner): string {
  const { text } = parseSignedNote(note);
  return `${note}${signatureLine(signer, text)}`;
}

function checkText(text: string): void {
  ensure(
    text.isWellFormed() && text.endsWith('\n'),
    'MALFORMED_MESSAGE',
    'signed note: the text must end in a newline',
  );
  // Checked by code unit: everything below U+0020 but the newline is forbidden.
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    ensure(unit >= 0x20 || unit === 0x0a, 'MALFORMED_MESSAGE', 'signed note: control characters in it');
  }
}

function decodeText(note: string | Uint8Array): string {
  ensure(
    note.length <= NOTE_BYTES_MAX,
    'MALFORMED_MESSAGE',
    `signed note: longer than ${NOTE_BYTES_MAX} bytes`,
  );
  if (typeof note === 'string') return note;
  try {
    return fromUtf8(note);
  } catch (cause) {
    throw new PulsefoldError('MALFORMED_MESSAGE', 'signed note: not UTF-8', { cause });
  }
}

/** Base64 of RFC 4648 §4 with padding, in its one canonical form. Throws MALFORMED_MESSAGE. */
export function strictBase64(text: string, where = 'signed note'): Uint8Array {
  const bytes = fromBase64(text);
  ensure(toBase64(bytes) === text, 'MALFORMED_MESSAGE', `${where}: not canonical base64`);
  return bytes;
}

/** One line without its newline. Throws MALFORMED_MESSAGE. */
export function parseSignatureLine(line: string): NoteSignature {
  const parts = line.split(' ');
  ensure(
    parts.length === 3 && parts[0] === '—',
    'MALFORMED_MESSAGE',
    'signed note: a signature line is "— name base64"',
  );
  const name = parts[1]!;
  checkKeyName(name);
  const bytes = strictBase64(parts[2]!);
  ensure(
    bytes.length > KEY_ID_BYTES && bytes.length <= SIGNATURE_BYTES_MAX,
    'MALFORMED_MESSAGE',
    'signed note: a signature of impossible length',
  );
  return { name, keyId: toHex(bytes.subarray(0, KEY_ID_BYTES)), signature: bytes.subarray(KEY_ID_BYTES) };
}

/** Splits a hostile note into text and signatures, without verifying anything. Throws MALFORMED_MESSAGE. */
export function parseSignedNote(note: string | Uint8Array): SignedNote {
  const whole = decodeText(note);
  checkText(whole);
  const blank = whole.lastIndexOf('\n\n');
  ensure(blank >= 0, 'MALFORMED_MESSAGE', 'signed note: no blank line before the signatures');
  const lines = whole
    .slice(blank + 2)
    .split('\n')
    .slice(0, -1);
  ensure(
    lines.length >= 1 && lines.length <= NOTE_SIGNATURES_MAX,
    'MALFORMED_MESSAGE',
    `signed note: 1 to ${NOTE_SIGNATURES_MAX} signature lines`,
  );
  return { text: whole.slice(0, blank + 1), signatures: lines.map(parseSignatureLine) };
}

/**
 * Parses and verifies a note; returns its text and the known keys that signed it. Throws BAD_SIGNATURE if
 * no line is from a known key or if any line of a known (name, key id) does not verify.
 */
export function verifyNote(
  note: string | Uint8Array,
  known: readonly NoteVerifier[],
): { text: string; signedBy: NoteVerifier[] } {
  const { text, signatures } = parseSignedNote(note);
  const message = utf8(text);
  const signedBy = new Set<NoteVerifier>();
  for (const line of signatures) {
    const verifier = known.find((key) => key.name === line.name && toHex(noteKeyId(key)) === line.keyId);
    if (verifier === undefined) continue;
    ensure(
      safeVerify(verifier, message, line.signature),
      'BAD_SIGNATURE',
      `signed note: the signature of ${line.name} is wrong`,
    );
    signedBy.add(verifier);
  }
  ensure(
    signedBy.size > 0,
    'BAD_SIGNATURE',
    'signed note: no signature of a known key; check the pinned log key',
  );
  return { text, signedBy: [...signedBy] };
}

function safeVerify(verifier: NoteVerifier, message: Uint8Array, signature: Uint8Array): boolean {
  try {
    return verifier.verify(message, signature) === true;
  } catch {
    return false;
  }
}

/** The note text of a checkpoint. */
export function checkpointText(checkpoint: Checkpoint): string {
  const { origin, size, root, extensions = [] } = checkpoint;
  ensure(Number.isSafeInteger(size) && size >= 0, 'FIELD_OUT_OF_RANGE', 'checkpoint: the size is no count');
  ensure(root.length === HASH_BYTES, 'FIELD_OUT_OF_RANGE', 'checkpoint: the root has 32 bytes');
  for (const line of [origin, ...extensions])
    ensure(
      line.length > 0 && !line.includes('\n'),
      'FIELD_OUT_OF_RANGE',
      'checkpoint: an empty or broken line',
    );
  return `${[origin, size, toBase64(root), ...extensions].join('\n')}\n`;
}

/** Origin, size, root and signatures as one text. By convention the first signer's name is the origin. */
export const signCheckpoint = (checkpoint: Checkpoint, signers: readonly NoteSigner[]): string =>
  signNote(checkpointText(checkpoint), signers);

/** Reads the text of a checkpoint (hostile). Throws MALFORMED_MESSAGE. */
export function parseCheckpointText(text: string): Checkpoint {
  ensure(text.endsWith('\n'), 'MALFORMED_MESSAGE', 'checkpoint: must end in a newline');
  const [origin, size, root, ...extensions] = text.slice(0, -1).split('\n');
  ensure(
    origin && size !== undefined && root !== undefined && extensions.length <= EXTENSION_LINES_MAX,
    'MALFORMED_MESSAGE',
    'checkpoint: needs origin, size and root lines',
  );
  ensure(
    extensions.every((line) => line.length > 0),
    'MALFORMED_MESSAGE',
    'checkpoint: an empty extension line',
  );
  ensure(
    /^(0|[1-9][0-9]{0,15})$/.test(size) && Number.isSafeInteger(Number(size)),
    'MALFORMED_MESSAGE',
    'checkpoint: the size is a decimal number below 2^53 without leading zeroes',
  );
  const rootBytes = strictBase64(root);
  ensure(rootBytes.length === HASH_BYTES, 'MALFORMED_MESSAGE', 'checkpoint: the root has 32 bytes');
  return { origin, size: Number(size), root: rootBytes, extensions };
}

export interface VerifiedCheckpoint extends Checkpoint {
  readonly signedBy: readonly NoteVerifier[];
}

/**
 * Parses a hostile checkpoint, verifies it against the known keys and the expected origin.
 * Throws MALFORMED_MESSAGE, BAD_SIGNATURE, or LOG_INCONSISTENT for another log's origin.
 */
export function openCheckpoint(
  note: string | Uint8Array,
  known: readonly NoteVerifier[],
  origin?: string,
): VerifiedCheckpoint {
  const { text, signedBy } = verifyNote(note, known);
  const checkpoint = parseCheckpointText(text);
  ensure(
    origin === undefined || checkpoint.origin === origin,
    'LOG_INCONSISTENT',
    'checkpoint: it is of another log',
  );
  return { ...checkpoint, signedBy };
}

/** The key as one line, `name+hexid+base64(type ‖ key)`, the form signed-note tools print and pin. */
export const encodeVerifierKey = (key: NoteKey): string =>
  `${key.name}+${toHex(noteKeyId(key))}+${toBase64(concat(SIGNATURE_TYPE[key.algorithm], key.publicKey))}`;

/** Reads what `encodeVerifierKey` wrote; throws MALFORMED_MESSAGE for an unknown type or a wrong key id. */
export function decodeVerifierKey(line: string): NoteKey {
  ensure(line.length <= KEY_LINE_LENGTH_MAX, 'MALFORMED_MESSAGE', 'verifier key: too long');
  const match = /^([^+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)$/.exec(line);
  ensure(match, 'MALFORMED_MESSAGE', 'verifier key: expected name+id+base64');
  const bytes = strictBase64(match[3]!);
  for (const algorithm of Object.keys(SIGNATURE_TYPE) as NoteAlgorithm[]) {
    const type = SIGNATURE_TYPE[algorithm];
    if (bytes.length !== type.length + PUBLIC_KEY_BYTES[algorithm]) continue;
    if (!equalBytes(bytes.subarray(0, type.length), type)) continue;
    const key: NoteKey = { name: match[1]!, algorithm, publicKey: bytes.slice(type.length) };
    ensure(
      toHex(noteKeyId(key)) === match[2],
      'MALFORMED_MESSAGE',
      'verifier key: the key id does not fit the key',
    );
    return key;
  }
  throw new PulsefoldError('MALFORMED_MESSAGE', 'verifier key: unknown signature type or key length');
}
