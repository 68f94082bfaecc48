/**
 * The worker threads that fold, kept for the life of the coordinator and started when first needed.
 *
 * A worker that dies takes its sums with it: calls to it reject, it is not started again, and the round goes on in the
 * main thread. Trusts: its own process. May be called by: coordinator/server.ts, coordinator/rounds.
 */
import { Worker } from 'node:worker_threads';
import { PulsefoldError } from '../../crypto/error.ts';
import type { RoundKind } from '../../protos/round-config.ts';
import type { BodyPlaces, FoldShard } from './fold-shard.ts';

export type FoldCall = { readonly call: number; readonly fold: number } & (
  | { readonly op: 'open'; readonly plan: Uint8Array; readonly kind: RoundKind; readonly directory: string }
  | { readonly op: 'add'; readonly bodies: readonly BodyPlaces[] }
  | { readonly op: 'sum' }
  | { readonly op: 'close' }
);
type Request = FoldCall extends infer C ? (C extends FoldCall ? Omit<C, 'call'> : never) : never;

export interface FoldReply {
  readonly call: number;
  readonly sum: Uint8Array | null;
  readonly error: string | null;
}

/** What the workers need to know of a round. */
export interface FoldRound {
  readonly planBytes: Uint8Array;
  readonly kind: RoundKind;
  /** Of the spool's segments. */
  readonly directory: string;
}

/** Natively .ts; .js where the package was built. */
const workerFile = new URL(`./fold-worker.${import.meta.url.endsWith('.ts') ? 'ts' : 'js'}`, import.meta.url);

/** A worker's sums lie in WebAssembly and its bodies in one buffer: its heap only holds code and small messages. */
const YOUNG_MB_MAX = 8;

interface Pending {
  readonly resolve: (reply: FoldReply) => void;
  readonly reject: (error: unknown) => void;
}

class FoldWorker {
  readonly #worker: Worker;
  readonly #pending = new Map<number, Pending>();
  #nextCall = 1;
  #failure: PulsefoldError | null = null;

  constructor() {
    this.#worker = new Worker(workerFile, { resourceLimits: { maxYoungGenerationSizeMb: YOUNG_MB_MAX } });
    this.#worker.unref();
    this.#worker.on('message', (reply: FoldReply) => {
      const pending = this.#pending.get(reply.call);
      this.#pending.delete(reply.call);
      if (reply.error === null) pending?.resolve(reply);
      else pending?.reject(new PulsefoldError('INTERNAL', `fold worker: ${reply.error}`));
    });
    this.#worker.on('error', (cause) => this.#fail('died', cause));
    this.#worker.on('exit', () => this.#fail('ended'));
  }

  get isAlive(): boolean {
    return this.#failure === null;
  }

  #fail(what: string, cause?: unknown): void {
    this.#failure ??= new PulsefoldError('INTERNAL', `a fold worker ${what}`, { cause });
    for (const { reject } of this.#pending.values()) reject(this.#failure);
    this.#pending.clear();
  }

  call(request: Request): Promise<FoldReply> {
    return new Promise((resolve, reject) => {
      if (this.#failure) throw this.#failure;
      const call = this.#nextCall++;
      this.#pending.set(call, { resolve, reject });
      this.#worker.postMessage({ ...request, call });
    });
  }

  async terminate(): Promise<void> {
    await this.#worker.terminate();
  }
}

class WorkerShard implements FoldShard {
  readonly name: string;
  readonly #worker: FoldWorker;
  readonly #fold: number;
  readonly #opened: Promise<unknown>;

  constructor(worker: FoldWorker, name: string, fold: number, round: FoldRound) {
    this.name = name;
    this.#worker = worker;
    this.#fold = fold;
    const { planBytes: plan, kind, directory } = round;
    this.#opened = worker.call({ op: 'open', fold, plan, kind, directory });
    // Whoever adds hears of it.
    this.#opened.catch(() => {});
  }

  async add(bodies: readonly BodyPlaces[]): Promise<void> {
    await this.#opened;
    await this.#worker.call({ op: 'add', fold: this.#fold, bodies });
  }

  async sum(): Promise<Uint8Array> {
    await this.#opened;
    const { sum } = await this.#worker.call({ op: 'sum', fold: this.#fold });
    return sum!;
  }

  close(): void {
    this.#worker.call({ op: 'close', fold: this.#fold }).catch(() => {});
  }
}

export class FoldPool {
  readonly #count: number;
  #workers: FoldWorker[] | null = null;
  #nextFold = 1;

  /** `count` worker threads; 0: none, everything is folded in the main thread. */
  constructor(count: number) {
    this.#count = count;
  }

  /** One shard per worker that lives. */
  openShards(round: FoldRound): FoldShard[] {
    this.#workers ??= Array.from({ length: this.#count }, () => new FoldWorker());
    return this.#workers
      .filter((worker) => worker.isAlive)
      .map((worker, i) => new WorkerShard(worker, `worker ${i + 1}`, this.#nextFold++, round));
  }

  async close(): Promise<void> {
    await Promise.all((this.#workers ?? []).map((worker) => worker.terminate()));
  }
}
