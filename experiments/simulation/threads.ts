/**
 * Calls to a worker thread, or to the same object in this thread: a list of methods, asked by name, answered in order.
 *
 * Trusts: its own process. May be called by: experiments/simulation.
 */
import { type MessagePort, type Transferable, Worker } from 'node:worker_threads';
import { type ErrorCode, isPulsefoldError, PulsefoldError } from '../../crypto/error.ts';

/** Arguments and results are cloned: plain objects and arrays of bytes. */
export type Methods<M> = { [K in keyof M]: (...args: never[]) => unknown };
type Result<M extends Methods<M>, K extends keyof M> = Promise<Awaited<ReturnType<M[K]>>>;

export interface Thread<M extends Methods<M>> {
  /** Calls that are not answered yet. */
  readonly load: number;
  call<K extends keyof M & string>(name: K, ...args: Parameters<M[K]>): Result<M, K>;
  close(): Promise<void>;
}

interface Call {
  readonly id: number;
  readonly name: string;
  readonly args: unknown[];
}
interface Answer {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: { readonly code: ErrorCode | null; readonly message: string };
}

/** Room for the largest cohort; with less headroom than by default, garbage is collected before it piles up. */
const LIMITS = { maxOldGenerationSizeMb: 1024, maxYoungGenerationSizeMb: 24 };

/** The methods of `target`, in this thread. */
export function sameThread<M extends Methods<M>>(target: M): Thread<M> {
  return {
    load: 0,
    call: async (name, ...args) => (await target[name](...args)) as never,
    close: async () => {},
  };
}

/** The thread's file calls `serve` once it is ready. */
export async function openThread<M extends Methods<M>>(file: URL, data: object): Promise<Thread<M>> {
  const worker = new Worker(file, { workerData: data, resourceLimits: LIMITS });
  const pending = new Map<number, PromiseWithResolvers<unknown>>();
  const ready = Promise.withResolvers<void>();
  let nextId = 1;
  worker.on('message', (message: Answer | 'ready') => {
    if (message === 'ready') return ready.resolve();
    const { id, value, error } = message;
    const call = pending.get(id);
    pending.delete(id);
    if (error) call?.reject(new PulsefoldError(error.code ?? 'INTERNAL', error.message));
    else call?.resolve(value);
  });
  const fail = (cause: unknown) => {
    const error = new PulsefoldError('INTERNAL', 'a thread of the simulation died', { cause });
    ready.reject(error);
    for (const { reject } of pending.values()) reject(error);
    pending.clear();
  };
  worker.on('error', fail);
  worker.on('exit', fail);
  const close = async () => {
    worker.removeAllListeners('exit');
    await worker.terminate();
  };
  await ready.promise.catch(async (error: unknown) => {
    await close();
    throw error;
  });
  return {
    get load() {
      return pending.size;
    },
    call: (name, ...args) => {
      const id = nextId++;
      const answer = Promise.withResolvers<unknown>();
      pending.set(id, answer);
      const call: Call = { id, name, args };
      worker.postMessage(call);
      return answer.promise as never;
    },
    close,
  };
}

/** Answers calls with the methods of `target`, each as it comes. `moved`: buffers of a result that are not copied. */
export function serve<M extends Methods<M>>(
  port: MessagePort,
  target: M,
  moved: (value: unknown) => Transferable[] = () => [],
): void {
  port.on('message', async ({ id, name, args }: Call) => {
    try {
      const value = await target[name as keyof M](...(args as never[]));
      port.postMessage({ id, value } satisfies Answer, moved(value));
    } catch (error) {
      const code = isPulsefoldError(error) ? error.code : null;
      const message = error instanceof Error ? error.message : String(error);
      port.postMessage({ id, error: { code, message } } satisfies Answer);
    }
  });
  port.postMessage('ready');
}

/** The worker file beside this one, whichever form it was compiled to. */
export const workerFile = (name: string): URL =>
  new URL(`./${name}.${import.meta.url.endsWith('.ts') ? 'ts' : 'js'}`, import.meta.url);
