/**
 * Talks to one witness over HTTP (c2sp.org/tlog-witness).
 *
 * Trusts: nothing but the pinned keys: an answer counts if its cosignatures verify. May be called by: witnessing.ts.
 */
import { type ErrorCode, PulsefoldError } from '../../crypto/error.ts';
import { NOTE_BYTES_MAX, type NoteVerifier } from '../../crypto/log/checkpoint.ts';
import {
  type AddCheckpoint,
  acceptCosignatures,
  encodeAddCheckpoint,
  parseConflictSize,
} from '../../crypto/log/witness-protocol.ts';

export interface WitnessPeer {
  /** The name in its signature lines. */
  readonly name: string;
  /** Submission prefix: http(s)://host:port/path. */
  readonly url: string;
  readonly verifiers: readonly NoteVerifier[];
}

export type WitnessAnswer =
  | { readonly kind: 'cosigned'; readonly lines: readonly string[] }
  /** The witness has cosigned this size last. */
  | { readonly kind: 'conflict'; readonly size: number };

export type WitnessPort = (peer: WitnessPeer, request: AddCheckpoint) => Promise<WitnessAnswer>;

const TIMEOUT_MS = 10_000;

/** Answers that asking again does not mend. */
const REFUSALS: Readonly<Record<number, readonly [ErrorCode, string]>> = {
  400: ['MALFORMED_MESSAGE', 'finds the request malformed'],
  403: ['BAD_SIGNATURE', 'has another key for this log: give its operator log/key'],
  404: ['NOT_FOUND', 'does not watch this log: give its operator log/key'],
  422: ['LOG_INCONSISTENT', 'says that this log contradicts the one it cosigned'],
};

async function readText(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of response.body ?? []) {
    length += chunk.length;
    if (length > NOTE_BYTES_MAX)
      throw new PulsefoldError('MALFORMED_MESSAGE', `witness: the answer has over ${NOTE_BYTES_MAX} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

/**
 * Sends one checkpoint. Throws UNAVAILABLE (ask again later), LOG_INCONSISTENT (the witness saw another history), or
 * what says that one side is configured wrongly: NOT_FOUND, BAD_SIGNATURE, MALFORMED_MESSAGE.
 */
export const postCheckpoint: WitnessPort = async (peer, request) => {
  let response: Response;
  let text: string;
  try {
    response = await fetch(`${peer.url.replace(/\/+$/, '')}/add-checkpoint`, {
      method: 'POST',
      body: encodeAddCheckpoint(request),
      headers: { 'content-type': 'text/plain; charset=utf-8' },
      redirect: 'error',
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    text = await readText(response);
  } catch (cause) {
    if (cause instanceof PulsefoldError) throw cause;
    throw new PulsefoldError('UNAVAILABLE', `witness ${peer.name} is out of reach`, { cause });
  }
  return readAnswer(peer, request, response.status, text);
};

/** What a witness's answer to `request` means. Throws what `postCheckpoint` throws. */
export function readAnswer(
  peer: WitnessPeer,
  request: AddCheckpoint,
  status: number,
  text: string,
): WitnessAnswer {
  if (status === 409) return { kind: 'conflict', size: parseConflictSize(text) };
  if (status === 200)
    return { kind: 'cosigned', lines: acceptCosignatures(request.checkpoint, text, peer.verifiers) };
  const [code, what] = REFUSALS[status] ?? ['UNAVAILABLE', `answered ${status}`];
  throw new PulsefoldError(code, `witness ${peer.name} ${what}`);
}
