/**
 * Tells every holder to erase the shares of rounds that are over, until it has said yes (DESIGN §1, "erased after
 * opening"). A holder that was away is asked again at the next round's end, at the plan's end and after a restart.
 *
 * Trusts: nothing; an erased share is the holder's word. May be called by: coordinator/rounds/runner.ts.
 */
import { committeeKeyCount, type ParsedPlan } from '../../protos/plan.ts';
import type { HolderPort } from './holder-port.ts';
import { FINAL_PHASES } from './machine-types.ts';
import { isTransient } from './patience.ts';
import * as repository from './repository.ts';
import type { RoundServices } from './services.ts';

/** After the plan's end there is no next round to try again at. */
const RETRY_MS = 30_000;

export class KeyEraser {
  readonly #services: RoundServices;
  readonly #parsed: ParsedPlan;
  readonly #holders: () => readonly HolderPort[];
  readonly #asked = new Set<string>();
  /** Every holder of the plan has confirmed the erasure of all rounds up to this one: not looked at again. */
  #erasedUpTo = 0;
  /** Later rounds that every holder has erased before an earlier one ended. */
  readonly #erased = new Set<number>();
  #timer: { stop(): void } | null = null;
  #stopped = false;

  constructor(services: RoundServices, parsed: ParsedPlan, holders: () => readonly HolderPort[]) {
    this.#services = services;
    this.#parsed = parsed;
    this.#holders = holders;
  }

  /**
   * Asks about every finished round; `ended`: about every round that has a key, whatever phase it stands in, because none
   * will go on. While the store is away there is nothing to go by: the next sweep asks.
   */
  sweep(ended: boolean): void {
    if (this.#stopped) return;
    try {
      this.#sweep(ended);
    } catch (error) {
      if (!isTransient(error)) throw error;
      if (ended) this.#sweepAgain();
    }
  }

  #sweepAgain(): void {
    this.#timer ??= this.#services.clock.every(RETRY_MS, () => this.sweep(true));
  }

  #sweep(ended: boolean): void {
    const plan = this.#parsed.hashHex;
    const due = this.#services.store.read('erasures-due', (db) => {
      const over = ended
        ? repository.committeeKeyRounds(db, plan, this.#erasedUpTo)
        : repository
            .roundPhases(db, plan, this.#erasedUpTo)
            .filter(({ phase }) => FINAL_PHASES.includes(phase))
            .map(({ round }) => round);
      return over
        .filter((round) => !this.#erased.has(round) && round <= committeeKeyCount(this.#parsed.plan))
        .map((round) => ({ round, done: new Set(repository.erasedBy(db, plan, round)) }));
    });
    let missing = 0;
    for (const { round, done } of due) {
      if (this.#parsed.plan.holders.every(({ id }) => done.has(id))) this.#noteErased(round);
      for (const holder of this.#known())
        if (!done.has(holder.holderId)) {
          missing++;
          this.#ask(holder, round);
        }
    }
    if (ended && missing > 0) this.#sweepAgain();
    else if (missing === 0) this.#clear();
  }

  #noteErased(round: number): void {
    this.#erased.add(round);
    while (this.#erased.delete(this.#erasedUpTo + 1)) this.#erasedUpTo++;
  }

  /** A plan may name a holder that this coordinator's configuration no longer knows; the others are still asked. */
  #known(): readonly HolderPort[] {
    try {
      return this.#holders();
    } catch {
      return [];
    }
  }

  stop(): void {
    this.#stopped = true;
    this.#clear();
  }

  #clear(): void {
    this.#timer?.stop();
    this.#timer = null;
  }

  #ask(holder: HolderPort, round: number): void {
    const key = `${round}/${holder.holderId}`;
    if (this.#asked.has(key)) return;
    this.#asked.add(key);
    holder
      .erase(this.#parsed.hash, round)
      .then(() => {
        if (this.#stopped) return;
        this.#services.store.transaction('erased', (db) =>
          repository.putErasure(db, this.#parsed.hashHex, round, holder.holderId),
        );
      })
      .catch(() => {
        const { holderId } = holder;
        this.#services.logger.warn(
          { holderId, round },
          'holder did not confirm the erasure of its share; will ask again',
        );
      })
      .finally(() => this.#asked.delete(key));
  }
}
