/**
 * `npm run bench:epsilon [-- --json] [-- --plans 10000] [-- --seed text]`: the PLD accountant beside oracles that share
 * nothing with it, on random plans (epsilon-plans.ts).
 *
 * Most plans have an exact δ(ε) in Python (epsilon_oracle.py): there our ε may not have a larger δ than was asked for, nor
 * our ε_low a smaller one. 3 in 100 are accounted by Google's dp_accounting: at a grid of 1e-5, an upper bound itself,
 * it may neither fall below our ε_low nor lie further than 1e-3 from our ε; then the times, as ratios to dp_accounting
 * at its default grid of 1e-4. Where Python or PyPI is missing it says so and ends with 0. Trusts: nothing; benchmarks
 * only.
 */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { parseEventList } from '../../../crypto/dp/event-list.ts';
import { PrivacyLoss } from '../../../crypto/dp/pld.ts';
import { median } from '../measuring.ts';
import { MIX, type Plan, type PlanKind, RandomPlans } from './epsilon-plans.ts';
import { preparePeers } from './venv.ts';

const GRID_FINE = 1e-5;
const GRID_DEFAULT = 1e-4;
const AGREEMENT = 1e-3;
/** What dp_accounting rounds: its figure for one Gaussian is 2e-9 below the exact one. */
const PEER_ROUNDING = 1e-7;
/** Plans of a larger ε are nobody's, and take dp_accounting minutes at the fine grid. Others are drawn instead. */
const EPSILON_MAX = 20;

const hello = z.object({ dp_accounting: z.string(), python: z.string() });
const reply = z.object({
  answers: z.array(z.object({ grid: z.number(), epsilon: z.number(), ms: z.number().nonnegative() })),
});

const oracleReply = z.object({
  deltas: z.array(z.object({ low: z.number(), high: z.number() })).nullable(),
});

/** A Python program that answers one line of JSON with another. */
class Python {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: AsyncIterator<string>;
  readonly #script: string;

  constructor(python: string, script: string) {
    this.#script = script;
    this.#child = spawn(python, ['-B', join(import.meta.dirname, script)], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { ...process.env, OMP_NUM_THREADS: '1', OPENBLAS_NUM_THREADS: '1' },
    });
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }
  async line(): Promise<unknown> {
    const { value, done } = await this.#lines.next();
    if (done) throw new Error(`${this.#script} ended early: its message stands above`);
    return JSON.parse(value);
  }
  async ask(question: object): Promise<unknown> {
    this.#child.stdin.write(`${JSON.stringify(question)}\n`);
    return this.line();
  }
  close(): void {
    this.#child.stdin.end();
  }
}

export interface EpsilonRow {
  readonly plan: number;
  readonly kind: PlanKind;
  readonly events: Plan['events'];
  readonly delta: number;
  readonly epsilon: number;
  readonly epsilon_low: number;
  readonly agrees: boolean;
  readonly ms: number;
  /** Of plans that dp_accounting accounted. */
  readonly peer_epsilon?: number;
  readonly difference?: number;
  readonly peer_ms?: number;
  readonly peer_fine_ms?: number;
}

/** Relative rounding that is let pass between two programs in doubles. */
const ROUNDING = 1e-8;

async function compare(
  peers: { readonly accountant: Python; readonly oracle: Python },
  plan: Plan,
  index: number,
): Promise<EpsilonRow | null> {
  const start = performance.now();
  const events = parseEventList(JSON.stringify(plan.events)).map(({ event }) => event);
  const { low, high } = new PrivacyLoss({ type: 'composed', events }).epsilon(plan.delta);
  const ms = performance.now() - start;
  if (high > EPSILON_MAX) return null;
  const { kind, delta } = plan;
  const row = { plan: index, kind, events: plan.events, delta, epsilon: high, epsilon_low: low, ms };
  if (kind === 'any') {
    const answers = await peers.accountant.ask({ ...plan, grids: [GRID_FINE, GRID_DEFAULT] });
    const [fine, ordinary] = reply.parse(answers).answers;
    const difference = high - fine!.epsilon;
    const agrees = Math.abs(difference) <= AGREEMENT && fine!.epsilon >= low - PEER_ROUNDING;
    const times = { peer_ms: ordinary!.ms, peer_fine_ms: fine!.ms };
    return { ...row, agrees, peer_epsilon: fine!.epsilon, difference, ...times };
  }
  const { deltas } = oracleReply.parse(await peers.oracle.ask({ ...plan, points: [high, low] }));
  if (!deltas) return null;
  const [above, below] = deltas;
  const agrees =
    above!.low <= delta * (1 + ROUNDING) &&
    (low === 0 || below!.high >= delta * (1 - ROUNDING)) &&
    low <= high;
  return { ...row, agrees };
}

const rounded = (value: number): number => Number(value.toPrecision(4));

function summary(rows: readonly EpsilonRow[], versions: z.infer<typeof hello>) {
  const most = (list: readonly EpsilonRow[], of: (row: EpsilonRow) => number) =>
    list.length === 0 ? 0 : rounded(Math.max(...list.map(of)));
  const width = (row: EpsilonRow) => row.epsilon - row.epsilon_low;
  const kinds = Object.keys(MIX) as PlanKind[];
  const peered = rows.filter((row) => row.kind === 'any');
  const middle = (of: (row: EpsilonRow) => number) => rounded(median(peered.map(of)));
  return {
    bench: 'epsilon',
    plans: rows.length,
    disagreements: rows.filter(({ agrees }) => !agrees).length,
    // Small vectors, whose worst direction is not known, have a bracket of their own width.
    bracket_width_max: most(
      rows.filter(({ kind }) => kind !== 'vector'),
      width,
    ),
    bracket_width_median: rounded(median(rows.map(width))),
    vector_width_max: most(
      rows.filter(({ kind }) => kind === 'vector'),
      width,
    ),
    ...Object.fromEntries(
      kinds.map((kind) => [`plans_${kind}`, rows.filter((row) => row.kind === kind).length]),
    ),
    ms_median: rounded(median(rows.map(({ ms }) => ms))),
    ms_max: most(rows, ({ ms }) => ms),
    ...(peered.length === 0
      ? {}
      : {
          difference_max: most(peered, ({ difference }) => Math.abs(difference!)),
          peer_ms_median: middle(({ peer_ms }) => peer_ms!),
          peer_fine_ms_median: middle(({ peer_fine_ms }) => peer_fine_ms!),
          ratio_median: middle(({ peer_ms, ms }) => peer_ms! / ms),
        }),
    node: process.version,
    ...versions,
  };
}

/** Kinds in the shares of MIX, evenly spread, so that a part of the list is a smaller list. */
function* kindsOf(wanted: number): Generator<PlanKind> {
  const total = Object.values(MIX).reduce((sum, share) => sum + share, 0);
  const made = new Map<PlanKind, number>();
  for (let i = 1; i <= wanted; i++) {
    const lack = (kind: PlanKind) => (i * MIX[kind]) / total - (made.get(kind) ?? 0);
    const kind = (Object.keys(MIX) as PlanKind[]).reduce((a, b) => (lack(b) > lack(a) ? b : a));
    made.set(kind, (made.get(kind) ?? 0) + 1);
    yield kind;
  }
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      json: { type: 'boolean', default: false },
      plans: { type: 'string', default: '10000' },
      seed: { type: 'string', default: 'epsilon-peers' },
    },
  });
  const wanted = Number(values.plans);
  if (!Number.isSafeInteger(wanted) || wanted < 1 || wanted > 1_000_000)
    throw new Error('--plans takes a whole number from 1 to 1000000');
  const onProgress = (text: string) => process.stderr.write(`${text}\n`);
  const prepared = preparePeers(onProgress, {
    file: join(import.meta.dirname, 'epsilon-requirements.txt'),
    title: 'dp-accounting and mpmath (about a minute, 250 MB)',
  });
  if ('skipped' in prepared) {
    const skipped = { bench: 'epsilon', skipped: true, reason: prepared.skipped };
    process.stdout.write(`${values.json ? JSON.stringify(skipped) : `skipped: ${prepared.skipped}`}\n`);
    return;
  }
  const accountant = new Python(prepared.python, 'epsilon_peers.py');
  const oracle = new Python(prepared.python, 'epsilon_oracle.py');
  try {
    const versions = hello.parse(await accountant.line());
    const plans = new RandomPlans(values.seed);
    const rows: EpsilonRow[] = [];
    for (const kind of kindsOf(wanted)) {
      let row: EpsilonRow | null = null;
      while (!row) row = await compare({ accountant, oracle }, plans.next(kind), rows.length);
      rows.push(row);
      if (values.json || !row.agrees) process.stdout.write(`${JSON.stringify(row)}\n`);
      if (rows.length % 100 === 0) onProgress(`${rows.length} of ${wanted} plans`);
    }
    const result = summary(rows, versions);
    if (values.json) process.stdout.write(`${JSON.stringify(result)}\n`);
    else
      for (const [name, value] of Object.entries(result))
        process.stdout.write(`${name.padEnd(22)}${value}\n`);
    if (result.disagreements > 0) process.exitCode = 1;
  } finally {
    accountant.close();
    oracle.close();
  }
}

if (import.meta.main) await main();
