/**
 * Messages of the C2SP witness protocol (c2sp.org/tlog-witness): the add-checkpoint request and its answers, as text.
 *
 *   old N
 *   BASE64 ...       (consistency proof from N to the checkpoint, at most 63 lines)
 *                    (empty line)
 *   the signed checkpoint
 *
 * Trusts: nothing; both sides read each other through here. May be called by: coordinator/, auditor/witness/.
 */
import { fromUtf8, toBase64, toHex, utf8 } from '../bytes.ts';
import { ensure, PulsefoldError } from '../error.ts';
import {
  NOTE_BYTES_MAX,
  NOTE_SIGNATURES_MAX,
  type NoteVerifier,
  noteKeyId,
  parseSignatureLine,
  parseSignedNote,
  strictBase64,
} from './checkpoint.ts';
import { isCosignatureAlgorithm, parseTimestampedSignature } from './cosignature.ts';
import { HASH_BYTES } from './merkle.ts';

export const WITNESS_PROOF_LINES_MAX = 63;
const HEAD_LENGTH_MAX = 32 + WITNESS_PROOF_LINES_MAX * 45;
export const ADD_CHECKPOINT_BYTES_MAX = HEAD_LENGTH_MAX + NOTE_BYTES_MAX;
/** `Content-Type` of the answer 409, whose body is the size that the witness has. */
export const TLOG_SIZE_TYPE = 'text/x.tlog.size';

export interface AddCheckpoint {
  /** Size of the checkpoint that the witness cosigned last, 0 if none. */
  readonly oldSize: number;
  /** Consistency proof, hashes of 32 bytes. */
  readonly proof: readonly Uint8Array[];
  /** The signed note. */
  readonly checkpoint: string;
}

const SIZE = /^(0|[1-9][0-9]{0,15})$/;

/** The request body. */
export function encodeAddCheckpoint({ oldSize, proof, checkpoint }: AddCheckpoint): string {
  ensure(
    proof.length <= WITNESS_PROOF_LINES_MAX,
    'FIELD_OUT_OF_RANGE',
    `add-checkpoint: at most ${WITNESS_PROOF_LINES_MAX} proof lines`,
  );
  return `${[`old ${oldSize}`, ...proof.map(toBase64), ''].join('\n')}\n${checkpoint}`;
}

/** Reads a hostile request body. Throws MALFORMED_MESSAGE. */
export function parseAddCheckpoint(body: Uint8Array): AddCheckpoint {
  const bad = (what: string, cause?: unknown): never => {
    throw new PulsefoldError('MALFORMED_MESSAGE', `add-checkpoint: ${what}`, { cause });
  };
  if (body.length > ADD_CHECKPOINT_BYTES_MAX) bad(`over ${ADD_CHECKPOINT_BYTES_MAX} bytes`);
  let text = '';
  try {
    text = fromUtf8(body);
  } catch (cause) {
    bad('not UTF-8', cause);
  }
  const blank = text.indexOf('\n\n');
  if (blank < 0 || blank > HEAD_LENGTH_MAX) bad('no empty line before the checkpoint');
  const [first = '', ...lines] = text.slice(0, blank).split('\n');
  const size = first.startsWith('old ') ? first.slice('old '.length) : '';
  if (!SIZE.test(size) || !Number.isSafeInteger(Number(size))) bad('the first line must be "old N"');
  if (lines.length > WITNESS_PROOF_LINES_MAX) bad(`more than ${WITNESS_PROOF_LINES_MAX} proof lines`);
  const proof = lines.map((line) => {
    const hash = strictBase64(line, 'add-checkpoint');
    return hash.length === HASH_BYTES ? hash : bad('a proof line is 32 bytes in base64');
  });
  const checkpoint = text.slice(blank + 2);
  parseSignedNote(checkpoint);
  return { oldSize: Number(size), proof, checkpoint };
}

/** Reads the body of an answer 409. Throws MALFORMED_MESSAGE. */
export function parseConflictSize(body: string): number {
  const size = body.endsWith('\n') ? body.slice(0, -1) : '';
  ensure(
    SIZE.test(size) && Number.isSafeInteger(Number(size)),
    'MALFORMED_MESSAGE',
    'witness: an answer 409 must hold the size that it has',
  );
  return Number(size);
}

/**
 * The signature lines in a witness's answer that are valid cosignatures of `checkpoint` by a known key; lines of
 * unknown keys are left out. Throws MALFORMED_MESSAGE, BAD_SIGNATURE (a bad line of a known key, or none of them).
 */
export function acceptCosignatures(
  checkpoint: string,
  answer: string,
  witnesses: readonly NoteVerifier[],
): string[] {
  ensure(
    answer.length <= NOTE_BYTES_MAX && answer.endsWith('\n'),
    'MALFORMED_MESSAGE',
    'witness: the answer must be lines that end in a newline',
  );
  const lines = answer.slice(0, -1).split('\n');
  ensure(
    lines.length <= NOTE_SIGNATURES_MAX,
    'MALFORMED_MESSAGE',
    `witness: more than ${NOTE_SIGNATURES_MAX} signatures`,
  );
  const text = utf8(parseSignedNote(checkpoint).text);
  const accepted = lines.filter((line) => {
    const { name, keyId, signature } = parseSignatureLine(line);
    const witness = witnesses.find((key) => key.name === name && toHex(noteKeyId(key)) === keyId);
    if (witness === undefined) return false;
    const valid =
      isCosignatureAlgorithm(witness.algorithm) &&
      parseTimestampedSignature(signature).timestampSeconds > 0 &&
      witness.verify(text, signature);
    ensure(valid, 'BAD_SIGNATURE', `witness: the cosignature of ${name} does not verify`);
    return true;
  });
  ensure(accepted.length > 0, 'BAD_SIGNATURE', 'witness: no cosignature of the pinned key in its answer');
  return accepted.map((line) => `${line}\n`);
}
