/**
 * The witness: cosigns a log's checkpoint if, and only if, it continues the last one that it cosigned
 * (c2sp.org/tlog-witness, add-checkpoint). HTTP is server.ts; here a request body becomes an answer.
 *
 * It keeps no leaves and believes the log nothing but its signature and a consistency proof. Trusts: its configured
 * log keys, its own state. Bodies are hostile. May be called by: server.ts, tests.
 */
import { createHash } from 'node:crypto';
import { equalBytes, toHex } from '../../crypto/bytes.ts';
import { type ErrorCode, isPulsefoldError, PulsefoldError } from '../../crypto/error.ts';
import {
  type Checkpoint,
  encodeVerifierKey,
  type NoteVerifier,
  noteKeyId,
  parseCheckpointText,
  parseSignedNote,
  signatureLine,
  verifyNote,
} from '../../crypto/log/checkpoint.ts';
import { emptyRoot, verifyConsistency } from '../../crypto/log/merkle.ts';
import { type CosignerKey, cosignerAt } from '../../crypto/log/note-keys.ts';
import { type AddCheckpoint, parseAddCheckpoint, TLOG_SIZE_TYPE } from '../../crypto/log/witness-protocol.ts';
import type { WitnessRecord, WitnessState } from './state.ts';

export interface WatchedLog {
  readonly origin: string;
  readonly verifiers: readonly NoteVerifier[];
}

export interface WitnessParts {
  readonly keys: readonly CosignerKey[];
  readonly logs: readonly WatchedLog[];
  readonly state: WitnessState;
  readonly nowMs: () => number;
  /** A log signed something that contradicts what it signed before. */
  readonly onMisbehaviour?: (origin: string, size: number) => void;
}

export interface Answer {
  readonly status: 200 | 400 | 403 | 404 | 409 | 422 | 503;
  readonly type: string;
  readonly body: string;
}

const TEXT = 'text/plain; charset=utf-8';

class Refusal extends Error {
  readonly answer: Answer;
  constructor(answer: Answer) {
    super(answer.body);
    this.answer = answer;
  }
}
const refuse = (status: Answer['status'], what: string): never => {
  throw new Refusal({ status, type: TEXT, body: `${what}\n` });
};

/** Runs `read`; an error with that code becomes the answer `status`. */
function orRefuse<T>(status: Answer['status'], code: ErrorCode, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (isPulsefoldError(error) && error.code === code) return refuse(status, error.message);
    throw error;
  }
}

export class Witness {
  readonly #parts: WitnessParts;
  readonly #logs = new Map<string, WatchedLog>();
  readonly #origins = new Map<string, string>();

  /** Throws CONFIG_INVALID for an origin that is listed twice or keys of different names. */
  constructor(parts: WitnessParts) {
    this.#parts = parts;
    for (const log of parts.logs) {
      if (this.#logs.has(log.origin))
        throw new PulsefoldError('CONFIG_INVALID', `logs: ${log.origin} is listed twice`);
      this.#logs.set(log.origin, log);
      this.#origins.set(createHash('sha256').update(log.origin).digest('hex'), log.origin);
    }
  }

  /** Key lines to pin, one per key. */
  keyLines(): string[] {
    return this.#parts.keys.map(encodeVerifierKey);
  }

  /** Answers `POST /add-checkpoint`. Never throws for what is in the body. */
  addCheckpoint(body: Uint8Array): Answer {
    try {
      return this.#addCheckpoint(body);
    } catch (error) {
      if (error instanceof Refusal) return error.answer;
      if (isPulsefoldError(error) && error.code === 'UNAVAILABLE')
        return { status: 503, type: TEXT, body: `${error.message}\n` };
      throw error;
    }
  }

  #addCheckpoint(body: Uint8Array): Answer {
    const malformed = <T>(read: () => T): T => orRefuse(400, 'MALFORMED_MESSAGE', read);
    const request = malformed(() => parseAddCheckpoint(body));
    const checkpoint = malformed(() => parseCheckpointText(parseSignedNote(request.checkpoint).text));
    const { origin, size } = checkpoint;
    const log = this.#logs.get(origin) ?? refuse(404, 'this witness does not watch a log of that origin');
    // An error of a verifier is a signature that does not verify, whatever is wrong with it.
    orRefuse(403, 'BAD_SIGNATURE', () => verifyNote(request.checkpoint, log.verifiers));
    if (request.oldSize > size) refuse(400, 'the old size is larger than the size of the checkpoint');
    const lines: string[] = [];
    this.#parts.state.update(origin, (last) => this.#decide(request, checkpoint, log, last, lines));
    return { status: 200, type: TEXT, body: lines.join('') };
  }

  /** Within the write transaction: all that depends on the last record. */
  #decide(
    { oldSize, proof, checkpoint: note }: AddCheckpoint,
    checkpoint: Checkpoint,
    log: WatchedLog,
    last: WitnessRecord | undefined,
    lines: string[],
  ): WitnessRecord {
    const { size, root } = checkpoint;
    const lastSize = last?.size ?? 0;
    if (oldSize !== lastSize) throw new Refusal({ status: 409, type: TLOG_SIZE_TYPE, body: `${lastSize}\n` });
    const empty = size !== 0 || equalBytes(root, emptyRoot());
    const consistent = verifyConsistency({ oldSize, oldRoot: last?.root ?? emptyRoot(), size, root, proof });
    if (!empty || !consistent) {
      this.#misbehaved(log.origin, note, last, size, root);
      refuse(422, 'the consistency proof does not show that this tree continues the last one');
    }
    const nowSeconds = Math.floor(this.#parts.nowMs() / 1000);
    // A clock that went back must not make an older tree look like the larger one of that time.
    const timestampSeconds = Math.max(1, nowSeconds, last?.timestampSeconds ?? 0);
    const { text, signatures } = parseSignedNote(note);
    for (const key of this.#parts.keys) lines.push(signatureLine(cosignerAt(key, timestampSeconds), text));
    const logLines = signatures
      .map((line, i) => ({ line, text: note.slice(text.length + 1).split('\n')[i]! }))
      .filter(({ line }) =>
        log.verifiers.some((key) => key.name === line.name && toHex(noteKeyId(key)) === line.keyId),
      );
    const signed = `${text}\n${logLines.map((line) => `${line.text}\n`).join('')}${lines.join('')}`;
    return { size, root, note: signed, timestampSeconds };
  }

  // A wrong proof alone is nobody's fault: it is misbehaviour only if the two signed trees cannot both be.
  #misbehaved(
    origin: string,
    note: string,
    last: WitnessRecord | undefined,
    size: number,
    root: Uint8Array,
  ): void {
    if (last === undefined || last.size !== size || equalBytes(last.root, root)) return;
    this.#pending.push({ origin, note, cosigned: last.note, size });
  }

  readonly #pending: { origin: string; note: string; cosigned: string; size: number }[] = [];

  /** Stores proofs of misbehaviour that the last requests brought; the server calls it after it has answered. */
  keepEvidence(): void {
    for (const { origin, note, cosigned, size } of this.#pending.splice(0)) {
      this.#parts.state.keepEvidence(origin, note, cosigned, Math.floor(this.#parts.nowMs() / 1000));
      this.#parts.onMisbehaviour?.(origin, size);
    }
  }

  /** Answers `GET /<SHA-256 of the origin in hexadecimal>/checkpoint`; undefined: 404. */
  latest(originHash: string): string | undefined {
    const origin = this.#origins.get(originHash);
    return origin === undefined ? undefined : this.#parts.state.get(origin)?.note;
  }
}
