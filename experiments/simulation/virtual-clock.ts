/**
 * Virtual time: the clock of coordinator and clients in a simulation, and the queue of what happens when.
 *
 * Nothing here waits for real time. Time stands still while anything works (`hold`, `turn`) and then jumps to the next
 * event; events of one instant happen in the order in which they were scheduled. So a run's virtual course depends on
 * its inputs alone, whatever threads and disks do meanwhile.
 * Trusts: that asynchronous work of its owner goes through `hold`, `turn` or `sleep`. May be called by: experiments.
 */
import type { Clock as ClientClock } from '../../client/agent/clock.ts';
import type { Clock as CoordinatorClock } from '../../coordinator/rounds/services.ts';
import { PulsefoldError } from '../../crypto/error.ts';

/** 2027-01-01 00:00 UTC. */
export const SIMULATION_START_MS = Date.UTC(2027, 0, 1);

/** Events between two turns of the real event loop. */
const TICKS_A_TURN = 64;

interface Event {
  readonly atMs: number;
  readonly order: number;
  readonly action: () => void;
  stopped: boolean;
}

const isBefore = (a: Event, b: Event): boolean => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order);

export class VirtualClock implements CoordinatorClock, ClientClock {
  #nowMs: number;
  #order = 0;
  /** A binary heap by (atMs, order). */
  readonly #heap: Event[] = [];
  #turns = 0;
  /** Pieces of work under way. */
  #busy = 0;
  #onIdle: (() => void) | null = null;
  #failure: { readonly error: unknown } | null = null;

  constructor(startMs: number = SIMULATION_START_MS) {
    this.#nowMs = startMs;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, action: () => void): { stop(): void } {
    return this.at(this.#nowMs + Math.max(0, delayMs), action);
  }

  at(atMs: number, action: () => void): { stop(): void } {
    const event: Event = { atMs: Math.max(atMs, this.#nowMs), order: this.#order++, action, stopped: false };
    this.#push(event);
    return {
      stop: () => {
        event.stopped = true;
      },
    };
  }

  every(periodMs: number, action: () => void): { stop(): void } {
    let next = this.after(periodMs, () => tick());
    const tick = () => {
      next = this.after(periodMs, () => tick());
      action();
    };
    return { stop: () => next.stop() };
  }

  /** The caller counts as work until it sleeps, and again when it wakes. */
  sleep(durationMs: number, signal?: AbortSignal): Promise<void> {
    return this.park((wake) => {
      const event = this.after(durationMs, wake);
      signal?.addEventListener('abort', wake, { once: true });
      return () => {
        event.stop();
        signal?.removeEventListener('abort', wake);
      };
    }, signal);
  }

  /** For work that was begun by `hold`: waits in virtual time, without counting as work, until `wake` is called. */
  async park(wait: (wake: () => void) => () => void, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) return;
    this.#leave();
    const { promise, resolve } = Promise.withResolvers<void>();
    let isParked = true;
    const cleanUp = wait(() => {
      // At once, not when the promise is looked at: time must not move between.
      if (isParked) this.#busy++;
      isParked = false;
      resolve();
    });
    await promise;
    cleanUp();
  }

  async turn(): Promise<void> {
    this.#busy++;
    await new Promise((resolve) => setImmediate(resolve));
    this.#leave();
  }

  /** Time stands still until `work` has settled. */
  async hold<T>(work: () => Promise<T>): Promise<T> {
    this.#busy++;
    try {
      return await work();
    } finally {
      this.#leave();
    }
  }

  /** `hold` for work whose failure ends the run. */
  begin(work: () => Promise<unknown>): void {
    this.hold(work).catch((error: unknown) => this.fail(error));
  }

  /** Ends `run` with this error. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#onIdle?.();
  }

  #leave(): void {
    if (--this.#busy === 0) this.#onIdle?.();
  }

  /** Lets things happen until `done` settles; its result. INTERNAL if nothing is left that could happen. */
  async run<T>(done: Promise<T>): Promise<T> {
    let isDone = false;
    const end = () => {
      isDone = true;
    };
    done.then(end, end);
    for (;;) {
      await this.#settled();
      if (this.#failure) throw this.#failure.error;
      if (isDone) return done;
      const event = this.#pop();
      if (!event) throw new PulsefoldError('INTERNAL', 'the simulation has nothing left to wait for');
      if (event.stopped) continue;
      this.#nowMs = event.atMs;
      event.action();
    }
  }

  /** Resolves when nothing works any more and every promise has been looked at. */
  async #settled(): Promise<void> {
    for (;;) {
      // Work that is more than promises holds the clock; so a tick, which runs when they are done, is enough, and a real
      // turn only now and then, for signals and messages of threads. A coordinator looks ten times a virtual second.
      const isTurn = this.#turns++ % TICKS_A_TURN === 0;
      await new Promise<void>((resolve) => (isTurn ? setImmediate(resolve) : process.nextTick(resolve)));
      if (this.#busy === 0 || this.#failure) return;
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve;
      });
      this.#onIdle = null;
    }
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let at = heap.push(event) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!isBefore(event, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = event;
  }

  #pop(): Event | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (!first || !last || heap.length === 0) return first;
    let at = 0;
    for (let child = 1; child < heap.length; child = 2 * at + 1) {
      if (child + 1 < heap.length && isBefore(heap[child + 1]!, heap[child]!)) child++;
      if (!isBefore(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
    return first;
  }
}
