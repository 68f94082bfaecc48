/**
 * One run of `pulsefold bench round`: starts the processes, follows what they say, takes the figures.
 *
 * Trusts: programs of this repository on this machine. May be called by: round-bench.ts.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { CoordinatorProgress } from '../../../coordinator/server.ts';
import { toHex } from '../../../crypto/bytes.ts';
import { ensure, PulsefoldError } from '../../../crypto/error.ts';
import { parameterCount } from '../../../protos/model.ts';
import type { ParsedPlan } from '../../../protos/plan.ts';
import { schemeOf, schemeText } from '../../../protos/plan-scheme.ts';
import { Child, type ChildEvent } from '../../demo/processes.ts';
import { profileEnv, RoundDeployment } from './round-deployment.ts';
import type { HostCommand, ReceiptsDone, UploadsDone } from './round-host.ts';
import { cpuMsOf, openFilesOf, peakRssMbOf } from './round-meter.ts';
import { DELTA, EPSILON, roundPlan } from './round-plan.ts';
import type { RoundBenchOptions, RoundRow } from './round-types.ts';

const HOST = join(import.meta.dirname, 'round-host.ts');
/** No round takes this long unless something hangs. */
const RUN_MS_MAX = 3_600_000;
const SAMPLE_MS = 1000;
const STOP_GRACE_MS = 3000;
const PROFILE_GRACE_MS = 60_000;

type RoundProgress = Extract<CoordinatorProgress, { type: 'round' }>;
interface Mark {
  readonly atMs: number;
  readonly coordinatorCpuMs: number;
}

/** One run: processes, what they said, and the figures. */
export class RoundRun {
  readonly #options: RoundBenchOptions;
  readonly #directory: string;
  readonly #hosts: Child[];
  readonly #failed = Promise.withResolvers<never>();
  /** When the coordinator first said that a phase had begun. */
  readonly #phases = new Map<string, Mark>();
  readonly #keys = Promise.withResolvers<void>();
  readonly #released = Promise.withResolvers<RoundProgress>();
  readonly #exported = Promise.withResolvers<void>();
  readonly #waiting: ((host: number, event: ChildEvent) => void)[] = [];
  #deployment: RoundDeployment | null = null;
  #filesMax = 0;
  #sampler: NodeJS.Timeout | null = null;
  readonly #timer: NodeJS.Timeout;

  constructor(options: RoundBenchOptions, directory: string) {
    this.#options = options;
    this.#directory = directory;
    this.#failed.promise.catch(() => {});
    this.#timer = setTimeout(
      () => this.#fail('DEADLINE_EXCEEDED', `the round took more than ${RUN_MS_MAX / 60_000} minutes`),
      RUN_MS_MAX,
    );
    const { profileDirectory } = options;
    this.#hosts = Array.from({ length: options.hosts ?? 2 }, (_, index) => {
      const name = `clients-${index + 1}`;
      return new Child({
        name,
        module: HOST,
        args: [],
        ...(profileDirectory ? { env: profileEnv(join(profileDirectory, name)) } : {}),
        logFile: join(directory, `${name}.log`),
        onEvent: (event) => this.#onHost(index, name, event),
      });
    });
  }

  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    if (this.#sampler) clearInterval(this.#sampler);
    const graceMs = this.#options.profileDirectory ? PROFILE_GRACE_MS : STOP_GRACE_MS;
    await Promise.all([
      ...this.#hosts.map((host) => host.stop(graceMs)),
      this.#deployment?.stop(graceMs) ?? Promise.resolve(),
    ]);
  }

  async row(): Promise<RoundRow> {
    const { clients, parameters, transport, privacy, onProgress } = this.#options;
    const cohortMin = this.#options.cohortMin ?? Math.max(2, Math.floor(clients * 0.9));
    onProgress('starting coordinator, four key holders, registrar and client hosts');
    this.#deployment = await RoundDeployment.start({
      directory: this.#directory,
      profileDirectory: this.#options.profileDirectory,
      onEvent: (name, event) => this.#onRole(name, event),
    });
    const parsed = roundPlan({
      clients,
      parameters,
      transport,
      cohortMin,
      privacy,
      parties: this.#deployment.parties(),
    });
    onProgress(`plan: d = ${parameterCount(parsed.plan.model)}, ${schemeText(parsed)}`);
    await Promise.all(this.#hosts.map((host) => host.start('host-ready')));
    await this.#deployment.submit(parsed);
    await this.#guard(Promise.all([this.#keys.promise, this.#prepare(parsed)]));
    await this.#guard(this.#opened());
    const before = this.#cpu();
    const uploads = await this.#upload();
    const round = await this.#guard(this.#released.promise);
    const after = this.#cpu();
    await this.#guard(this.#exported.promise);
    const receiptsFrom = { atMs: Date.now(), cpu: this.#coordinatorCpuMs() };
    const receipts = await this.#command<ReceiptsDone>('receipts', 'receipts-done', () => ({
      type: 'receipts',
    }));
    for (const { errors } of receipts) for (const error of errors) onProgress(`receipt: ${error}`);
    const receiptsTo = { atMs: Date.now(), cpu: this.#coordinatorCpuMs() };
    const each = (ms: number) => rounded(ms / clients, 3);
    return {
      ...this.#head(parsed),
      ...this.#times(uploads),
      coordinator_cpu_ms_per_client: each(this.#phase('released').coordinatorCpuMs - before.coordinator),
      coordinator_uploads_cpu_ms_per_client: each(
        this.#phase('accepting').coordinatorCpuMs - before.coordinator,
      ),
      coordinator_rss_mb: rounded(peakRssMbOf(this.#roles().coordinator), 1),
      holder_cpu_ms_per_client: each((after.holders - before.holders) / this.#roles().holders.length),
      holder_rss_mb: rounded(Math.max(...this.#roles().holders.map(peakRssMbOf)), 1),
      client_cpu_ms_per_client: each(after.hosts - before.hosts),
      upload_bytes: uploads[0]!.uploadBytes,
      ...this.#compare(parsed, uploads, round),
      connections: uploads.reduce((sum, one) => sum + one.acknowledged, 0),
      coordinator_files_max: this.#filesMax,
      receipts: receipts.reduce((sum, one) => sum + one.certified, 0),
      receipts_s: rounded((receiptsTo.atMs - receiptsFrom.atMs) / 1000, 2),
      coordinator_receipt_cpu_ms_per_client: each(receiptsTo.cpu - receiptsFrom.cpu),
      training_generated: true,
    };
  }

  #head(parsed: ParsedPlan) {
    const { clients, transport } = this.#options;
    return {
      bench: 'round',
      clients,
      d: parameterCount(parsed.plan.model),
      transport,
      scheme: schemeText(parsed),
      slot_bits: schemeOf(parsed, 'training').layout.modulusBits,
    } as const;
  }

  #times(uploads: readonly UploadsDone[]) {
    const startMs = Math.min(...uploads.map((one) => one.firstCheckInAtMs));
    const atMs = (phase: string): number => this.#phase(phase).atMs;
    const seconds = (fromMs: number, toMs: number) => rounded((toMs - fromMs) / 1000, 2);
    return {
      wall_s: seconds(startMs, atMs('released')),
      uploads_s: seconds(startMs, atMs('accepting')),
      accept_s: seconds(atMs('accepting'), atMs('certifying')),
      certify_s: seconds(atMs('certifying'), atMs('opening')),
      open_s: seconds(atMs('opening'), atMs('opened')),
      release_s: seconds(atMs('opened'), atMs('released')),
    };
  }

  /** The opened sum against what was sealed, modulo the slots' width. */
  #compare(parsed: ParsedPlan, uploads: readonly UploadsDone[], round: RoundProgress) {
    const modulus = 2 ** schemeOf(parsed, 'training').layout.modulusBits;
    const run = `${parsed.plan.name}-${parsed.hashHex.slice(0, 12)}`;
    const file = join(this.#deployment!.runDirectory, run, 'rounds', '1.json');
    const { sum } = JSON.parse(readFileSync(file, 'utf8')) as { sum: { digits: number[] } };
    const sums = uploads.map((_, host) => {
      const bytes = readFileSync(this.#sumsFile(host));
      return new Float64Array(bytes.buffer, bytes.byteOffset, bytes.length / 8);
    });
    const wrong = sum.digits.filter(
      (digit, i) => (sums.reduce((total, one) => total + one[i]!, 0) - digit) % modulus !== 0,
    ).length;
    const acknowledged = uploads.reduce((total, one) => total + one.acknowledged, 0);
    const whole = sums.every((one) => one.length === sum.digits.length) && round.certified === acknowledged;
    return { exact: whole && wrong === 0, wrong, cohort: round.certified };
  }

  #sumsFile(host: number): string {
    return join(this.#directory, `sums-${host}.bin`);
  }

  async #prepare(parsed: ParsedPlan): Promise<void> {
    const { clients, privacy, connections } = this.#options;
    const { authority, coordinatorAddress, approver } = this.#deployment!;
    await this.#command('certificates', 'prepared', (host, hosts) => ({
      type: 'prepare',
      clients: Math.floor((clients + host) / hosts),
      authority,
      coordinatorAddress,
      approver: { id: approver.id, publicKey: toHex(approver.key.publicKey) },
      planHash: parsed.hashHex,
      inputs: parsed.plan.model.inputs,
      slotCount: schemeOf(parsed, 'training').scheme.slotCount,
      limits: privacy
        ? { epsilon: Number(EPSILON), delta: Number(DELTA) }
        : { epsilon: 0, delta: Number(DELTA), allowWithoutPrivacy: true },
      atATime: Math.max(1, Math.round((this.#options.atATime ?? 128) / hosts)),
      keepOpen: connections === 'all',
    }));
  }

  async #upload(): Promise<UploadsDone[]> {
    const { coordinator } = this.#roles();
    this.#sampler = setInterval(() => {
      this.#filesMax = Math.max(this.#filesMax, openFilesOf(coordinator));
    }, SAMPLE_MS);
    const uploads = await this.#command<UploadsDone>('uploads', 'uploads-done', (host) => ({
      type: 'run',
      sumsFile: this.#sumsFile(host),
    }));
    const missing = this.#options.clients - uploads.reduce((sum, one) => sum + one.acknowledged, 0);
    // The round would wait for them.
    if (missing > 0)
      throw new PulsefoldError(
        'UNAVAILABLE',
        `${missing} clients failed: ${uploads.flatMap(({ errors }) => errors).join('; ')}`,
      );
    return uploads;
  }

  /** Sends every host its command and waits for all answers, telling how far they are. */
  async #command<Reply>(
    stage: string,
    answer: string,
    commandOf: (host: number, hosts: number) => HostCommand,
  ): Promise<(Reply & ChildEvent)[]> {
    const { clients, onProgress } = this.#options;
    const count = this.#hosts.length;
    const replies = new Array<Reply & ChildEvent>(count);
    const done = new Array<number>(count).fill(0);
    const all = Promise.withResolvers<void>();
    const startMs = Date.now();
    let saidAtMs = startMs;
    let missing = count;
    const listener = (host: number, event: ChildEvent): void => {
      if (event.event === 'progress') {
        done[host] = Number(event.done);
        const nowMs = Date.now();
        if (nowMs - saidAtMs < 2000) return;
        saidAtMs = nowMs;
        const total = done.reduce((sum, one) => sum + one, 0);
        onProgress(progressLine(stage, total, clients, nowMs - startMs));
      } else if (event.event === answer) {
        replies[host] = event as Reply & ChildEvent;
        if (--missing === 0) all.resolve();
      }
    };
    this.#waiting.push(listener);
    try {
      for (const [host, child] of this.#hosts.entries()) child.send(commandOf(host, count));
      await this.#guard(all.promise);
    } finally {
      this.#waiting.splice(this.#waiting.indexOf(listener), 1);
    }
    onProgress(`${stage}: ${clients} in ${((Date.now() - startMs) / 1000).toFixed(1)} s`);
    return replies;
  }

  #onHost(host: number, name: string, event: ChildEvent): void {
    if (event.event === 'exit') this.#fail('UNAVAILABLE', `${name} ended with code ${String(event.code)}`);
    for (const listener of this.#waiting) listener(host, event);
  }

  #onRole(name: string, event: ChildEvent): void {
    if (event.event === 'exit') this.#fail('UNAVAILABLE', `${name} ended with code ${String(event.code)}`);
    if (name !== 'coordinator') return;
    if (event.event === 'ceremony' && Number(event.ready) >= Number(event.wanted)) this.#keys.resolve();
    if (event.event === 'round') this.#onRound(event as unknown as RoundProgress);
    if (event.event !== 'plan') return;
    if (event.status === 'finished') this.#exported.resolve();
    else this.#fail('INTERNAL', `the plan failed: ${String(event.message)}`);
  }

  #onRound(round: RoundProgress): void {
    const { phase, message } = round;
    if (!this.#phases.has(phase)) {
      this.#phases.set(phase, { atMs: Date.now(), coordinatorCpuMs: this.#coordinatorCpuMs() });
      this.#options.onProgress(`round: ${phase}: ${message}`);
    }
    if (phase === 'released') this.#released.resolve(round);
    if (phase === 'aborted' || phase === 'unopened')
      this.#fail('COHORT_TOO_SMALL', `the round ended ${phase}: ${message}`);
    if (round.stuck) this.#fail('UNAVAILABLE', `the round is stuck: ${message}`);
  }

  #phase(name: string): Mark {
    const mark = this.#phases.get(name);
    ensure(mark, 'INTERNAL', `the coordinator did not report phase ${name}`);
    return mark;
  }

  /** The round stands open. */
  async #opened(): Promise<void> {
    while (!this.#phases.has('collecting')) await sleep(20);
  }

  #roles() {
    const { coordinator, holders } = this.#deployment!;
    return { coordinator: coordinator.child.pid!, holders: holders.map(({ child }) => child.pid!) };
  }

  #coordinatorCpuMs(): number {
    const pid = this.#deployment?.coordinator.child.pid;
    return pid === undefined ? 0 : cpuMsOf(pid);
  }

  #cpu() {
    const sum = (pids: readonly number[]) => pids.reduce((total, pid) => total + cpuMsOf(pid), 0);
    return {
      atMs: Date.now(),
      coordinator: this.#coordinatorCpuMs(),
      holders: sum(this.#roles().holders),
      hosts: sum(this.#hosts.map((host) => host.pid!)),
    };
  }

  #guard<T>(work: Promise<T>): Promise<T> {
    return Promise.race([work, this.#failed.promise]);
  }

  #fail(code: 'UNAVAILABLE' | 'INTERNAL' | 'COHORT_TOO_SMALL' | 'DEADLINE_EXCEEDED', message: string): void {
    this.#failed.reject(new PulsefoldError(code, `${message}; logs are in ${this.#directory}`));
  }
}

function progressLine(stage: string, done: number, of: number, spentMs: number): string {
  const perSecond = (done * 1000) / Math.max(1, spentMs);
  const left = done > 0 ? `, about ${Math.ceil((of - done) / perSecond)} s left` : '';
  return `${stage}: ${done} of ${of}, ${perSecond.toFixed(0)}/s${left}`;
}

const rounded = (value: number, digits: number): number => Number(value.toFixed(digits));
