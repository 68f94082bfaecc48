/**
 * Resumable upload of one sealed update (DESIGN §2.7): the same bytes in chunks, from wherever the coordinator says
 * it stands, until a signed acknowledgement ("durable") or a signed "late" is in hand.
 *
 * The coordinator may be killed and restarted at any point, so breaks are retried for minutes; an offset it moved is
 * followed, a bounded number of times. Trusts: the plan's coordinator key for the final statement, nothing else.
 * May be called by: client/.
 */
import { ensure, isPulsefoldError, PulsefoldError } from '../../crypto/error.ts';
import type { Suite } from '../../crypto/identity/suite.ts';
import type { RandomSource } from '../../crypto/random.ts';
import { CHUNK_BYTES_MAX, parse } from '../../protos/fields.ts';
import type { UploadStatement } from '../../protos/statements.ts';
import { type Clock, retryWhileUnavailable } from './clock.ts';
import { requireAnswerSigned } from './own-statements.ts';
import { getUploadStateReply, type PutUploadReply, putUploadReply } from './replies.ts';
import type { RoundsTransport, UploadHeader } from './transport.ts';

export interface UploadTask {
  readonly transport: RoundsTransport;
  readonly suite: Suite;
  readonly coordinatorPublicKey: Uint8Array;
  readonly statement: UploadStatement;
  readonly header: UploadHeader;
  /** c0 ‖ c1. */
  readonly bytes: Uint8Array;
  readonly clock: Clock;
  readonly random: RandomSource;
  readonly patienceMs: number;
  readonly signal?: AbortSignal | undefined;
  readonly onRetry?: (waitMs: number, error: unknown) => void;
}

export interface UploadOutcome {
  readonly progress: 'acknowledged' | 'late';
  /** The coordinator's signature, verified. */
  readonly coordinatorSignature: Uint8Array;
}

/** Times the coordinator may send the upload back to an earlier offset before we call it broken. */
const RESTARTS_MAX = 20;

/**
 * Sends whatever is missing. Repeating it is harmless: the bytes are stored and the coordinator keys them by round
 * and device. Throws BAD_SIGNATURE for a forged statement, and the coordinator's own refusals as they come.
 */
export async function uploadSealed(task: UploadTask): Promise<UploadOutcome> {
  const total = task.bytes.length;
  const lastChunkAt = Math.floor((total - 1) / CHUNK_BYTES_MAX) * CHUNK_BYTES_MAX;
  // An upload of one chunk has nothing to resume, so nothing is asked first.
  let offset = lastChunkAt === 0 ? 0 : await resumeOffset(task, lastChunkAt);
  for (let restarts = 0; ; ) {
    const data = task.bytes.subarray(offset, Math.min(total, offset + CHUNK_BYTES_MAX));
    let reply: PutUploadReply;
    try {
      reply = parse(
        putUploadReply,
        await retry(task, () => task.transport.putUpload({ header: task.header, offset, data })),
      );
    } catch (error) {
      if (!canResume(error) || ++restarts > RESTARTS_MAX) throw error;
      offset = await resumeOffset(task, lastChunkAt);
      continue;
    }
    if (reply.acknowledged || reply.late) return finish(task, reply);
    ensure(
      reply.nextOffset < total,
      'INTERNAL',
      'the coordinator has the whole upload and does not acknowledge it',
    );
    if (reply.nextOffset <= offset && ++restarts > RESTARTS_MAX)
      throw new PulsefoldError('UPLOAD_OFFSET_MISMATCH', 'the upload makes no progress');
    offset = reply.nextOffset;
  }
}

/** The coordinator lost or garbled part of what it had: it says where to go on, and gets the same bytes again. */
const canResume = (error: unknown): boolean =>
  isPulsefoldError(error) && (error.code === 'UPLOAD_OFFSET_MISMATCH' || error.code === 'DIGEST_MISMATCH');

const retry = <T>(task: UploadTask, operation: () => Promise<T>): Promise<T> => {
  const { clock, random, patienceMs, signal, onRetry } = task;
  return retryWhileUnavailable(operation, {
    clock,
    random,
    patienceMs,
    signal,
    ...(onRetry ? { onRetry } : {}),
  });
};

/** Where to go on. When everything is there already, the last chunk is sent once more: its reply is the receipt. */
async function resumeOffset(task: UploadTask, lastChunkAt: number): Promise<number> {
  const { configHash, digest } = task.statement;
  const state = parse(
    getUploadStateReply,
    await retry(task, () => task.transport.getUploadState({ configHash, digest })),
  );
  return state.acknowledged ? lastChunkAt : Math.min(state.nextOffset, lastChunkAt);
}

function finish(
  { suite, coordinatorPublicKey, statement }: UploadTask,
  reply: PutUploadReply,
): UploadOutcome {
  requireAnswerSigned(suite, coordinatorPublicKey, statement, reply);
  return { progress: reply.late ? 'late' : 'acknowledged', coordinatorSignature: reply.signature };
}
