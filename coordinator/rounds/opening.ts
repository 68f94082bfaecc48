/**
 * Opening a certified sum: holders' answers, the folded bodies, and who contradicts whom (DESIGN §2.10).
 *
 * Transport bfv: an answer belongs to one active set. Transport shares: an answer is the same for every set with its
 * holder in it, so a holder is asked once; and when all four have answered, the one whose answer contradicts the
 * majority's is named, while the sum opens without it.
 * Trusts: at most f holders to lie; answers are verified, stored, then used. May be called by: active-round.ts.
 */
import { toHex } from '../../crypto/bytes.ts';
import type { SumScheme } from '../../crypto/secagg/scheme.ts';
import { contradictors } from '../../crypto/secagg/shares/index.ts';
import { certificateStatement, partialStatement } from '../../protos/statements.ts';
import { openSum } from '../aggregation/fold.ts';
import type { Acceptances } from './acceptance.ts';
import type { HolderPort, OpenPart } from './holder-port.ts';
import { verifyHolder } from './holder-talk.ts';
import type { RoundState } from './machine.ts';
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

export class Opening {
  readonly #round: RoundView;
  readonly #acceptances: Acceptances;
  readonly #fold: RoundFold;
  /** Holders that were named as contradicting the majority. */
  #contradictors = '';

  constructor(round: RoundView, acceptances: Acceptances, fold: RoundFold) {
    this.#round = round;
    this.#acceptances = acceptances;
    this.#fold = fold;
  }

  get #isShares(): boolean {
    return this.#round.scheme.transport === 'shares';
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
    const certificate = round.certificate();
    const reply = await holder.open(
      {
        ...certificate,
        signatures: round.signatures('certificate'),
        activeSet,
        digitCount: round.config.config.digitCount,
      },
      this.#openParts(holder),
    );
    const statement = partialStatement({
      certificate: certificateStatement(certificate),
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
    const { services, state, scheme, config } = this.#round;
    const { round } = state;
    const bodySum = await this.#fold.sumOf(state.cohort!);
    if (this.#round.isStopped) return;
    const answers = this.#answers(activeSet);
    const { holderIds } = state.terms;
    const slots = openSum(services.secagg, scheme, {
      configHash: config.hash,
      bodySum,
      cohortCount: state.cohort!.length,
      activeSet,
      partials: activeSet.map((index) => answers.get(holderIds[index - 1]!)!),
    });
    this.#nameLiars(answers);
    if (typeof slots === 'string') {
      services.logger.error({ round, activeSet, reason: slots }, 'the sum does not open; trying another set');
      this.#round.notify({ type: 'opening_failed', activeSet });
      return;
    }
    const bytes = new Uint8Array(slots.buffer, slots.byteOffset, slots.byteLength);
    const hash = toHex(services.suite.digest(bytes));
    services.budget.recordSum(this.#round.parsed, this.#round, { digits: bytes, hash, activeSet });
    this.#round.notify({ type: 'sum_opened' });
  }

  /** With all four answers at hand the majority says whose is wrong. */
  #nameLiars(answers: ReadonlyMap<string, Uint8Array>): void {
    const { services, state, scheme } = this.#round;
    const { holderIds } = state.terms;
    if (!this.#isShares || !holderIds.every((id) => answers.has(id))) return;
    const named = contradictors({
      wordBits: scheme.wordBits,
      count: scheme.shortCount,
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
