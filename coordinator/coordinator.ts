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
import type { RoundState } from './rounds/machine.ts';
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

/** The store was away while a plan began or ended: its row says how it stands, and the queue takes it up again. */
const STORE_RETRY_MS = 1000;

export class Coordinator implements PlanDirectory {
  readonly #parts: CoordinatorParts;
  readonly #runners = new Map<string, PlanRunner>();
  #current: { runner: PlanRunner; approvals: readonly PlanApproval[] } | null = null;
  #stopped = false;
  #wakeQueue: () => void = () => {};

  constructor(parts: CoordinatorParts) {
    this.#parts = parts;
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
    this.#wakeQueue();
    return parsed.hash;
  }

  /** Runs queued plans until stopped. */
  async run(): Promise<void> {
    const { services } = this.#parts;
    for (const row of services.store.read('plans', (db) => repository.listPlans(db)))
      if (row.status === 'finished' || row.status === 'failed')
        try {
          this.#restoreEnded(row);
        } catch (error) {
          // One that a later version no longer parses must not stop the plans behind it.
          services.logger.error({ plan: row.hash, err: error }, 'an ended plan could not be taken up again');
        }
    while (!this.#stopped) {
      const rows = services.store.read('plans', (db) => repository.listPlans(db));
      const next =
        rows.find((row) => row.status === 'running') ?? rows.find((row) => row.status === 'queued');
      if (!next) {
        await new Promise<void>((resolve) => {
          this.#wakeQueue = resolve;
        });
        continue;
      }
      try {
        await this.#runPlan(next);
      } catch (error) {
        // Only the store's own absence gets here; a queue that stopped for it would never run a plan again.
        if (this.#stopped || !isPulsefoldError(error) || error.code !== 'UNAVAILABLE') throw error;
        services.logger.warn({ message: error.message }, 'the store is away; taking the plan up again');
        await new Promise<void>((resolve) => services.clock.after(STORE_RETRY_MS, resolve));
      }
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
    const parsed = parsePlanBytes(row.bytes);
    const approvals = decodeApprovals(row.approvals);
    const runner = new PlanRunner(this.#parts.services, parsed, approvals);
    this.#runners.set(row.hash, runner);
    this.#current = { runner, approvals };
    const outcome = await runner.run();
    if (this.#stopped) return;
    this.#announceEnd(parsed, outcome);
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
    for (const runner of this.#runners.values()) runner.stop();
    this.#wakeQueue();
  }

  abortRound(planHash: Uint8Array, round: number, reason: string): { aborted: boolean; message: string } {
    const active = this.find(planHash)?.active;
    if (!active || active.state.round !== round)
      throw new PulsefoldError('WRONG_ROUND', `round ${round} of this plan is not running`);
    active.notify({ type: 'abort_requested', reason });
    const aborting = active.state.phase === 'aborting' || active.state.phase === 'aborted';
    return { aborted: aborting, message: active.state.message };
  }

  status(): object {
    const { services } = this.#parts;
    if (!this.#current) return { phase: 'idle', message: 'no plan yet' };
    const { runner } = this.#current;
    const { parsed } = runner;
    const active = runner.active?.state;
    const stateOf = (db: Database, row: repository.RoundRow) =>
      active?.round === row.round ? active : repository.loadRoundState(db, parsed.hashHex, row);
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
    const phase = runner.outcome?.status ?? (active?.stuck ? 'stuck' : active ? 'running' : 'ceremony');
    return {
      planHash: parsed.hash,
      planName: parsed.plan.name,
      phase,
      message: runner.outcome?.message ?? active?.message ?? `${keys} of ${wanted} committee keys ready`,
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
