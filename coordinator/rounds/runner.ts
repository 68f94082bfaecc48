/**
 * Runs one plan from its committee keys to its last release, round after round, or with rounds that overlap; survives
 * restarts anywhere.
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
import { overlapOf } from '../../protos/plan-overlap.ts';
import { digitCountOf, schemeOf } from '../../protos/plan-scheme.ts';
import { decodeReals } from '../../protos/reals.ts';
import { encodeRoundConfig, parseRoundConfig, type RoundKind } from '../../protos/round-config.ts';
import { weightsDigest } from '../../protos/statements.ts';
import { initialBlob } from '../../protos/strategies/index.ts';
import { initialOptimizer } from '../aggregation/release.ts';
import { weightsToBytes } from '../aggregation/weights.ts';
import type { Database } from '../storage/store.ts';
import { ActiveRound, type RoundNeighbours } from './active-round.ts';
import { makeCommitteeKeys } from './committee-keys.ts';
import { finishErasures } from './erasures.ts';
import type { HolderPort } from './holder-port.ts';
import { KeyEraser } from './key-eraser.ts';
import { dropCiphertexts, sweepLeftovers } from './leftovers.ts';
import { openRound, type RoundTerms } from './machine.ts';
import { FINAL_PHASES } from './machine-types.ts';
import { type NextRound, nextRound } from './overlap.ts';
import { Patience } from './patience.ts';
import * as repository from './repository.ts';
import type { RoundServices } from './services.ts';

export type PlanOutcome = { readonly status: 'finished' | 'failed'; readonly message: string };

export class PlanRunner {
  readonly parsed: ParsedPlan;
  readonly #services: RoundServices;
  readonly #approvals: readonly PlanApproval[];
  /** Rounds that have not ended, by ascending number. */
  readonly #rounds = new Map<number, ActiveRound>();
  /** Whose leftovers are not cleared away yet. */
  readonly #ended: number[] = [];
  readonly #overlap: number;
  readonly #patience: Patience;
  #released = 0;
  #lastRound = 0;
  /** What ended a round without a final phase: the plan ends with it. */
  #broken: { readonly error: unknown } | null = null;
  #steps = 0;
  readonly #stepWaiters: (() => void)[] = [];
  #outcome: PlanOutcome | null = null;
  #stopped = false;
  #version = 0;
  #waiters = new Set<() => void>();
  readonly #eraser: KeyEraser;

  constructor(services: RoundServices, parsed: ParsedPlan, approvals: readonly PlanApproval[]) {
    this.#services = services;
    this.parsed = parsed;
    this.#approvals = approvals;
    this.#overlap = overlapOf(parsed.plan);
    this.#patience = new Patience(services);
    this.#eraser = new KeyEraser(services, parsed, () => this.#holders);
  }

  /** Looked up when needed: a plan that names a holder this coordinator no longer knows fails alone, when it runs. */
  get #holders(): readonly HolderPort[] {
    return this.#services.holdersOf(this.parsed);
  }

  /** Rounds that have not ended, by ascending number. */
  get open(): readonly ActiveRound[] {
    return [...this.#rounds.values()];
  }

  /** The round that devices join: the newest that collects; else the newest that has not ended. */
  get active(): ActiveRound | null {
    const { open } = this;
    return open.findLast(({ state }) => state.phase === 'collecting') ?? open.at(-1) ?? null;
  }

  /** An open round by its number. */
  round(round: number): ActiveRound | null {
    return this.#rounds.get(round) ?? null;
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

  /** For a plan that had ended before this process started. Throws UNAVAILABLE, before anything else, if the store is away. */
  restoreOutcome(outcome: PlanOutcome): void {
    this.#dropBrokenOff(outcome);
    this.#outcome = outcome;
    this.#eraser.sweep(true);
  }

  stop(): void {
    this.#stopped = true;
    this.#patience.stop();
    this.#eraser.stop();
    this.#stopRounds();
    this.#wake();
  }

  #stopRounds(): void {
    for (const active of this.open) active.stop();
    this.#stir();
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
    // What failed between rounds takes the open ones along, too; without an error there are none.
    this.#stopRounds();
    try {
      await this.#keepStatus(outcome.status, outcome.message);
    } catch (error) {
      if (this.#stopped) return outcome;
      throw error;
    }
    this.#rounds.clear();
    this.#outcome = outcome;
    this.#wake();
    // Keys of spare rounds that were never needed go, too, and those of rounds that broke off.
    this.#eraser.sweep(true);
    await this.#patience
      .store(() => this.#dropBrokenOff(outcome))
      .catch((error: unknown) => {
        if (this.#stopped) return;
        this.#services.logger.error({ err: error }, 'ciphertexts of a failed plan are left until a restart');
      });
    return outcome;
  }

  /** Rounds of a failed plan never reach a final phase. Those of a finished one were cleared away one by one. */
  #dropBrokenOff({ status }: PlanOutcome): void {
    if (status === 'failed') sweepLeftovers(this.#services, this.parsed, true);
  }

  async #keepStatus(status: 'running' | PlanOutcome['status'], message: string): Promise<void> {
    await this.#patience.store(() =>
      this.#services.store.transaction('plan-status', (db) =>
        repository.setPlanStatus(db, this.parsed.hashHex, status, message),
      ),
    );
  }

  async #run(): Promise<PlanOutcome> {
    const { secagg, budget } = this.#services;
    const patience = this.#patience;
    await this.#keepStatus('running', 'making committee keys');
    await patience.store(() => budget.approvePlan(this.parsed, this.#approvals));
    await secagg.ready(schemeOf(this.parsed, 'training').scheme);
    await makeCommitteeKeys(this.#services, {
      parsed: this.parsed,
      approvals: this.#approvals,
      holders: this.#holders,
      patience,
      isStopped: () => this.#stopped,
    });
    await patience.store(() => this.#ensureModel());
    await patience.store(() => sweepLeftovers(this.#services, this.parsed, false));
    await patience.store(() => this.#takeUp());
    return this.#runRounds();
  }

  /** What earlier processes left open goes on, all of it. */
  #takeUp(): void {
    const plan = this.parsed.hashHex;
    const rows = this.#services.store.read('rounds', (db) => repository.roundPhases(db, plan));
    const open = rows.filter(({ phase }) => !FINAL_PHASES.includes(phase));
    // All or none: a store that is away in between has this done again.
    const resumed = open.map(({ round }) => this.#resume(round));
    this.#released = rows.filter(({ phase }) => phase === 'released').length;
    this.#lastRound = Math.max(0, ...rows.map(({ round }) => round));
    for (const active of resumed) this.#begin(active);
  }

  async #runRounds(): Promise<PlanOutcome> {
    while (!this.#stopped) {
      await this.#tidy();
      if (this.#broken) throw this.#broken.error;
      const seen = this.#steps;
      const next = this.#next();
      if (next.type === 'finished')
        return { status: 'finished', message: `${this.#released} rounds released` };
      if (next.type === 'wait') await this.#step(seen);
      else
        this.#begin(
          await this.#patience.store(() => {
            ensure(
              next.round <= committeeKeyCount(this.parsed.plan),
              'COHORT_TOO_SMALL',
              'too many rounds ended in an abort: no spare committee key is left',
            );
            return this.#open(next.round, next.kind);
          }),
        );
    }
    return { status: 'failed', message: 'stopped' };
  }

  #next(): NextRound {
    return nextRound({
      plan: this.parsed.plan,
      released: this.#released,
      lastRound: this.#lastRound,
      open: this.open.map(({ state }) => state),
      nowMs: this.#services.clock.nowMs(),
    });
  }

  #begin(active: ActiveRound): void {
    const { round } = active.at;
    this.#rounds.set(round, active);
    this.#lastRound = Math.max(this.#lastRound, round);
    this.#wake();
    active
      .run()
      .then(
        (state) => {
          this.#rounds.delete(round);
          this.#ended.push(round);
          if (state.phase === 'released') this.#released++;
        },
        (error: unknown) => {
          // In the same turn, so that no later round is released by a plan that has failed.
          this.#broken ??= { error };
          this.#stopRounds();
        },
      )
      .finally(() => this.#stir());
  }

  /** What rounds that have ended leave behind. */
  async #tidy(): Promise<void> {
    for (let round = this.#ended[0]; round !== undefined && !this.#stopped; round = this.#ended[0]) {
      const ended = round;
      await this.#patience.store(() => dropCiphertexts(this.#services, this.parsed, ended));
      await this.#patience.store(() => finishErasures(this.#services));
      this.#eraser.sweep(false);
      this.#ended.shift();
    }
  }

  /** Lets those look again who wait for another round. */
  #stir(): void {
    this.#steps++;
    for (const wake of this.#stepWaiters.splice(0)) wake();
  }

  /** Resolves when something has happened since `seen`. */
  async #step(seen: number): Promise<void> {
    if (seen === this.#steps) await new Promise<void>((resolve) => this.#stepWaiters.push(resolve));
  }

  readonly #among: RoundNeighbours = {
    earlierEnded: async (round) => {
      while (!this.#stopped && !this.#broken && this.open.some(({ at }) => at.round < round))
        await this.#step(this.#steps);
      return !this.#stopped && !this.#broken;
    },
    onStep: () => {
      if (this.#overlap > 0 && this.#next().type === 'open') this.#stir();
    },
  };

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
    const nowMs = clock.nowMs();
    const fresh = openRound(round, kind, termsOf(this.parsed), nowMs);
    const { config, state } = store.transaction('open-round', (db) => {
      const key = repository.getCommitteeKey(db, plan, round);
      ensure(key, 'INTERNAL', `no committee key for round ${round}`);
      const modelHash = repository.getPlan(db, plan)!.model_hash;
      const state =
        this.#overlap > 0 ? { ...fresh, startVersion: repository.roundSummaries(db, plan).length } : fresh;
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
      return { config: encoded, state };
    });
    this.#services.onRoundChange(this.parsed, state);
    return new ActiveRound(this.#services, this.parsed, config, this.#holders, state, this.#among);
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
    return new ActiveRound(this.#services, this.parsed, config, this.#holders, state, this.#among);
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
