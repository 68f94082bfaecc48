/**
 * A device of the simulation: the real agent on its own disk, started again by its phone whenever it ends too early.
 *
 * Trusts: nothing. May be called by: experiments/fuzz.
 */
import { ClientAgent } from '../../client/agent/agent.ts';
import type { JoinSummary } from '../../client/agent/agent-types.ts';
import type { Sealer } from '../../client/agent/seal.ts';
import { type ClientState, type ClientStore, MemoryClientStore } from '../../client/agent/store.ts';
import type { VerifiedReport } from '../../client/agent/subject-access.ts';
import type { RoundsTransport } from '../../client/agent/transport.ts';
import type { TrainEngine } from '../../client/training/engine.ts';
import { isPulsefoldError } from '../../crypto/error.ts';
import type { TlogPolicy } from '../../crypto/log/tlog-policy.ts';
import { seededRandom } from '../../crypto/random.ts';
import type { IdentityBundle } from '../../protos/transport/identity-bundle.ts';
import { Life, WriteGate } from './life.ts';
import { rowsOf } from './plans.ts';
import { gatedClientStore } from './stores.ts';
import type { VirtualTime } from './virtual-time.ts';
import { carryOutWish, isAnswered, type Wish } from './wishes.ts';
import type { FuzzWorld } from './world.ts';

const RESTART_MS = 700;
/** A person who is not answered so often gives up. */
const WISH_ATTEMPTS_MAX = 4;

export interface DeviceParts {
  readonly world: FuzzWorld;
  readonly time: VirtualTime;
  readonly index: number;
  readonly seed: string;
  /** ε that the person allows. */
  readonly epsilon: number;
  readonly logPolicy: TlogPolicy | undefined;
  /** The person consents to every plan that asks for it, when the device first sees it. */
  readonly consents: boolean;
  /** False once no plan is left to join. */
  readonly hasPlans: () => boolean;
  readonly engine: TrainEngine;
  readonly sealer: Sealer;
  readonly connect: (life: Life) => RoundsTransport;
  readonly onFault: (kind: 'crash-at-write' | 'disk-full') => void;
  /** The agent ended with an error. */
  readonly onError: (error: unknown) => void;
  readonly onReport: (report: VerifiedReport) => void;
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
  #disk = new Disk();
  readonly gate: WriteGate;
  readonly #parts: DeviceParts;
  #life: Life | null = null;
  #stop: AbortController | null = null;
  #lives = 0;
  #away = false;
  #summary: JoinSummary | null = null;
  #wishes: { readonly wish: Wish; attempts: number }[] = [];
  readonly #consented = new Set<string>();
  #erased = false;
  #refused = false;
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

  /** ε that its person allows. */
  get epsilon(): number {
    return this.#parts.epsilon;
  }

  get disk(): Disk {
    return this.#disk;
  }

  /** What the coordinator has confirmed; whatever runs under these keys afterwards is a copy of them. */
  get isErased(): boolean {
    return this.#erased;
  }

  /** How the last life that came to an end ended; null while one runs or none has. */
  get summary(): JoinSummary | null {
    return this.#summary;
  }

  /** Takes no part any more, for reasons of its own or of the coordinator's, unless somebody starts it again. */
  get hasStopped(): boolean {
    return this.#refused || this.#summary?.ended === 'stopped' || (this.#erased && this.#life === null);
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
    this.#refused = false;
    const agent = this.#agent(life, this.#stop.signal);
    this.#live(agent).then(
      (summary) => this.#ended(life, summary),
      (error: unknown) => this.#failed(life, error),
    );
  }

  async #live(agent: ClientAgent): Promise<JoinSummary | null> {
    if (this.#parts.consents) await this.#consentToNewPlan(agent);
    for (let next = this.#wishes[0]; next; next = this.#wishes[0]) {
      next.attempts++;
      if (next.attempts > WISH_ATTEMPTS_MAX) this.#wishes.shift();
      else await this.#fulfil(agent, next.wish);
      if (this.#erased) return null;
    }
    return agent.join();
  }

  async #consentToNewPlan(agent: ClientAgent): Promise<void> {
    const { parsed } = await agent.start();
    if (this.#consented.has(parsed.hashHex)) return;
    await this.#fulfil(agent, { type: 'consent', expiresInMs: 0 });
    this.#consented.add(parsed.hashHex);
  }

  async #fulfil(agent: ClientAgent, wish: Wish): Promise<void> {
    const nowMs = this.#parts.time.nowMs() + this.skewMs;
    try {
      await carryOutWish(agent, wish, { nowMs, onReport: this.#parts.onReport });
      if (wish.type === 'erase') this.#erased = true;
    } catch (error) {
      if (!isAnswered(wish, error)) throw error;
    }
    if (this.#wishes[0]?.wish === wish) this.#wishes.shift();
  }

  #agent(life: Life, signal: AbortSignal): ClientAgent {
    const { world, time, index, seed, engine, sealer, connect, wrapStore, epsilon, logPolicy } = this.#parts;
    const gated = gatedClientStore(this.#disk, life, this.gate);
    return new ClientAgent({
      identity: this.identity,
      policy: world.policy,
      pins: { registrarCa: world.caDer },
      limits: { epsilon, delta: 1e-5, allowWithoutPrivacy: true },
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
      ...(logPolicy ? { logPolicy } : {}),
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

  #ended(life: Life, summary: JoinSummary | null): void {
    if (this.#life !== life) return;
    this.#life = null;
    this.#summary = summary;
    // Its vault is destroyed: only a copy of the keys can come back.
    if (summary === null) this.#away = true;
    life.end();
    const more = summary?.ended === 'finished' && this.#parts.hasPlans();
    if (summary?.ended === 'interrupted' || more) this.#restartAfter(RESTART_MS);
  }

  #failed(life: Life, error: unknown): void {
    if (this.#life !== life) return;
    this.#life = null;
    life.end();
    this.#refused = isRefused(error);
    if (this.#refused) return;
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

  /** What was erased comes back as a copy of its keys that knows nothing: such things lie in backups. */
  comeBack(): void {
    this.#away = false;
    if (this.#erased && !this.#life) {
      this.#disk = new Disk();
      this.#consented.clear();
    }
    this.start();
  }

  /** The person wishes something: the agent stops, asks for it, and is started again as usual. */
  wish(wish: Wish): void {
    if (this.#erased) return;
    this.#wishes.push({ wish, attempts: 0 });
    if (this.#life) this.crash(0);
    else this.start();
  }
}

/** The coordinator did not answer, or the disk was full: no news. */
const isOutOfReach = (error: unknown): boolean =>
  (isPulsefoldError(error) && (error.code === 'UNAVAILABLE' || error.code === 'DEADLINE_EXCEEDED')) ||
  (error as { code?: unknown }).code === 'ENOSPC';

/** The coordinator takes nothing from this device any more, or not under the consent that it has. */
const isRefused = (error: unknown): boolean =>
  isPulsefoldError(error) && ['CONSENT_MISSING', 'ERASED', 'WITHDRAWN'].includes(error.code);
