/**
 * A device of the simulation: the real agent on its own disk, started again by its phone whenever it ends too early.
 *
 * Trusts: nothing. May be called by: experiments/fuzz.
 */
import { ClientAgent } from '../../client/agent/agent.ts';
import type { JoinSummary } from '../../client/agent/agent-types.ts';
import type { Sealer } from '../../client/agent/seal.ts';
import { type ClientState, type ClientStore, MemoryClientStore } from '../../client/agent/store.ts';
import type { RoundsTransport } from '../../client/agent/transport.ts';
import type { WithdrawalExtent } from '../../client/agent/withdraw.ts';
import type { TrainEngine } from '../../client/training/engine.ts';
import { isPulsefoldError } from '../../crypto/error.ts';
import { seededRandom } from '../../crypto/random.ts';
import type { IdentityBundle } from '../../protos/transport/identity-bundle.ts';
import { Life, WriteGate } from './life.ts';
import { gatedClientStore } from './stores.ts';
import type { VirtualTime } from './virtual-time.ts';
import { BUDGET, type FuzzWorld, rowsOf } from './world.ts';

const RESTART_MS = 700;
export interface DeviceParts {
  readonly world: FuzzWorld;
  readonly time: VirtualTime;
  readonly index: number;
  readonly seed: string;
  readonly engine: TrainEngine;
  readonly sealer: Sealer;
  readonly connect: (life: Life) => RoundsTransport;
  readonly onFault: (kind: 'crash-at-write' | 'disk-full') => void;
  /** The agent ended with an error. */
  readonly onError: (error: unknown) => void;
  /** Wraps the disk of each life; for planted bugs. */
  readonly wrapStore?: (store: ClientStore) => ClientStore;
}

/** Outlives its device's crashes. */
class Disk extends MemoryClientStore {
  saves = 0;
  override async saveState(state: ClientState): Promise<void> {
    await super.saveState(state);
    this.saves++;
  }
}

export class DeviceProcess {
  readonly name: string;
  readonly identity: IdentityBundle;
  readonly disk = new Disk();
  readonly gate: WriteGate;
  readonly #parts: DeviceParts;
  #life: Life | null = null;
  #stop: AbortController | null = null;
  #lives = 0;
  #away = false;
  #summary: JoinSummary | null = null;
  #withdrawal: WithdrawalExtent | null = null;
  /** Set with a crash at a write: how long the device stays down. */
  downMs = 0;
  skewMs = 0;

  constructor(parts: DeviceParts) {
    this.#parts = parts;
    this.name = `device${parts.index}`;
    this.identity = parts.world.devices[parts.index]!;
    this.gate = new WriteGate({
      onCrash: () => this.crash(this.downMs),
      onFault: parts.onFault,
      // What Node says, not a coded error: the agent's disk is a file.
      makeFull: () => Object.assign(new Error('no space left on device'), { code: 'ENOSPC' }),
    });
  }

  /** How the last life that came to an end ended; null while one runs or none has. */
  get summary(): JoinSummary | null {
    return this.#summary;
  }

  get isRunning(): boolean {
    return this.#life !== null;
  }

  /** Starts a life unless one runs. */
  start(): void {
    if (this.#life || this.#away) return;
    const life = new Life();
    this.#life = life;
    this.#stop = new AbortController();
    this.#summary = null;
    const agent = this.#agent(life, this.#stop.signal);
    this.#live(agent).then(
      (summary) => this.#ended(life, summary),
      (error: unknown) => this.#failed(life, error),
    );
  }

  async #live(agent: ClientAgent): Promise<JoinSummary> {
    if (this.#withdrawal) {
      const extent = this.#withdrawal;
      this.#withdrawal = null;
      await agent.withdraw(extent);
    }
    return agent.join();
  }

  #agent(life: Life, signal: AbortSignal): ClientAgent {
    const { world, time, index, seed, engine, sealer, connect, wrapStore } = this.#parts;
    const gated = gatedClientStore(this.disk, life, this.gate);
    return new ClientAgent({
      identity: this.identity,
      policy: world.policy,
      pins: { registrarCa: world.caDer },
      limits: { epsilon: Number(BUDGET.epsilon), delta: 1e-5, allowWithoutPrivacy: true },
      data: { train: rowsOf(index), evaluation: rowsOf(index) },
      engine,
      sealer,
      rounds: connect(life),
      store: wrapStore?.(gated) ?? gated,
      conditions: () => ({ charging: true, unmetered: true, worn: true }),
      clock: {
        nowMs: () => time.nowMs() + this.skewMs,
        sleep: (durationMs, stop) => this.#sleep(life, durationMs, stop),
      },
      random: seededRandom(`${seed}/${this.name}/${this.#lives++}`),
      timing: { checkInWaitMs: 1000, patienceMs: 5000, receiptPatienceMs: 3000 },
      signal,
    });
  }

  #sleep(life: Life, durationMs: number, signal?: AbortSignal): Promise<void> {
    const { time } = this.#parts;
    return new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const done = (): void => {
        time.cancel(timer);
        signal?.removeEventListener('abort', done);
        if (life.alive) resolve();
      };
      const timer = time.after(durationMs, done);
      signal?.addEventListener('abort', done, { once: true });
    });
  }

  #ended(life: Life, summary: JoinSummary): void {
    if (this.#life !== life) return;
    this.#life = null;
    this.#summary = summary;
    life.end();
    if (summary.ended === 'interrupted') this.#restartAfter(RESTART_MS);
  }

  #failed(life: Life, error: unknown): void {
    if (this.#life !== life) return;
    this.#life = null;
    life.end();
    if (!isOutOfReach(error)) this.#parts.onError(error);
    this.#restartAfter(RESTART_MS);
  }

  #restartAfter(delayMs: number): void {
    this.#parts.time.after(delayMs, () => this.start());
  }

  /** Dies where it stands. */
  crash(downMs: number): void {
    this.#life?.end();
    this.#life = null;
    this.#restartAfter(downMs);
  }

  /** Told to stop; stays away until it comes back. */
  leave(): void {
    this.#away = true;
    this.#stop?.abort();
  }

  comeBack(): void {
    this.#away = false;
    this.start();
  }

  /** The person withdraws: the agent stops, states it, and is started again as usual. */
  withdraw(extent: WithdrawalExtent): void {
    this.#withdrawal = extent;
    if (this.#life) this.crash(0);
    else this.start();
  }
}

/** The coordinator did not answer, or the disk was full: no news. */
const isOutOfReach = (error: unknown): boolean =>
  (isPulsefoldError(error) && (error.code === 'UNAVAILABLE' || error.code === 'DEADLINE_EXCEEDED')) ||
  (error as { code?: unknown }).code === 'ENOSPC';
