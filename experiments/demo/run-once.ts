/**
 * One run of a plan on a running deployment: population, submission, supervision, result.
 *
 * For: experiments/demo and experiments/e2e. May be called by: demo.ts, phones.ts.
 */
import { join } from 'node:path';
import type { CoordinatorProgress } from '../../coordinator/server.ts';
import { toHex } from '../../crypto/bytes.ts';
import { PulsefoldError } from '../../crypto/error.ts';
import { randomBytes } from '../../crypto/random.ts';
import type { ParsedPlan } from '../../protos/plan.ts';
import { committeeKeyCount } from '../../protos/plan.ts';
import type { HostedClient } from './client-host.ts';
import type { Deployment } from './deployment.ts';
import { writePopulation } from './population.ts';
import { Child, type ChildEvent } from './processes.ts';
import type { Scenario } from './scenario.ts';

export interface RunEvents {
  onCeremony(ready: number, wanted: number): void;
  onRound(round: RoundProgress): void;
  onClient(name: string, event: ChildEvent): void;
}

/** What the coordinator's process says of a round. */
export type RoundProgress = Omit<Extract<CoordinatorProgress, { type: 'round' }>, 'type' | 'plan'>;

export interface RunResult {
  readonly status: string;
  readonly message: string;
  /** Bytes of each upload, as the clients sent them. */
  readonly uploadBytes: readonly number[];
  readonly summaries: readonly ClientSummary[];
  readonly errors: readonly { readonly name: string; readonly error: string }[];
}

export interface ClientSummary {
  readonly name: string;
  readonly deviceId: string;
  readonly budget: { readonly epsilonSpent: number };
  readonly rounds: readonly {
    readonly round: number;
    readonly outcome: string;
    readonly uploadBytes: number;
    readonly reason?: string;
  }[];
}

/** Processes that hold the clients, kept between repeats. */
export class Hosts {
  readonly children: readonly Child[];
  engine = '';
  skipped: readonly { readonly engine: string; readonly reason: string }[] = [];
  listener: (host: number, event: ChildEvent) => void = () => {};

  constructor(count: number, directory: string, module: string, args: readonly string[] = []) {
    this.children = Array.from(
      { length: count },
      (_, index) =>
        new Child({
          name: `client-host-${index + 1}`,
          module,
          args: [...args],
          logFile: join(directory, `client-host-${index + 1}.log`),
          onEvent: (event) => this.listener(index, event),
        }),
    );
  }

  async start(): Promise<void> {
    const ready = await Promise.all(this.children.map((child) => child.start('host-ready')));
    this.engine = String(ready[0]?.engine ?? '');
    this.skipped = (ready[0]?.skipped ?? []) as Hosts['skipped'];
  }

  async stop(): Promise<void> {
    await Promise.all(this.children.map((child) => child.stop()));
  }
}

export interface RunOptions {
  readonly deployment: Deployment;
  readonly hosts: Hosts;
  readonly scenario: Scenario;
  readonly parsed: ParsedPlan;
  readonly directory: string;
  readonly events: RunEvents;
  /** Set by the caller to deliver the coordinator's events to this run. */
  readonly subscribe: (listener: (event: ChildEvent) => void) => () => void;
  /** Gives up when a round is stuck for lack of key holders. */
  readonly stopWhenStuck: boolean;
  /** After the committee keys exist and before clients join, e.g. to stop holders. */
  readonly beforeJoin?: () => Promise<void>;
}

/** Ceremonies and rounds together; a run that takes longer has a fault that its log explains. */
const RUN_MS_MAX = 900_000;

export async function runOnce(options: RunOptions): Promise<RunResult> {
  const { deployment, scenario, parsed, directory, hosts } = options;
  const clients = writePopulation({
    deployment,
    dataset: scenario.dataset,
    directory,
    clients: scenario.clients,
    budget: { epsilon: parsed.plan.privacy?.epsilon ?? '0', delta: parsed.plan.privacy?.delta ?? '0.00001' },
    unit: parsed.plan.privacy?.unit ?? null,
    planHash: parsed.hashHex,
  });
  const collected = collect(options, clients);
  try {
    await deployment.submit(parsed);
    await collected.keysReady;
    await options.beforeJoin?.();
    const job = toHex(randomBytes(8));
    const shares = hosts.children.map((_, host) =>
      clients.filter((_client, index) => index % hosts.children.length === host),
    );
    for (const [index, child] of hosts.children.entries())
      child.send({ type: 'join', job, clients: shares[index]! });
    return await collected.result;
  } finally {
    collected.stop();
  }
}

function collect(options: RunOptions, clients: readonly HostedClient[]) {
  const { parsed, events, hosts } = options;
  const uploadBytes: number[] = [];
  const summaries: ClientSummary[] = [];
  const errors: { name: string; error: string }[] = [];
  const keys = Promise.withResolvers<void>();
  const done = Promise.withResolvers<{ status: string; message: string }>();
  let ended: { status: string; message: string } | null = null;
  const finish = () => {
    const present = clients.filter(
      (_, index) => hosts.children[index % hosts.children.length]!.running,
    ).length;
    if (ended && summaries.length + errors.length >= present) done.resolve(ended);
  };
  const unsubscribe = options.subscribe((event) => {
    if (event.plan !== parsed.hashHex) return;
    if (event.event === 'ceremony') {
      events.onCeremony(Number(event.ready), Number(event.wanted));
      if (Number(event.ready) >= committeeKeyCount(parsed.plan)) keys.resolve();
    } else if (event.event === 'round') {
      const round = event as unknown as RoundProgress;
      events.onRound(round);
      if (round.stuck && options.stopWhenStuck) done.resolve({ status: 'stuck', message: round.message });
    } else if (event.event === 'plan') {
      ended = { status: String(event.status), message: String(event.message) };
      if (ended.status !== 'finished') {
        keys.resolve();
        done.resolve(ended);
      }
      finish();
    }
  });
  hosts.listener = (_host, event) => {
    if (event.event === 'exit') finish();
    if (event.event !== 'client') return;
    const name = String(event.name);
    events.onClient(name, event);
    if (event.error) errors.push({ name, error: String(event.error) });
    else {
      const summary = { ...(event.summary as Omit<ClientSummary, 'name'>), name };
      summaries.push(summary);
      uploadBytes.push(
        ...summary.rounds.filter((round) => round.uploadBytes > 0).map((round) => round.uploadBytes),
      );
    }
    finish();
  };
  const timer = setTimeout(
    () =>
      done.reject(
        new PulsefoldError(
          'DEADLINE_EXCEEDED',
          `the run took more than ${RUN_MS_MAX / 60_000} minutes; see its logs`,
        ),
      ),
    RUN_MS_MAX,
  );
  const result = done.promise.then((end): RunResult => ({ ...end, uploadBytes, summaries, errors }));
  return {
    keysReady: keys.promise,
    result,
    stop() {
      clearTimeout(timer);
      unsubscribe();
      hosts.listener = () => {};
    },
  };
}
