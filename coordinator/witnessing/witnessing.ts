/**
 * Sends the log's checkpoints to witnesses and keeps what they sign. Nothing waits for them: a witness that is away is
 * asked again later, and its cosignatures are added to the checkpoint files when they come.
 *
 * To each witness sizes go in ascending order, because it never cosigns a smaller tree than before. Checkpoints of
 * exports are all sent; of the others only the newest that waits. Trusts: the configured witness keys.
 * May be called by: coordinator/server.ts.
 */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { fromUtf8, utf8 } from '../../crypto/bytes.ts';
import { isPulsefoldError } from '../../crypto/error.ts';
import { type NoteSigner, parseCheckpointText, parseSignedNote } from '../../crypto/log/checkpoint.ts';
import { encodeTlogPolicy } from '../../crypto/log/tlog-policy.ts';
import { writeFileAtomicSync } from '../../protos/transport/atomic-file.ts';
import type { AppendLog } from '../storage/append-log.ts';
import type { Cosignatures } from './cosignatures.ts';
import { postCheckpoint, type WitnessPeer, type WitnessPort } from './witness-client.ts';

const RETRY_MS_MIN = 1_000;
const RETRY_MS_MAX = 60_000;
/** Requests for one checkpoint before the witness is left alone for a while: a conflict, then the right old size. */
const ATTEMPTS_MAX = 3;

export interface WitnessingParts {
  readonly log: AppendLog;
  readonly signer: NoteSigner;
  readonly cosignatures: Cosignatures;
  readonly peers: readonly WitnessPeer[];
  readonly logger: Pick<Logger, 'info' | 'warn' | 'error'>;
  readonly post?: WitnessPort;
  readonly retryMsMin?: number;
}

interface Wanted {
  readonly size: number;
  readonly note: string;
  /** Not to be dropped for a newer one. */
  readonly kept: boolean;
}

/** One witness: a queue of checkpoints and one request at a time. */
class WitnessQueue {
  readonly peer: WitnessPeer;
  readonly #parts: WitnessingParts;
  readonly #onCosigned: (size: number, note: string) => void;
  #wanted: Wanted[] = [];
  /** What the witness cosigned last, as far as we know. */
  #size: number;
  #running: Promise<void> | undefined;
  #stop = new AbortController();

  constructor(peer: WitnessPeer, parts: WitnessingParts, onCosigned: (size: number, note: string) => void) {
    this.peer = peer;
    this.#parts = parts;
    this.#onCosigned = onCosigned;
    this.#size = parts.cosignatures.lastSizeOf(peer.name);
  }

  want(wanted: Wanted): void {
    const same = this.#wanted.find(({ size }) => size === wanted.size);
    if (same?.kept || (same && !wanted.kept)) return;
    this.#wanted = this.#wanted.filter(({ kept, size }) => kept && size !== wanted.size);
    this.#wanted.push(wanted);
    this.#wanted.sort((a, b) => a.size - b.size);
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined;
    });
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  /** Resolves when the queue is empty or was stopped. */
  async idle(): Promise<void> {
    await this.#running;
  }

  async #run(): Promise<void> {
    let waitMs = this.#parts.retryMsMin ?? RETRY_MS_MIN;
    while (this.#wanted.length > 0 && !this.#stop.signal.aborted) {
      const next = this.#wanted[0]!;
      try {
        await this.#send(next);
        this.#wanted = this.#wanted.filter((wanted) => wanted !== next);
        waitMs = this.#parts.retryMsMin ?? RETRY_MS_MIN;
      } catch (error) {
        const known = isPulsefoldError(error);
        const fields = {
          witness: this.peer.name,
          size: next.size,
          ...(known ? { code: error.code } : { err: error }),
        };
        const message = known ? error.message : 'a witness could not be asked';
        // It cannot be outwaited, but its operator may mend it; an alarm is for people.
        if (known && error.code === 'LOG_INCONSISTENT') this.#parts.logger.error(fields, message);
        else this.#parts.logger.warn(fields, message);
        await pause(waitMs, this.#stop.signal);
        waitMs = Math.min(RETRY_MS_MAX, 2 * waitMs);
      }
    }
  }

  async #send({ size, note }: Wanted): Promise<void> {
    const { log, cosignatures, logger, post = postCheckpoint } = this.#parts;
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      if (this.#size > size) {
        logger.warn(
          { witness: this.peer.name, size },
          'the witness has cosigned a larger tree; this one stays without it',
        );
        return;
      }
      const proof = log.consistencyProof(this.#size, size);
      const answer = await post(this.peer, { oldSize: this.#size, proof, checkpoint: note });
      if (answer.kind === 'conflict') {
        this.#size = answer.size;
        if (answer.size > log.size())
          logger.error(
            { witness: this.peer.name, size: answer.size },
            'the witness has cosigned a larger log than this database holds: was it restored from an old backup?',
          );
        continue;
      }
      this.#size = size;
      cosignatures.add(size, answer.lines);
      logger.info({ witness: this.peer.name, size }, 'checkpoint cosigned');
      this.#onCosigned(size, cosignatures.withLines(size, note));
      return;
    }
  }
}

function pause(durationMs: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, durationMs);
    // Waiting for a witness keeps no process alive.
    timer.unref();
    signal.addEventListener('abort', done);
  });
}

export class Witnessing {
  readonly #parts: WitnessingParts;
  readonly #queues: readonly WitnessQueue[];
  /** Exported log directories whose checkpoint waits for cosignatures, by size. */
  readonly #exported = new Map<number, Set<string>>();

  constructor(parts: WitnessingParts) {
    this.#parts = parts;
    this.#queues = parts.peers.map(
      (peer) => new WitnessQueue(peer, parts, (size, note) => this.#rewrite(size, note)),
    );
  }

  /** Signs the present tree and offers it to the witnesses; returns at once. Does nothing without witnesses. */
  announce(): void {
    if (this.#queues.length === 0) return;
    try {
      this.#offer(this.#parts.log.checkpoint([this.#parts.signer]), false);
    } catch (error) {
      // A round goes on without witnesses; the next checkpoint or export meets the same fault.
      this.#parts.logger.error({ err: error }, 'the log could not be signed for its witnesses');
    }
  }

  /** `logDirectory/checkpoint` was written: its file gets the cosignatures as they come. */
  exported(logDirectory: string, note: string): void {
    if (this.#queues.length === 0) return;
    const size = sizeOf(note);
    const directories = this.#exported.get(size) ?? new Set();
    this.#exported.set(size, directories.add(logDirectory));
    this.#offer(note, true);
  }

  /** A checkpoint with whatever witnesses have signed of it so far. */
  withCosignatures(note: string): string {
    return this.#parts.cosignatures.withLines(sizeOf(note), note);
  }

  /** The log's and the witnesses' keys as a tlog-policy that asks for no witness: readers pin their own quorum. */
  policyText(): string {
    const { signer, peers } = this.#parts;
    const witnesses = peers.flatMap(({ name, url, verifiers }) =>
      verifiers.map((key, i) => ({ name: verifiers.length === 1 ? name : `${name}#${i + 1}`, key, url })),
    );
    return encodeTlogPolicy({ logs: [{ key: signer }], witnesses, lines: ['quorum none'] });
  }

  /** Resolves when every witness has answered all that waits. */
  async idle(): Promise<void> {
    await Promise.all(this.#queues.map((queue) => queue.idle()));
  }

  async stop(): Promise<void> {
    await Promise.all(this.#queues.map((queue) => queue.stop()));
  }

  #offer(note: string, kept: boolean): void {
    for (const queue of this.#queues) queue.want({ size: sizeOf(note), note, kept });
  }

  #rewrite(size: number, note: string): void {
    for (const directory of this.#exported.get(size) ?? []) {
      const path = join(directory, 'checkpoint');
      try {
        // The directory may hold a later export by now.
        if (sizeOf(fromUtf8(new Uint8Array(readFileSync(path)))) === size)
          writeFileAtomicSync(path, utf8(note), 0o644);
      } catch (error) {
        this.#parts.logger.warn({ err: error }, 'a cosignature could not be added to an exported checkpoint');
      }
    }
  }
}

const sizeOf = (note: string): number => parseCheckpointText(parseSignedNote(note).text).size;
