/**
 * The coordinator of the simulation: the real queue, rounds, ledger, log and services over one database, in as many
 * lives as its crashes leave it. Each life is put together as coordinator/server.ts does it, sockets left out.
 *
 * Trusts: nothing. May be called by: experiments/fuzz.
 */
import { Coordinator } from '../../coordinator/coordinator.ts';
import { exportRun } from '../../coordinator/export.ts';
import { roundsService } from '../../coordinator/grpc/rounds-service.ts';
import { BudgetLedger } from '../../coordinator/ledger/budget-ledger.ts';
import { releaseRound } from '../../coordinator/release-round.ts';
import { RoundBudget } from '../../coordinator/rounds/budget.ts';
import type { HolderPort, OpenPart, OpenRequest } from '../../coordinator/rounds/holder-port.ts';
import { FINAL_PHASES, type RoundState } from '../../coordinator/rounds/machine-types.ts';
import { keepPromises } from '../../coordinator/rounds/promises.ts';
import { ROUNDS_MIGRATIONS } from '../../coordinator/rounds/repository.ts';
import type { PlanOutcome } from '../../coordinator/rounds/runner.ts';
import type { Clock, RoundServices } from '../../coordinator/rounds/services.ts';
import { AppendLog } from '../../coordinator/storage/append-log.ts';
import { MemorySpool } from '../../coordinator/storage/spool.ts';
import { openMemoryStore, type SqliteStore } from '../../coordinator/storage/sqlite-store.ts';
import type { Store } from '../../coordinator/storage/store.ts';
import { Cosignatures } from '../../coordinator/witnessing/cosignatures.ts';
import { LogProofs } from '../../coordinator/witnessing/log-proofs.ts';
import type { WitnessPeer, WitnessPort } from '../../coordinator/witnessing/witness-client.ts';
import { Witnessing } from '../../coordinator/witnessing/witnessing.ts';
import { isPulsefoldError, PulsefoldError } from '../../crypto/error.ts';
import type { Identity } from '../../crypto/identity/certificate.ts';
import type { NoteSigner } from '../../crypto/log/checkpoint.ts';
import type { Secagg } from '../../crypto/secagg/scheme.ts';
import type { ParsedPlan } from '../../protos/plan.ts';
import type { IdentityBundle } from '../../protos/transport/identity-bundle.ts';
import type { CallContext, ServedService } from '../../protos/transport/server.ts';
import { Life, WriteGate } from './life.ts';
import { GatedSpool, GatedStore } from './stores.ts';
import type { VirtualTime } from './virtual-time.ts';
import type { ApprovedPlan, FuzzWorld } from './world.ts';

export const LOG_ORIGIN = 'fuzz.example/log';
/** An operator's supervisor starts it again after this long when it does not come up. */
const RESTART_MS = 500;

export interface CoordinatorParts {
  readonly world: FuzzWorld;
  readonly time: VirtualTime;
  readonly plans: readonly ApprovedPlan[];
  readonly witnesses: readonly WitnessPeer[];
  readonly postOf: (life: Life) => WitnessPort;
  readonly holders: (life: Life) => readonly HolderPort[];
  readonly onFault: (kind: 'crash-at-write' | 'disk-full') => void;
  readonly onRoundChange: (state: RoundState) => void;
  readonly onLog: (level: string, fields: object, message: string) => void;
  readonly onInternalError: (where: string, error: unknown) => void;
  /** Wrappers of each life's parts; for planted bugs. */
  readonly wrapStore?: (store: Store, disk: SqliteStore) => Store;
  readonly wrapSecagg?: (secagg: Secagg) => Secagg;
  /** Called on the bare disk between two lives. */
  readonly betweenLives?: (disk: SqliteStore) => void;
  readonly wrapAnswer?: (method: string, answer: unknown) => unknown;
}

export class CoordinatorProcess {
  readonly name = 'coordinator';
  readonly disk: SqliteStore = openMemoryStore();
  readonly #spool = new MemorySpool();
  readonly gate: WriteGate;
  readonly #parts: CoordinatorParts;
  #life: Life | null = null;
  #coordinator: Coordinator | null = null;
  #rounds: ServedService | null = null;
  #witnessing: Witnessing | null = null;
  #restarts = 0;
  #lives = 0;
  downMs = 0;
  skewMs = 0;
  /** By plan hash. */
  readonly outcomes = new Map<string, PlanOutcome>();

  constructor(parts: CoordinatorParts) {
    this.#parts = parts;
    this.gate = new WriteGate({
      onCrash: () => this.crash(this.downMs),
      onFault: parts.onFault,
      makeFull: () => new PulsefoldError('UNAVAILABLE', 'store: the disk is full'),
    });
  }

  get life(): Life | undefined {
    return this.#life ?? undefined;
  }

  get coordinator(): Coordinator | null {
    return this.#life ? this.#coordinator : null;
  }

  nowMs(): number {
    return this.#parts.time.nowMs() + this.skewMs;
  }

  start(): void {
    if (this.#life) return;
    const life = new Life();
    const { plans, world } = this.#parts;
    if (this.#lives++ > 0) this.#parts.betweenLives?.(this.disk);
    try {
      const services = this.#services(life);
      const coordinator = new Coordinator({
        services,
        policy: world.policy,
        registrarSha256: world.registrarSha256,
        onPlanEnd: ({ hashHex }, outcome) => {
          this.outcomes.set(hashHex, outcome);
        },
      });
      // As its configuration names the plans, every start submits them again.
      for (const { parsed, approvals } of plans) coordinator.submitPlan(parsed.bytes, approvals);
      this.#life = life;
      this.#coordinator = coordinator;
      this.#rounds = roundsService(services, coordinator);
      keepPromises(services);
      coordinator.run().catch((error: unknown) => {
        if (life.alive) this.#parts.onInternalError('plan queue', error);
      });
    } catch (error) {
      life.end();
      this.#life = null;
      this.#witnessing = null;
      if (!isPulsefoldError(error) || error.code !== 'UNAVAILABLE')
        this.#parts.onInternalError('start', error);
      this.#restartAfter(RESTART_MS);
    }
  }

  #services(life: Life): RoundServices {
    const { world, time, wrapStore, wrapSecagg, onLog } = this.#parts;
    const { suite, coordinatorKey } = world;
    const gated = new GatedStore(this.disk, life, this.gate);
    const store = wrapStore?.(gated, this.disk) ?? gated;
    store.migrate('rounds', ROUNDS_MIGRATIONS);
    const ledger = new BudgetLedger(store);
    const log = new AppendLog(store, { origin: LOG_ORIGIN });
    const budget = new RoundBudget({ store, ledger, log, suite, nowMs: () => this.nowMs() });
    const cosignatures = new Cosignatures(store);
    const write = (level: string) => (fields: object, message: string) => {
      if (life.alive) onLog(level, fields, message);
    };
    const ports = this.#parts.holders(life);
    const logger = {
      info: write('info'),
      warn: write('warn'),
      error: write('error'),
    } as unknown as RoundServices['logger'];
    const { signer } = this;
    const witnessing = new Witnessing({
      ...{ log, signer, cosignatures, logger },
      peers: this.#parts.witnesses,
      post: this.#parts.postOf(life),
    });
    this.#witnessing = witnessing;
    return {
      store,
      spool: new GatedSpool(this.#spool, life, this.gate, (ms) => time.sleep(ms)),
      suite,
      secagg: wrapSecagg?.(world.secagg) ?? world.secagg,
      budget,
      clock: this.#clock(life),
      logger,
      signingKey: coordinatorKey,
      logProofs: new LogProofs({ store, log, signer, cosignatures }),
      holdersOf: () => ports,
      async release(parsed, round) {
        releaseRound({ store, suite, budget }, parsed, round);
      },
      onRoundChange: (_parsed, state) => {
        if (!life.alive) return;
        if (state.phase === 'opening' || FINAL_PHASES.includes(state.phase)) witnessing.announce();
        this.#parts.onRoundChange(state);
      },
      onCeremony: () => {},
    };
  }

  #clock(life: Life): Clock {
    const { time } = this.#parts;
    return {
      nowMs: () => this.nowMs(),
      every(periodMs, action) {
        const timer = time.every(periodMs, () => {
          if (life.alive) action();
          else time.cancel(timer);
        });
        return { stop: () => time.cancel(timer) };
      },
      after(delayMs, action) {
        const timer = time.after(delayMs, () => {
          if (life.alive) action();
        });
        return { stop: () => time.cancel(timer) };
      },
      turn: () =>
        new Promise((resolve) => {
          setImmediate(() => {
            if (life.alive) resolve();
          });
        }),
    };
  }

  get signer(): NoteSigner {
    const { suite, coordinatorKey } = this.#parts.world;
    return {
      name: LOG_ORIGIN,
      algorithm: suite.name === 'gm' ? 'sm2' : 'ed25519',
      publicKey: coordinatorKey.publicKey,
      sign: (message) => suite.sign(coordinatorKey.secretKey, message),
    };
  }

  #restartAfter(delayMs: number): void {
    const restart = ++this.#restarts;
    this.#parts.time.after(delayMs, () => {
      if (restart === this.#restarts) this.start();
    });
  }

  crash(downMs: number): void {
    this.#life?.end();
    this.#life = null;
    this.#coordinator = null;
    this.#rounds = null;
    this.#witnessing = null;
    this.#restartAfter(downMs);
  }

  close(): void {
    this.#restarts++;
    this.#coordinator?.stop();
    this.#life?.end();
    this.#life = null;
    this.disk.close();
  }

  /** Carries out a request of a device as the network delivers it. */
  async handle(identity: IdentityBundle, method: string, request: unknown): Promise<unknown> {
    const { subjectId, signing, certificate } = identity;
    const { signal } = new AbortController();
    const caller = { subjectId, signingPublicKey: signing.publicKey } as Identity;
    const context = { identity: caller, certificate, signal } as unknown as CallContext;
    const answer = await this.#rounds!.handlers[method]!(request as never, context);
    return this.#parts.wrapAnswer?.(method, answer) ?? answer;
  }

  /** The researcher submits the plans once more. */
  submitAgain(): void {
    try {
      for (const { parsed, approvals } of this.#parts.plans)
        this.coordinator?.submitPlan(parsed.bytes, approvals);
    } catch (error) {
      if (!isPulsefoldError(error) || error.code !== 'UNAVAILABLE')
        this.#parts.onInternalError('submitPlan', error);
    }
  }

  /** The operator asks for the abort of the present round. */
  abort(): void {
    const runner = this.coordinator?.current()?.runner;
    const round = runner?.active?.state.round;
    if (!runner || round === undefined) return;
    try {
      this.coordinator!.abortRound(runner.parsed.hash, round, 'the operator says so');
    } catch (error) {
      if (!isPulsefoldError(error)) this.#parts.onInternalError('abortRound', error);
    }
  }

  /** Writes what a run leaves for auditors, from the bare disk; witnesses are asked for the checkpoint. */
  exportTo(runDirectory: string, parsed: ParsedPlan): void {
    const store = this.disk;
    const ledger = new BudgetLedger(store);
    const log = new AppendLog(store, { origin: LOG_ORIGIN });
    const witnessing = this.#parts.witnesses.length > 0 && this.#witnessing;
    exportRun(
      { store, ledger, log, signer: this.signer, runDirectory, ...(witnessing ? { witnessing } : {}) },
      parsed,
    );
  }
}

const CHUNK_BYTES = 16_384;

function* openMessages(request: OpenRequest, parts: Iterable<OpenPart>): Iterable<object> {
  yield { header: request };
  for (const { deviceId, bodyDigest, holderPart, entry } of parts)
    for (let offset = 0; offset === 0 || offset < holderPart.length; offset += CHUNK_BYTES) {
      const chunk = holderPart.subarray(offset, offset + CHUNK_BYTES);
      yield {
        part: { deviceId, bodyDigest, offset, holderPart: chunk, entry: offset === 0 ? entry : null },
      };
    }
}

/** The port to a holder through `call`, which carries messages. */
export function holderPort(
  holderId: string,
  call: (method: string, request: unknown) => Promise<unknown>,
): HolderPort {
  const answer = <T>(method: string, request: unknown) => call(method, request) as Promise<T>;
  return {
    holderId,
    registerPlan: async (plan, approvals) => {
      await call('registerPlan', { plan, approvals });
    },
    ceremonyStep: (request) => answer('ceremonyStep', request),
    accept: (planHash, round, entries) => answer('accept', { planHash, round, entries }),
    certify: (request) => answer('certify', request),
    abort: (planHash, round, reason) => answer('abort', { planHash, round, reason }),
    draw: (request, parts) => answer('draw', [...openMessages(request, parts)]),
    open: (request, parts) => answer('open', [...openMessages(request, parts)]),
    erase: async (planHash, round) => {
      await call('erase', { planHash, round });
    },
  };
}
