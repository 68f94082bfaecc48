/**
 * One life of a simulated process, and the gate in front of its disk.
 *
 * A crash ends the life: from then on nothing of it reaches a disk or the network, whatever its code still does. The
 * next life starts on the same disk. May be called by: experiments/fuzz.
 */
import { PulsefoldError } from '../../crypto/error.ts';

/** Never settles: what a dead process waits for. */
export const never = (): Promise<never> => new Promise<never>(() => {});

export class Life {
  #alive = true;
  #end!: () => void;
  /** Resolves when the life ends. */
  readonly ended: Promise<void> = new Promise((resolve) => {
    this.#end = resolve;
  });

  get alive(): boolean {
    return this.#alive;
  }

  end(): void {
    this.#alive = false;
    this.#end();
  }
}

export type CrashMoment = 'before' | 'after';

/** Faults of one disk, armed by ops. */
export class WriteGate {
  #crash: { writesLeft: number; readonly when: CrashMoment; readonly named: string | undefined } | null =
    null;
  #fullFor = 0;
  readonly #onCrash: () => void;
  readonly #onFault: (kind: 'crash-at-write' | 'disk-full') => void;
  readonly #makeFull: () => Error;

  constructor(options: {
    readonly onCrash: () => void;
    readonly onFault: (kind: 'crash-at-write' | 'disk-full') => void;
    readonly makeFull: () => Error;
  }) {
    this.#onCrash = options.onCrash;
    this.#onFault = options.onFault;
    this.#makeFull = options.makeFull;
  }

  /** The process dies at its (writes + 1)-th write from now, or its (writes + 1)-th of this name. */
  crashAt(writes: number, when: CrashMoment, named?: string): void {
    this.#crash = { writesLeft: writes, when, named };
  }

  /** The next `writes` writes fail. */
  fill(writes: number): void {
    this.#fullFor = writes;
  }

  clear(): void {
    this.#crash = null;
    this.#fullFor = 0;
  }

  /** Before a write. Throws where it does not happen. */
  before(name?: string): void {
    if (this.#fullFor > 0) {
      this.#fullFor--;
      this.#onFault('disk-full');
      throw this.#makeFull();
    }
    this.#passes('before', name);
  }

  /** After a write, which is durable. Throws where the process died of it. */
  after(name?: string): void {
    this.#passes('after', name);
  }

  #passes(moment: CrashMoment, name: string | undefined): void {
    if (this.#crash?.when !== moment || (this.#crash.named ?? name) !== name) return;
    if (this.#crash.writesLeft-- === 0) this.#die();
  }

  #die(): never {
    this.#crash = null;
    this.#onFault('crash-at-write');
    this.#onCrash();
    throw processIsDead();
  }
}

/** What code of a dead process gets from its disk; its reactions reach nobody. */
export const processIsDead = (): PulsefoldError =>
  new PulsefoldError('UNAVAILABLE', 'fault simulation: this process is dead');
