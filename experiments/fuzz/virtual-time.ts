/**
 * Time and the event loop of a fault simulation: timers and immediates of this thread, in an order that a seed fixes.
 *
 * While it is installed, `setTimeout`, `setInterval`, `setImmediate`, `Date.now` and `performance.now` of this thread are
 * its own, so real role code (group commits, retries, long polls, ticks) runs on virtual time without a change. Between
 * two callbacks every promise reaction runs to its end; nothing here waits for real time.
 * Trusts: code under simulation to use no threads and no asynchronous files. May be called by: experiments/fuzz.
 */

/** 2027-01-01, a fixed start: certificates of the simulated deployment are valid around it. */
export const START_MS = Date.UTC(2027, 0, 1);

/** Callbacks without a moment of time passing; beyond this something is going round in circles. */
const CALLBACKS_AT_ONCE_MAX = 200_000;

interface Timer {
  readonly id: number;
  readonly atMs: number;
  readonly run: () => void;
  readonly everyMs: number | null;
}

type Callback = (...values: unknown[]) => void;

const real = {
  setImmediate: globalThis.setImmediate,
  clearImmediate: globalThis.clearImmediate,
  setTimeout: globalThis.setTimeout,
  clearTimeout: globalThis.clearTimeout,
  setInterval: globalThis.setInterval,
  clearInterval: globalThis.clearInterval,
  dateNow: Date.now,
};

/** All promise reactions that are due have run. */
const reactions = (): Promise<void> => new Promise((resolve) => real.setImmediate(resolve));

/** What code gets for a timer; Node's own has these methods, too. */
class Handle {
  readonly id: number;
  constructor(id: number) {
    this.id = id;
  }
  ref(): this {
    return this;
  }
  unref(): this {
    return this;
  }
  hasRef(): boolean {
    return true;
  }
  [Symbol.toPrimitive](): number {
    return this.id;
  }
}

export class VirtualTime {
  #nowMs = START_MS;
  #nextId = 1;
  /** A binary heap by (atMs, id). */
  readonly #heap: Timer[] = [];
  readonly #cancelled = new Set<number>();
  #immediates: { readonly id: number; readonly run: () => void }[] = [];
  #installed = false;

  nowMs(): number {
    return this.#nowMs;
  }

  /** Calls `run` once, `delayMs` from now. */
  after(delayMs: number, run: () => void): Handle {
    return this.#schedule(delayMs, run, null);
  }

  every(periodMs: number, run: () => void): Handle {
    return this.#schedule(periodMs, run, Math.max(1, periodMs));
  }

  cancel(handle: unknown): void {
    if (handle instanceof Handle) this.#cancelled.add(handle.id);
    // One of Node's own, from before the installation.
    else if (handle !== undefined) real.clearTimeout(handle as NodeJS.Timeout);
  }

  sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => this.after(delayMs, resolve));
  }

  #schedule(delayMs: number, run: () => void, everyMs: number | null): Handle {
    const id = this.#nextId++;
    this.#push({ id, atMs: this.#nowMs + Math.max(0, Number(delayMs) || 0), run, everyMs });
    return new Handle(id);
  }

  /** Lets `durationMs` pass, with everything that happens meanwhile. */
  async advance(durationMs: number): Promise<void> {
    const untilMs = this.#nowMs + durationMs;
    await this.#settle();
    for (let next = this.#heap[0]; next && next.atMs <= untilMs; next = this.#heap[0]) {
      this.#pop();
      if (this.#cancelled.delete(next.id)) continue;
      this.#nowMs = Math.max(this.#nowMs, next.atMs);
      if (next.everyMs !== null) this.#push({ ...next, atMs: next.atMs + next.everyMs });
      next.run();
      await this.#settle();
    }
    this.#nowMs = untilMs;
  }

  /** Runs what is due without time: promise reactions and immediates. */
  async #settle(): Promise<void> {
    await reactions();
    for (let count = 0; this.#immediates.length > 0; count++) {
      if (count > CALLBACKS_AT_ONCE_MAX) throw new Error('livelock: immediates without an end');
      const { id, run } = this.#immediates.shift()!;
      if (this.#cancelled.delete(id)) continue;
      run();
      await reactions();
    }
  }

  #push(timer: Timer): void {
    const heap = this.#heap;
    let at = heap.push(timer) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!before(timer, heap[parent]!)) break;
      heap[at] = heap[parent]!;
      at = parent;
    }
    heap[at] = timer;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++;
      if (!before(heap[child]!, last)) break;
      heap[at] = heap[child]!;
      at = child;
    }
    heap[at] = last;
  }

  /** Replaces this thread's timers. Nothing else may run in the thread until `uninstall`. */
  install(): void {
    if (this.#installed) return;
    this.#installed = true;
    const schedule = (run: Callback, delayMs: unknown, values: unknown[], repeats: boolean): Handle => {
      const bound = values.length > 0 ? () => run(...values) : (run as () => void);
      return repeats ? this.every(Number(delayMs), bound) : this.after(Number(delayMs), bound);
    };
    const cancel = (handle: unknown): void => this.cancel(handle);
    Object.assign(globalThis, {
      setTimeout: (run: Callback, delayMs?: number, ...values: unknown[]) =>
        schedule(run, delayMs ?? 1, values, false),
      setInterval: (run: Callback, delayMs?: number, ...values: unknown[]) =>
        schedule(run, delayMs ?? 1, values, true),
      setImmediate: (run: Callback, ...values: unknown[]): Handle => {
        const id = this.#nextId++;
        this.#immediates.push({ id, run: () => run(...values) });
        return new Handle(id);
      },
      clearTimeout: cancel,
      clearInterval: cancel,
      clearImmediate: cancel,
    });
    Date.now = () => this.#nowMs;
    Object.defineProperty(performance, 'now', {
      configurable: true,
      writable: true,
      value: () => this.#nowMs - START_MS,
    });
  }

  uninstall(): void {
    if (!this.#installed) return;
    this.#installed = false;
    const { dateNow, ...timers } = real;
    Object.assign(globalThis, timers);
    Date.now = dateNow;
    // The method of the prototype shows again.
    Reflect.deleteProperty(performance, 'now');
  }
}

const before = (a: Timer, b: Timer): boolean => a.atMs < b.atMs || (a.atMs === b.atMs && a.id < b.id);
