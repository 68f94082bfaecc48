/**
 * Carries out one round: feeds the pure machine, persists what it decides, asks the holders, opens the sum.
 *
 * Order matters for crashes: a freeze is durable before anyone is asked; a signature or partial decryption is stored
 * before the machine hears of it; settling is idempotent and done before the phase moves on. After SIGKILL the same
 * state is loaded, `resume`d and asks again.
 * Trusts: its store. Holders' answers are verified here. May be called by: coordinator/rounds/runner.ts.
 */
import { fromHex, toHex } from '../../crypto/bytes.ts';
import { ensure, isPulsefoldError, PulsefoldError } from '../../crypto/error.ts';
import { merkleRoot } from '../../crypto/log/merkle.ts';
import type { SealedParts, SumScheme } from '../../crypto/secagg/scheme.ts';
import { ENTRIES_PER_MESSAGE_MAX } from '../../protos/fields.ts';
import type { ParsedPlan } from '../../protos/plan.ts';
import { schemeOf } from '../../protos/plan-scheme.ts';
import type { EncodedRoundConfig } from '../../protos/round-config.ts';
import {
  abortStatement,
  type CohortCertificate,
  certificateStatement,
  entryLeaf,
  partialStatement,
  type RoundBinding,
} from '../../protos/statements.ts';
import { openSum } from '../aggregation/fold.ts';
import type { HolderPort, OpenPart } from './holder-port.ts';
import { advance, isFinal, type RoundEffect, type RoundEvent, type RoundState, resume } from './machine.ts';
import * as repository from './repository.ts';
import type { RoundServices } from './services.ts';

/** A `RoundEvent` without its time; the round adds the clock's. */
export type RoundNews = RoundEvent extends infer E
  ? E extends RoundEvent
    ? Omit<E, 'nowMs'>
    : never
  : never;

const TICK_MS = 100;
/** Uploads are reported no more often than this. */
const REPORT_MS = 300;

export class ActiveRound {
  readonly config: EncodedRoundConfig;
  readonly #services: RoundServices;
  readonly #parsed: ParsedPlan;
  readonly #holders: ReadonlyMap<string, HolderPort>;
  #state: RoundState;
  #settled: Promise<RoundState>;
  #finish!: (state: RoundState) => void;
  #fail!: (error: unknown) => void;
  #timer: { stop(): void } | null = null;
  #stopped = false;
  #reportedAtMs = 0;
  /** The state here may differ from the store's: read it again before anything else. */
  #stale = false;
  #certificate: CohortCertificate | null = null;

  constructor(
    services: RoundServices,
    parsed: ParsedPlan,
    config: EncodedRoundConfig,
    holders: readonly HolderPort[],
    state: RoundState,
  ) {
    this.#services = services;
    this.#parsed = parsed;
    this.config = config;
    this.#holders = new Map(holders.map((holder) => [holder.holderId, holder]));
    this.#state = resume(state);
    this.#settled = new Promise((resolve, reject) => {
      this.#finish = resolve;
      this.#fail = reject;
    });
    // A rejection is always observed by `run`'s caller; this keeps an early one from being reported as unhandled.
    this.#settled.catch(() => {});
  }

  get state(): RoundState {
    return this.#state;
  }

  get scheme(): SumScheme {
    return schemeOf(this.#parsed, this.config.config.kind).scheme;
  }

  get binding(): RoundBinding {
    const { config } = this.config;
    return {
      planHash: this.#parsed.hash,
      round: config.round,
      modelHash: fromHex(config.modelHash),
      configHash: this.config.hash,
      committeeKeyId: fromHex(config.committeeKeyId),
    };
  }

  /** Runs to the end of the round; resolves with the final state. */
  run(): Promise<RoundState> {
    this.#timer = this.#services.clock.every(TICK_MS, () => this.notify({ type: 'tick' }));
    this.notify({ type: 'tick' });
    return this.#settled.finally(() => this.stop());
  }

  /** Ends `run` where the round stands; a later process resumes it. What holders still answer is only stored. */
  stop(): void {
    this.#stopped = true;
    this.#timer?.stop();
    this.#fail(new PulsefoldError('UNAVAILABLE', 'stopped'));
  }

  /** Tells the machine what happened; never throws. */
  notify(news: RoundNews): void {
    if (this.#stopped) return;
    if (this.#stale && !this.#reload()) return;
    const before = this.#state;
    try {
      const event = { ...news, nowMs: this.#services.clock.nowMs() } as RoundEvent;
      const step = advance(before, event);
      this.#state = step.state;
      this.#apply(before, step.effects);
      if (isFinal(this.#state)) this.#finish(this.#state);
    } catch (error) {
      if (!isTransient(error)) {
        this.#fail(error);
        return;
      }
      // A busy database or a full disk passes. What happened is in the store or will be asked for again.
      this.#services.logger.warn(
        { round: before.round, message: error.message },
        'store is away; trying again',
      );
      this.#stale = true;
    }
  }

  /** After a failed write: what is durable is the truth, and what it lacks is asked for again. */
  #reload(): boolean {
    try {
      const { hashHex } = this.#parsed;
      this.#state = this.#services.store.read('reload-round', (db) =>
        resume(repository.loadRoundState(db, hashHex, repository.getRound(db, hashHex, this.#state.round)!)),
      );
      this.#stale = false;
      return true;
    } catch (error) {
      if (!isTransient(error)) this.#fail(error);
      return false;
    }
  }

  #apply(before: RoundState, effects: readonly RoundEffect[]): void {
    for (const effect of effects) {
      if (effect.type === 'freeze') this.#freeze();
      else if (effect.type === 'settle') this.#settle();
      else if (effect.type === 'void') this.#void();
      else if (effect.type === 'give_up') this.#services.budget.logUnopened(this.#parsed, this);
    }
    if (
      before.phase !== this.#state.phase ||
      before.stuck !== this.#state.stuck ||
      before.cohort !== this.#state.cohort
    ) {
      this.#services.store.transaction('save-round', (db) =>
        repository.saveRoundState(db, this.#parsed.hashHex, this.#state),
      );
      this.#report();
    } else if (
      this.#services.clock.nowMs() - this.#reportedAtMs >= REPORT_MS &&
      before.uploaded !== this.#state.uploaded
    )
      this.#report();
    for (const effect of effects) this.#start(effect);
  }

  #report(): void {
    this.#reportedAtMs = this.#services.clock.nowMs();
    this.#services.onRoundChange(this.#parsed, this.#state);
  }

  /**
   * The cohort is what is durable at this instant. The upload path checks the stored phase inside its own
   * transaction, so an upload is either in this list or late, never neither.
   */
  #freeze(): void {
    const { store } = this.#services;
    store.transaction('freeze-cohort', (db) => {
      const uploaded = repository.acknowledgedDevices(db, this.#parsed.hashHex, this.#state.round);
      this.#state = { ...this.#state, uploaded, candidates: uploaded };
      // What is set aside stands in the log before anybody signs or opens anything.
      this.#services.budget.logReservations(db, this.#parsed, this.#state);
      repository.saveRoundState(db, this.#parsed.hashHex, this.#state);
    });
  }

  #settle(): void {
    const certificate = this.certificate();
    this.#services.budget.settle(
      this.#parsed,
      this.config,
      certificate,
      this.#state,
      this.signatures('certificate'),
    );
  }

  #void(): void {
    this.#services.budget.void(this.#parsed, this.#state, this.signatures('abort'));
  }

  signatures(kind: repository.StatementKind) {
    return this.#services.store.read('statement-signatures', (db) =>
      repository.statementSignatures(db, this.#parsed.hashHex, this.#state.round, kind),
    );
  }

  #start(effect: RoundEffect): void {
    if (effect.type === 'ask') {
      const { holderId, stage } = effect;
      this.#ask(effect).catch((error: unknown) => {
        const message = isPulsefoldError(error) ? `${error.code}: ${error.message}` : 'no answer';
        this.#services.logger.warn(
          { holderId, stage, round: this.#state.round, message },
          'key holder failed',
        );
        this.notify({ type: 'holder_failed', holderId, stage, message });
      });
    } else if (effect.type === 'open_sum') this.#background(() => this.#openSum(effect.activeSet));
    else if (effect.type === 'release')
      this.#background(async () => {
        await this.#services.release(this.#parsed, this);
        this.notify({ type: 'released' });
      });
  }

  #background(work: () => Promise<void>): void {
    // One turn later, so that a chain of effects cannot recurse, and errors end the round loudly.
    setImmediate(() =>
      work().catch((error: unknown) => {
        if (isTransient(error)) this.#stale = true;
        else this.#fail(error);
      }),
    );
  }

  #ask(effect: Extract<RoundEffect, { type: 'ask' }>): Promise<void> {
    const holder = this.#holders.get(effect.holderId)!;
    switch (effect.stage) {
      case 'acceptance':
        return this.#askAcceptance(holder);
      case 'certificate':
        return this.#askCertificate(holder);
      case 'abort':
        return this.#askAbort(holder);
      case 'partial':
        return this.#askPartial(holder, effect.activeSet!);
    }
  }

  /** Entries as this coordinator stored them; only used to talk to holders, who check every one themselves. */
  entries(devices: readonly string[]) {
    return this.#services.store.read('entries', (db) => {
      const row = repository.getRound(db, this.#parsed.hashHex, this.#state.round)!;
      return repository.entriesOf(
        db,
        this.#parsed.hashHex,
        row,
        new Set(devices),
        this.scheme.transport === 'shares',
      );
    });
  }

  async #acceptBy(holder: HolderPort, devices: readonly string[]): Promise<string[]> {
    const entries = this.entries(devices);
    const accepted: string[] = [];
    for (let at = 0; at < entries.length; at += ENTRIES_PER_MESSAGE_MAX) {
      const batch = entries.slice(at, at + ENTRIES_PER_MESSAGE_MAX);
      const reply = await holder.accept(this.#parsed.hash, this.#state.round, batch);
      accepted.push(...reply.accepted.filter((id) => batch.some((entry) => entry.deviceId === id)));
      if (reply.rejected.length > 0)
        this.#services.store.transaction('rejections', (db) => {
          for (const { deviceId, code, reason } of reply.rejected)
            repository.putRejection(db, this.#parsed.hashHex, this.#state.round, {
              device: deviceId,
              holder: holder.holderId,
              code,
              reason,
            });
        });
    }
    return accepted;
  }

  async #askAcceptance(holder: HolderPort): Promise<void> {
    const deviceIds = await this.#acceptBy(holder, this.#state.candidates ?? []);
    this.notify({ type: 'accepted', holderId: holder.holderId, deviceIds });
  }

  async #askCertificate(holder: HolderPort): Promise<void> {
    const cohort = this.#state.cohort!;
    const verdict = new Set(this.#state.verdicts[holder.holderId] ?? []);
    if (!cohort.every((id) => verdict.has(id))) {
      const accepted = new Set(await this.#acceptBy(holder, cohort));
      const refused = cohort.filter((id) => !accepted.has(id)).length;
      ensure(
        refused === 0,
        'QUORUM_NOT_REACHED',
        `${holder.holderId} rejects ${refused} uploads of the cohort`,
      );
    }
    const certificate = this.certificate();
    const reply = await holder.certify({
      ...this.binding,
      cohortRoot: certificate.cohortRoot,
      deviceIds: cohort,
    });
    this.#keepSignature(holder, 'certificate', certificateStatement(certificate), reply.signature);
    this.notify({ type: 'certificate_signed', holderId: holder.holderId });
  }

  async #askAbort(holder: HolderPort): Promise<void> {
    const { round } = this.#state;
    const reason = this.#state.abortReason!;
    const reply = await holder.abort(this.#parsed.hash, round, reason);
    this.#keepSignature(
      holder,
      'abort',
      abortStatement({ planHash: this.#parsed.hash, round, reason }),
      reply.signature,
    );
    this.notify({ type: 'abort_signed', holderId: holder.holderId });
  }

  #keepSignature(
    holder: HolderPort,
    kind: repository.StatementKind,
    statement: Uint8Array,
    signature: Uint8Array,
  ): void {
    this.#verifyHolder(holder.holderId, statement, signature);
    this.#services.store.transaction('keep-signature', (db) =>
      repository.putStatementSignature(db, this.#parsed.hashHex, this.#state.round, kind, {
        holderId: holder.holderId,
        signature,
      }),
    );
  }

  #verifyHolder(holderId: string, statement: Uint8Array, signature: Uint8Array): void {
    const key = this.#parsed.plan.holders.find((holder) => holder.id === holderId)!.signingPublicKey;
    ensure(
      this.#services.suite.verify(fromHex(key), statement, signature),
      'BAD_SIGNATURE',
      `the signature of ${holderId} does not verify under the key in the plan`,
    );
  }

  async #askPartial(holder: HolderPort, activeSet: readonly number[]): Promise<void> {
    const certificate = this.certificate();
    const reply = await holder.open(
      {
        ...certificate,
        signatures: this.signatures('certificate'),
        activeSet,
        digitCount: this.config.config.digitCount,
      },
      this.#openParts(holder),
    );
    const statement = partialStatement({
      certificate: certificateStatement(certificate),
      activeSet,
      holderId: holder.holderId,
      partialDigest: this.#services.suite.digest(reply.partial),
    });
    this.#verifyHolder(holder.holderId, statement, reply.signature);
    // A malformed one must not be stored: no set with it could be opened, and folding it would throw.
    this.#services.secagg.validatePartial(this.scheme, reply.partial);
    this.#services.store.transaction('keep-partial', (db) =>
      repository.putPartial(db, this.#parsed.hashHex, this.#state.round, activeSet.join(','), {
        ...reply,
        holderId: holder.holderId,
      }),
    );
    this.notify({ type: 'partial_received', holderId: holder.holderId, activeSet });
  }

  /** What a holder needs of every certified device, one at a time: c1 under bfv, what it has not accepted under shares. */
  *#openParts(holder: HolderPort): Iterable<OpenPart> {
    const { suite } = this.#services;
    const none = new Uint8Array(0);
    const accepted = new Set(this.#state.verdicts[holder.holderId] ?? []);
    const shares = this.scheme.transport === 'shares';
    for (const { deviceId, ...entry } of this.entries(this.#state.cohort!)) {
      if (shares) {
        yield { deviceId, bodyDigest: none, holderPart: none, entry: accepted.has(deviceId) ? null : entry };
        continue;
      }
      const { body, holderPart } = this.#uploadParts(deviceId);
      yield { deviceId, bodyDigest: suite.digest(body), holderPart, entry };
    }
  }

  #uploadParts(deviceId: string): SealedParts {
    return this.#services.store.read('upload-bytes', (db) =>
      repository.uploadParts(db, this.#parsed.hashHex, this.#state.round, deviceId),
    );
  }

  async #openSum(activeSet: readonly number[]): Promise<void> {
    const { store, secagg, suite } = this.#services;
    const { round } = this.#state;
    const plan = this.#parsed.hashHex;
    const partials = store.read('partials', (db) =>
      repository.partialsOf(db, plan, round, activeSet.join(',')),
    );
    const digits = openSum(secagg, this.scheme, {
      configHash: this.config.hash,
      bodySum: this.#foldCohort(),
      cohortCount: this.#state.cohort!.length,
      activeSet,
      partials,
    });
    if (typeof digits === 'string') {
      this.#services.logger.error(
        { round, activeSet, reason: digits },
        'the sum does not open; trying another set',
      );
      this.notify({ type: 'opening_failed', activeSet });
      return;
    }
    const bytes = new Uint8Array(digits.buffer, digits.byteOffset, digits.byteLength);
    const hash = toHex(suite.digest(bytes));
    this.#services.budget.recordSum(this.#parsed, this, { digits: bytes, hash, activeSet });
    this.notify({ type: 'sum_opened' });
  }

  #foldCohort(): Uint8Array {
    const folder = this.#services.secagg.folder(this.scheme);
    for (const device of this.#state.cohort!) folder.add(this.#uploadParts(device).body);
    return folder.bytes();
  }

  /** Leaves of the cohort tree in its order: by device id. */
  cohortLeaves(): Uint8Array[] {
    return this.entries(this.#state.cohort ?? []).map(entryLeaf);
  }

  /** The statement about the cohort, which is fixed once and for all before anyone is asked to sign it. */
  certificate(): CohortCertificate {
    if (this.#certificate) return this.#certificate;
    ensure(this.#state.cohort, 'INTERNAL', 'the cohort is not fixed yet');
    const leaves = this.cohortLeaves();
    this.#certificate = { ...this.binding, cohortRoot: merkleRoot(leaves), cohortCount: leaves.length };
    return this.#certificate;
  }
}

/** The store was busy, full or briefly away: nothing is wrong with the round. */
const isTransient = (error: unknown): error is PulsefoldError =>
  isPulsefoldError(error) && error.code === 'UNAVAILABLE';
