/**
 * Time, as the agent sees it: injected, so that a simulator can run a week of rounds in a second.
 *
 * Trusts: the machine's clock for pacing only; nothing about privacy or identity depends on it.
 * May be called by: client/.
 */
import { isPulsefoldError } from '../../crypto/error.ts';
import { type RandomSource, uniform } from '../../crypto/random.ts';

export interface Clock {
  /** Milliseconds since the Unix epoch. */
  nowMs(): number;
  /** Resolves after `durationMs`, or at once when `signal` is aborted. */
  sleep(durationMs: number, signal?: AbortSignal): Promise<void>;
}

export const systemClock: Clock = {
  nowMs: () => Date.now(),
  sleep: (durationMs, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const done = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', done);
        resolve();
      };
      const timer = setTimeout(done, durationMs);
      signal?.addEventListener('abort', done, { once: true });
    }),
};

export interface RetryOptions {
  readonly clock: Clock;
  readonly random: RandomSource;
  /** Give up once this much time has passed since the first failure. */
  readonly patienceMs: number;
  readonly signal?: AbortSignal | undefined;
  /** Called before each wait. */
  readonly onRetry?: (waitMs: number, error: unknown) => void;
}

const firstWaitMs = 200;
const waitMsMax = 5000;

/** A peer that is restarting looks like this; everything else is an answer. */
export const isTransient = (error: unknown): boolean =>
  isPulsefoldError(error) && (error.code === 'UNAVAILABLE' || error.code === 'DEADLINE_EXCEEDED');

/**
 * Runs `operation` until it answers; waits 0.2 s, doubling to 5 s, each shortened at random by up to half so that a
 * population does not return in one wave. Throws the last error after `patienceMs`, any other error at once.
 */
export async function retryWhileUnavailable<T>(
  operation: () => Promise<T>,
  options: RetryOptions,
): Promise<T> {
  const { clock, random, patienceMs, signal } = options;
  const startMs = clock.nowMs();
  for (let waitMs = firstWaitMs; ; waitMs = Math.min(waitMsMax, waitMs * 2)) {
    try {
      return await operation();
    } catch (error) {
      const jittered = Math.ceil(waitMs * (1 - uniform(random) / 2));
      if (!isTransient(error) || signal?.aborted || clock.nowMs() + jittered - startMs > patienceMs)
        throw error;
      options.onRetry?.(jittered, error);
      await clock.sleep(jittered, signal);
    }
  }
}
