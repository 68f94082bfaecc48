/**
 * One run of a fault simulation: a story played on a fresh deployment, then all faults off until everything has ended.
 *
 * Registrar's certificates, coordinator, four key holders and devices are the real ones over real stores; the network
 * and time are made (network.ts, virtual-time.ts). The same story gives the same run. Trusts: nothing.
 * May be called by: experiments/fuzz.
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { verifyRunDirectory } from '../../auditor/verify.ts';
import type { Sealer } from '../../client/agent/seal.ts';
import type { HolderPort } from '../../coordinator/rounds/holder-port.ts';
import { schemeOf } from '../../protos/plan-scheme.ts';
import { portToHolder, transportOfDevice } from './connections.ts';
import { CoordinatorProcess } from './coordinator-process.ts';
import { DeviceProcess } from './device-process.ts';
import { HolderProcess } from './holder-process.ts';
import { FINAL_PHASES, Inspection } from './inspection.ts';
import type { Life } from './life.ts';
import { errorText, Network } from './network.ts';
import { Observer, watchedEngine } from './observer.ts';
import { HOLDERS, type Op, type Story, TAMPERING } from './ops.ts';
import type { RunOptions, RunResult } from './run-types.ts';
import { START_MS, VirtualTime } from './virtual-time.ts';
import type { FuzzWorld } from './world.ts';

/** Virtual time in which a plan without faults must end, and in which devices fetch their receipts afterwards. */
const END_MS_MAX = 240_000;
const STEP_MS = 500;
const TRACE_LINES_MAX = 2000;
const WARM_MS_MAX = 3000;
const AFTERMATH_MS = 400;

/** Memory where the machine has a file system for it: real files without a real disk's fsync. */
const scratch = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

/** Plays `story`. Two runs at once in one thread are not possible: they share its timers. */
export async function runStory(world: FuzzWorld, story: Story, options: RunOptions = {}): Promise<RunResult> {
  const directory = mkdtempSync(join(scratch, 'pulsefold-fuzz-'));
  const time = new VirtualTime();
  const plan = world.planOf(story.scenario);
  await world.secagg.ready(schemeOf(plan.parsed, 'training').scheme);
  time.install();
  let run: Run | undefined;
  try {
    run = new Run(world, story, { ...options, directory, time, plan });
    return await run.play();
  } finally {
    run?.close();
    time.uninstall();
    rmSync(directory, { recursive: true, force: true });
  }
}

interface Setting extends RunOptions {
  readonly directory: string;
  readonly time: VirtualTime;
  readonly plan: ReturnType<FuzzWorld['planOf']>;
}

class Run {
  readonly #world: FuzzWorld;
  readonly #story: Story;
  readonly #setting: Setting;
  readonly #observer: Observer;
  readonly #network: Network;
  readonly #coordinator: CoordinatorProcess;
  readonly #holders: readonly HolderProcess[];
  readonly #devices: readonly DeviceProcess[];
  readonly #inspection: Inspection;
  readonly #faults: Record<string, number> = {};
  readonly #trace: string[] = [];
  #played = 0;
  #overAtMs: number | undefined;
  /** Somebody tampers with messages, or lies with the coordinator's key: devices may see what no honest peer sends. */
  #tampered = false;
  /** Holders were asked for contradicting statements: the round may never end, but must not end twice. */
  #equivocated = false;

  constructor(world: FuzzWorld, story: Story, setting: Setting) {
    this.#world = world;
    this.#story = story;
    this.#setting = setting;
    const { time, plan, planted, directory } = setting;
    this.#observer = new Observer(world);
    this.#network = new Network(time, {
      onFault: (fault, link) => {
        this.#count(fault);
        this.#note(`${link} ${fault}`);
      },
      onMessage: (from, call, message) => {
        this.#note(`${call.link} ${call.method}${from === 'callee' ? ' answered' : ''}`);
        this.#observer.message(from, call, message);
      },
      onInternalError: ({ link, method }, error) => this.#internalError(`${link} ${method}`, error),
    });
    const onFault = (kind: string): void => this.#count(kind);
    this.#holders = Array.from(
      { length: HOLDERS },
      (_, i) => new HolderProcess({ world, time, index: i + 1, directory, onFault, ...planted?.holder }),
    );
    this.#coordinator = new CoordinatorProcess({
      world,
      time,
      plan,
      holders: (life) => this.#holders.map((holder) => this.#portOf(holder, life)),
      onFault,
      onRoundChange: ({ round, phase, message }) => this.#note(`round ${round} ${phase}: ${message}`),
      onLog: (level, fields, message) => {
        if (level !== 'info') this.#note(`${level} ${message} ${JSON.stringify(fields)}`);
      },
      onInternalError: (where, error) => this.#internalError(where, error),
      ...planted?.coordinator,
    });
    const engine = watchedEngine(world.engine, this.#observer);
    const sealer = this.#sealer();
    this.#devices = Array.from(
      { length: story.scenario.devices },
      (_, index) =>
        new DeviceProcess({
          world,
          time,
          index,
          seed: story.seed,
          engine,
          sealer: planted?.sealer?.(sealer) ?? sealer,
          connect: (life) => transportOfDevice(this.#network, this.#coordinator, { world, index }, life),
          onFault,
          onError: (error) => this.#deviceFailed(index, error),
          ...planted?.device,
        }),
    );
    this.#coordinator.start();
    this.#inspection = new Inspection(this.#observer, plan.parsed, this.#coordinator.disk, this.#devices);
  }

  #count(fault: string): void {
    this.#faults[fault] = (this.#faults[fault] ?? 0) + 1;
  }

  #note(line: string): void {
    if (!this.#setting.trace) return;
    this.#trace.push(`${String(this.#setting.time.nowMs() % 10_000_000).padStart(7)} ${line}`.slice(0, 300));
    if (this.#trace.length > TRACE_LINES_MAX) this.#trace.shift();
  }

  #internalError(where: string, error: unknown): void {
    this.#note(`internal error at ${where}: ${String(error)}`);
    const { code } = error as { code?: unknown };
    // What a full disk says to a holder is no coded error; its caller hears INTERNAL and asks again.
    if (code === 'ERR_SQLITE_ERROR' && String(error).includes('disk is full')) return;
    this.#observer.check('no-internal-error', false, () => `${where}: ${errorText(error)}`);
  }

  #deviceFailed(index: number, error: unknown): void {
    this.#note(`device${index} ends: ${errorText(error)}`);
    if (this.#tampered) return;
    this.#observer.check('no-false-alarm', false, () => `device${index} ends: ${errorText(error)}`);
  }

  #sealer(): Sealer {
    const { secagg } = this.#world;
    return {
      seal: (request) => {
        const { scheme, committeeKey, digits, ...context } = request;
        const copy = digits.slice();
        const sealed = secagg.seal(scheme, context, committeeKey, digits);
        this.#observer.seals(request, sealed, copy);
        return sealed;
      },
    };
  }

  #portOf(holder: HolderProcess, caller: Life): HolderPort {
    return portToHolder(this.#network, holder, caller);
  }

  async play(): Promise<RunResult> {
    const { time } = this.#setting;
    for (const holder of this.#holders) holder.start();
    for (const device of this.#devices) device.start();
    try {
      if (this.#story.scenario.warm) await this.#warmUp();
      await this.#inspection.check();
      for (const op of this.#story.ops) {
        if (this.#isOver()) break;
        this.#note(`op ${JSON.stringify(op)}`);
        this.#carryOut(op);
        this.#played++;
        await time.advance(op.afterMs);
        await this.#inspection.check();
        if (this.#observer.violation) break;
      }
      if (!this.#observer.violation) await this.#end();
    } catch (error) {
      // The harness itself, or an exception that reached a timer: nothing may do that.
      this.#observer.report('no-internal-error', errorText(error));
    }
    return this.#result();
  }

  async #warmUp(): Promise<void> {
    const { time } = this.#setting;
    for (let ms = 0; ms < WARM_MS_MAX && this.#inspection.rounds.length === 0; ms += 20)
      await time.advance(20);
  }

  /** A while after its end nothing can happen to a plan any more. */
  #isOver(): boolean {
    if (this.#coordinator.outcome === null) return false;
    this.#overAtMs ??= this.#setting.time.nowMs();
    return this.#setting.time.nowMs() - this.#overAtMs > AFTERMATH_MS;
  }

  #result(): RunResult {
    const rounds: Record<string, number> = {};
    for (const { phase } of this.#inspection.rounds) rounds[phase] = (rounds[phase] ?? 0) + 1;
    const { violation, checks, messages } = this.#observer;
    return {
      violation,
      summary: `${this.#inspection.summary()}\n${messages} messages`,
      ops: this.#played,
      rounds,
      faults: this.#faults,
      checks,
      messages,
      virtualMs: this.#setting.time.nowMs() - START_MS,
      trace: this.#trace,
    };
  }

  #processOf(name: string): CoordinatorProcess | HolderProcess | DeviceProcess | undefined {
    if (name === 'coordinator') return this.#coordinator;
    return [...this.#holders, ...this.#devices].find((process) => process.name === name);
  }

  #carryOut(op: Op): void {
    switch (op.type) {
      case 'wait':
        return;
      case 'crash':
        this.#count('crash');
        this.#processOf(op.who)?.crash(op.downMs);
        return;
      case 'crash-at-write': {
        const process = this.#processOf(op.who);
        if (!process) return;
        process.downMs = op.downMs;
        process.gate.crashAt(op.writes, op.when, op.named);
        return;
      }
      case 'disk-full':
        this.#processOf(op.who)?.gate.fill(op.writes);
        return;
      case 'network':
        this.#tampered ||= TAMPERING.includes(op.fault);
        this.#network.arm(op.link, op.fault, op.count, op.amount);
        return;
      case 'clock': {
        const process = this.#processOf(op.who);
        if (!process) return;
        this.#count('clock');
        process.skewMs += op.jumpMs;
        return;
      }
      default:
        this.#carryOutRest(op);
    }
  }

  #carryOutRest(op: Op): void {
    this.#count(op.type);
    if (op.type === 'leave') this.#devices[op.device]?.leave();
    else if (op.type === 'come-back') this.#devices[op.device]?.comeBack();
    else if (op.type === 'withdraw') this.#devices[op.device]?.withdraw(op.extent);
    else if (op.type === 'offline') this.#holders[op.holder - 1]?.crash(op.forMs);
    else if (op.type === 'abort') this.#coordinator.abort();
    else if (op.type === 'submit-again') this.#coordinator.submitAgain();
    else if (op.type === 'equivocate') this.#equivocate(op.how);
    else if (op.type === 'lie') {
      const liar = this.#holders[this.#story.scenario.liar - 1];
      if (liar) liar.lie = op.how;
    }
  }

  /** With the coordinator's key: another statement is asked for once a quorum has certified, from every holder. */
  #equivocate(how: 'abort' | 'smaller-cohort'): void {
    const { parsed } = this.#setting.plan;
    const { scenario } = this.#story;
    const last = this.#inspection.rounds.at(-1);
    if (!last || this.#observer.certifiers(parsed.hashHex, last.round) < HOLDERS - 1) return;
    this.#tampered = true;
    this.#equivocated ||= scenario.liar > 0;
    const { life } = this.#coordinator;
    if (!life) return;
    const cohort = this.#inspection.cohortOf(last);
    for (const holder of this.#holders) {
      const port = this.#portOf(holder, life);
      const asked =
        how === 'abort'
          ? port.abort(parsed.hash, last.round, 'a second opinion')
          : port.certify({
              planHash: parsed.hash,
              round: last.round,
              modelHash: Buffer.from(last.model_hash, 'hex'),
              configHash: Buffer.from(last.config_hash, 'hex'),
              committeeKeyId: Buffer.from(last.committee_key_id, 'hex'),
              cohortRoot: new Uint8Array(32),
              deviceIds: cohort.slice(1),
            });
      asked.catch(() => {});
    }
  }

  /** Everybody is there, nobody lies, nothing is lost: the plan ends, or says why it cannot. */
  async #end(): Promise<void> {
    const { time } = this.#setting;
    this.#network.clear();
    for (const process of [this.#coordinator, ...this.#holders, ...this.#devices]) {
      process.gate.clear();
      process.downMs = 0;
    }
    for (const holder of this.#holders) {
      holder.lie = 'honest';
      holder.skewMs = this.#coordinator.skewMs;
      holder.start();
    }
    this.#coordinator.start();
    for (const device of this.#devices) {
      device.skewMs = this.#coordinator.skewMs;
      device.comeBack();
    }
    let waitedMs = 0;
    for (; waitedMs < END_MS_MAX && !this.#hasEnded(); waitedMs += STEP_MS) await time.advance(STEP_MS);
    this.#observer.check(
      'the-plan-ends',
      this.#hasEnded() || this.#equivocated,
      () => `after ${END_MS_MAX / 1000} s without faults: ${this.#standing()}`,
    );
    // Devices fetch what is left to fetch.
    for (let ms = 0; ms < 15_000 && this.#devices.some(({ isRunning }) => isRunning); ms += STEP_MS)
      await time.advance(STEP_MS);
    await this.#inspection.check();
    this.#inspection.checkEnd();
    this.#checkSummaries();
    if (this.#setting.audit) this.#audit();
  }

  /** Ended, or waiting for devices that will not come: they have withdrawn, or their budgets are used up. */
  #hasEnded(): boolean {
    const status = this.#inspection.planRow?.status;
    if (status === 'finished' || status === 'failed') return this.#coordinator.outcome !== null;
    const last = this.#inspection.rounds.at(-1);
    if (!last || FINAL_PHASES.includes(last.phase)) return false;
    const willing = this.#devices.filter(({ summary }) => summary?.ended !== 'stopped').length;
    return last.phase === 'collecting' && willing < this.#story.scenario.cohortMin;
  }

  #standing(): string {
    const last = this.#inspection.rounds.at(-1);
    const plan = this.#inspection.planRow;
    return `plan ${plan?.status} (${plan?.message}), round ${last?.round} ${last?.phase}`;
  }

  #checkSummaries(): void {
    for (const { name, summary } of this.#devices) {
      if (!summary) continue;
      this.#observer.check(
        'no-false-alarm',
        this.#tampered || summary.alarms.length === 0,
        () => `${name} alarms: ${JSON.stringify(summary.alarms[0])}`,
      );
    }
  }

  #audit(): void {
    // A plan that failed before its first round has no model to export.
    if (this.#inspection.rounds.length === 0) return;
    const runDirectory = join(this.#setting.directory, 'run');
    this.#coordinator.exportTo(runDirectory);
    const { approvers } = this.#world.policy;
    const result = verifyRunDirectory(runDirectory, { approvers, approvalsRequired: 1 });
    const errors = result.findings.filter(({ severity }) => severity === 'error');
    this.#observer.check(
      'auditor-agrees',
      errors.length === 0,
      () => `the auditor finds: ${errors[0]?.code} ${errors[0]?.message}`,
    );
  }

  close(): void {
    this.#coordinator.close();
    for (const holder of this.#holders) holder.close();
  }
}
