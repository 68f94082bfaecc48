/**
 * Waiting for what comes back: a store that is away for a moment, a key holder that is.
 *
 * A plan has no other end than its last round or a fault that waiting does not mend; a full disk or a restarted holder is
 * none. What is repeated must bear it: transactions that failed have done nothing, and a holder answers a repeated
 * ceremony step with what it stored.
 * May be called by: coordinator/rounds.
 */
import { isPulsefoldError, PulsefoldError } from '../../crypto/error.ts';
import type { RoundServices } from './services.ts';

const STORE_RETRY_FIRST_MS = 100;
const STORE_RETRY_MAX_MS = 3200;
const HOLDER_RETRY_MS = 500;

/** The store was busy, full or briefly away: nothing is wrong with what was written. */
export const isTransient = (error: unknown): error is PulsefoldError =>
  isPulsefoldError(error) && error.code === 'UNAVAILABLE';

/** A holder that is away, or that failed without saying why: its disk is full, or it is being stopped. */
const HOLDER_PASSING: readonly string[] = ['UNAVAILABLE', 'DEADLINE_EXCEEDED', 'INTERNAL'];

export class Patience {
  readonly #services: Pick<RoundServices, 'clock' | 'logger'>;
  readonly #pauses = new Set<() => void>();
  #isStopped = false;

  constructor(services: Pick<RoundServices, 'clock' | 'logger'>) {
    this.#services = services;
  }

  /** Ends every wait: what is waited for then throws what it threw last. */
  stop(): void {
    this.#isStopped = true;
    for (const end of [...this.#pauses]) end();
  }

  /** Work on the store, repeated for as long as the store is away. */
  async store<T>(work: () => T | Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++)
      try {
        return await work();
      } catch (error) {
        if (!isTransient(error) || this.#isStopped) throw error;
        if (attempt === 1)
          this.#services.logger.warn({ message: error.message }, 'the store is away; trying again');
        await this.#pause(Math.min(STORE_RETRY_MAX_MS, STORE_RETRY_FIRST_MS * 2 ** (attempt - 1)));
      }
  }

  /**
   * A question to one holder, repeated while it is away, up to `deadlineMs`. Throws what the holder answered, with its name:
   * of a plan that fails for it, people must know whom to ask.
   */
  async holder<T>(holderId: string, deadlineMs: number, ask: () => Promise<T>): Promise<T> {
    const { clock } = this.#services;
    const endsAtMs = clock.nowMs() + deadlineMs;
    for (;;)
      try {
        return await ask();
      } catch (error) {
        if (!isPulsefoldError(error) || this.#isStopped) throw error;
        const { code, message } = error;
        if (!HOLDER_PASSING.includes(code))
          throw new PulsefoldError(code, `key holder ${holderId}: ${message}`, { cause: error });
        if (clock.nowMs() >= endsAtMs)
          throw new PulsefoldError(
            'UNAVAILABLE',
            `key holder ${holderId} does not answer (${code}: ${message}); committee keys need every holder`,
            { cause: error },
          );
        await this.#pause(HOLDER_RETRY_MS);
      }
  }

  async #pause(durationMs: number): Promise<void> {
    if (this.#isStopped) return;
    await new Promise<void>((resolve) => {
      const end = () => {
        this.#pauses.delete(end);
        timer.stop();
        resolve();
      };
      const timer = this.#services.clock.after(durationMs, end);
      this.#pauses.add(end);
    });
  }
}
