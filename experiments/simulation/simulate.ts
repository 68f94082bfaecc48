/**
 * A plan's whole run over virtual devices: the real coordinator (runner, rounds, ledger, log, release) and the real client
 * pipeline, over an in-memory transport and a virtual clock (DESIGN §2, last paragraph).
 *
 * What may be weaker than in production is chosen by the caller and stands in the result's label: seal, identity, store,
 * noise. Trusts: everything; all parties are in this process. May be called by: experiments, cli/commands.
 */
import { weightsFromBytes } from '../../coordinator/aggregation/weights.ts';
import { BudgetLedger } from '../../coordinator/ledger/budget-ledger.ts';
import { releaseRound } from '../../coordinator/release-round.ts';
import { RoundBudget } from '../../coordinator/rounds/budget.ts';
import { FINAL_PHASES, type RoundState } from '../../coordinator/rounds/machine-types.ts';
import * as repository from '../../coordinator/rounds/repository.ts';
import { type PlanOutcome, PlanRunner } from '../../coordinator/rounds/runner.ts';
import type { RoundServices } from '../../coordinator/rounds/services.ts';
import { AppendLog } from '../../coordinator/storage/append-log.ts';
import { toHex } from '../../crypto/bytes.ts';
import { ensure, PulsefoldError } from '../../crypto/error.ts';
import { openSecagg, type Secagg } from '../../crypto/secagg/scheme.ts';
import { encodeApprovals } from '../../protos/approvals.ts';
import type { HistogramMetrics } from '../../protos/histogram-metrics.ts';
import type { ParsedPlan, PlanApproval } from '../../protos/plan.ts';
import { lastEndedBefore } from '../../protos/plan-overlap.ts';
import { schemeOf } from '../../protos/plan-scheme.ts';
import { decodeReals } from '../../protos/reals.ts';
import { Agents } from './agents.ts';
import { Availability } from './availability.ts';
import { DeviceAccounts } from './device-accounts.ts';
import { DeviceBudgets } from './device-budgets.ts';
import { Fleet } from './fleet.ts';
import { FleetIdentities } from './fleet-identities.ts';
import { type OpenHolders, openHolders } from './holders.ts';
import { type Labour, labelOf, openLabour } from './labour.ts';
import { approvalsOf, type Parties } from './parties.ts';
import { PlainSums } from './plain-sums.ts';
import {
  checkPopulation,
  DeviceNames,
  deviceCount,
  sharedPopulation,
  type VirtualPopulation,
} from './population.ts';
import { logRepeats } from './seeds.ts';
import type {
  SimulatedRound,
  SimulationLabel,
  SimulationOptions,
  SimulationResult,
} from './simulation-types.ts';
import { openStorage } from './storage.ts';
import { VirtualClock } from './virtual-clock.ts';

export type * from './simulation-types.ts';

/** A plan that has run to its end. Throws what made it fail. */
export async function simulate(
  parsed: ParsedPlan,
  parties: Parties,
  population: VirtualPopulation,
  options: SimulationOptions,
): Promise<SimulationResult> {
  checkOptions(parsed, parties, options);
  checkPopulation(population);
  const run = await SimulationRun.open(parsed, parties, sharedPopulation(population), options);
  try {
    return await run.finish();
  } finally {
    await run.close();
  }
}

function checkOptions(parsed: ParsedPlan, parties: Parties, options: SimulationOptions): void {
  const { plan } = parsed;
  ensure(
    plan.coordinatorPublicKey === parties.coordinatorPublicKey &&
      plan.registrarSha256 === parties.registrarSha256,
    'PLAN_INVALID',
    'the plan names other parties than those of this simulation',
  );
  ensure(
    options.seal === 'none' || options.seal === plan.aggregation.transport,
    'CONFIG_INVALID',
    `the plan's sums travel by ${plan.aggregation.transport}: seal is that, or none`,
  );
  ensure(
    options.store === 'memory' || options.directory !== undefined,
    'CONFIG_INVALID',
    'store sqlite needs a directory',
  );
}

type Closing = (() => void | Promise<void>)[];

interface RunParts {
  readonly secagg: Secagg;
  readonly labour: Labour;
  readonly clock: VirtualClock;
  readonly holders: OpenHolders;
  readonly closing: Closing;
}

class SimulationRun {
  readonly #parsed: ParsedPlan;
  readonly #options: SimulationOptions;
  readonly #population: VirtualPopulation;
  readonly #clock: VirtualClock;
  readonly #services: RoundServices;
  readonly #log: AppendLog;
  readonly #runner: PlanRunner;
  readonly #crowd: Fleet | Agents;
  readonly #accounts: DeviceAccounts;
  readonly #label: SimulationLabel;
  readonly #closing: Closing;
  readonly #rounds: SimulatedRound[] = [];
  readonly #startedMs = performance.now();
  #roundStartedMs = performance.now();
  /** Virtual. */
  #firstOpenedAtMs: number | null = null;

  static async open(
    parsed: ParsedPlan,
    parties: Parties,
    population: VirtualPopulation,
    options: SimulationOptions,
  ): Promise<SimulationRun> {
    const closing: Closing = [];
    try {
      const isSigned = options.identity === 'signed';
      const secagg = options.seal === 'none' ? new PlainSums(isSigned ? 1 : 0) : await openSecagg();
      await secagg.ready(schemeOf(parsed, 'training').scheme);
      const labour = await openLabour(parsed, parties, population, options);
      closing.push(labour.close);
      const clock = new VirtualClock();
      const holders = await openHolders(parsed, parties, options, { clock, threads: labour.workers });
      closing.push(holders.close);
      const parts = { secagg, labour, clock, holders, closing };
      return new SimulationRun(parsed, parties, population, options, parts);
    } catch (error) {
      for (const close of closing) await close();
      throw error;
    }
  }

  private constructor(
    parsed: ParsedPlan,
    parties: Parties,
    population: VirtualPopulation,
    options: SimulationOptions,
    { secagg, labour, clock, holders, closing }: RunParts,
  ) {
    this.#parsed = parsed;
    this.#options = options;
    this.#population = population;
    this.#closing = closing;
    this.#label = labelOf(parsed, options, labour);
    this.#clock = clock;
    const { suite } = holders;
    const { store, spool } = openStorage(options, clock);
    closing.push(
      () => spool.close(),
      () => store.close(),
    );
    store.migrate('rounds', repository.ROUNDS_MIGRATIONS);
    this.#log = new AppendLog(store, { origin: 'simulation.invalid/log' });
    const ledger = new BudgetLedger(store);
    const budget = new RoundBudget({ store, ledger, log: this.#log, suite, nowMs: () => clock.nowMs() });
    this.#services = {
      store,
      spool,
      suite,
      secagg,
      budget,
      clock,
      logger: { info: () => {}, warn: () => {}, error: (fields: object) => this.#noteError(fields) },
      signingKey: parties.coordinatorKey,
      holdersOf: () => holders.ports,
      release: async (plan, round) => releaseRound({ store, suite, budget }, plan, round),
      onRoundChange: (_plan, state) => this.#onRoundChange(state),
      onCeremony: () => {},
    };
    const approvals = approvalsOf(parties, parsed);
    store.transaction('submit-plan', (db) =>
      repository.insertPlan(db, {
        hash: parsed.hashHex,
        bytes: parsed.bytes,
        approvals: encodeApprovals(approvals),
      }),
    );
    this.#runner = new PlanRunner(this.#services, parsed, approvals);
    const { availability: terms, seed } = options;
    const availability = terms ? new Availability(terms, seed) : null;
    this.#accounts = new DeviceAccounts(deviceCount(population), parsed.bytes.length, availability);
    this.#crowd = this.#openCrowd(parties, labour, approvals, availability);
  }

  #openCrowd(
    parties: Parties,
    labour: Labour,
    approvals: readonly PlanApproval[],
    availability: Availability | null,
  ): Fleet | Agents {
    const { seed, noise, limits } = this.#options;
    const [parsed, population, accounts] = [this.#parsed, this.#population, this.#accounts];
    const [clock, services] = [this.#clock, this.#services];
    const common = { clock, services, parsed, population, availability, accounts, seed };
    const runner = this.#runner;
    const plans = { current: () => ({ runner, approvals }), find: () => runner };
    if (labour.kind === 'agents') {
      const { engine, sealer } = labour;
      return new Agents({ ...common, plans, parties, engine, sealer, limits, noise });
    }
    const registrarCa = parties.registrar.caDer;
    const { signing: threads } = labour;
    const identities = threads && new FleetIdentities({ services, plans, parsed, threads, registrarCa });
    return new Fleet({
      ...common,
      identities,
      names: identities?.names ?? new DeviceNames(seed, parsed.plan.epoch),
      budgets: new DeviceBudgets(parsed, deviceCount(population), limits),
      pool: labour.pool,
      memories: labour.memories,
      active: (round) => this.#runner.round(round),
    });
  }

  #noteError(fields: object): void {
    const { err } = fields as { err?: unknown };
    if (err !== undefined) this.#clock.fail(err);
  }

  #onRoundChange(state: RoundState): void {
    this.#firstOpenedAtMs ??= this.#clock.nowMs();
    this.#crowd.onRoundChange(state);
    // A coordinator would go on asking; nothing here changes by waiting.
    if (state.stuck) this.#clock.fail(new PulsefoldError('QUORUM_NOT_REACHED', state.message));
    if (!FINAL_PHASES.includes(state.phase)) return;
    this.#crowd.ended(state);
    const round = this.#roundOf(state);
    this.#rounds.push(round);
    this.#forget(state.round);
    const { onRound, signal } = this.#options;
    if (onRound) this.#clock.begin(async () => onRound(round));
    if (signal?.aborted)
      this.#clock.fail(new PulsefoldError('UNAVAILABLE', 'the simulation was told to stop'));
  }

  /**
   * A store that dies with the process keeps no devices of rounds that nobody asks about any more: without identities
   * those that are over, for seeds with identities those before, since receipts of this one are fetched now.
   */
  #forget(ended: number): void {
    const { identity, devices } = this.#label;
    if (this.#options.store !== 'memory' || devices === 'agents') return;
    const round = identity === 'none' ? ended : lastEndedBefore(this.#parsed.plan, ended);
    this.#services.store.transaction('forget-round', (db) => {
      for (const table of ['invitations', 'uploads', 'verdict_lists'])
        db.run(`DELETE FROM ${table} WHERE plan = ? AND round = ?`, this.#parsed.hashHex, round);
    });
  }

  #roundOf(state: RoundState): SimulatedRound {
    const { store, budget } = this.#services;
    const crowd = this.#crowd.round(state.round);
    const { fetchedBytes, trainMs, batteryShare } = this.#accounts.ofRound(state.round);
    const { weights, spent, summary } = store.read('simulation', (db) => {
      const { model_hash } = repository.getPlan(db, this.#parsed.hashHex)!;
      return {
        weights: weightsFromBytes(repository.getBlob(db, model_hash)!),
        spent: this.#parsed.plan.privacy ? budget.epsilonSpent(db, this.#parsed) : null,
        summary: repository.getRound(db, this.#parsed.hashHex, state.round)?.summary,
      };
    });
    const released = summary ? (decodeReals(JSON.parse(summary)) as { metrics?: HistogramMetrics }) : null;
    const metrics = released?.metrics ?? null;
    const endedMs = performance.now();
    const elapsedMs = endedMs - this.#roundStartedMs;
    this.#roundStartedMs = endedMs;
    return {
      round: state.round,
      kind: state.kind,
      phase: state.phase as SimulatedRound['phase'],
      message: state.message,
      weights,
      invited: state.invited.length,
      uploaded: state.uploaded.length,
      certified: state.cohort?.length ?? 0,
      dropped: crowd.dropped,
      late: crowd.late,
      virtualMs: this.#clock.nowMs() - crowd.openedAtMs,
      virtualEndMs: this.#clock.nowMs() - this.#firstOpenedAtMs!,
      uploadBytes: state.uploaded.length * schemeOf(this.#parsed, state.kind).uploadBytes,
      metrics,
      epsilonSpent: spent,
      fetchedBytes,
      trainMs: this.#isTraced ? trainMs : null,
      batteryShare: this.#isTraced ? batteryShare : null,
      elapsedMs,
    };
  }

  async finish(): Promise<SimulationResult> {
    const startMs = this.#clock.nowMs();
    this.#roundStartedMs = performance.now();
    const { outcome, endedAtMs } = await this.#clock.run(this.#runToEnd());
    ensure(outcome.status === 'finished', 'INTERNAL', `the plan ${outcome.status}: ${outcome.message}`);
    const rounds = this.#rounds;
    const total = (of: (round: SimulatedRound) => number) =>
      rounds.reduce((sum, round) => sum + of(round), 0);
    const elapsedMs = performance.now() - this.#startedMs;
    const uploads = total(({ uploaded }) => uploaded);
    const last = rounds.at(-1);
    return {
      weights: last?.weights ?? new Float32Array(0),
      rounds,
      epsilonSpent: last?.epsilonSpent ?? null,
      logRoot: toHex(this.#log.root()),
      logSize: this.#log.size(),
      label: this.#label,
      logRepeats: logRepeats(this.#parsed, this.#options),
      devices: deviceCount(this.#population),
      perDevice: this.#accounts.figures(),
      totals: {
        invitations: total(({ invited }) => invited),
        uploads,
        uploadBytes: total(({ uploadBytes }) => uploadBytes),
        fetchedBytes: total(({ fetchedBytes }) => fetchedBytes),
        trainMs: this.#isTraced ? total(({ trainMs }) => trainMs ?? 0) : null,
        batteries: this.#isTraced ? total(({ batteryShare }) => batteryShare ?? 0) : null,
        virtualMs: endedAtMs - startMs,
        elapsedMs,
        deviceRoundsPerSecond: (1000 * uploads) / elapsedMs,
      },
    };
  }

  /** The end is the plan's: who sleeps longer sees it later. */
  async #runToEnd(): Promise<{ outcome: PlanOutcome; endedAtMs: number }> {
    const crowd = this.#crowd;
    const run = this.#runner.run().then((outcome) => ({ outcome, endedAtMs: this.#clock.nowMs() }));
    if (crowd instanceof Fleet) return run;
    const [ended] = await Promise.all([run, crowd.run(), run.then(() => crowd.wake())]);
    return ended;
  }

  get #isTraced(): boolean {
    return this.#options.availability !== undefined;
  }

  async close(): Promise<void> {
    this.#runner.stop();
    for (const close of this.#closing) await close();
  }
}
