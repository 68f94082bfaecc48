/**
 * Carries out one round: feeds the pure machine, persists what it decides, has holders asked and the sum opened.
 *
 * Order matters for crashes: a freeze is durable before anyone is asked; a signature or partial decryption is stored
 * before the machine hears of it; settling is idempotent and done before the phase moves on. After SIGKILL the same
 * state is loaded, `resume`d and asks again. Its parts: acceptance.ts (verdicts on uploads), round-fold.ts (the running
 * sum), holder-talk.ts (signatures), opening.ts.
 * Trusts: its store. May be called by: coordinator/rounds/runner.ts.
 */
import { fromHex } from '../../crypto/bytes.ts';
import { ensure, isPulsefoldError, PulsefoldError } from '../../crypto/error.ts';
import { CompactRange } from '../../crypto/log/merkle.ts';
import type { SumScheme } from '../../crypto/secagg/scheme.ts';
import { ENTRIES_PER_MESSAGE_MAX } from '../../protos/fields.ts';
import type { ParsedPlan } from '../../protos/plan.ts';
import { schemeOf } from '../../protos/plan-scheme.ts';
import type { EncodedRoundConfig } from '../../protos/round-config.ts';
import type { CohortCertificate, RoundBinding } from '../../protos/statements.ts';
import { type BodyPlaces, LocalShard } from '../aggregation/fold-shard.ts';
import type { SpoolPlace, SpoolRound } from '../storage/spool.ts';
import { Acceptances } from './acceptance.ts';
import { LeafMaker } from './cohort-leaves.ts';
import { GroupFold } from './group-fold.ts';
import type { Entry, HolderPort } from './holder-port.ts';
import { askAbort, askAcceptance, askCertificate } from './holder-talk.ts';
import { advance, isFinal, type RoundEffect, type RoundEvent, type RoundState, resume } from './machine.ts';
import { type Folds, Opening, withReusedAnswers } from './opening.ts';
import * as repository from './repository.ts';
import { RoundFold } from './round-fold.ts';
import type { RoundNews, RoundView } from './round-view.ts';
import type { RoundServices } from './services.ts';
import { bodyPlacesOf, holderPartsOf } from './upload-bytes.ts';

const TICK_MS = 100;
/** Uploads are reported no more often than this. */
const REPORT_MS = 300;
const NONE = new Uint8Array(0);
/** Places of bodies in memory; others are looked up. */
const PLACES_MAX = 100_000;

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
  #leaves: LeafMaker | null = null;
  readonly #leafHashes = new Map<string, Uint8Array>();
  /** Digests of uploads without statements. */
  readonly #plain = new Map<string, string>();
  /** Of bodies that are not folded yet. */
  readonly #places = new Map<string, SpoolPlace>();

  constructor(
    services: RoundServices,
    parsed: ParsedPlan,
    config: EncodedRoundConfig,
    holders: readonly HolderPort[],
    state: RoundState,
  ) {
    this.services = services;
    this.parsed = parsed;
    this.config = config;
    this.at = { planHex: parsed.hashHex, round: config.config.round };
    this.#holders = new Map(holders.map((holder) => [holder.holderId, holder]));
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
      placesOf: (devices: readonly string[]) => this.#placesOf(devices),
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
      const uploaded = repository.acknowledgedDevices(db, this.parsed.hashHex, this.#state.round);
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

  entries(devices: readonly string[]): (Entry & { deviceId: string })[] {
    const entries = this.shownEntries(devices);
    if (!this.#certificate) this.#keepLeaves(entries);
    return entries;
  }

  /** What holders are shown. A coordinator that shows something else (attack suites) overrides this. */
  protected shownEntries(devices: readonly string[]): (Entry & { deviceId: string })[] {
    const { services, at, scheme, binding } = this;
    const { holderPart } = services.secagg.sizes(scheme);
    const plain = holderPart === 0 ? this.#plainEntries(devices) : null;
    if (plain) return plain;
    return services.store.read('entries', (db) => {
      const entries = repository.entriesOf(db, at.planHex, binding, devices);
      if (scheme.transport !== 'shares' || holderPart === 0)
        return entries.map((entry) => ({ ...entry, bodyDigest: NONE, holderPart: NONE }));
      const digests = repository.bodyDigestsOf(db, at.planHex, at.round, devices);
      const parts = holderPartsOf(services.spool, db, at, devices);
      return entries.map((entry) => ({
        ...entry,
        bodyDigest: digests.get(entry.deviceId)!,
        holderPart: parts.get(entry.deviceId)!,
      }));
    });
  }

  /** Entries never change, and holders are asked about every one: its leaf is made on the way. */
  #keepLeaves(entries: readonly (Entry & { readonly deviceId: string })[]): void {
    this.#leaves ??= new LeafMaker(this.binding);
    for (const entry of entries)
      if (!this.#leafHashes.has(entry.deviceId))
        this.#leafHashes.set(entry.deviceId, this.#leaves.hash(entry));
  }

  /** Root of the cohort tree, whose leaves stand in the order of device ids. */
  #cohortRoot(cohort: readonly string[]): Uint8Array {
    const missing = cohort.filter((device) => !this.#leafHashes.has(device));
    for (let from = 0; from < missing.length; from += ENTRIES_PER_MESSAGE_MAX)
      this.entries(missing.slice(from, from + ENTRIES_PER_MESSAGE_MAX));
    const range = new CompactRange();
    for (const device of cohort) {
      const hash = this.#leafHashes.get(device);
      ensure(hash, 'INTERNAL', 'a device of the cohort has no upload');
      range.append(hash);
    }
    return range.root();
  }

  certificate(): CohortCertificate {
    if (this.#certificate) return this.#certificate;
    const { cohort } = this.#state;
    ensure(cohort, 'INTERNAL', 'the cohort is not fixed yet');
    const cohortRoot = this.#cohortRoot(cohort);
    this.#certificate = { ...this.binding, cohortRoot, cohortCount: cohort.length };
    this.#leafHashes.clear();
    return this.#certificate;
  }

  /**
   * What is known of an upload of one piece to whoever stored it, so that nobody need look it up: where its body stands,
   * and the digest of its entry where no statement goes with it.
   */
  noteUpload(
    deviceId: string,
    { digest, place }: { readonly digest: string; readonly place: SpoolPlace },
  ): void {
    if (this.#places.size >= PLACES_MAX) return;
    this.#places.set(deviceId, place);
    this.#plain.set(deviceId, digest);
  }

  /** Entries of uploads without statements, from memory; null unless all of them are. */
  #plainEntries(devices: readonly string[]): (Entry & { deviceId: string })[] | null {
    const { binding } = this;
    const entries: (Entry & { deviceId: string })[] = [];
    for (const deviceId of [...devices].sort()) {
      const digest = this.#plain.get(deviceId);
      if (digest === undefined) return null;
      entries.push({
        deviceId,
        ...binding,
        certificate: NONE,
        digest: fromHex(digest),
        signature: NONE,
        bodyDigest: NONE,
        holderPart: NONE,
      });
    }
    return entries;
  }

  #placesOf(devices: readonly string[]): readonly BodyPlaces[] {
    const unknown = devices.filter((device) => !this.#places.has(device));
    const { store } = this.services;
    const read =
      unknown.length > 0 ? store.read('body-places', (db) => bodyPlacesOf(db, this.at, unknown)) : [];
    const found = new Map(read.map(({ device, places }) => [device, places]));
    return devices.map((device) => {
      const place = this.#places.get(device);
      this.#places.delete(device);
      return place ? [place] : found.get(device)!;
    });
  }
}

/** The store was busy, full or briefly away: nothing is wrong with the round. */
const isTransient = (error: unknown): error is PulsefoldError =>
  isPulsefoldError(error) && error.code === 'UNAVAILABLE';
