/**
 * Early acceptance (DESIGN §2.8): while a round collects, every acknowledged upload is offered to every holder, in
 * batches, one call at a time per holder. Verdicts are durable; at the freeze a holder is asked only about what it has
 * not answered yet.
 *
 * What a quorum has accepted is reported once, for folding. What a holder rejected may be offered again when its signature
 * is wanted. Trusts: holders for their own verdict only. May be called by: coordinator/rounds/active-round.ts.
 */
import { ensure, isPulsefoldError } from '../../crypto/error.ts';
import { ENTRIES_PER_MESSAGE_MAX } from '../../protos/fields.ts';
import type { Acceptance, HolderPort } from './holder-port.ts';
import * as repository from './repository.ts';
import type { RoundView } from './round-view.ts';

/** A batch that is not full goes out after this long. */
const BATCH_AGE_MS = 200;
const RETRY_FIRST_MS = 200;
const RETRY_MAX_MS = 5000;

/** Batches in memory; each is a fraction of a megabyte. */
const BATCHES_KEPT = 2;

type Entries = ReturnType<RoundView['entries']>;

/** One holder. */
interface Lane {
  readonly holder: HolderPort;
  /** True: accepted; false: answered otherwise. */
  readonly verdicts: Map<string, boolean>;
  /** Acknowledged, not answered yet. */
  readonly waiting: Set<string>;
  /** When the oldest of `waiting` came. */
  sinceMs: number;
  busy: Promise<unknown> | null;
  retryAtMs: number;
  failures: number;
}

export class Acceptances {
  readonly #round: RoundView;
  readonly #lanes: ReadonlyMap<string, Lane>;
  readonly #quorum: number;
  readonly #onQuorum: (deviceId: string) => void;
  /** Holders that accepted a device. */
  readonly #counts = new Map<string, number>();
  /** The latest batches: holders are mostly asked about the same one at the same time. */
  readonly #batches = new Map<string, Entries>();

  /** Takes up what an earlier process heard. `onQuorum` is called for each device of which a quorum accepts. */
  constructor(round: RoundView, holders: readonly HolderPort[], onQuorum: (deviceId: string) => void) {
    this.#round = round;
    this.#quorum = round.state.terms.quorum;
    this.#onQuorum = onQuorum;
    const { planHex, round: number } = round.at;
    this.#lanes = new Map(
      holders.map((holder) => {
        const verdicts = round.services.store.read('verdicts', (db) =>
          repository.verdictsOf(db, planHex, number, holder.holderId),
        );
        const idle = { waiting: new Set<string>(), sinceMs: 0, busy: null, retryAtMs: 0, failures: 0 };
        return [holder.holderId, { holder, verdicts, ...idle }];
      }),
    );
    for (const { verdicts } of this.#lanes.values())
      for (const [device, accepted] of verdicts) if (accepted) this.#count(device);
    this.offer(round.state.uploaded);
  }

  hasAccepted(holderId: string, deviceId: string): boolean {
    return this.#lanes.get(holderId)?.verdicts.get(deviceId) === true;
  }

  #count(device: string): void {
    const count = (this.#counts.get(device) ?? 0) + 1;
    this.#counts.set(device, count);
    if (count === this.#quorum) this.#onQuorum(device);
  }

  /** These uploads are durable; holders hear of them soon. */
  offer(deviceIds: readonly string[]): void {
    for (const lane of this.#lanes.values()) {
      if (lane.waiting.size === 0) lane.sinceMs = this.#round.services.clock.nowMs();
      for (const deviceId of deviceIds) if (!lane.verdicts.has(deviceId)) lane.waiting.add(deviceId);
      if (lane.waiting.size >= ENTRIES_PER_MESSAGE_MAX) this.#pump(lane);
    }
  }

  /** Sends batches that are due; called while the round collects. */
  tick(): void {
    for (const lane of this.#lanes.values()) this.#pump(lane);
  }

  #pump(lane: Lane): void {
    const nowMs = this.#round.services.clock.nowMs();
    const isDue = lane.waiting.size >= ENTRIES_PER_MESSAGE_MAX || nowMs - lane.sinceMs >= BATCH_AGE_MS;
    const collecting = this.#round.state.phase === 'collecting' && !this.#round.isStopped;
    if (!collecting || lane.busy || lane.waiting.size === 0 || !isDue || nowMs < lane.retryAtMs) return;
    const batch: string[] = [];
    for (const device of lane.waiting) {
      batch.push(device);
      if (batch.length === ENTRIES_PER_MESSAGE_MAX) break;
    }
    lane.sinceMs = nowMs;
    this.#alone(lane, () => this.#ask(lane, batch)).then(
      () => {
        lane.failures = 0;
        this.#pump(lane);
      },
      (error: unknown) => this.#backOff(lane, error),
    );
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

  #entries(devices: readonly string[]): Entries {
    const key = devices.join();
    const known = this.#batches.get(key) ?? this.#round.entries(devices);
    this.#batches.delete(key);
    this.#batches.set(key, known);
    if (this.#batches.size > BATCHES_KEPT) this.#batches.delete(this.#batches.keys().next().value!);
    return known;
  }

  /** Asks about up to ENTRIES_PER_MESSAGE_MAX devices and makes the answer durable. */
  async #ask(lane: Lane, devices: readonly string[]): Promise<void> {
    const { services, parsed, at } = this.#round;
    const entries = this.#entries(devices);
    const reply = await lane.holder.accept(parsed.hash, at.round, entries);
    // A stopped round leaves its store alone: the next process asks again, and a holder repeats itself.
    if (this.#round.isStopped) return;
    const { holderId } = lane.holder;
    const accepted = new Set(reply.accepted);
    const good = devices.filter((device) => accepted.has(device));
    const bad = good.length === devices.length ? [] : devices.filter((device) => !accepted.has(device));
    await services.store.enqueue('verdicts', (db) => {
      const { planHex, round } = at;
      // Rows are only added: a holder that repeats itself must not fill the store.
      const fresh = good.filter((device) => lane.verdicts.get(device) !== true);
      repository.putVerdicts(db, planHex, round, { holder: holderId, devices: fresh, accepted: true });
      const refused = bad.filter((device) => !lane.verdicts.has(device));
      repository.putVerdicts(db, planHex, round, { holder: holderId, devices: refused, accepted: false });
      this.#putRejections(db, lane, reply);
    });
    for (const device of good) {
      const before = lane.verdicts.get(device);
      lane.verdicts.set(device, true);
      lane.waiting.delete(device);
      if (before !== true) this.#count(device);
    }
    for (const device of bad) {
      lane.verdicts.set(device, lane.verdicts.get(device) === true);
      lane.waiting.delete(device);
    }
  }

  #putRejections(
    db: Parameters<typeof repository.putRejection>[0],
    lane: Lane,
    { rejected }: Acceptance,
  ): void {
    const { planHex, round } = this.#round.at;
    for (const { deviceId, code, reason } of rejected)
      repository.putRejection(db, planHex, round, {
        device: deviceId,
        holder: lane.holder.holderId,
        code,
        reason,
      });
  }

  async #askAll(lane: Lane, devices: readonly string[]): Promise<void> {
    for (let at = 0; at < devices.length; at += ENTRIES_PER_MESSAGE_MAX)
      await this.#ask(lane, devices.slice(at, at + ENTRIES_PER_MESSAGE_MAX));
  }

  /** The frozen uploads that this holder accepts, once it has answered about every one of them. */
  async complete(holderId: string, candidates: readonly string[]): Promise<string[]> {
    const lane = this.#lanes.get(holderId)!;
    await this.#alone(lane, () =>
      this.#askAll(
        lane,
        candidates.filter((device) => !lane.verdicts.has(device)),
      ),
    );
    return candidates.filter((device) => lane.verdicts.get(device));
  }

  /** Offers again what this holder has not accepted of the cohort. Throws QUORUM_NOT_REACHED if it still does not. */
  async insist(holderId: string, cohort: readonly string[]): Promise<void> {
    const lane = this.#lanes.get(holderId)!;
    const missing = () => cohort.filter((device) => lane.verdicts.get(device) !== true);
    if (missing().length > 0) await this.#alone(lane, () => this.#askAll(lane, missing()));
    const refused = missing().length;
    ensure(refused === 0, 'QUORUM_NOT_REACHED', `${holderId} rejects ${refused} uploads of the cohort`);
  }
}
