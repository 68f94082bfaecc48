/**
 * A plan's whole run over virtual devices: the real coordinator (runner, rounds, ledger, log, release) and the real client
 * pipeline, over an in-memory transport and a virtual clock (DESIGN §2, last paragraph).
 *
 * What may be weaker than in production is chosen by the caller and stands in the result's label: seal, identity, store,
 * noise. Trusts: everything; all parties are in this process. May be called by: experiments, cli/commands.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Sealer } from '../../client/agent/seal.ts';
import type { TrainEngine } from '../../client/training/engine.ts';
import { weightsFromBytes } from '../../coordinator/aggregation/weights.ts';
import { BudgetLedger } from '../../coordinator/ledger/budget-ledger.ts';
import { releaseRound } from '../../coordinator/release-round.ts';
import { RoundBudget } from '../../coordinator/rounds/budget.ts';
import type { HolderPort } from '../../coordinator/rounds/holder-port.ts';
import { FINAL_PHASES, type RoundState } from '../../coordinator/rounds/machine-types.ts';
import * as repository from '../../coordinator/rounds/repository.ts';
import { type PlanOutcome, PlanRunner } from '../../coordinator/rounds/runner.ts';
import type { RoundServices } from '../../coordinator/rounds/services.ts';
import { AppendLog } from '../../coordinator/storage/append-log.ts';
import { FileSpool } from '../../coordinator/storage/file-spool.ts';
import { MemorySpool } from '../../coordinator/storage/spool.ts';
import { openMemoryStore, openStore } from '../../coordinator/storage/sqlite-store.ts';
import { toHex } from '../../crypto/bytes.ts';
import { ensure, PulsefoldError } from '../../crypto/error.ts';
import { getSuite } from '../../crypto/identity/suite.ts';
import { openSecagg, type Secagg } from '../../crypto/secagg/scheme.ts';
import { encodeApprovals } from '../../protos/approvals.ts';
import type { HistogramMetrics } from '../../protos/histogram-metrics.ts';
import type { ParsedPlan, PlanApproval } from '../../protos/plan.ts';
import { schemeOf } from '../../protos/plan-scheme.ts';
import { decodeReals } from '../../protos/reals.ts';
import { Agents } from './agents.ts';
import { Availability } from './availability.ts';
import { DeviceBudgets } from './device-budgets.ts';
import { DeviceMemories, memoryArraysOf } from './device-memories.ts';
import { type DevicePool, openDevicePool } from './device-pool.ts';
import { loadEngine } from './engines.ts';
import { Fleet } from './fleet.ts';
import { heldHolder, heldSpool, heldStore } from './held-ports.ts';
import { localHolders } from './local-holders.ts';
import { approvalsOf, type Parties } from './parties.ts';
import { PlainSums } from './plain-sums.ts';
import {
  checkPopulation,
  DeviceNames,
  deviceCount,
  sharedPopulation,
  type VirtualPopulation,
} from './population.ts';
import { realHolders } from './real-holders.ts';
import type {
  SimulatedRound,
  SimulationLabel,
  SimulationOptions,
  SimulationResult,
} from './simulation-types.ts';
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

const defaultWorkers = (): number => Math.max(1, availableParallelism() - 1);

type Closing = (() => void | Promise<void>)[];

class SimulationRun {
  readonly #parsed: ParsedPlan;
  readonly #options: SimulationOptions;
  readonly #population: VirtualPopulation;
  readonly #clock = new VirtualClock();
  readonly #services: RoundServices;
  readonly #log: AppendLog;
  readonly #runner: PlanRunner;
  readonly #crowd: Fleet | Agents;
  readonly #label: SimulationLabel;
  readonly #closing: Closing;
  readonly #rounds: SimulatedRound[] = [];
  readonly #startedMs = performance.now();
  #trainMs = 0;
  #roundStartedMs = performance.now();

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
      const labour = await openLabour(parsed, population, options);
      closing.push(labour.close);
      return new SimulationRun(parsed, parties, population, options, { secagg, labour, closing });
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
    { secagg, labour, closing }: { secagg: Secagg; labour: Labour; closing: Closing },
  ) {
    this.#parsed = parsed;
    this.#options = options;
    this.#population = population;
    this.#closing = closing;
    this.#label = labelOf(parsed, options, labour);
    const clock = this.#clock;
    const suite = getSuite(parties.suite);
    const { store, spool } = openStorage(options, clock);
    closing.push(
      () => spool.close(),
      () => store.close(),
    );
    store.migrate('rounds', repository.ROUNDS_MIGRATIONS);
    this.#log = new AppendLog(store, { origin: 'simulation.invalid/log' });
    const ledger = new BudgetLedger(store);
    const budget = new RoundBudget({ store, ledger, log: this.#log, suite, nowMs: () => clock.nowMs() });
    const holders = this.#openHolders(parties, secagg).map((holder) => heldHolder(holder, clock));
    this.#services = {
      store,
      spool,
      suite,
      secagg,
      budget,
      clock,
      logger: { info: () => {}, warn: () => {}, error: (fields: object) => this.#noteError(fields) },
      signingKey: parties.coordinatorKey,
      holdersOf: () => holders,
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
    this.#crowd = this.#openCrowd(parties, labour, approvals);
  }

  /** Plain sums leave real key holders nothing to open; believed devices would be refused by them. */
  #openHolders(parties: Parties, secagg: Secagg): readonly HolderPort[] {
    const { seal, identity } = this.#options;
    const isSigned = identity === 'signed';
    if (!isSigned || seal === 'none') return localHolders(parties, seal, isSigned);
    const directory = mkdtempSync(join(tmpdir(), 'pulsefold-simulation-'));
    const nowMs = () => this.#clock.nowMs();
    const holders = realHolders(parties, secagg, { directory, nowMs });
    this.#closing.push(() => {
      holders.close();
      rmSync(directory, { recursive: true, force: true });
    });
    return holders.ports;
  }

  #openCrowd(parties: Parties, labour: Labour, approvals: readonly PlanApproval[]): Fleet | Agents {
    const { availability: trace, seed, noise, limits } = this.#options;
    const availability = trace ? new Availability(trace, seed) : null;
    const [parsed, population] = [this.#parsed, this.#population];
    const common = { clock: this.#clock, services: this.#services, parsed, population, availability, seed };
    if (labour.kind === 'agents') {
      const runner = this.#runner;
      const plans = { current: () => ({ runner, approvals }), find: () => runner };
      const { engine, sealer } = labour;
      return new Agents({ ...common, plans, parties, engine, sealer, limits, noise });
    }
    return new Fleet({
      ...common,
      names: new DeviceNames(seed, parsed.plan.epoch),
      budgets: new DeviceBudgets(parsed, deviceCount(population), limits),
      pool: labour.pool,
      memories: labour.memories,
      active: () => this.#runner.active,
    });
  }

  #noteError(fields: object): void {
    const { err } = fields as { err?: unknown };
    if (err !== undefined) this.#clock.fail(err);
  }

  #onRoundChange(state: RoundState): void {
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

  /** A store that dies with the process keeps no devices of rounds that are over: without identities nobody asks for them. */
  #forget(round: number): void {
    const { store, identity } = this.#options;
    if (store !== 'memory' || identity !== 'none') return;
    this.#services.store.transaction('forget-round', (db) => {
      for (const table of ['invitations', 'uploads', 'verdict_lists'])
        db.run(`DELETE FROM ${table} WHERE plan = ? AND round = ?`, this.#parsed.hashHex, round);
    });
  }

  #roundOf(state: RoundState): SimulatedRound {
    const { store, budget } = this.#services;
    const crowd = this.#crowd.current;
    this.#trainMs += crowd.trainMs;
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
      uploadBytes: state.uploaded.length * schemeOf(this.#parsed, state.kind).uploadBytes,
      metrics,
      epsilonSpent: spent,
      elapsedMs,
    };
  }

  async finish(): Promise<SimulationResult> {
    const startMs = this.#clock.nowMs();
    this.#roundStartedMs = performance.now();
    const outcome = await this.#clock.run(this.#runToEnd());
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
      devices: deviceCount(this.#population),
      totals: {
        invitations: total(({ invited }) => invited),
        uploads,
        uploadBytes: total(({ uploadBytes }) => uploadBytes),
        trainMs: this.#trainMs,
        virtualMs: this.#clock.nowMs() - startMs,
        elapsedMs,
        deviceRoundsPerSecond: (1000 * uploads) / elapsedMs,
      },
    };
  }

  async #runToEnd(): Promise<PlanOutcome> {
    const crowd = this.#crowd;
    if (crowd instanceof Fleet) return this.#runner.run();
    const run = this.#runner.run();
    const [outcome] = await Promise.all([run, crowd.run(), run.then(() => crowd.wake())]);
    return outcome;
  }

  async close(): Promise<void> {
    this.#runner.stop();
    for (const close of this.#closing) await close();
  }
}

/** Who does the devices' work: a pool of threads, or each agent by itself. */
type Labour = {
  readonly close: () => Promise<void>;
  readonly engineName: string;
  readonly workers: number;
} & (
  | { readonly kind: 'pool'; readonly pool: DevicePool; readonly memories: DeviceMemories | null }
  | { readonly kind: 'agents'; readonly engine: TrainEngine; readonly sealer: Sealer }
);

async function openLabour(
  parsed: ParsedPlan,
  population: VirtualPopulation,
  options: SimulationOptions,
): Promise<Labour> {
  const wanted = options.engine ?? 'kernel';
  const isPlain = options.seal === 'none';
  if (options.identity === 'signed') {
    const { engine, name } = await loadEngine(wanted, parsed.plan.model);
    const secagg = isPlain ? new PlainSums(1) : await openSecagg();
    const sealer: Sealer = {
      seal: ({ scheme, committeeKey, digits, ...context }) =>
        secagg.seal(scheme, context, committeeKey, digits),
    };
    return { kind: 'agents', engine, sealer, engineName: name, workers: 0, close: async () => {} };
  }
  const setup = {
    planBytes: parsed.bytes,
    population,
    seed: options.seed,
    noise: options.noise,
    engine: wanted,
    isSealed: !isPlain,
    memories: memoryArraysOf(parsed.plan, deviceCount(population)),
  };
  const pool = await openDevicePool(setup, options.workers ?? defaultWorkers());
  return {
    kind: 'pool',
    pool,
    memories: setup.memories && new DeviceMemories(setup.memories),
    engineName: pool.engine,
    workers: pool.workers,
    close: () => pool.close(),
  };
}

function labelOf(parsed: ParsedPlan, options: SimulationOptions, labour: Labour): SimulationLabel {
  const { seal, identity, store, noise } = options;
  const noiseLabel = noise === 'seeded' ? 'seeded, not private' : 'system';
  return {
    seal,
    identity,
    store,
    noise: parsed.plan.privacy === null ? 'none' : noiseLabel,
    engine: labour.engineName,
    workers: labour.workers,
  };
}

function openStorage({ store, directory }: SimulationOptions, clock: VirtualClock) {
  if (store === 'memory')
    return { store: heldStore(openMemoryStore(), clock), spool: heldSpool(new MemorySpool(), clock) };
  mkdirSync(directory!, { recursive: true, mode: 0o700 });
  return {
    store: heldStore(openStore(join(directory!, 'coordinator.sqlite')), clock),
    spool: heldSpool(new FileSpool({ directory: join(directory!, 'spool') }), clock),
  };
}
