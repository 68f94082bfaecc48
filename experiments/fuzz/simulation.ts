/**
 * One run of a fault simulation: a story played on a fresh deployment, then all faults off until everything has ended.
 *
 * Registrar's certificates, coordinator, four key holders, witnesses and devices are the real ones over real stores; the
 * network and time are made (network.ts, virtual-time.ts). The same story gives the same run. Trusts: nothing.
 * May be called by: experiments/fuzz.
 */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { verifyRunDirectory } from '../../auditor/verify.ts';
import { encodeVerifierKey } from '../../crypto/log/checkpoint.ts';
import { schemeOf } from '../../protos/plan-scheme.ts';
import { Deployment, type Setting } from './deployment.ts';
import { errorText } from './network.ts';
import { HOLDERS, type Op, type Story, TAMPERING } from './ops.ts';
import { FINAL_PHASES } from './plan-inspection.ts';
import { RETENTION_DAYS } from './plans.ts';
import type { RunOptions, RunResult } from './run-types.ts';
import { START_MS, VirtualTime } from './virtual-time.ts';
import type { FuzzWorld } from './world.ts';

/** Virtual time in which plans without faults must end, and in which devices fetch their receipts afterwards. */
const END_MS_MAX = 240_000;
const STEP_MS = 500;
const WARM_MS_MAX = 3000;
const AFTERMATH_MS = 400;
/** A witness that was away is asked again after a minute at most. */
const WITNESS_MS_MAX = 5000;
/** What is done at the start of a process. */
const START_UP_MS = 50;
/** Devices try again within this time what they had in mind. */
const AFTER_RETENTION_MS = 1500;
const DAY_MS = 86_400_000;

/** Memory where the machine has a file system for it: real files without a real disk's fsync. */
const scratch = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

/** Plays `story`. Two runs at once in one thread are not possible: they share its timers. */
export async function runStory(
  anyWorld: FuzzWorld,
  story: Story,
  options: RunOptions = {},
): Promise<RunResult> {
  const world = await anyWorld.under(story.scenario.suite);
  const directory = mkdtempSync(join(scratch, 'pulsefold-fuzz-'));
  const time = new VirtualTime();
  const plans = world.plansOf(story.scenario);
  for (const { parsed } of plans) await world.secagg.ready(schemeOf(parsed, 'training').scheme);
  time.install();
  let run: Run | undefined;
  try {
    run = new Run(world, story, { ...options, directory, time, plans });
    return await run.play();
  } finally {
    run?.close();
    time.uninstall();
    rmSync(directory, { recursive: true, force: true });
  }
}

class Run {
  readonly #world: FuzzWorld;
  readonly #story: Story;
  readonly #setting: Setting;
  readonly #all: Deployment;
  #played = 0;
  #overAtMs: number | undefined;
  /** Holders were asked for contradicting statements: the round may never end, but must not end twice. */
  #equivocated = false;

  constructor(world: FuzzWorld, story: Story, setting: Setting) {
    this.#world = world;
    this.#story = story;
    this.#setting = setting;
    this.#all = new Deployment(world, story, setting);
  }

  async play(): Promise<RunResult> {
    const { time } = this.#setting;
    const { observer, inspection } = this.#all;
    this.#all.start();
    try {
      if (this.#story.scenario.warm) await this.#warmUp();
      await inspection.check();
      for (const op of this.#story.ops) {
        if (this.#isOver()) break;
        this.#all.note(`op ${JSON.stringify(op)}`);
        this.#carryOut(op);
        this.#played++;
        await time.advance(op.afterMs);
        await inspection.check();
        if (observer.violation) break;
      }
      if (!observer.violation) await this.#end();
    } catch (error) {
      // The harness itself, or an exception that reached a timer: nothing may do that.
      observer.report('no-internal-error', errorText(error));
    }
    return this.#result();
  }

  async #warmUp(): Promise<void> {
    const { time } = this.#setting;
    for (let ms = 0; ms < WARM_MS_MAX && this.#all.inspection.current.rounds.length === 0; ms += 20)
      await time.advance(20);
  }

  /** A while after its end nothing can happen to the last plan any more. */
  #isOver(): boolean {
    if (this.#all.coordinator.outcomes.size < this.#setting.plans.length) return false;
    this.#overAtMs ??= this.#setting.time.nowMs();
    return this.#setting.time.nowMs() - this.#overAtMs > AFTERMATH_MS;
  }

  #result(): RunResult {
    const { observer, inspection, faults, trace } = this.#all;
    const rounds: Record<string, number> = {};
    for (const { phase } of inspection.plans.flatMap((plan) => plan.rounds))
      rounds[phase] = (rounds[phase] ?? 0) + 1;
    const { violation, checks, messages } = observer;
    return {
      violation,
      summary: `${inspection.summary()}\n${messages} messages`,
      ops: this.#played,
      rounds,
      faults,
      checks,
      messages,
      virtualMs: this.#setting.time.nowMs() - START_MS,
      trace,
    };
  }

  #carryOut(op: Op): void {
    const process = 'who' in op ? this.#all.processes.find(({ name }) => name === op.who) : undefined;
    switch (op.type) {
      case 'wait':
        return;
      case 'crash':
        this.#all.count('crash');
        process?.crash(op.downMs);
        return;
      case 'crash-at-write':
        if (!process) return;
        process.downMs = op.downMs;
        process.gate.crashAt(op.writes, op.when, op.named);
        return;
      case 'disk-full':
        process?.gate.fill(op.writes);
        return;
      case 'network':
        this.#all.tampered ||= TAMPERING.includes(op.fault);
        this.#all.network.arm(op.link, op.fault, op.count, op.amount);
        return;
      case 'clock':
        if (!process) return;
        this.#all.count('clock');
        process.skewMs += op.jumpMs;
        if (op.who === 'coordinator') this.#all.inspection.clockWasSet(op.jumpMs);
        return;
      default:
        this.#carryOutRest(op);
    }
  }

  #carryOutRest(op: Op): void {
    const { coordinator, holders } = this.#all;
    this.#all.count(op.type);
    if ('device' in op) this.#carryOutAtDevice(op);
    else if (op.type === 'offline') holders[op.holder - 1]?.crash(op.forMs);
    else if (op.type === 'abort') coordinator.abort();
    else if (op.type === 'submit-again') coordinator.submitAgain();
    else if (op.type === 'equivocate') this.#equivocate(op.how);
    else if (op.type === 'lie') {
      const liar = holders[this.#story.scenario.liar - 1];
      if (liar) liar.lie = op.how;
    }
  }

  #carryOutAtDevice(op: Extract<Op, { readonly device: number }>): void {
    const device = this.#all.devices[op.device];
    if (op.type === 'leave') device?.leave();
    else if (op.type === 'come-back') device?.comeBack();
    else if (op.type === 'withdraw') device?.wish({ type: 'withdraw', extent: op.extent });
    else if (op.type === 'consent') device?.wish({ type: 'consent', expiresInMs: op.expiresInMs });
    else if (op.type === 'erase') device?.wish({ type: 'erase' });
    else device?.wish({ type: 'report' });
  }

  /** With the coordinator's key: another statement is asked for once a quorum has certified, from every holder. */
  #equivocate(how: 'abort' | 'smaller-cohort'): void {
    const { coordinator, observer, inspection, holders } = this.#all;
    const plan = inspection.current;
    const { parsed } = plan;
    const last = plan.rounds.at(-1);
    if (!last || observer.certifiers(parsed.hashHex, last.round) < HOLDERS - 1) return;
    this.#all.tampered = true;
    this.#equivocated ||= this.#story.scenario.liar > 0;
    const { life } = coordinator;
    if (!life) return;
    const cohort = plan.cohortOf(last);
    for (const holder of holders) {
      const port = this.#all.portOf(holder, life);
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

  /** Everybody is there, nobody lies, nothing is lost: the plans end, or say why they cannot. */
  async #end(): Promise<void> {
    const { time } = this.#setting;
    const { observer, devices, inspection } = this.#all;
    this.#stopFaults();
    let waitedMs = 0;
    for (; waitedMs < END_MS_MAX && !this.#hasEnded(); waitedMs += STEP_MS) {
      await time.advance(STEP_MS);
      await inspection.check();
      if (observer.violation) return;
    }
    observer.check(
      'the-plan-ends',
      this.#hasEnded() || this.#equivocated,
      () => `after ${END_MS_MAX / 1000} s without faults: ${this.#standing()}`,
    );
    // Devices fetch what is left to fetch.
    for (let ms = 0; ms < 15_000 && devices.some(({ isRunning }) => isRunning); ms += STEP_MS)
      await time.advance(STEP_MS);
    await inspection.check();
    inspection.checkEnd();
    this.#checkSummaries();
    if (this.#setting.audit) await this.#audit('run');
    await this.#keepPromises();
  }

  #stopFaults(): void {
    const { network, coordinator, holders, witnesses, devices, processes } = this.#all;
    network.clear();
    for (const process of processes) {
      process.gate.clear();
      process.downMs = 0;
    }
    coordinator.start();
    for (const process of [...holders, ...witnesses, ...devices]) process.skewMs = coordinator.skewMs;
    for (const holder of holders) {
      holder.lie = 'honest';
      holder.start();
    }
    for (const witness of witnesses) witness.start();
    for (const device of devices) device.comeBack();
  }

  /** Ended, or waiting for devices that will not come: they have withdrawn, or budgets are used up. */
  #hasEnded(): boolean {
    const { inspection, coordinator, devices } = this.#all;
    const plan = inspection.current;
    if (plan.isOver) return coordinator.outcomes.size === this.#setting.plans.length;
    const open = plan.rounds.filter(({ phase }) => !FINAL_PHASES.includes(phase));
    if (open.length === 0 || open.some(({ phase }) => phase !== 'collecting')) return false;
    const willing = devices.filter(
      (device) => !device.hasStopped && inspection.budgets.canAfford(device, plan.parsed),
    );
    return willing.length < this.#story.scenario.cohortMin;
  }

  #standing(): string {
    const plan = this.#all.inspection.current;
    const last = plan.rounds.at(-1);
    return `plan ${plan.row?.status} (${plan.row?.message}), round ${last?.round} ${last?.phase}`;
  }

  #checkSummaries(): void {
    const { devices, observer, tampered } = this.#all;
    for (const { name, summary } of devices) {
      if (!summary) continue;
      observer.check(
        'no-false-alarm',
        tampered || summary.alarms.length === 0,
        () => `${name} alarms: ${JSON.stringify(summary.alarms[0])}`,
      );
    }
  }

  /** What falls due by itself: what was to be erased is gone, and after a day everybody in ended rounds. */
  async #keepPromises(): Promise<void> {
    const { scenario } = this.#story;
    const { inspection, devices, observer } = this.#all;
    const hasErased = devices.some(({ isErased }) => isErased);
    if (observer.violation || (!hasErased && scenario.consent === 'none')) return;
    await this.#restart();
    inspection.rights.checkForgotten();
    if (scenario.consent === 'none') return;
    inspection.rights.checkRetention(false);
    for (const process of this.#all.processes) process.skewMs += RETENTION_DAYS * DAY_MS;
    await this.#restart();
    inspection.rights.checkRetention(true);
    // Nor does anybody come back into it.
    await this.#setting.time.advance(AFTER_RETENTION_MS);
    inspection.rights.checkRetention(true);
    if (this.#setting.audit) await this.#audit('run-after-retention');
  }

  async #restart(): Promise<void> {
    this.#all.coordinator.crash(0);
    await this.#setting.time.advance(START_UP_MS);
  }

  async #audit(name: string): Promise<void> {
    const { coordinator, inspection, policyText } = this.#all;
    // A plan that failed before its first round has no model to export.
    const plans = inspection.plans.filter((plan) => plan.rounds.length > 0);
    if (plans.length === 0) return;
    // What waits for a witness waits from now on.
    if (policyText !== undefined) await this.#restart();
    const directoryOf = (plan: string): string => join(this.#setting.directory, name, plan);
    for (const { parsed } of plans) coordinator.exportTo(directoryOf(parsed.plan.name), parsed);
    if (policyText !== undefined) await this.#setting.time.advance(WITNESS_MS_MAX);
    const { approvers } = this.#world.policy;
    for (const { parsed } of plans) {
      const result = verifyRunDirectory(directoryOf(parsed.plan.name), {
        approvers,
        approvalsRequired: 1,
        logKey: encodeVerifierKey(coordinator.signer),
        policy: policyText,
      });
      const errors = result.findings.filter(({ severity }) => severity === 'error');
      this.#all.observer.check(
        'auditor-agrees',
        errors.length === 0,
        () => `the auditor finds: ${errors[0]?.code} ${errors[0]?.message}`,
      );
    }
  }

  close(): void {
    this.#all.close();
  }
}
