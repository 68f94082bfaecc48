/**
 * The processes of one story, put together: who is there, what connects them, who watches.
 *
 * Trusts: nothing. May be called by: simulation.ts.
 */
import type { Sealer } from '../../client/agent/seal.ts';
import type { HolderPort } from '../../coordinator/rounds/holder-port.ts';
import { parseTlogPolicy } from '../../crypto/log/tlog-policy.ts';
import { portToHolder, transportOfDevice } from './connections.ts';
import { CoordinatorProcess } from './coordinator-process.ts';
import { DeviceProcess } from './device-process.ts';
import { HolderProcess } from './holder-process.ts';
import { Inspection } from './inspection.ts';
import type { Life } from './life.ts';
import { errorText, Network } from './network.ts';
import { Observer, watchedEngine } from './observer.ts';
import { HOLDERS, type Story } from './ops.ts';
import { deviceEpsilon } from './plans.ts';
import type { RunOptions } from './run-types.ts';
import type { VirtualTime } from './virtual-time.ts';
import { peerOf, policyOf, portToWitnesses, WitnessProcess } from './witness-process.ts';
import type { ApprovedPlan, FuzzWorld } from './world.ts';

const TRACE_LINES_MAX = 2000;

export interface Setting extends RunOptions {
  readonly directory: string;
  readonly time: VirtualTime;
  readonly plans: readonly ApprovedPlan[];
}

export class Deployment {
  readonly observer: Observer;
  readonly network: Network;
  readonly coordinator: CoordinatorProcess;
  readonly holders: readonly HolderProcess[];
  readonly witnesses: readonly WitnessProcess[];
  readonly devices: readonly DeviceProcess[];
  readonly inspection: Inspection;
  readonly faults: Record<string, number> = {};
  readonly trace: string[] = [];
  readonly #world: FuzzWorld;
  readonly #story: Story;
  readonly #setting: Setting;
  /** Somebody tampers with messages, or lies with the coordinator's key: devices may see what no honest peer sends. */
  tampered = false;

  constructor(world: FuzzWorld, story: Story, setting: Setting) {
    this.#world = world;
    this.#story = story;
    this.#setting = setting;
    this.observer = new Observer(world);
    this.network = this.#openNetwork();
    this.holders = this.#makeHolders();
    this.coordinator = this.#makeCoordinator();
    this.witnesses = this.#makeWitnesses();
    this.devices = this.#makeDevices();
    // A database's tables are made by its first life.
    this.coordinator.start();
    this.inspection = new Inspection({
      observer: this.observer,
      plans: setting.plans.map(({ parsed }) => parsed),
      disk: this.coordinator.disk,
      devices: this.devices,
      clockMs: () => this.coordinator.nowMs(),
    });
  }

  #openNetwork(): Network {
    return new Network(this.#setting.time, {
      onFault: (fault, link) => {
        this.count(fault);
        this.note(`${link} ${fault}`);
      },
      onMessage: (from, call, message) => {
        this.note(`${call.link} ${call.method}${from === 'callee' ? ' answered' : ''}`);
        this.observer.message(from, call, message);
      },
      onInternalError: ({ link, method }, error) => this.#internalError(`${link} ${method}`, error),
    });
  }

  readonly #onFault = (kind: string): void => this.count(kind);

  #makeHolders(): HolderProcess[] {
    const { time, directory, planted } = this.#setting;
    const world = this.#world;
    return Array.from(
      { length: HOLDERS },
      (_, i) =>
        new HolderProcess({
          ...{ world, time, directory, index: i + 1, onFault: this.#onFault },
          ...planted?.holder,
        }),
    );
  }

  /** Keys of the witnesses that this story has. */
  get #witnessKeys() {
    return this.#world.witnesses.slice(0, this.#story.scenario.witnesses);
  }

  #makeCoordinator(): CoordinatorProcess {
    const { time, plans, planted } = this.#setting;
    const keys = this.#witnessKeys;
    const names = keys.map(({ name }) => name);
    return new CoordinatorProcess({
      ...{ world: this.#world, time, plans, onFault: this.#onFault },
      witnesses: keys.map(peerOf),
      postOf: (life) => portToWitnesses(this.network, this.witnesses, names, life),
      holders: (life) => this.holders.map((holder) => this.portOf(holder, life)),
      onRoundChange: ({ round, phase, message }) => this.note(`round ${round} ${phase}: ${message}`),
      onLog: (level, fields, message) => {
        if (level !== 'info') this.note(`${level} ${message} ${JSON.stringify(fields)}`);
      },
      onInternalError: (where, error) => this.#internalError(where, error),
      ...planted?.coordinator,
    });
  }

  #makeWitnesses(): WitnessProcess[] {
    const { time, directory, planted } = this.#setting;
    return this.#witnessKeys.map(
      (key, i) =>
        new WitnessProcess({
          ...{ key, time, directory, index: i + 1, onFault: this.#onFault },
          log: this.coordinator.signer,
          onMisbehaviour: (size) =>
            this.observer.check(
              'no-false-alarm',
              false,
              () => `witness${i + 1} has two signed trees of ${size} leaves`,
            ),
          ...planted?.witness,
        }),
    );
  }

  #makeDevices(): DeviceProcess[] {
    const { time, planted, plans } = this.#setting;
    const { scenario, seed } = this.#story;
    const world = this.#world;
    const engine = watchedEngine(world.engine, this.observer);
    const sealer = this.#sealer();
    const policy = this.policyText;
    return Array.from(
      { length: scenario.devices },
      (_, index): DeviceProcess =>
        new DeviceProcess({
          ...{ world, time, index, seed, engine, onFault: this.#onFault },
          epsilon: deviceEpsilon(scenario, index),
          logPolicy: policy === undefined ? undefined : parseTlogPolicy(policy),
          consents: scenario.consent === 'given',
          hasPlans: () => this.coordinator.outcomes.size < plans.length,
          sealer,
          connect: (life) => transportOfDevice(this.network, this.coordinator, { world, index }, life),
          onError: (error) => this.#deviceFailed(index, error),
          onReport: (report) => this.inspection.checkReport(this.devices[index]!, report),
          ...planted?.device,
        }),
    );
  }

  /** What readers of the log ask for; undefined without witnesses. */
  get policyText(): string | undefined {
    const keys = this.#witnessKeys;
    return keys.length > 0 ? policyOf(this.coordinator.signer, keys) : undefined;
  }

  get processes() {
    return [this.coordinator, ...this.holders, ...this.witnesses, ...this.devices];
  }

  count(fault: string): void {
    this.faults[fault] = (this.faults[fault] ?? 0) + 1;
  }

  note(line: string): void {
    const { trace, time } = this.#setting;
    if (!trace) return;
    this.trace.push(`${String(time.nowMs() % 10_000_000).padStart(7)} ${line}`.slice(0, 300));
    if (this.trace.length > TRACE_LINES_MAX) this.trace.shift();
  }

  #internalError(where: string, error: unknown): void {
    this.note(`internal error at ${where}: ${String(error)}`);
    const { code } = error as { code?: unknown };
    // What a full disk says to a holder is no coded error; its caller hears INTERNAL and asks again.
    if (code === 'ERR_SQLITE_ERROR' && String(error).includes('disk is full')) return;
    this.observer.check('no-internal-error', false, () => `${where}: ${errorText(error)}`);
  }

  #deviceFailed(index: number, error: unknown): void {
    this.note(`device${index} ends: ${errorText(error)}`);
    if (this.tampered) return;
    this.observer.check('no-false-alarm', false, () => `device${index} ends: ${errorText(error)}`);
  }

  /** What leaves the sealer is seen, also where a planted bug stands in it. */
  #sealer(): Sealer {
    const { secagg } = this.#world;
    const honest: Sealer = {
      seal: ({ scheme, committeeKey, digits, ...context }) =>
        secagg.seal(scheme, context, committeeKey, digits),
    };
    const sealer = this.#setting.planted?.sealer?.(honest) ?? honest;
    return {
      seal: (request) => {
        const copy = request.digits.slice();
        const sealed = sealer.seal(request);
        this.observer.seals(request, sealed, copy);
        return sealed;
      },
    };
  }

  portOf(holder: HolderProcess, caller: Life): HolderPort {
    return portToHolder(this.network, holder, caller);
  }

  start(): void {
    for (const process of [...this.holders, ...this.witnesses, ...this.devices]) process.start();
  }

  close(): void {
    this.coordinator.close();
    for (const process of [...this.holders, ...this.witnesses]) process.close();
  }
}
