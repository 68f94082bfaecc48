/**
 * What the demo shows: progress on the way, a table at the end, or one JSON line.
 *
 * May be called by: experiments/demo/demo.ts.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  createProgress,
  formatBytes,
  formatDuration,
  type Progress,
  painter,
  renderFields,
  renderTable,
} from '../../cli/terminal.ts';
import { type LedgerEvent, replay } from '../../coordinator/ledger/ledger-events.ts';
import { parseRational, rationalToNumber } from '../../crypto/dp/rational.ts';
import { PulsefoldError } from '../../crypto/error.ts';
import { parameterCount } from '../../protos/model.ts';
import { committeeKeyCount, openersOf, type ParsedPlan, quorumOf } from '../../protos/plan.ts';
import { accountPlan, epsilonOfAmount } from '../../protos/plan-mechanism.ts';
import { digitCountOf, schemeText } from '../../protos/plan-scheme.ts';
import type { Dataset } from '../datasets/types.ts';
import type { InvariantReport } from '../e2e/invariants.ts';
import type { HarnessResult } from './harness.ts';
import type { DemoOptions } from './options.ts';
import type { ChildEvent } from './processes.ts';
import type { ClientSummary, Hosts, RoundProgress, RunResult } from './run-once.ts';
import type { Scenario } from './scenario.ts';

export interface RepeatResult {
  readonly parsed: ParsedPlan;
  readonly scenario: Scenario;
  readonly result: RunResult;
  readonly harness: HarnessResult;
  readonly planDirectory: string;
  readonly invariants: InvariantReport | null;
}

const NO_DP_WARNING =
  'WARNING  --no-dp: NO DIFFERENTIAL PRIVACY. The released model may reveal its training records. Uploads are still encrypted.';

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;
const rounded = (value: number, digits = 4): number => Number(value.toFixed(digits));
const format = (value: number): string => (Number.isFinite(value) ? value.toFixed(3) : 'n/a');

export class DemoReport {
  readonly #options: DemoOptions;
  readonly #dataset: Dataset;
  readonly #runDirectory: string;
  readonly #results: RepeatResult[] = [];
  #progress: Progress | null = null;
  #released = new Set<number>();
  #prefix = '';
  #keysReady = false;

  constructor(options: DemoOptions, dataset: Dataset, runDirectory: string) {
    this.#options = options;
    this.#dataset = dataset;
    this.#runDirectory = runDirectory;
    if (!options.dp) this.#say(painter(process.stderr)('red', NO_DP_WARNING));
  }

  #say(text: string): void {
    process.stderr.write(`${text}\n`);
  }

  step(text: string): void {
    if (!this.#options.json) this.#say(text);
  }

  begin(parsed: ParsedPlan, scenario: Scenario, repeat: number): void {
    const { repeats } = this.#options;
    this.#prefix = repeats > 1 ? `${repeat + 1}/${repeats} ` : '';
    this.#released = new Set();
    this.#keysReady = false;
    const account = accountPlan(parsed);
    const privacy = parsed.plan.privacy;
    const budget =
      account && privacy
        ? `ε ${account.epsilon.toFixed(3)} of ${privacy.epsilon}, δ ${privacy.delta}, unit ${privacy.unit}`
        : 'no DP';
    this.step(
      `${this.#prefix}plan ${parsed.plan.name} ${parsed.hashHex.slice(0, 12)}: ${scenario.clients.length} clients, ` +
        `${parsed.plan.rounds.training} rounds, ${parameterCount(parsed.plan.model)} parameters, ${budget}`,
    );
    this.#progress = createProgress({
      label: `${this.#prefix}committee keys`,
      total: committeeKeyCount(parsed.plan),
      json: this.#options.json,
    });
  }

  ceremony(ready: number, wanted: number): void {
    // A restarted coordinator says again that all keys are there.
    if (this.#keysReady) return;
    this.#progress?.update(ready, 'made by 4 key holders');
    if (ready >= wanted) {
      this.#keysReady = true;
      this.#progress?.finish();
      this.#progress = null;
    }
  }

  round(round: RoundProgress, parsed: ParsedPlan): void {
    const total = parsed.plan.rounds.training + parsed.plan.rounds.evaluation;
    this.#progress ??= createProgress({ label: `${this.#prefix}rounds`, total, json: this.#options.json });
    if (round.phase === 'released') this.#released.add(round.round);
    const counts =
      round.certified > 0 ? `${round.certified} certified` : `${round.uploaded} of ${round.invited} uploaded`;
    this.#progress.update(this.#released.size, `round ${round.round} ${round.phase}, ${counts}`);
    if (this.#released.size >= total) {
      this.#progress.finish();
      this.#progress = null;
    }
  }

  client(name: string, event: ChildEvent): void {
    if (event.error) this.step(`${name}: ${String(event.error).split('\n')[0]}`);
    const summary = event.summary as ClientSummary | undefined;
    for (const round of summary?.rounds ?? [])
      if (round.outcome !== 'certified')
        this.step(`${name}: round ${round.round} ${round.outcome} ${round.reason ?? ''}`);
  }

  add(result: RepeatResult): void {
    this.#results.push(result);
    if (this.#options.repeats > 1)
      this.step(
        `${this.#prefix}AUC ${format(result.harness.federated.auc)}, central ${format(result.harness.central.auc)}`,
      );
  }

  /** A run that did not finish: says why, and what that means for the budget. */
  failed(result: RunResult, parsed: ParsedPlan, startedMs: number): never {
    this.#progress?.finish();
    const reasons = result.errors.slice(0, 3).map((e) => `${e.name}: ${e.error}`);
    throw new PulsefoldError(
      result.status === 'stuck' ? 'QUORUM_NOT_REACHED' : 'UNAVAILABLE',
      [
        `plan ${parsed.hashHex.slice(0, 12)} ${result.status} after ${formatDuration(Date.now() - startedMs)}: ${result.message}`,
        ...reasons,
      ].join('\n'),
    );
  }

  finish(hosts: Hosts, startedMs: number): Record<string, unknown> {
    const figures = this.#figures(hosts, startedMs);
    if (!this.#options.json) this.#print(figures, hosts);
    return figures;
  }

  #figures(hosts: Hosts, startedMs: number): Record<string, unknown> {
    const results = this.#results;
    const last = results.at(-1)!;
    const { plan } = last.parsed;
    const uploads = results.flatMap((r) => r.result.uploadBytes);
    const invariants = results.map((r) => r.invariants).filter((i) => i !== null);
    return {
      dataset: this.#dataset.definition.name,
      unit: plan.privacy?.unit ?? last.scenario.unit,
      clients: last.scenario.clients.length,
      rounds_completed: rounded(
        mean(results.map((r) => roundFiles(r).filter((f) => f.phase === 'released').length)),
        2,
      ),
      model_parameters: parameterCount(plan.model),
      auc: rounded(mean(results.map((r) => r.harness.federated.auc))),
      accuracy: rounded(mean(results.map((r) => r.harness.federated.accuracy))),
      balanced_accuracy: rounded(mean(results.map((r) => r.harness.federated.balancedAccuracy))),
      calibration_error: rounded(mean(results.map((r) => r.harness.federated.calibrationError))),
      worst_decile: rounded(mean(results.map((r) => r.harness.worstDecile))),
      central_auc: rounded(mean(results.map((r) => r.harness.central.auc))),
      central_accuracy: rounded(mean(results.map((r) => r.harness.central.accuracy))),
      local_auc: rounded(mean(results.map((r) => r.harness.local.auc))),
      per_site: perSite(results),
      evaluation: 'harness: all test rows in one place, outside the guarantee',
      federated_evaluation: federatedEvaluation(last),
      // A phone has one row: it is the one that it trains on. Hospitals score rows that they kept out of training.
      federated_evaluation_rows: last.scenario.unit === 'person' ? 'training rows' : 'held-out rows',
      dp: this.#options.dp,
      epsilon: this.#options.dp ? Math.max(...results.map(ledgerEpsilon)) : null,
      epsilon_scope: epsilonScope(results.length),
      delta: plan.privacy?.delta ?? null,
      gamma: plan.privacy?.gamma ?? null,
      epsilon_budget: plan.privacy?.epsilon ?? null,
      scheme: schemeText(last.parsed),
      suite: plan.suite,
      engine: hosts.engine,
      engine_skipped: hosts.skipped,
      key_holders: { n: plan.holders.length, t: openersOf(plan), quorum: quorumOf(plan) },
      upload_bytes: { mean: Math.round(mean(uploads)), max: Math.max(...uploads) },
      repeats: results.length,
      ...(results.length > 1 ? { auc_per_repeat: results.map((r) => rounded(r.harness.federated.auc)) } : {}),
      ...(invariants.length > 0
        ? {
            crash_invariants: {
              rounds_checked: invariants.reduce((sum, i) => sum + i.roundsChecked, 0),
              uploads_checked: invariants.reduce((sum, i) => sum + i.uploadsChecked, 0),
              late: invariants.reduce((sum, i) => sum + i.late, 0),
            },
          }
        : {}),
      wall_s: rounded((Date.now() - startedMs) / 1000, 1),
      run_dir: results.length === 1 ? last.planDirectory : this.#runDirectory,
    };
  }

  #print(figures: Record<string, unknown>, hosts: Hosts): void {
    const last = this.#results.at(-1)!;
    const { plan } = last.parsed;
    const rows = (figures.per_site as PerSite[]).map((site) => [
      site.site,
      String(site.rows),
      format(site.auc),
      format(site.central_auc),
      format(site.accuracy),
    ]);
    rows.push([
      'pooled',
      String(last.scenario.test.length),
      format(Number(figures.auc)),
      format(Number(figures.central_auc)),
      format(Number(figures.accuracy)),
    ]);
    const out = (text: string) => process.stdout.write(`${text}\n`);
    out('');
    out(renderTable(['site', 'test rows', 'federated AUC', 'central AUC', 'federated accuracy'], rows));
    const bytes = figures.upload_bytes as { mean: number; max: number };
    const privacy = plan.privacy
      ? `ε ${Number(figures.epsilon).toFixed(4)} spent of ${plan.privacy.epsilon} allowed ${figures.epsilon_scope} (δ ${plan.privacy.delta}, unit ${plan.privacy.unit}, holds while at most γ = ${plan.privacy.gamma} of a cohort is corrupt)`
      : NO_DP_WARNING;
    out(
      renderFields([
        [
          'local-only AUC',
          `${format(Number(figures.local_auc))} (mean of single-client models on the pooled test rows)`,
        ],
        ['metrics', 'computed in one place (harness), outside the privacy guarantee'],
        ['privacy', privacy],
        [
          'sums',
          `${figures.scheme}; ${plan.holders.length} key holders, ${quorumOf(plan)} certify, ${openersOf(plan)} open`,
        ],
        [
          'upload',
          `${formatBytes(bytes.mean)} mean, ${formatBytes(bytes.max)} most, for ${digitCountOf(last.parsed, 'training')} slots`,
        ],
        ['engine', `${hosts.engine}${hosts.skipped.map((s) => `; not ${s.engine}: ${s.reason}`).join('')}`],
        ['time', formatDuration(Number(figures.wall_s) * 1000)],
        ['model', join(last.planDirectory, 'model.json')],
        ['ledger', join(last.planDirectory, 'ledger.json')],
        ['log', join(last.planDirectory, 'log')],
      ]),
    );
    out(`Check it: npx pulsefold audit verify ${last.planDirectory}`);
  }
}

interface PerSite {
  readonly site: string;
  readonly rows: number;
  readonly auc: number;
  readonly accuracy: number;
  readonly central_auc: number;
}

function perSite(results: readonly RepeatResult[]): PerSite[] {
  const first = results[0]!.harness;
  return first.federated.perSite.map(({ site, rows }, index) => {
    const federated = results.map((r) => r.harness.federated.perSite[index]!);
    const central = results.map((r) => r.harness.central.perSite[index]!);
    return {
      site,
      rows,
      auc: rounded(mean(federated.map((s) => s.auc))),
      accuracy: rounded(mean(federated.map((s) => s.accuracy))),
      central_auc: rounded(mean(central.map((s) => s.auc))),
    };
  });
}

interface RoundFile {
  readonly kind: string;
  readonly phase: string;
  readonly summary: { readonly metrics?: object } | null;
}

function roundFiles(result: RepeatResult): RoundFile[] {
  const { training, evaluation, spare } = result.parsed.plan.rounds;
  const files: RoundFile[] = [];
  for (let round = 1; round <= training + evaluation + spare; round++) {
    const path = join(result.planDirectory, 'rounds', `${round}.json`);
    if (existsSync(path)) files.push(JSON.parse(readFileSync(path, 'utf8')) as RoundFile);
  }
  return files;
}

/** Repeats are different plans and, in a demo, freshly enrolled clients: their ε is not added up. */
const epsilonScope = (repeats: number): string =>
  repeats > 1 ? 'per budget epoch, per repeat' : 'per budget epoch';

/** Metrics that came through a sealed, charged evaluation round; null when the plan has none. */
const federatedEvaluation = (result: RepeatResult): object | null =>
  roundFiles(result).findLast((file) => file.kind === 'evaluation' && file.phase === 'released')?.summary
    ?.metrics ?? null;

/**
 * ε of the most-charged client by the coordinator's ledger, replayed: also rounds that were certified and charged but
 * never opened, which no release states.
 */
function ledgerEpsilon(result: RepeatResult): number {
  const { events } = JSON.parse(readFileSync(join(result.planDirectory, 'ledger.json'), 'utf8')) as {
    events: LedgerEvent[];
  };
  return Math.max(
    0,
    ...[...replay(events).values()].map(({ order, spent, delta }) =>
      epsilonOfAmount(order, spent, rationalToNumber(parseRational(delta))),
    ),
  );
}
