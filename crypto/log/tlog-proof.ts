/**
 * The text form of an offline-verifiable proof of logging, `.tlog-proof` (c2sp.org/tlog-proof).
 *
 *   c2sp.org/tlog-proof@v1
 *   extra BASE64              (optional, not authenticated; Pulsefold puts the leaf itself there)
 *   index N
 *   BASE64 ...                (inclusion proof, leaf's sibling first)
 *                             (empty line)
 *   the signed checkpoint, as it is
 *
 * Trusts: nothing; proofs come from outside. May be called by: everyone.
 */
import { fromUtf8, toBase64, utf8 } from '../bytes.ts';
import { ensure, PulsefoldError } from '../error.ts';
import { NOTE_BYTES_MAX, type NoteVerifier, parseSignedNote, strictBase64 } from './checkpoint.ts';
import { HASH_BYTES, PROOF_HASHES_MAX, verifyInclusion } from './merkle.ts';
import { openCheckpointUnder, type TlogPolicy, type WitnessedCheckpoint } from './tlog-policy.ts';

const HEADER = 'c2sp.org/tlog-proof@v1';
/** A leaf of a tile entry bundle. */
export const PROOF_EXTRA_BYTES_MAX = 65_535;
const HEAD_LENGTH_MAX = 4 * Math.ceil(PROOF_EXTRA_BYTES_MAX / 3) + PROOF_HASHES_MAX * 45 + 100;
export const TLOG_PROOF_BYTES_MAX = HEAD_LENGTH_MAX + NOTE_BYTES_MAX;

export interface TlogProof {
  /** Opaque and not authenticated. */
  readonly extra?: Uint8Array | undefined;
  /** Index of the leaf, from 0. */
  readonly index: number;
  /** Hashes of 32 bytes, leaf's sibling first. */
  readonly inclusion: readonly Uint8Array[];
  /** The signed note, with whatever cosignatures it carries. */
  readonly checkpoint: string;
}

/** Throws FIELD_OUT_OF_RANGE or MALFORMED_MESSAGE for parts that the format cannot carry. */
export function encodeTlogProof({ extra, index, inclusion, checkpoint }: TlogProof): string {
  ensure(Number.isSafeInteger(index) && index >= 0, 'FIELD_OUT_OF_RANGE', 'tlog-proof: not an index');
  ensure(
    extra === undefined || extra.length <= PROOF_EXTRA_BYTES_MAX,
    'FIELD_OUT_OF_RANGE',
    `tlog-proof: extra data have at most ${PROOF_EXTRA_BYTES_MAX} bytes`,
  );
  ensure(
    inclusion.length <= PROOF_HASHES_MAX && inclusion.every((hash) => hash.length === HASH_BYTES),
    'FIELD_OUT_OF_RANGE',
    'tlog-proof: not an inclusion proof',
  );
  parseSignedNote(checkpoint);
  const lines = [
    HEADER,
    ...(extra === undefined ? [] : [`extra ${toBase64(extra)}`]),
    `index ${index}`,
    ...inclusion.map(toBase64),
    '',
  ];
  return `${lines.join('\n')}\n${checkpoint}`;
}

function decode(input: string | Uint8Array): string {
  ensure(
    input.length <= TLOG_PROOF_BYTES_MAX,
    'MALFORMED_MESSAGE',
    `tlog-proof: longer than ${TLOG_PROOF_BYTES_MAX} bytes`,
  );
  if (typeof input === 'string') return input;
  try {
    return fromUtf8(input);
  } catch (cause) {
    throw new PulsefoldError('MALFORMED_MESSAGE', 'tlog-proof: not UTF-8', { cause });
  }
}

function hashOf(line: string): Uint8Array {
  const hash = strictBase64(line, 'tlog-proof');
  ensure(hash.length === HASH_BYTES, 'MALFORMED_MESSAGE', 'tlog-proof: a proof line is 32 bytes in base64');
  return hash;
}

/** Reads hostile text; nothing is verified. Throws MALFORMED_MESSAGE. */
export function parseTlogProof(input: string | Uint8Array): TlogProof {
  const text = decode(input);
  const blank = text.indexOf('\n\n');
  ensure(
    blank >= 0 && blank <= HEAD_LENGTH_MAX,
    'MALFORMED_MESSAGE',
    'tlog-proof: no empty line before the checkpoint',
  );
  const lines = text.slice(0, blank).split('\n');
  ensure(lines.shift() === HEADER, 'MALFORMED_MESSAGE', `tlog-proof: the first line must be ${HEADER}`);
  const extraLine = lines[0]?.startsWith('extra ') ? lines.shift()!.slice('extra '.length) : undefined;
  const extra = extraLine === undefined ? undefined : strictBase64(extraLine, 'tlog-proof');
  ensure(
    (extra?.length ?? 0) <= PROOF_EXTRA_BYTES_MAX,
    'MALFORMED_MESSAGE',
    'tlog-proof: too much extra data',
  );
  const index = /^index (0|[1-9][0-9]{0,15})$/.exec(lines.shift() ?? '')?.[1];
  ensure(
    index !== undefined && Number.isSafeInteger(Number(index)),
    'MALFORMED_MESSAGE',
    'tlog-proof: expected "index N" with N below 2^53 and without leading zeroes',
  );
  ensure(
    lines.length <= PROOF_HASHES_MAX,
    'MALFORMED_MESSAGE',
    `tlog-proof: more than ${PROOF_HASHES_MAX} proof lines`,
  );
  const inclusion = lines.map(hashOf);
  const checkpoint = text.slice(blank + 2);
  parseSignedNote(checkpoint);
  return { ...(extra === undefined ? {} : { extra }), index: Number(index), inclusion, checkpoint };
}

export interface VerifiedTlogProof extends WitnessedCheckpoint {
  readonly index: number;
}

/**
 * The four steps of "Verifying a tlog proof": the caller has hashed the leaf; log signature and witness quorum by
 * `policy` (and `logs`, log keys known from elsewhere); inclusion. Throws MALFORMED_MESSAGE, BAD_SIGNATURE,
 * LOG_INCONSISTENT, QUORUM_NOT_REACHED or PROOF_INVALID.
 */
export function verifyTlogProof(
  input: string | Uint8Array | TlogProof,
  {
    leafHash,
    policy,
    logs = [],
  }: {
    readonly leafHash: Uint8Array;
    readonly policy: TlogPolicy;
    readonly logs?: readonly NoteVerifier[];
  },
): VerifiedTlogProof {
  const proof = typeof input === 'string' || input instanceof Uint8Array ? parseTlogProof(input) : input;
  const witnessed = openCheckpointUnder(proof.checkpoint, policy, logs);
  const { size, root } = witnessed.checkpoint;
  const { index, inclusion } = proof;
  ensure(
    verifyInclusion({ leafHash, index, size, proof: inclusion, root }),
    'PROOF_INVALID',
    'tlog-proof: it does not show this leaf at that place of the log',
  );
  return { ...witnessed, index };
}

/** UTF-8 bytes, for the wire and for files. */
export const tlogProofBytes = (proof: TlogProof): Uint8Array => utf8(encodeTlogProof(proof));
