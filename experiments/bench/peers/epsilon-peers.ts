/**
 * `npm run bench:epsilon [-- --json] [-- --plans 10000] [-- --seed text]`: the PLD accountant beside Google's
 * dp_accounting on the same random plans.
 *
 * Every plan is accounted by both; first they must agree: dp_accounting at a grid of 1e-5, an upper bound itself, may
 * neither fall below our ε_low nor lie further than 1e-3 from our ε. Then the times, as ratios to dp_accounting at
 * its default grid of 1e-4. Where Python or PyPI is missing it says so and ends with 0. Trusts: nothing; benchmarks
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
import { seededRandom, uniform } from '../../../crypto/random.ts';
import { median } from '../measuring.ts';
import { preparePeers } from './venv.ts';

const GRID_FINE = 1e-5;
const GRID_DEFAULT = 1e-4;
const AGREEMENT = 1e-3;
/** Plans of a larger ε are nobody's, and take dp_accounting minutes at the fine grid. */
const EPSILON_MAX = 20;

interface Plan {
  readonly delta: number;
  readonly events: readonly Record<string, string | number>[];
}

/** Plans of one to three mechanisms, log-uniform in their parameters. */
export function randomPlans(seed: string): () => Plan {
  const source = seededRandom(seed);
  const between = (low: number, high: number) =>
    Number((low * (high / low) ** uniform(source)).toPrecision(4));
  const pick = <T>(choices: readonly T[]): T => choices[Math.floor(uniform(source) * choices.length)]!;
  const makers: readonly (() => Record<string, string | number>)[] = [
    () => ({
      mechanism: 'poisson_sampled_gaussian',
      q: between(1e-3, 0.3),
      sigma: between(0.6, 6),
      count: Math.round(between(1, 5000)),
    }),
    () => ({ mechanism: 'gaussian', sigma: between(1, 30), count: Math.round(between(1, 50)) }),
    () => ({ mechanism: 'laplace', scale: between(1, 60), count: Math.round(between(1, 200)) }),
    () => ({
      mechanism: 'poisson_sampled_laplace',
      q: between(0.01, 0.5),
      scale: between(0.7, 10),
      count: Math.round(between(1, 200)),
    }),
    () => ({
      mechanism: 'discrete_gaussian',
      sigma2: String(between(1, 400)),
      count: Math.round(between(1, 20)),
    }),
    () => ({ mechanism: 'discrete_laplace', scale: between(1, 40), count: Math.round(between(1, 50)) }),
  ];
  return () => ({
    delta: between(1e-9, 1e-3),
    events: Array.from({ length: pick([1, 1, 2, 3]) }, () => pick(makers)()),
  });
}

const hello = z.object({ dp_accounting: z.string(), python: z.string() });
const reply = z.object({
  answers: z.array(z.object({ grid: z.number(), epsilon: z.number(), ms: z.number().nonnegative() })),
});

class Accountant {
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  readonly #lines: AsyncIterator<string>;

  constructor(python: string) {
    this.#child = spawn(python, ['-B', join(import.meta.dirname, 'epsilon_peers.py')], {
      stdio: ['pipe', 'pipe', 'inherit'],
      env: { ...process.env, OMP_NUM_THREADS: '1', OPENBLAS_NUM_THREADS: '1' },
    });
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }
  async #line(): Promise<unknown> {
    const { value, done } = await this.#lines.next();
    if (done) throw new Error('epsilon_peers.py ended early: its message stands above');
    return JSON.parse(value);
  }
  versions = async () => hello.parse(await this.#line());

  async account(plan: Plan, grids: readonly number[]) {
    this.#child.stdin.write(`${JSON.stringify({ ...plan, grids })}\n`);
    return reply.parse(await this.#line()).answers;
  }
  close(): void {
    this.#child.stdin.end();
  }
}

export interface EpsilonRow {
  readonly plan: number;
  readonly events: Plan['events'];
  readonly delta: number;
  readonly epsilon: number;
  readonly epsilon_low: number;
  readonly peer_epsilon: number;
  readonly difference: number;
  readonly agrees: boolean;
  readonly ms: number;
  readonly peer_ms: number;
  readonly peer_fine_ms: number;
}

async function compare(peer: Accountant, plan: Plan, index: number): Promise<EpsilonRow | null> {
  const start = performance.now();
  const events = parseEventList(JSON.stringify(plan.events)).map(({ event }) => event);
  const { low, high } = new PrivacyLoss({ type: 'composed', events }).epsilon(plan.delta);
  const ms = performance.now() - start;
  if (high > EPSILON_MAX) return null;
  const [fine, ordinary] = await peer.account(plan, [GRID_FINE, GRID_DEFAULT]);
  const difference = high - fine!.epsilon;
  return {
    plan: index,
    events: plan.events,
    delta: plan.delta,
    epsilon: high,
    epsilon_low: low,
    peer_epsilon: fine!.epsilon,
    difference,
    agrees: Math.abs(difference) <= AGREEMENT && fine!.epsilon >= low - 1e-9,
    ms,
    peer_ms: ordinary!.ms,
    peer_fine_ms: fine!.ms,
  };
}

const rounded = (value: number): number => Number(value.toPrecision(4));

function summary(rows: readonly EpsilonRow[], versions: z.infer<typeof hello>) {
  const most = (of: (row: EpsilonRow) => number) => rounded(Math.max(...rows.map(of)));
  return {
    bench: 'epsilon',
    plans: rows.length,
    disagreements: rows.filter(({ agrees }) => !agrees).length,
    difference_max: most(({ difference }) => Math.abs(difference)),
    bracket_width_max: most((row) => row.epsilon - row.epsilon_low),
    ms_median: rounded(median(rows.map(({ ms }) => ms))),
    ms_max: most(({ ms }) => ms),
    peer_ms_median: rounded(median(rows.map((row) => row.peer_ms))),
    peer_fine_ms_median: rounded(median(rows.map((row) => row.peer_fine_ms))),
    ratio_median: rounded(median(rows.map((row) => row.peer_ms / row.ms))),
    node: process.version,
    ...versions,
  };
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
    title: 'dp-accounting (about a minute, 250 MB)',
  });
  if ('skipped' in prepared) {
    const skipped = { bench: 'epsilon', skipped: true, reason: prepared.skipped };
    process.stdout.write(`${values.json ? JSON.stringify(skipped) : `skipped: ${prepared.skipped}`}\n`);
    return;
  }
  const peer = new Accountant(prepared.python);
  try {
    const versions = await peer.versions();
    const next = randomPlans(values.seed);
    const rows: EpsilonRow[] = [];
    while (rows.length < wanted) {
      const row = await compare(peer, next(), rows.length);
      if (!row) continue;
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
    peer.close();
  }
}

if (import.meta.main) await main();
