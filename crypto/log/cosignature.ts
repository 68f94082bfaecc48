/**
 * Witness cosignatures on checkpoints (c2sp.org/tlog-cosignature): u64be(timestamp) ‖ signature, in a note's line.
 *
 * Signature types:
 *   cosignature-ed25519    0x04; Ed25519 over "cosignature/v1\ntime N\n" ‖ the note text
 *   cosignature-ml-dsa-44  0x06; ML-DSA-44 over the `cosigned_message` structure of the document: cosigner name,
 *                          timestamp, origin, start 0, end = size, root. Extension lines are not covered.
 *   cosignature-sm2        0xff ‖ "pulsefold.sm2-with-sm3-cosignature.v1" (private range): as 0x04, signed with SM2
 * A cosignature says: at that time, this was the largest consistent tree of this log that the witness had seen.
 * Trusts: the `sign` and `verify` functions it is given. Texts are hostile. May be called by: everyone.
 */
import { concat, utf8 } from '../bytes.ts';
import { ensure } from '../error.ts';
import {
  type CosignatureAlgorithm,
  cosignatureAlgorithms,
  type NoteAlgorithm,
  type NoteKey,
  type NoteSigner,
  type NoteVerifier,
  parseCheckpointText,
} from './checkpoint.ts';

const TIMESTAMP_BYTES = 8;
const SUBTREE_LABEL = utf8('subtree/v1\n\0');
const NAME_BYTES_MAX = 255;

export const isCosignatureAlgorithm = (algorithm: NoteAlgorithm): algorithm is CosignatureAlgorithm =>
  (cosignatureAlgorithms as readonly string[]).includes(algorithm);

export interface CosignatureKey extends NoteKey {
  readonly algorithm: CosignatureAlgorithm;
}

function uint64BigEndian(value: number): Uint8Array {
  const out = new Uint8Array(8);
  new DataView(out.buffer).setBigUint64(0, BigInt(value));
  return out;
}

/** `opaque value<1..2^8-1>` of RFC 8446 §3.4. */
function shortOpaque(text: string): Uint8Array {
  const bytes = utf8(text);
  ensure(
    bytes.length >= 1 && bytes.length <= NAME_BYTES_MAX,
    'MALFORMED_MESSAGE',
    'cosignature: cosigner name and origin have 1 to 255 bytes',
  );
  return concat(Uint8Array.of(bytes.length), bytes);
}

const checkTimestamp = (timestampSeconds: number): void =>
  ensure(
    Number.isSafeInteger(timestampSeconds) && timestampSeconds >= 0,
    'FIELD_OUT_OF_RANGE',
    'cosignature: the timestamp is Unix time in whole seconds',
  );

/** What the witness's key signs for the checkpoint `text` (a note text). Throws MALFORMED_MESSAGE. */
export function cosignedMessage(
  { name, algorithm }: Pick<CosignatureKey, 'name' | 'algorithm'>,
  text: string,
  timestampSeconds: number,
): Uint8Array {
  checkTimestamp(timestampSeconds);
  const { origin, size, root } = parseCheckpointText(text);
  if (algorithm !== 'cosignature-ml-dsa-44') return utf8(`cosignature/v1\ntime ${timestampSeconds}\n${text}`);
  return concat(
    SUBTREE_LABEL,
    shortOpaque(name),
    uint64BigEndian(timestampSeconds),
    shortOpaque(origin),
    uint64BigEndian(0),
    uint64BigEndian(size),
    root,
  );
}

/** Splits a `timestamped_signature`. Throws MALFORMED_MESSAGE for a time beyond 2^53 seconds. */
export function parseTimestampedSignature(bytes: Uint8Array): {
  timestampSeconds: number;
  signature: Uint8Array;
} {
  ensure(bytes.length > TIMESTAMP_BYTES, 'MALFORMED_MESSAGE', 'cosignature: too short');
  const big = new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0);
  ensure(big <= BigInt(Number.MAX_SAFE_INTEGER), 'MALFORMED_MESSAGE', 'cosignature: an impossible timestamp');
  return { timestampSeconds: Number(big), signature: bytes.subarray(TIMESTAMP_BYTES) };
}

/** A signer of note lines that cosigns at `timestampSeconds` (Unix time; the caller's clock). */
export function cosignatureSigner(
  key: CosignatureKey,
  sign: (message: Uint8Array) => Uint8Array,
  timestampSeconds: number,
): NoteSigner {
  checkTimestamp(timestampSeconds);
  ensure(timestampSeconds > 0, 'FIELD_OUT_OF_RANGE', 'cosignature: a witness never omits the time');
  return {
    ...key,
    sign: (text) =>
      concat(
        uint64BigEndian(timestampSeconds),
        sign(cosignedMessage(key, new TextDecoder('utf-8', { fatal: true }).decode(text), timestampSeconds)),
      ),
  };
}

/** A verifier of such lines, for `verifyNote` and `openCheckpoint`. */
export function cosignatureVerifier(
  key: CosignatureKey,
  verify: (message: Uint8Array, signature: Uint8Array) => boolean,
): NoteVerifier {
  return {
    ...key,
    verify(text, bytes) {
      const { timestampSeconds, signature } = parseTimestampedSignature(bytes);
      const decoded = new TextDecoder('utf-8', { fatal: true }).decode(text);
      return verify(cosignedMessage(key, decoded, timestampSeconds), signature);
    },
  };
}
