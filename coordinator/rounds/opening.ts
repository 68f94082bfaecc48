/**
 * Opening a certified sum: holders' answers, the folded bodies, and who contradicts whom (DESIGN §2.10).
 *
 * Transport bfv: an answer belongs to one active set. Transport shares: an answer is the same for every set with its
 * holder in it, so a holder is asked once; and when all four have answered, the one whose answer contradicts the
 * majority's is named, while the sum opens without it. In a round with groups the partition is drawn first, and an answer
 * has a part for each group.
 * Trusts: at most f holders to lie; answers are verified, stored, then used. May be called by: active-round.ts.
 */
import { toHex } from '../../crypto/bytes.ts';
import type { SumScheme } from '../../crypto/secagg/scheme.ts';
import { groupContradictors } from '../../crypto/secagg/shares/index.ts';
import { certificateStatement, partialStatement } from '../../protos/statements.ts';
import { openGroups, openSum } from '../aggregation/fold.ts';
import type { Acceptances } from './acceptance.ts';
import type { GroupFold } from './group-fold.ts';
import type { HolderPort, OpenPart, OpenRequest } from './holder-port.ts';
import { verifyHolder } from './holder-talk.ts';
import type { RoundState } from './machine.ts';
import { Partition } from './partition.ts';
import * as repository from './repository.ts';
import type { RoundFold } from './round-fold.ts';
import type { RoundView } from './round-view.ts';
import { activeSets } from './selection.ts';
import { holderPartsOf } from './upload-bytes.ts';

/** Devices whose parts are in memory at a time. */
const PARTS_AT_A_TIME = 200;

/** Shares: what a holder answered for one set it answered for all; the machine counts by set. */
export function withReusedAnswers(state: RoundState, { transport }: SumScheme): RoundState {
  if (transport !== 'shares') return state;
  const answered = new Set(Object.values(state.partials).flat());
  const { holderIds, threshold } = state.terms;
  const partials: Record<string, string[]> = {};
  for (const set of activeSets(holderIds.length, threshold)) {
    const have = set.map((index) => holderIds[index - 1]!).filter((id) => answered.has(id));
    if (have.length > 0) partials[set.join(',')] = have;
  }
  return { ...state, partials };
}

export interface Folds {
  readonly whole: RoundFold;
  readonly groups: GroupFold;
}

interface Opened {
  readonly slots: Int32Array;
  readonly groups: repository.GroupFacts | null;
}

export class Opening {
  readonly #round: RoundView;
  readonly #acceptances: Acceptances;
  readonly #folds: Folds;
  readonly #partition: Partition;
  /** Holders that were named as contradicting the majority. */
  #contradictors = '';

  constructor(
    round: RoundView,
    acceptances: Acceptances,
    parts: { readonly folds: Folds; readonly holders: readonly HolderPort[] },
  ) {
    this.#round = round;
    this.#acceptances = acceptances;
    this.#folds = parts.folds;
    this.#partition = new Partition(round, parts.holders, {
      requestOf: (holder) => this.#request(this.#someSetWith(holder)),
      partsOf: (holder) => this.#openParts(holder),
    });
  }

  get #isShares(): boolean {
    return this.#round.scheme.transport === 'shares';
  }

  get #isGrouped(): boolean {
    return this.#round.scheme.groups > 1;
  }

  #someSetWith({ holderId }: HolderPort): readonly number[] {
    const { holderIds, threshold } = this.#round.state.terms;
    const index = holderIds.indexOf(holderId) + 1;
    return activeSets(holderIds.length, threshold).find((set) => set.includes(index))!;
  }

  #request(activeSet: readonly number[], draws: OpenRequest['draws'] = []): OpenRequest {
    return {
      ...this.#round.certificate(),
      signatures: this.#round.signatures('certificate'),
      activeSet,
      digitCount: this.#round.config.config.digitCount,
      draws,
    };
  }

  /** The stored answers that serve this set, by holder. */
  #answers(activeSet: readonly number[]): Map<string, Uint8Array> {
    const { services, at } = this.#round;
    const set = this.#isShares ? null : activeSet.join(',');
    return new Map(
      services.store
        .read('partials', (db) => repository.partialsOf(db, at.planHex, at.round, set))
        .map(({ holder, partial }) => [holder, partial]),
    );
  }

  async askPartial(holder: HolderPort, activeSet: readonly number[]): Promise<void> {
    if (!this.#answers(activeSet).has(holder.holderId)) await this.#obtain(holder, activeSet);
    const { terms } = this.#round.state;
    const index = terms.holderIds.indexOf(holder.holderId) + 1;
    // The set that was asked for first, so that the machine does not ask for it again in between.
    const key = activeSet.join(',');
    const others = this.#isShares
      ? activeSets(terms.holderIds.length, terms.threshold).filter(
          (set) => set.includes(index) && set.join(',') !== key,
        )
      : [];
    const served = [activeSet, ...others];
    // A set that failed stays failed: its answers are final, and so is this one.
    for (const set of served)
      if (this.#round.state.partials[set.join(',')]?.length !== 0)
        this.#round.notify({ type: 'partial_received', holderId: holder.holderId, activeSet: set });
  }

  async #obtain(holder: HolderPort, activeSet: readonly number[]): Promise<void> {
    const round = this.#round;
    const { services, scheme, at } = round;
    if (this.#isGrouped) await this.#partition.agree();
    const draws = this.#isGrouped ? this.#partition.draws() : [];
    const reply = await holder.open(this.#request(activeSet, draws), this.#openParts(holder));
    const statement = partialStatement({
      certificate: certificateStatement(round.certificate()),
      activeSet,
      holderId: holder.holderId,
      partialDigest: services.suite.digest(reply.partial),
    });
    verifyHolder(round, holder.holderId, statement, reply.signature);
    // A malformed one must not be stored: no set with it could be opened, and folding it would throw.
    services.secagg.validatePartial(scheme, reply.partial);
    services.store.transaction('keep-partial', (db) =>
      repository.putPartial(db, at.planHex, at.round, activeSet.join(','), {
        ...reply,
        holderId: holder.holderId,
      }),
    );
  }

  /** What a holder needs of every certified device: c1 under bfv, what it has not accepted under shares. */
  *#openParts({ holderId }: HolderPort): Iterable<OpenPart> {
    const { state } = this.#round;
    const cohort = state.cohort!;
    for (let from = 0; from < cohort.length; from += PARTS_AT_A_TIME) {
      const devices = cohort.slice(from, from + PARTS_AT_A_TIME);
      yield* this.#isShares ? this.#seedsOf(devices, holderId) : this.#ciphertextsOf(devices);
    }
  }

  *#seedsOf(devices: readonly string[], holderId: string): Iterable<OpenPart> {
    const missing = devices.filter((device) => !this.#acceptances.hasAccepted(holderId, device));
    const sent = missing.length > 0 ? this.#round.entries(missing) : [];
    const entries = new Map(sent.map(({ deviceId, ...entry }) => [deviceId, entry]));
    const none = new Uint8Array(0);
    for (const deviceId of devices)
      yield { deviceId, bodyDigest: none, holderPart: none, entry: entries.get(deviceId) ?? null };
  }

  *#ciphertextsOf(devices: readonly string[]): Iterable<OpenPart> {
    const { services, at } = this.#round;
    const digests = services.store.read('body-digests', (db) =>
      repository.bodyDigestsOf(db, at.planHex, at.round, devices),
    );
    for (const { deviceId, ...entry } of this.#round.entries(devices)) {
      const parts = services.store.read('holder-part', (db) =>
        holderPartsOf(services.spool, db, at, [deviceId]),
      );
      const holderPart = parts.get(deviceId)!;
      yield { deviceId, bodyDigest: digests.get(deviceId)!, holderPart, entry };
    }
  }

  async openSum(activeSet: readonly number[]): Promise<void> {
    const { services, state } = this.#round;
    const { round } = state;
    const opened = this.#isGrouped ? await this.#openByGroup(activeSet) : await this.#openWhole(activeSet);
    if (opened === null) return;
    this.#nameLiars(this.#answers(activeSet));
    if (typeof opened === 'string') {
      services.logger.error(
        { round, activeSet, reason: opened },
        'the sum does not open; trying another set',
      );
      this.#round.notify({ type: 'opening_failed', activeSet });
      return;
    }
    const { slots, groups } = opened;
    const digits = new Uint8Array(slots.buffer, slots.byteOffset, slots.byteLength);
    const hash = toHex(services.suite.digest(digits));
    services.budget.recordSum(this.#round.parsed, this.#round, { digits, hash, activeSet, groups });
    this.#round.notify({ type: 'sum_opened' });
  }

  /** Answers of the set, in its order. */
  #partialsOf(activeSet: readonly number[]): Uint8Array[] {
    const answers = this.#answers(activeSet);
    const { holderIds } = this.#round.state.terms;
    return activeSet.map((index) => answers.get(holderIds[index - 1]!)!);
  }

  /** Null: the round was stopped meanwhile. A string: why these answers do not open it. */
  async #openWhole(activeSet: readonly number[]): Promise<Opened | string | null> {
    const { services, state, scheme, config } = this.#round;
    const bodySum = await this.#folds.whole.sumOf(state.cohort!);
    if (this.#round.isStopped) return null;
    const slots = openSum(services.secagg, scheme, {
      configHash: config.hash,
      bodySum,
      cohortCount: state.cohort!.length,
      activeSet,
      partials: this.#partialsOf(activeSet),
    });
    return typeof slots === 'string' ? slots : { slots, groups: null };
  }

  async #openByGroup(activeSet: readonly number[]): Promise<Opened | string | null> {
    const { services, state, scheme, config } = this.#round;
    const members = this.#partition.groups();
    const sums = await this.#folds.groups.sumsOf(members);
    if (this.#round.isStopped) return null;
    const sizes = members.map((group) => group.length);
    const opened = openGroups(services.secagg, scheme, {
      configHash: config.hash,
      groups: sums.map((bodySum, i) => ({ bodySum, cohortCount: sizes[i]! })),
      activeSet,
      partials: this.#partialsOf(activeSet),
    });
    if (typeof opened === 'string') return opened;
    const { slots, valid } = opened;
    const dropped = valid.flatMap((isValid, i) => (isValid ? [] : [i + 1]));
    if (dropped.length > 0)
      services.logger.warn(
        { round: state.round, dropped, groups: sizes.length },
        'these groups do not open or their checksum does not hold; the release goes without them',
      );
    return { slots, groups: { sizes, valid } };
  }

  /** With all four answers at hand the majority says whose is wrong. */
  #nameLiars(answers: ReadonlyMap<string, Uint8Array>): void {
    const { services, state, scheme } = this.#round;
    const { holderIds } = state.terms;
    if (!this.#isShares || !holderIds.every((id) => answers.has(id))) return;
    const named = groupContradictors({
      wordBits: scheme.wordBits,
      count: scheme.shortCount,
      groups: scheme.groups,
      partials: holderIds.map((id) => answers.get(id)!),
    }).map((index) => holderIds[index - 1]!);
    // The machine may still try sets with one of them in; once is enough to say so.
    if (named.length === 0 || this.#contradictors === named.join()) return;
    this.#contradictors = named.join();
    services.logger.error(
      { round: state.round, holders: named },
      'the answers of these key holders contradict those of the majority',
    );
    this.#round.notify({ type: 'holders_contradict', holderIds: named });
  }
}
