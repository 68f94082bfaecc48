/**
 * `pulsefold demo`: a registrar, a coordinator, four key holders and a population of clients as real processes that
 * talk gRPC over mutual TLS 1.3 on loopback, from enrolment to a released model and a table.
 *
 * May be called by: cli/demo.ts, experiments/e2e.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { loadTrainEngine } from '../../client/training/engine.ts';
import { runDirectoryOf } from '../../coordinator/server.ts';
import { ensure } from '../../crypto/error.ts';
import type { ParsedPlan } from '../../protos/plan.ts';
import { type DatasetName, datasetAvailable, findDataRoot, loadDataset } from '../datasets/index.ts';
import { checkCrashInvariants } from '../e2e/invariants.ts';
import { Deployment } from './deployment.ts';
import { runHarness } from './harness.ts';
import { CoordinatorKiller, HostKiller } from './killers.ts';
import type { DemoOptions } from './options.ts';
import type { ChildEvent } from './processes.ts';
import { DemoReport, type RepeatResult } from './report.ts';
import { Hosts, type RunResult, runOnce } from './run-once.ts';
import { planOf, scenarioOf } from './scenario.ts';

const HOST = join(import.meta.dirname, 'client-host.ts');
const OBSERVED_HOST = join(import.meta.dirname, '..', 'e2e', 'observed-client-host.ts');

/** Runs the demo; returns the figures that `--json` prints. Throws the coded error of whatever failed. */
export async function runDemo(options: DemoOptions): Promise<Record<string, unknown>> {
  const startedMs = Date.now();
  ensure(options.stopHolders <= 2, 'CONFIG_INVALID', '--stop-holders takes 0, 1 or 2');
  const dataRoot = findDataRoot(options.dataDirectory);
  const name = (options.dataset ?? (await defaultDataset(dataRoot))) as DatasetName;
  const dataset = await loadDataset(name, { dataRoot });
  const runDirectory = resolve(options.outDirectory ?? join('runs', `${timestamp()}-${name}`));
  mkdirSync(runDirectory, { recursive: true });
  // Keys, vaults and databases lie apart from what the run publishes.
  const directory = mkdtempSync(join(tmpdir(), 'pulsefold-'));
  const forget = () => rmSync(directory, { recursive: true, force: true });
  // Ctrl-C ends in process.exit: the keys must not stay behind.
  if (!options.keep) process.once('exit', forget);
  const report = new DemoReport(options, dataset, runDirectory);
  const listeners = new Set<(event: ChildEvent) => void>();
  const hostCount = scenarioOf(dataset, options, options.seed).hosts;
  const hosts = new Hosts(hostCount, directory, observed(options) ? OBSERVED_HOST : HOST, [
    join(directory, 'observed'),
  ]);
  let deployment: Deployment | null = null;
  try {
    report.step('starting registrar, coordinator, 4 key holders and client hosts');
    [deployment] = await Promise.all([
      Deployment.start({
        directory,
        runDirectory,
        suite: options.suite,
        onEvent: (source, event) => {
          if (source === 'coordinator') for (const listener of listeners) listener(event);
        },
      }),
      hosts.start(),
    ]);
    const engine = await loadTrainEngine();
    for (let repeat = 0; repeat < options.repeats; repeat++) {
      const seed = options.repeats === 1 ? options.seed : String(repeat);
      const context = {
        options,
        dataset,
        deployment,
        hosts,
        directory: join(directory, `run-${repeat}`),
        seed,
      };
      const { parsed, scenario, result } = await runRepeat(context, report, listeners, repeat);
      if (result.status !== 'finished') return report.failed(result, parsed, startedMs);
      const planDirectory = runDirectoryOf({ runDirectory }, parsed);
      const harness = await runHarness(engine, scenario, planDirectory, seed);
      const invariants = observed(options)
        ? checkCrashInvariants({ directory, parsed, runDirectory: planDirectory, result })
        : null;
      const repeatResult: RepeatResult = { parsed, scenario, result, harness, planDirectory, invariants };
      report.add(repeatResult);
    }
    return report.finish(hosts, startedMs);
  } finally {
    await Promise.all([hosts.stop(), deployment?.stop()]);
    if (options.keep) report.step(`private directories kept in ${directory}`);
    else forget();
  }
}

/** Crash runs are worth nothing without knowing what was sealed. */
const observed = (options: DemoOptions): boolean => options.killCoordinator || options.observe === true;

interface RepeatContext {
  readonly options: DemoOptions;
  readonly dataset: Awaited<ReturnType<typeof loadDataset>>;
  readonly deployment: Deployment;
  readonly hosts: Hosts;
  readonly directory: string;
  readonly seed: string;
}

async function runRepeat(
  context: RepeatContext,
  report: DemoReport,
  listeners: Set<(event: ChildEvent) => void>,
  repeat: number,
): Promise<{ parsed: ParsedPlan; scenario: ReturnType<typeof scenarioOf>; result: RunResult }> {
  const { options, dataset, deployment, hosts, seed } = context;
  const scenario = scenarioOf(dataset, options, seed);
  const parsed = planOf({ scenario, options, parties: deployment.parties(), suite: options.suite, seed });
  const killer = options.killCoordinator ? new CoordinatorKiller(deployment) : null;
  const vanishing =
    options.vanish && scenario.unit === 'person' && repeat === 0 ? new HostKiller(hosts, parsed) : null;
  report.begin(parsed, scenario, repeat);
  const result = await runOnce({
    deployment,
    hosts,
    scenario,
    parsed,
    directory: context.directory,
    stopWhenStuck: true,
    events: {
      onCeremony: (ready, wanted) => report.ceremony(ready, wanted),
      onRound: (round) => {
        report.round(round, parsed);
        killer?.onRound(round);
        const vanished = vanishing?.onRound(round);
        if (vanished) report.step(vanished);
      },
      onClient: (name, event) => report.client(name, event),
    },
    subscribe: (listener) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    beforeJoin: async () => {
      if (repeat > 0) return;
      for (const holder of deployment.holders.slice(4 - options.stopHolders)) await holder.child.kill();
    },
  });
  await Promise.all([killer?.stop(), vanishing?.stop()]);
  return { parsed, scenario, result };
}

async function defaultDataset(dataRoot: string | undefined): Promise<DatasetName> {
  return (await datasetAvailable('uci-heart', dataRoot)) ? 'uci-heart' : 'synthetic-band';
}

const timestamp = (): string =>
  new Date().toISOString().replace(/[-:]/g, '').replace(/\..*/, '').replace('T', '-');
