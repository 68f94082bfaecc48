/**
 * The coordinator: plan queue, runners, services, export. Everything around the rounds, nothing of them.
 *
 * Trusts: its own store and signing key. May be called by: coordinator/server.ts, experiments/simulation.
 */
import { equalBytes, fromHex, toHex } from '../crypto/bytes.ts';
import { ensure, isPulsefoldError, PulsefoldError } from '../crypto/error.ts';
import type { ApprovalPolicy } from '../protos/approval-policy.ts';
import { decodeApprovals, encodeApprovals } from '../protos/approvals.ts';
import {
  committeeKeyCount,
  type ParsedPlan,
  type PlanApproval,
  parsePlanBytes,
  requireApproved,
} from '../protos/plan.ts';
import { accountPlan } from '../protos/plan-mechanism.ts';
import type { PlanDirectory } from './grpc/rounds-service.ts';
import { sweepLeftovers } from './rounds/leftovers.ts';
import type { RoundState } from './rounds/machine.ts';
import { isTransient, Patience } from './rounds/patience.ts';
import { budgetAlarms } from './rounds/reconcile.ts';
import * as repository from './rounds/repository.ts';
import { type PlanOutcome, PlanRunner } from './rounds/runner.ts';
import type { RoundServices } from './rounds/services.ts';
import type { Database } from './storage/store.ts';

/** What messages and receipts are sized for; a plan may state more, for simulations. */
const SERVED_COHORT_MAX = 10_000;
const ALARMS_SHOWN = 100;

export interface CoordinatorParts {
  readonly services: RoundServices;
  readonly policy: ApprovalPolicy;
  readonly registrarSha256: string;
  /** Called when a plan has ended, for export. */
  readonly onPlanEnd: (parsed: ParsedPlan, outcome: PlanOutcome) => void;
}

export class Coordinator implements PlanDirectory {
  readonly #parts: CoordinatorParts;
  readonly #runners = new Map<string, PlanRunner>();
  #current: { runner: PlanRunner; approvals: readonly PlanApproval[] } | null = null;
  readonly #patience: Patience;
  #stopped = false;
  /** Plans taken in, so that none that comes during a look at the queue is slept through. */
  #submissions = 0;
  #wakeQueue: () => void = () => {};

  constructor(parts: CoordinatorParts) {
    this.#parts = parts;
    this.#patience = new Patience(parts.services);
  }

  current() {
    return this.#current;
  }

  find(planHash: Uint8Array): PlanRunner | null {
    return this.#runners.get(toHex(planHash)) ?? null;
  }

  /** Validates and queues a plan; idempotent. Throws PLAN_INVALID, PLAN_NOT_APPROVED, BUDGET_EXCEEDED. */
  submitPlan(bytes: Uint8Array, approvals: readonly PlanApproval[]): Uint8Array {
    const { services, policy, registrarSha256 } = this.#parts;
    const parsed = parsePlanBytes(bytes);
    requireApproved(parsed, approvals, policy);
    ensure(
      parsed.plan.suite === services.suite.name,
      'PLAN_INVALID',
      `this deployment runs the ${services.suite.name} suite`,
    );
    ensure(
      parsed.plan.registrarSha256 === registrarSha256,
      'PLAN_INVALID',
      'the plan names another registrar',
    );
    ensure(
      equalBytes(fromHex(parsed.plan.coordinatorPublicKey), services.signingKey.publicKey),
      'PLAN_INVALID',
      'the plan names another coordinator key',
    );
    ensure(
      parsed.plan.rounds.cohortMax <= SERVED_COHORT_MAX,
      'PLAN_INVALID',
      `plan.rounds.cohortMax: a coordinator serves cohorts of at most ${SERVED_COHORT_MAX} devices, because a receipt ` +
        'that proves an exclusion names them all; larger ones can be simulated (pulsefold simulate)',
    );
    accountPlan(parsed);
    services.holdersOf(parsed);
    services.store.transaction('submit-plan', (db) =>
      repository.insertPlan(db, { hash: parsed.hashHex, bytes, approvals: encodeApprovals(approvals) }),
    );
    this.#submissions++;
    this.#wakeQueue();
    return parsed.hash;
  }

  /** Runs queued plans until stopped. While the store is away it waits: a queue that ended would never run a plan again. */
  async run(): Promise<void> {
    try {
      // At once where the store is there: devices of ended plans ask for receipts from the first moment.
      await this.#patience.store(() => this.#takeUpEnded());
      while (!this.#stopped) {
        const seen = this.#submissions;
        const rows = await this.#plans();
        const next =
          rows.find((row) => row.status === 'running') ?? rows.find((row) => row.status === 'queued');
        if (next) await this.#runPlan(next);
        else if (seen === this.#submissions && !this.#stopped)
          await new Promise<void>((resolve) => {
            this.#wakeQueue = resolve;
          });
      }
    } catch (error) {
      // A store that was away when this was stopped has nothing more to say.
      if (!this.#stopped || !isTransient(error)) throw error;
    }
  }

  #plans(): Promise<repository.PlanRow[]> {
    const { store } = this.#parts.services;
    return this.#patience.store(() => store.read('plans', (db) => repository.listPlans(db)));
  }

  #takeUpEnded(): void {
    const { store, logger } = this.#parts.services;
    for (const row of store.read('plans', (db) => repository.listPlans(db)))
      try {
        const isEnded = row.status === 'finished' || row.status === 'failed';
        if (isEnded && !this.#runners.has(row.hash)) this.#restoreEnded(row);
      } catch (error) {
        if (isTransient(error)) throw error;
        // One that a later version no longer parses must not stop the plans behind it.
        logger.error({ plan: row.hash, err: error }, 'an ended plan could not be taken up again');
      }
  }

  /** A plan that ended before a restart still answers check-ins (finished) and receipts. */
  #restoreEnded(row: repository.PlanRow): void {
    const approvals = decodeApprovals(row.approvals);
    const runner = new PlanRunner(this.#parts.services, parsePlanBytes(row.bytes), approvals);
    const outcome: PlanOutcome = {
      status: row.status === 'finished' ? 'finished' : 'failed',
      message: row.message,
    };
    runner.restoreOutcome(outcome);
    // The process may have died between the end and its export; exporting is idempotent.
    this.#announceEnd(runner.parsed, outcome);
    this.#runners.set(row.hash, runner);
    this.#current = { runner, approvals };
  }

  async #runPlan(row: repository.PlanRow): Promise<void> {
    const parsed = await this.#readable(row);
    if (!parsed) return;
    const approvals = decodeApprovals(row.approvals);
    const runner = new PlanRunner(this.#parts.services, parsed, approvals);
    this.#runners.set(row.hash, runner);
    this.#current = { runner, approvals };
    const outcome = await runner.run();
    if (this.#stopped) return;
    this.#announceEnd(parsed, outcome);
  }

  /** A plan that was queued or begun under an earlier schema, and that this version refuses, must not stop those behind it. */
  async #readable({ hash, bytes }: repository.PlanRow): Promise<ParsedPlan | undefined> {
    try {
      return parsePlanBytes(bytes);
    } catch (error) {
      if (!isPulsefoldError(error)) throw error;
      const { services } = this.#parts;
      const { store, logger } = services;
      logger.error({ plan: hash, err: error }, 'this version does not run this plan');
      const message = `${error.code}: ${error.message}`;
      await this.#patience.store(() =>
        store.transaction('plan-status', (db) => repository.setPlanStatus(db, hash, 'failed', message)),
      );
      await this.#patience.store(() => sweepLeftovers(services, { hashHex: hash }, true));
      return undefined;
    }
  }

  #announceEnd(parsed: ParsedPlan, outcome: PlanOutcome): void {
    try {
      this.#parts.onPlanEnd(parsed, outcome);
    } catch (error) {
      // A full disk at export time must not stop the plans behind this one; the store still has everything.
      this.#parts.services.logger.error({ err: error }, 'the run could not be exported');
    }
  }

  stop(): void {
    this.#stopped = true;
    this.#patience.stop();
    for (const runner of this.#runners.values()) runner.stop();
    this.#wakeQueue();
  }

  abortRound(planHash: Uint8Array, round: number, reason: string): { aborted: boolean; message: string } {
    const active = this.find(planHash)?.round(round);
    if (!active) throw new PulsefoldError('WRONG_ROUND', `round ${round} of this plan is not running`);
    active.notify({ type: 'abort_requested', reason });
    const aborting = active.state.phase === 'aborting' || active.state.phase === 'aborted';
    return { aborted: aborting, message: active.state.message };
  }

  status(): object {
    const { services } = this.#parts;
    if (!this.#current) return { phase: 'idle', message: 'no plan yet' };
    const { runner } = this.#current;
    const { parsed } = runner;
    const open = runner.open.map(({ state }) => state);
    // Of several rounds, the one that needs somebody says so; else the oldest, which the others wait for.
    const shown = open.find(({ stuck }) => stuck) ?? open[0];
    const stateOf = (db: Database, row: repository.RoundRow) =>
      open.find(({ round }) => round === row.round) ?? repository.loadRoundState(db, parsed.hashHex, row);
    const { released, rounds, keys, spent, alarms } = services.store.read('status', (db) => ({
      alarms: budgetAlarms(db).filter(({ plan }) => plan === parsed.hashHex),
      released: repository.roundPhases(db, parsed.hashHex).filter((row) => row.phase === 'released').length,
      rounds: repository
        .listRounds(db, parsed.hashHex)
        .slice(-50)
        .map((row) => roundStatus(stateOf(db, row))),
      keys: repository.committeeKeyRounds(db, parsed.hashHex).length,
      spent: services.budget.epsilonSpent(db, parsed),
    }));
    const wanted = committeeKeyCount(parsed.plan);
    const phase = runner.outcome?.status ?? (shown?.stuck ? 'stuck' : shown ? 'running' : 'ceremony');
    return {
      planHash: parsed.hash,
      planName: parsed.plan.name,
      phase,
      message: runner.outcome?.message ?? shown?.message ?? `${keys} of ${wanted} committee keys ready`,
      roundsCompleted: released,
      roundsPlanned: parsed.plan.rounds.training + parsed.plan.rounds.evaluation,
      keysReady: keys,
      rounds,
      epsilonSpent: parsed.plan.privacy ? String(spent) : '',
      epsilonAllowed: parsed.plan.privacy?.epsilon ?? '',
      budgetAlarmCount: alarms.length,
      budgetAlarms: alarms
        .slice(-ALARMS_SHOWN)
        .reverse()
        .map(({ round, said, ledger, timeMs }) => ({ round, said, ledger, timeMs })),
    };
  }
}

const roundStatus = (state: RoundState) => ({
  round: state.round,
  phase: state.phase,
  kind: state.kind,
  invited: state.invited.length,
  uploaded: state.uploaded.length,
  certified: state.cohort?.length ?? 0,
  message: state.message.slice(0, 300),
});
