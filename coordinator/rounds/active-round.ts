/**
 * Carries out one round: feeds the pure machine, persists what it decides, has holders asked and the sum opened.
 *
 * Order matters for crashes: a freeze is durable before anyone is asked; a signature or partial decryption is stored
 * before the machine hears of it; settling is idempotent and done before the phase moves on. After SIGKILL the same
 * state is loaded, `resume`d and asks again. Its parts: acceptance.ts (verdicts on uploads), round-fold.ts (the running
 * sum), holder-talk.ts (signatures), opening.ts, round-entries.ts.
 * Trusts: its store. May be called by: coordinator/rounds/runner.ts.
 */
import { fromHex } from '../../crypto/bytes.ts';
import { ensure, isPulsefoldError, PulsefoldError } from '../../crypto/error.ts';
import type { SumScheme } from '../../crypto/secagg/scheme.ts';
import type { ParsedPlan } from '../../protos/plan.ts';
import { schemeOf } from '../../protos/plan-scheme.ts';
import type { EncodedRoundConfig } from '../../protos/round-config.ts';
import type { CohortCertificate, RoundBinding } from '../../protos/statements.ts';
import { LocalShard } from '../aggregation/fold-shard.ts';
import type { SpoolRound } from '../storage/spool.ts';
import { Acceptances } from './acceptance.ts';
import { GroupFold } from './group-fold.ts';
import type { HolderPort } from './holder-port.ts';
import { askAbort, askAcceptance, askCertificate } from './holder-talk.ts';
import { advance, isFinal, type RoundEffect, type RoundEvent, type RoundState, resume } from './machine.ts';
import { type Folds, Opening, withReusedAnswers } from './opening.ts';
import { isTransient } from './patience.ts';
import * as repository from './repository.ts';
import { type DeviceEntry, type NotedUploads, RoundEntries } from './round-entries.ts';
import { RoundFold } from './round-fold.ts';
import type { RoundNews, RoundView } from './round-view.ts';
import type { RoundServices } from './services.ts';

const TICK_MS = 100;
/** Uploads are reported no more often than this. */
const REPORT_MS = 300;
/** What a round must know of the others of its plan. */
export interface RoundNeighbours {
  /** True when every earlier round has ended, as releases come in the order of rounds; false when the plan ends before. */
  earlierEnded(round: number): Promise<boolean>;
  /** Called after everything that happens in this round. */
  onStep(): void;
}

const ALONE: RoundNeighbours = { earlierEnded: async () => true, onStep: () => {} };

/** What talks and folds for the round; made when first needed, from what is stored. */
interface Parts {
  readonly acceptances: Acceptances;
  readonly fold: RoundFold;
  readonly opening: Opening;
}

export class ActiveRound implements RoundView {
  readonly config: EncodedRoundConfig;
  readonly services: RoundServices;
  readonly parsed: ParsedPlan;
  readonly at: SpoolRound;
  readonly #holders: ReadonlyMap<string, HolderPort>;
  #state: RoundState;
  #made: Parts | null = null;
  #settled: Promise<RoundState>;
  #finish!: (state: RoundState) => void;
  #fail!: (error: unknown) => void;
  #timer: { stop(): void } | null = null;
  #stopped = false;
  #reportedAtMs = 0;
  /** The state here may differ from the store's: read it again before anything else. */
  #stale = false;
  #certificate: CohortCertificate | null = null;
  readonly #entries: RoundEntries;
  readonly #among: RoundNeighbours;

  constructor(
    services: RoundServices,
    parsed: ParsedPlan,
    config: EncodedRoundConfig,
    holders: readonly HolderPort[],
    state: RoundState,
    among: RoundNeighbours = ALONE,
  ) {
    this.services = services;
    this.parsed = parsed;
    this.config = config;
    this.at = { planHex: parsed.hashHex, round: config.config.round };
    this.#holders = new Map(holders.map((holder) => [holder.holderId, holder]));
    this.#among = among;
    this.#entries = new RoundEntries(services, this);
    this.#state = withReusedAnswers(resume(state), this.scheme);
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

  get isStopped(): boolean {
    return this.#stopped;
  }

  get scheme(): SumScheme {
    return schemeOf(this.parsed, this.config.config.kind).scheme;
  }

  get binding(): RoundBinding {
    const { config } = this.config;
    return {
      planHash: this.parsed.hash,
      round: config.round,
      modelHash: fromHex(config.modelHash),
      configHash: this.config.hash,
      committeeKeyId: fromHex(config.committeeKeyId),
    };
  }

  get #parts(): Parts {
    this.#made ??= this.#makeParts();
    return this.#made;
  }

  #makeParts(): Parts {
    const folds = this.#openFolds();
    const fold = folds.whole;
    const holders = [...this.#holders.values()];
    const acceptances = new Acceptances(this, holders, (deviceId) => {
      // Once the cohort is fixed, only it is folded.
      if (['collecting', 'accepting'].includes(this.#state.phase) && this.#foldsAhead) fold.offer(deviceId);
    });
    return { acceptances, fold, opening: new Opening(this, acceptances, { folds, holders }) };
  }

  /** Which group a device is in, nobody knows before the certificate. */
  get #foldsAhead(): boolean {
    return this.scheme.groups === 1;
  }

  #openFolds(): Folds {
    const { services, at, scheme, parsed } = this;
    const { store, spool, secagg, foldPool, logger, clock } = services;
    const directory = spool.directoryOf(at);
    const planBytes = parsed.bytes;
    const { kind } = this.config.config;
    const sources = {
      logger,
      openShards: () => (directory && foldPool?.openShards({ planBytes, kind, directory })) || [],
      openLocalShard: () =>
        new LocalShard(
          secagg.folder(scheme),
          (place, target) => spool.read(at, place, target),
          () => clock.turn(),
        ),
      placesOf: (devices: readonly string[]) => this.#entries.placesOf(devices),
    };
    const whole = new RoundFold({
      ...sources,
      ...at,
      store,
      bodyBytes: secagg.sizes(scheme).body,
      nowMs: () => clock.nowMs(),
      turn: () => clock.turn(),
      folder: () => secagg.folder(scheme),
    });
    const isStopped = () => this.#stopped;
    return { whole, groups: new GroupFold({ ...sources, round: at.round, isStopped }) };
  }

  /** Runs to the end of the round; resolves with the final state. */
  run(): Promise<RoundState> {
    this.#timer = this.services.clock.every(TICK_MS, () => this.#tick());
    this.#tick();
    return this.#settled.finally(() => this.stop());
  }

  #tick(): void {
    this.notify({ type: 'tick' });
    if (this.#stopped || this.#stale) return;
    try {
      this.#parts.acceptances.tick();
      this.#parts.fold.tick();
    } catch (error) {
      // The store is away while what earlier processes heard is read: the next tick tries again.
      if (!isTransient(error)) this.#fail(error);
    }
  }

  /** Ends `run` where the round stands; a later process resumes it. What holders still answer is only stored. */
  stop(): void {
    this.#stopped = true;
    this.#timer?.stop();
    this.#made?.fold.stop();
    this.#fail(new PulsefoldError('UNAVAILABLE', 'stopped'));
  }

  /** Tells the machine what happened; never throws. */
  notify(news: RoundNews): void {
    if (this.#stopped) return;
    if (this.#stale && !this.#reload()) return;
    const before = this.#state;
    try {
      const event = { ...news, nowMs: this.services.clock.nowMs() } as RoundEvent;
      const step = advance(before, event);
      this.#state = step.state;
      this.#apply(before, step.effects);
      if (news.type === 'uploads_acknowledged') this.#parts.acceptances.offer(news.deviceIds);
      if (isFinal(this.#state)) this.#finish(this.#state);
      else this.#among.onStep();
    } catch (error) {
      if (!isTransient(error)) {
        this.#fail(error);
        return;
      }
      // A busy database or a full disk passes. What happened is in the store or will be asked for again.
      this.services.logger.warn(
        { round: before.round, message: error.message },
        'store is away; trying again',
      );
      this.#stale = true;
    }
  }

  /** After a failed write: what is durable is the truth, and what it lacks is asked for again. */
  #reload(): boolean {
    try {
      const { hashHex } = this.parsed;
      this.#state = this.services.store.read('reload-round', (db) =>
        resume(repository.loadRoundState(db, hashHex, repository.getRound(db, hashHex, this.#state.round)!)),
      );
      this.#state = withReusedAnswers(this.#state, this.scheme);
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
      else if (effect.type === 'give_up') this.services.budget.logUnopened(this.parsed, this);
    }
    if (
      before.phase !== this.#state.phase ||
      before.stuck !== this.#state.stuck ||
      before.cohort !== this.#state.cohort
    ) {
      this.services.store.transaction('save-round', (db) =>
        repository.saveRoundState(db, this.parsed.hashHex, this.#state),
      );
      this.#report();
    } else if (
      this.services.clock.nowMs() - this.#reportedAtMs >= REPORT_MS &&
      before.uploaded !== this.#state.uploaded
    )
      this.#report();
    for (const effect of effects) this.#start(effect);
    if (this.#state.cohort && before.cohort !== this.#state.cohort) this.#foldAhead(this.#state.cohort);
  }

  /** While the holders sign, what is missing in the sum is added; the opening waits for it. */
  #foldAhead(cohort: readonly string[]): void {
    if (!this.#foldsAhead) return;
    this.#parts.fold.sumOf(cohort).catch((error: unknown) => {
      if (this.#stopped) return;
      const { message } = error as Error;
      this.services.logger.warn({ round: this.at.round, message }, 'not folded yet; the opening tries again');
    });
  }

  #report(): void {
    this.#reportedAtMs = this.services.clock.nowMs();
    this.services.onRoundChange(this.parsed, this.#state);
  }

  /**
   * The cohort is what is durable at this instant. The upload path checks the stored phase inside its own
   * transaction, so an upload is either in this list or late, never neither.
   */
  #freeze(): void {
    const { store } = this.services;
    store.transaction('freeze-cohort', (db) => {
      const { round, uploaded: known } = this.#state;
      const uploaded = repository.acknowledgedDevices(db, this.parsed.hashHex, round, known);
      this.#state = { ...this.#state, uploaded, candidates: uploaded };
      // What is set aside stands in the log before anybody signs or opens anything.
      this.services.budget.logReservations(db, this.parsed, this.#state);
      repository.saveRoundState(db, this.parsed.hashHex, this.#state);
    });
    this.#parts.fold.tick(true);
  }

  #settle(): void {
    const certificate = this.certificate();
    this.services.budget.settle(
      this.parsed,
      this.config,
      certificate,
      this.#state,
      this.signatures('certificate'),
    );
  }

  #void(): void {
    this.services.budget.void(this.parsed, this.#state, this.signatures('abort'));
  }

  signatures(kind: repository.StatementKind) {
    return this.services.store.read('statement-signatures', (db) =>
      repository.statementSignatures(db, this.parsed.hashHex, this.#state.round, kind),
    );
  }

  #start(effect: RoundEffect): void {
    if (effect.type === 'ask') {
      const { holderId, stage } = effect;
      this.#ask(effect).catch((error: unknown) => {
        const message = isPulsefoldError(error) ? `${error.code}: ${error.message}` : 'no answer';
        this.services.logger.warn(
          { holderId, stage, round: this.#state.round, message },
          'key holder failed',
        );
        this.notify({ type: 'holder_failed', holderId, stage, message });
      });
    } else if (effect.type === 'open_sum')
      this.#background(() => this.#parts.opening.openSum(effect.activeSet));
    else if (effect.type === 'release')
      this.#background(async () => {
        if (!(await this.#among.earlierEnded(this.at.round)) || this.#stopped) return;
        await this.services.release(this.parsed, this);
        this.notify({ type: 'released' });
      });
  }

  #background(work: () => Promise<void>): void {
    // One turn later, so that a chain of effects cannot recurse, and errors end the round loudly.
    this.services.clock
      .turn()
      .then(work)
      .catch((error: unknown) => {
        if (isTransient(error)) this.#stale = true;
        else this.#fail(error);
      });
  }

  #ask(effect: Extract<RoundEffect, { type: 'ask' }>): Promise<void> {
    const holder = this.#holders.get(effect.holderId)!;
    const { acceptances, opening } = this.#parts;
    switch (effect.stage) {
      case 'acceptance':
        return askAcceptance(this, acceptances, holder);
      case 'certificate':
        return askCertificate(this, acceptances, holder);
      case 'abort':
        return askAbort(this, holder);
      case 'partial':
        return opening.askPartial(holder, effect.activeSet!);
    }
  }

  entries(devices: readonly string[]): DeviceEntry[] {
    const entries = this.shownEntries(devices);
    if (!this.#certificate) this.#entries.keepLeaves(entries);
    return entries;
  }

  /** What holders are shown. A coordinator that shows something else (attack suites) overrides this. */
  protected shownEntries(devices: readonly string[]): DeviceEntry[] {
    return this.#entries.stored(devices);
  }

  certificate(): CohortCertificate {
    if (this.#certificate) return this.#certificate;
    const { cohort } = this.#state;
    ensure(cohort, 'INTERNAL', 'the cohort is not fixed yet');
    const cohortRoot = this.#entries.cohortRoot(cohort, (devices) => this.entries(devices));
    this.#certificate = { ...this.binding, cohortRoot, cohortCount: cohort.length };
    this.#entries.forgetLeaves();
    return this.#certificate;
  }

  /** What whoever stored uploads of one piece knows of them (round-entries.ts). */
  noteUploads(uploads: NotedUploads, isTaken: (index: number) => boolean): void {
    this.#entries.note(uploads, isTaken);
  }
}
