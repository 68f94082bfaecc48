/**
 * Runs the devices' work in worker threads, or in this one.
 *
 * Jobs go to whichever worker is free; a job's result does not depend on which. Trusts: its own process. May be called
 * by: experiments/simulation.
 */
import { Worker } from 'node:worker_threads';
import { PulsefoldError } from '../../crypto/error.ts';
import { type DeviceSetup, openDevices } from './device-setup.ts';
import type { BatchUploads, DeviceRoundTerms } from './device-work.ts';

export type PoolCall = { readonly call: number } & (
  | { readonly op: 'round'; readonly terms: DeviceRoundTerms }
  | { readonly op: 'work'; readonly round: number; readonly devices: Uint32Array }
);
export interface PoolReply {
  readonly call: number;
  readonly uploads: BatchUploads | null;
  readonly error: { readonly code: string | null; readonly message: string } | null;
}

export interface DevicePool {
  /** Training engine that runs. */
  readonly engine: string;
  readonly workers: number;
  openRound(terms: DeviceRoundTerms): Promise<void>;
  work(round: number, devices: Uint32Array): Promise<BatchUploads>;
  close(): Promise<void>;
}

/** Devices per job: enough to hide the message, few enough to share the work out. */
export const JOB_DEVICES = 1024;

export async function openDevicePool(setup: DeviceSetup, workers: number): Promise<DevicePool> {
  return workers === 0 ? openLocalPool(setup) : openWorkerPool(setup, workers);
}

async function openLocalPool(setup: DeviceSetup): Promise<DevicePool> {
  const devices = await openDevices(setup);
  return {
    engine: devices.engine,
    workers: 0,
    openRound: async (terms) => devices.openRound(terms),
    work: (round, indices) => devices.work(round, indices),
    close: async () => {},
  };
}

const workerFile = new URL(
  `./device-worker.${import.meta.url.endsWith('.ts') ? 'ts' : 'js'}`,
  import.meta.url,
);

class PoolWorker {
  readonly #worker: Worker;
  readonly #pending = new Map<number, PromiseWithResolvers<BatchUploads | null>>();
  readonly ready: Promise<string>;
  #nextCall = 1;

  constructor(setup: DeviceSetup) {
    this.#worker = new Worker(workerFile, { workerData: setup });
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    this.ready = promise;
    promise.catch(() => {});
    this.#worker.on('message', (message: { engine: string } | PoolReply) => {
      if ('engine' in message) return resolve(message.engine);
      const { call, uploads, error } = message;
      const pending = this.#pending.get(call);
      this.#pending.delete(call);
      if (error) pending?.reject(asError(error));
      else pending?.resolve(uploads);
    });
    const fail = (cause: unknown) => {
      const error = new PulsefoldError('INTERNAL', 'a simulation worker died', { cause });
      reject(error);
      for (const pending of this.#pending.values()) pending.reject(error);
      this.#pending.clear();
    };
    this.#worker.on('error', fail);
    this.#worker.on('exit', fail);
  }

  get load(): number {
    return this.#pending.size;
  }

  call(
    request: { op: 'round'; terms: DeviceRoundTerms } | { op: 'work'; round: number; devices: Uint32Array },
  ) {
    const call = this.#nextCall++;
    const pending = Promise.withResolvers<BatchUploads | null>();
    this.#pending.set(call, pending);
    this.#worker.postMessage({ ...request, call });
    return pending.promise;
  }

  async close(): Promise<void> {
    this.#worker.removeAllListeners('exit');
    await this.#worker.terminate();
  }
}

function asError({ code, message }: NonNullable<PoolReply['error']>): Error {
  return new PulsefoldError((code ?? 'INTERNAL') as ConstructorParameters<typeof PulsefoldError>[0], message);
}

async function openWorkerPool(setup: DeviceSetup, count: number): Promise<DevicePool> {
  const workers = Array.from({ length: count }, () => new PoolWorker(setup));
  const close = async () => {
    await Promise.all(workers.map((worker) => worker.close()));
  };
  try {
    const [engine] = await Promise.all(workers.map(({ ready }) => ready));
    let opened: Promise<unknown> = Promise.resolve();
    return {
      engine: engine!,
      workers: count,
      // A worker takes its messages in order, so nobody waits for this; whoever has it work hears of a failure.
      openRound: async (terms) => {
        opened = Promise.all(workers.map((worker) => worker.call({ op: 'round', terms })));
        opened.catch(() => {});
      },
      async work(round, devices) {
        const free = workers.reduce((best, worker) => (worker.load < best.load ? worker : best));
        const [uploads] = await Promise.all([free.call({ op: 'work', round, devices }), opened]);
        return uploads!;
      },
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}
