/**
 * Runs one plan from its committee keys to its last release, round after round; survives restarts anywhere.
 *
 * Trusts: its store. May be called by: coordinator/coordinator.ts, experiments/simulation.
 */
import { toHex } from '../../crypto/bytes.ts';
import { ensure, PulsefoldError } from '../../crypto/error.ts';
import { firstClip } from '../../protos/adaptive-clip.ts';
import {
  committeeKeyCount,
  openersOf,
  type ParsedPlan,
  type PlanApproval,
  quorumOf,
} from '../../protos/plan.ts';
import { digitCountOf, schemeOf } from '../../protos/plan-scheme.ts';
import { decodeReals } from '../../protos/reals.ts';
import { encodeRoundConfig, parseRoundConfig, type RoundKind } from '../../protos/round-config.ts';
import { weightsDigest } from '../../protos/statements.ts';
import { initialBlob } from '../../protos/strategies/index.ts';
import { initialOptimizer } from '../aggregation/release.ts';
import { weightsToBytes } from '../aggregation/weights.ts';
import type { Database } from '../storage/store.ts';
import { ActiveRound } from './active-round.ts';
import { runCeremony } from './ceremonies.ts';
import { finishErasures } from './erasures.ts';
import type { HolderPort } from './holder-port.ts';
import { KeyEraser } from './key-eraser.ts';
import { openRound, type RoundTerms } from './machine.ts';
import { FINAL_PHASES } from './machine-types.ts';
import * as repository from './repository.ts';
import type { RoundServices } from './services.ts';

/** Ceremonies under way at a time: enough to hide latency, few enough not to starve a running round. */
const CEREMONIES_AT_A_TIME = 2;
const HOLDER_RETRY_MS = 500;

export type PlanOutcome = { readonly status: 'finished' | 'failed'; readonly message: string };

export class PlanRunner {
  readonly parsed: ParsedPlan;
  readonly #services: RoundServices;
  readonly #approvals: readonly PlanApproval[];
  #active: ActiveRound | null = null;
  #outcome: PlanOutcome | null = null;
  #stopped = false;
  #version = 0;
  #waiters = new Set<() => void>();
  readonly #eraser: KeyEraser;

  constructor(services: RoundServices, parsed: ParsedPlan, approvals: readonly PlanApproval[]) {
    this.#services = services;
    this.parsed = parsed;
    this.#approvals = approvals;
    this.#eraser = new KeyEraser(services, parsed, () => this.#holders);
  }

  /** Looked up when needed: a plan that names a holder this coordinator no longer knows fails alone, when it runs. */
  get #holders(): readonly HolderPort[] {
    return this.#services.holdersOf(this.parsed);
  }

  get active(): ActiveRound | null {
    return this.#active;
  }

  get outcome(): PlanOutcome | null {
    return this.#outcome;
  }

  /** Grows with every change that a waiting device may care about. */
  get version(): number {
    return this.#version;
  }

  /** Resolves when something has changed since `seen`, or after `waitMs`. */
  changed(waitMs: number, seen: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted || waitMs <= 0 || seen !== this.#version) return Promise.resolve();
    return new Promise((resolve) => {
      const done = () => {
        this.#waiters.delete(done);
        timer.stop();
        signal?.removeEventListener('abort', done);
        resolve();
      };
      const timer = this.#services.clock.after(waitMs, done);
      signal?.addEventListener('abort', done, { once: true });
      this.#waiters.add(done);
    });
  }

  /** For a plan that had ended before this process started. */
  restoreOutcome(outcome: PlanOutcome): void {
    this.#outcome = outcome;
    this.#eraser.sweep(true);
  }

  stop(): void {
    this.#stopped = true;
    this.#eraser.stop();
    this.#active?.stop();
    this.#wake();
  }

  #wake(): void {
    this.#version++;
    for (const waiter of [...this.#waiters]) waiter();
  }

  async run(): Promise<PlanOutcome> {
    const outcome = await this.#run().catch((error: unknown): PlanOutcome => {
      if (this.#stopped) return { status: 'failed', message: 'stopped' };
      const known = error instanceof PulsefoldError;
      this.#services.logger.error({ err: error }, 'the plan failed');
      return {
        status: 'failed',
        message: known ? `${error.code}: ${error.message}` : 'internal error, see the log',
      };
    });
    if (this.#stopped) return outcome;
    this.#services.store.transaction('plan-status', (db) =>
      repository.setPlanStatus(db, this.parsed.hashHex, outcome.status, outcome.message),
    );
    this.#outcome = outcome;
    this.#wake();
    // Keys of spare rounds that were never needed go, too.
    this.#eraser.sweep(true);
    return outcome;
  }

  async #run(): Promise<PlanOutcome> {
    const { store } = this.#services;
    const plan = this.parsed.hashHex;
    store.transaction('plan-status', (db) =>
      repository.setPlanStatus(db, plan, 'running', 'making committee keys'),
    );
    this.#services.budget.approvePlan(this.parsed, this.#approvals);
    await this.#services.secagg.ready(schemeOf(this.parsed, 'training').scheme);
    await this.#makeKeys();
    this.#ensureModel();
    this.#sweepSpool();
    const { rounds } = this.parsed.plan;
    while (!this.#stopped) {
      const rows = store.read('rounds', (db) => repository.roundPhases(db, plan));
      const open = rows.find((row) => !FINAL_PHASES.includes(row.phase));
      const released = rows.filter((row) => row.phase === 'released').length;
      if (!open && released >= rounds.training + rounds.evaluation)
        return { status: 'finished', message: `${released} rounds released` };
      const active = open
        ? this.#resume(open.round)
        : this.#open(rows.length + 1, released < rounds.training ? 'training' : 'evaluation');
      this.#active = active;
      this.#wake();
      const end = await active.run();
      this.#active = null;
      this.#dropCiphertexts(end.round);
      await finishErasures(this.#services);
      this.#eraser.sweep(false);
    }
    return { status: 'failed', message: 'stopped' };
  }

  async #makeKeys(): Promise<void> {
    const { store } = this.#services;
    const wanted = committeeKeyCount(this.parsed.plan);
    const have = new Set(store.read('keys', (db) => repository.committeeKeyRounds(db, this.parsed.hashHex)));
    const missing = Array.from({ length: wanted }, (_, i) => i + 1).filter((round) => !have.has(round));
    this.#services.onCeremony(this.parsed, have.size, wanted);
    if (missing.length === 0) return;
    for (const holder of this.#holders) await this.#registerPlan(holder);
    let ready = have.size;
    const worker = async (): Promise<void> => {
      for (let round = missing.shift(); round !== undefined; round = missing.shift()) {
        if (this.#stopped) return;
        const key = await runCeremony(this.parsed, round, this.#holders, (work) => this.#patiently(work));
        this.#services.budget.recordKey(this.parsed, key);
        this.#services.onCeremony(this.parsed, ++ready, wanted);
      }
    };
    await Promise.all(Array.from({ length: CEREMONIES_AT_A_TIME }, worker));
  }

  async #registerPlan(holder: HolderPort): Promise<void> {
    await this.#patiently(() => holder.registerPlan(this.parsed.bytes, this.#approvals), holder);
  }

  /**
   * A ceremony needs every holder, so this waits for one that is away. Repeating is safe: a holder answers a repeated
   * registration or ceremony step with what it stored.
   */
  async #patiently<T>(work: () => Promise<T>, holder?: HolderPort): Promise<T> {
    const endsAtMs = this.#services.clock.nowMs() + this.parsed.plan.rounds.holderDeadlineMs;
    for (;;) {
      try {
        return await work();
      } catch (error) {
        const retry =
          error instanceof PulsefoldError && ['UNAVAILABLE', 'DEADLINE_EXCEEDED'].includes(error.code);
        if (!retry || this.#stopped) throw error;
        if (this.#services.clock.nowMs() >= endsAtMs)
          throw new PulsefoldError(
            'UNAVAILABLE',
            `key holder ${holder?.holderId ?? ''} does not answer; committee keys need all ${this.#holders.length}`,
            { cause: error },
          );
        await new Promise<void>((resolve) => this.#services.clock.after(HOLDER_RETRY_MS, resolve));
      }
    }
  }

  #ensureModel(): void {
    const { store, suite } = this.#services;
    const plan = this.parsed.hashHex;
    store.transaction('initial-model', (db) => {
      if (repository.getPlan(db, plan)?.model_hash) return;
      const weights = weightsToBytes(initialBlob(this.parsed.plan));
      const hash = toHex(weightsDigest(suite, weights));
      repository.putBlob(db, hash, weights);
      repository.setPlanModel(db, plan, hash, initialOptimizer(this.parsed.plan));
    });
  }

  #open(round: number, kind: RoundKind): ActiveRound {
    const { store, suite, clock } = this.#services;
    const plan = this.parsed.hashHex;
    ensure(
      round <= committeeKeyCount(this.parsed.plan),
      'COHORT_TOO_SMALL',
      'too many rounds ended in an abort: no spare committee key is left',
    );
    const nowMs = clock.nowMs();
    const state = openRound(round, kind, termsOf(this.parsed), nowMs);
    const config = store.transaction('open-round', (db) => {
      const key = repository.getCommitteeKey(db, plan, round);
      ensure(key, 'INTERNAL', `no committee key for round ${round}`);
      const modelHash = repository.getPlan(db, plan)!.model_hash;
      const encoded = encodeRoundConfig(
        {
          version: 1,
          planHash: plan,
          round,
          kind,
          modelHash,
          committeeKeyId: key.keyId,
          digitCount: digitCountOf(this.parsed, kind),
          openedAtMs: nowMs,
          ...this.#clipOf(db, kind),
        },
        suite,
      );
      repository.insertRound(db, plan, {
        round,
        phase: state.phase,
        state: JSON.stringify(state),
        config: encoded.bytes,
        config_hash: encoded.hashHex,
        model_hash: modelHash,
        committee_key_id: key.keyId,
      });
      this.#services.budget.logRoundOpened(db, this.parsed, encoded);
      return encoded;
    });
    this.#services.onRoundChange(this.parsed, state);
    return new ActiveRound(this.#services, this.parsed, config, this.#holders, state);
  }

  /** What the last release said, from the plan's own on; nothing where the clip is fixed (protos/adaptive-clip.ts). */
  #clipOf(db: Database, kind: RoundKind): { clip?: string } {
    const first = firstClip(this.parsed.plan, kind);
    if (first === undefined) return {};
    const clips = repository.roundSummaries(db, this.parsed.hashHex).map(releasedClip);
    return { clip: clips.findLast((clip) => clip !== undefined) ?? first };
  }

  #resume(round: number): ActiveRound {
    const { store, suite } = this.#services;
    const row = store.read('round', (db) => repository.getRound(db, this.parsed.hashHex, round))!;
    const config = parseRoundConfig(row.config, suite);
    const state = store.read('load-round', (db) => repository.loadRoundState(db, this.parsed.hashHex, row));
    this.#services.logger.info({ round: row.round, phase: row.phase }, 'resuming round');
    return new ActiveRound(this.#services, this.parsed, config, this.#holders, state);
  }

  /** A crash after the end of a round leaves its ciphertexts. */
  #sweepSpool(): void {
    const { store, spool } = this.#services;
    const planHex = this.parsed.hashHex;
    const ended = store
      .read('rounds', (db) => repository.roundPhases(db, planHex))
      .filter((row) => FINAL_PHASES.includes(row.phase));
    for (const { round } of ended) {
      const left = store.read('left', (db) => repository.hasCiphertexts(db, planHex, round));
      if (left) this.#dropCiphertexts(round);
      else spool.drop({ planHex, round });
    }
  }

  /** The round is over: its ciphertexts have no use left, its signed entries stay. */
  #dropCiphertexts(round: number): void {
    const { store, spool } = this.#services;
    const planHex = this.parsed.hashHex;
    store.transaction('drop-ciphertexts', (db) => repository.dropCiphertexts(db, planHex, round));
    spool.drop({ planHex, round });
  }
}

/** The next clip in the summary of a release, if it has one (release-round.ts wrote it). */
const releasedClip = (summary: string): string | undefined =>
  (decodeReals(JSON.parse(summary)) as { clip?: { next: string } }).clip?.next;

function termsOf(parsed: ParsedPlan): RoundTerms {
  const { plan } = parsed;
  const { cohortMin, cohortTarget, cohortMax, checkInWindowMs, deadlineMs, stragglerMs, holderDeadlineMs } =
    plan.rounds;
  return {
    cohortMin,
    cohortTarget,
    cohortMax,
    checkInWindowMs,
    deadlineMs,
    stragglerMs,
    holderDeadlineMs,
    holderIds: plan.holders.map((holder) => holder.id),
    quorum: quorumOf(plan),
    threshold: openersOf(plan),
  };
}
