/**
 * Early acceptance (DESIGN §2.8): while a round collects, every acknowledged upload is offered to every holder, in
 * batches, one call at a time per holder. Verdicts are durable before they count; at the freeze a holder is asked only
 * about what it has not answered yet.
 *
 * What a quorum has accepted is reported once, for folding. What a holder rejected may be offered again when its signature
 * is wanted. All holders look at the same uploads, so these stand here once, with a bit for each holder's word.
 * Trusts: holders for their own verdict only. May be called by: coordinator/rounds/active-round.ts.
 */
import { ensure, isPulsefoldError } from '../../crypto/error.ts';
import { ENTRIES_PER_MESSAGE_MAX } from '../../protos/fields.ts';
import type { Database } from '../storage/store.ts';
import type { Acceptance, HolderPort } from './holder-port.ts';
import * as repository from './repository.ts';
import type { RoundView } from './round-view.ts';

/** A batch that is not full goes out after this long. */
const BATCH_AGE_MS = 200;
const RETRY_FIRST_MS = 200;
const RETRY_MAX_MS = 5000;

/** Batches in memory; each is a fraction of a megabyte. */
const BATCHES_KEPT = 2;
/** A word of bits has room for this many. */
const HOLDERS_MAX = 31;

type Entries = ReturnType<RoundView['entries']>;

/** One upload, and what holders said of it: bit i is the holder of lane i. */
interface Slot {
  readonly device: string;
  answered: number;
  accepted: number;
  /** Holders that accepted it. */
  count: number;
  isOffered: boolean;
}

/** A holder's reply about some uploads that is not durable yet. */
interface Answer {
  readonly good: readonly Slot[];
  readonly bad: readonly Slot[];
  readonly rejected: Acceptance['rejected'];
}

/** One holder. */
interface Lane {
  readonly holder: HolderPort;
  readonly bit: number;
  /** Place in `#offered` of the first upload that it was not asked about. */
  next: number;
  /** When the oldest of those came. */
  sinceMs: number;
  busy: Promise<unknown> | null;
  retryAtMs: number;
  failures: number;
  readonly unsaved: Answer[];
  saving: Promise<void> | null;
}

export class Acceptances {
  readonly #round: RoundView;
  readonly #lanes: ReadonlyMap<string, Lane>;
  readonly #quorum: number;
  readonly #onQuorum: (deviceId: string) => void;
  readonly #slots = new Map<string, Slot>();
  /** Acknowledged, in the order in which they came. */
  readonly #offered: Slot[] = [];
  /** The latest batches: holders are mostly asked about the same one at the same time. */
  readonly #batches: { readonly slots: readonly Slot[]; readonly entries: Entries }[] = [];
  /** The list that was looked up last: each holder is asked about the same one. */
  #latest: { readonly devices: readonly string[]; readonly slots: readonly Slot[] } | null = null;

  /** Takes up what an earlier process heard. `onQuorum` is called for each device of which a quorum accepts. */
  constructor(round: RoundView, holders: readonly HolderPort[], onQuorum: (deviceId: string) => void) {
    ensure(holders.length <= HOLDERS_MAX, 'INTERNAL', `more than ${HOLDERS_MAX} key holders`);
    this.#round = round;
    this.#quorum = round.state.terms.quorum;
    this.#onQuorum = onQuorum;
    this.#lanes = new Map(
      holders.map((holder, i) => {
        const idle = {
          next: 0,
          sinceMs: 0,
          busy: null,
          retryAtMs: 0,
          failures: 0,
          unsaved: [],
          saving: null,
        };
        return [holder.holderId, { holder, bit: 1 << i, ...idle }];
      }),
    );
    const { planHex, round: number } = round.at;
    for (const lane of this.#lanes.values()) {
      const verdicts = round.services.store.read('verdicts', (db) =>
        repository.verdictsOf(db, planHex, number, lane.holder.holderId),
      );
      for (const [device, accepted] of verdicts) this.#note(lane, this.#slotOf(device), accepted);
    }
    this.offer(round.state.uploaded);
  }

  hasAccepted(holderId: string, deviceId: string): boolean {
    const bit = this.#lanes.get(holderId)?.bit ?? 0;
    return ((this.#slots.get(deviceId)?.accepted ?? 0) & bit) !== 0;
  }

  #slotOf(device: string): Slot {
    const known = this.#slots.get(device);
    if (known) return known;
    const slot = { device, answered: 0, accepted: 0, count: 0, isOffered: false };
    this.#slots.set(device, slot);
    return slot;
  }

  #slotsOf(devices: readonly string[]): readonly Slot[] {
    if (this.#latest?.devices !== devices)
      this.#latest = { devices, slots: devices.map((device) => this.#slotOf(device)) };
    return this.#latest.slots;
  }

  /** Once accepted stays accepted. */
  #note({ bit }: Lane, slot: Slot, accepted: boolean): void {
    slot.answered |= bit;
    if (!accepted || slot.accepted & bit) return;
    slot.accepted |= bit;
    slot.count++;
    if (slot.count === this.#quorum) this.#onQuorum(slot.device);
  }

  /** These uploads are durable; holders hear of them soon. */
  offer(deviceIds: readonly string[]): void {
    const nowMs = this.#round.services.clock.nowMs();
    for (const lane of this.#lanes.values()) if (lane.next === this.#offered.length) lane.sinceMs = nowMs;
    for (const device of deviceIds) {
      const slot = this.#slotOf(device);
      if (!slot.isOffered) this.#offered.push(slot);
      slot.isOffered = true;
    }
    for (const lane of this.#lanes.values())
      if (this.#offered.length - lane.next >= ENTRIES_PER_MESSAGE_MAX) this.#pump(lane);
  }

  /** Sends batches that are due; called while the round collects. */
  tick(): void {
    for (const lane of this.#lanes.values()) this.#pump(lane);
  }

  #pump(lane: Lane): void {
    if (lane.busy || !this.#isDue(lane)) return;
    this.#alone(lane, () => this.#askDue(lane)).then(
      () => {
        lane.failures = 0;
        this.#pump(lane);
      },
      (error: unknown) => this.#backOff(lane, error),
    );
  }

  #isDue({ next, sinceMs, retryAtMs }: Lane): boolean {
    const { services, state, isStopped } = this.#round;
    const nowMs = services.clock.nowMs();
    const waiting = this.#offered.length - next;
    const isFull = waiting >= ENTRIES_PER_MESSAGE_MAX;
    const isRipe = waiting > 0 && (isFull || nowMs - sinceMs >= BATCH_AGE_MS);
    return isRipe && state.phase === 'collecting' && !isStopped && nowMs >= retryAtMs;
  }

  /** Batch after batch; what a holder said of one is made durable while it looks at the next. */
  async #askDue(lane: Lane): Promise<void> {
    while (this.#isDue(lane)) {
      const batch: Slot[] = [];
      let to = lane.next;
      for (; to < this.#offered.length && batch.length < ENTRIES_PER_MESSAGE_MAX; to++) {
        const slot = this.#offered[to]!;
        if (!(slot.answered & lane.bit)) batch.push(slot);
      }
      lane.sinceMs = this.#round.services.clock.nowMs();
      if (batch.length > 0) await this.#ask(lane, batch);
      lane.next = to;
    }
    await this.#saved(lane);
  }

  #backOff(lane: Lane, error: unknown): void {
    if (this.#round.isStopped) return;
    const { clock, logger } = this.#round.services;
    lane.retryAtMs = clock.nowMs() + Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** lane.failures++);
    const { holderId } = lane.holder;
    const message = isPulsefoldError(error) ? `${error.code}: ${error.message}` : 'no answer';
    logger.info(
      { holderId, round: this.#round.at.round, message },
      'key holder takes no early uploads; will ask again',
    );
  }

  /** One call at a time per holder, in order. */
  async #alone<T>(lane: Lane, work: () => Promise<T>): Promise<T> {
    while (lane.busy) await lane.busy.catch(() => {});
    const running = work();
    lane.busy = running;
    try {
      return await running;
    } finally {
      lane.busy = null;
    }
  }

  #entries(slots: readonly Slot[]): Entries {
    const known = this.#batches.find((batch) => isSame(batch.slots, slots));
    if (known) return known.entries;
    const entries = this.#round.entries(slots.map(({ device }) => device));
    if (this.#batches.push({ slots, entries }) > BATCHES_KEPT) this.#batches.shift();
    return entries;
  }

  /** Asks about up to ENTRIES_PER_MESSAGE_MAX uploads; `#saved` makes the answer durable and has it count. */
  async #ask(lane: Lane, slots: readonly Slot[]): Promise<void> {
    const { parsed, at } = this.#round;
    const entries = this.#entries(slots);
    const { accepted, rejected } = await lane.holder.accept(parsed.hash, at.round, entries);
    const isAll = accepted.length === slots.length && slots.every(({ device }, i) => device === accepted[i]);
    if (isAll) lane.unsaved.push({ good: slots, bad: [], rejected });
    else {
      const said = new Set(accepted);
      const good = slots.filter(({ device }) => said.has(device));
      const bad = slots.filter(({ device }) => !said.has(device));
      lane.unsaved.push({ good, bad, rejected });
    }
    // Whoever waits for it hears of its failure.
    this.#saved(lane).catch(() => {});
  }

  /** Resolves when every answer of the holder is durable and counted. */
  #saved(lane: Lane): Promise<void> {
    lane.saving ??= this.#save(lane).finally(() => {
      lane.saving = null;
    });
    return lane.saving;
  }

  async #save(lane: Lane): Promise<void> {
    // A stopped round leaves its store alone: the next process asks again, and a holder repeats itself.
    while (lane.unsaved.length > 0 && !this.#round.isStopped) {
      // Of a group of writes: what was answered until it is its turn goes with it.
      const count = await this.#round.services.store.enqueue('verdicts', (db) => {
        this.#putAnswers(db, lane);
        return lane.unsaved.length;
      });
      for (const { good, bad } of lane.unsaved.splice(0, count)) {
        for (const slot of good) this.#note(lane, slot, true);
        for (const slot of bad) this.#note(lane, slot, false);
      }
    }
  }

  #putAnswers(db: Database, { holder, bit, unsaved }: Lane): void {
    const { holderId } = holder;
    const { planHex, round } = this.#round.at;
    // Rows are only added: a holder that repeats itself must not fill the store.
    const fresh = unsaved.flatMap(({ good }) => good.filter(({ accepted }) => !(accepted & bit)));
    const refused = unsaved.flatMap(({ bad }) => bad.filter(({ answered }) => !(answered & bit)));
    const put = (slots: readonly Slot[], accepted: boolean) => {
      const devices = slots.map(({ device }) => device);
      repository.putVerdicts(db, planHex, round, { holder: holderId, devices, accepted });
    };
    put(fresh, true);
    put(refused, false);
    for (const { rejected } of unsaved)
      for (const { deviceId: device, code, reason } of rejected)
        repository.putRejection(db, planHex, round, { device, holder: holderId, code, reason });
  }

  async #askAll(lane: Lane, slots: readonly Slot[]): Promise<void> {
    for (let at = 0; at < slots.length; at += ENTRIES_PER_MESSAGE_MAX)
      await this.#ask(lane, slots.slice(at, at + ENTRIES_PER_MESSAGE_MAX));
    await this.#saved(lane);
  }

  /** The frozen uploads that this holder accepts, once it has answered about every one of them. */
  async complete(holderId: string, candidates: readonly string[]): Promise<readonly string[]> {
    const lane = this.#lanes.get(holderId)!;
    const slots = this.#slotsOf(candidates);
    await this.#alone(lane, () =>
      this.#askAll(
        lane,
        slots.filter(({ answered }) => !(answered & lane.bit)),
      ),
    );
    // Mostly everybody: then the very list, which need not be compared again.
    const isAll = slots.every(({ accepted }) => accepted & lane.bit);
    return isAll ? candidates : candidates.filter((_, i) => slots[i]!.accepted & lane.bit);
  }

  /** Offers again what this holder has not accepted of the cohort. Throws QUORUM_NOT_REACHED if it still does not. */
  async insist(holderId: string, cohort: readonly string[]): Promise<void> {
    const lane = this.#lanes.get(holderId)!;
    const slots = this.#slotsOf(cohort);
    const missing = () => slots.filter(({ accepted }) => !(accepted & lane.bit));
    if (missing().length > 0) await this.#alone(lane, () => this.#askAll(lane, missing()));
    const refused = missing().length;
    ensure(refused === 0, 'QUORUM_NOT_REACHED', `${holderId} rejects ${refused} uploads of the cohort`);
  }
}

const isSame = (a: readonly Slot[], b: readonly Slot[]): boolean =>
  a.length === b.length && a.every((slot, i) => slot === b[i]);
