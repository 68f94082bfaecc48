/**
 * Goal: a run folder is what its experiment makes of its seeds: the same bytes again at any number of threads, whole after
 * a kill, never mixed with another experiment or other data.
 */
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { parsePlanBytes } from '../../protos/plan.ts';
import { accountPlan } from '../../protos/plan-mechanism.ts';
import { loadDataset, subset } from '../datasets/index.ts';
import { auc } from '../datasets/metrics.ts';
import { loadEngine } from '../simulation/engines.ts';
import { compareRuns, readRun } from './compare.ts';
import { type MetricsLine, parseLines } from './folder.ts';
import { runExperiment } from './run.ts';
import { scenarioOf } from './scenario.ts';
import { SMALL, smallExperiment, temporaryFolder } from './testing-experiment.ts';

const scratch = temporaryFolder();
afterAll(() => scratch.dispose());
const out = (name: string): string => join(scratch.path, name);
const text = (...path: string[]): string => readFileSync(join(...path), 'utf8');

describe('one run', () => {
  const directory = out('first');
  const units = ['point-0000-seed-0000', 'point-0000-seed-0001'];

  test('the folder says what ran, on what, and what came out', async () => {
    const { summary } = await runExperiment(smallExperiment(), { outDirectory: directory });
    expect(readdirSync(directory).sort()).toEqual([
      'experiment.json',
      'experiment.yaml',
      'index.html',
      'metrics.csv',
      'metrics.ndjson',
      'plots',
      'run.json',
      'summary.json',
      'units',
      'versions.json',
    ]);
    expect(text(directory, 'experiment.yaml')).toBe(SMALL);
    expect(JSON.parse(text(directory, 'summary.json'))).toEqual(JSON.parse(JSON.stringify(summary)));
    expect(summary.ran).toMatchObject({ seal: 'none', identity: 'none', store: 'memory', engine: 'kernel' });
    expect(summary.noise).toBe('seeded, not private');
    for (const file of [
      'index.html',
      'summary.json',
      ...readdirSync(join(directory, 'plots')).map((f) => `plots/${f}`),
    ])
      expect(text(directory, file)).toContain('seeded, not private');
    expect(summary.versions.data).toMatchObject({ name: 'synthetic-band', rows: 400, file_sha256: null });
    expect(summary.points[0]!.models.federated!.auc!.n).toBe(2);
    expect(summary.points[0]!.rounds_released).toBe(2);
  });

  test('plans are canonical, keep their ε, and bind data and seed', () => {
    const [first, second] = units.map((unit) =>
      parsePlanBytes(readFileSync(join(directory, 'units', unit, 'plan.json'))),
    );
    expect(accountPlan(first!)!.epsilon).toBeLessThanOrEqual(8);
    expect(accountPlan(first!)!.epsilon).toBeGreaterThan(7.99);
    expect([first!.plan.seed, second!.plan.seed]).toEqual(['0', '1']);
    expect(first!.plan.features.dataset).toBe('synthetic-band');
  });

  test('what it cost each device: in the record, the summary, the page, and compared', () => {
    const done = JSON.parse(text(directory, 'units', units[0]!, 'done.json'));
    const summary = JSON.parse(text(directory, 'summary.json'));
    const lines = parseLines(text(directory, 'metrics.ndjson'));
    const federated = lines.filter(({ seed, model }) => seed === '0' && model === 'federated');
    const sent = federated.reduce((sum, line) => sum + line.upload_bytes!, 0);
    const fetched = federated.reduce((sum, line) => sum + line.fetched_bytes!, 0);
    expect(done.per_device).toMatchObject({ devices: 4, took_part: 4, train_ms: null, battery_share: null });
    expect(4 * done.per_device.sent_bytes.mean).toBe(sent);
    expect(4 * done.per_device.fetched_bytes.mean).toBe(fetched);
    expect(done.log_repeats).toBe(true);
    expect(summary.points[0].per_device.rounds).toEqual({ mean: 2, p50: 2, p90: 2, p99: 2, max: 2 });
    expect(text(directory, 'index.html')).toContain('rounds taken part');
    expect(readdirSync(join(directory, 'plots'))).toContain('per-device.svg');
    const { conditions } = compareRuns([readRun(directory)]);
    expect(conditions.map(({ perDevice }) => perDevice?.sent_bytes.p50)).toEqual([sent / 4, undefined]);
  });

  test('one line per round, seed and model; ε and time only grow', () => {
    const lines = parseLines(text(directory, 'metrics.ndjson'));
    expect(lines.map(({ seed, model, round }) => [seed, model, round])).toEqual([
      ['0', 'central', null],
      ['0', 'federated', 1],
      ['0', 'federated', 2],
      ['1', 'central', null],
      ['1', 'federated', 1],
      ['1', 'federated', 2],
    ]);
    const [, one, two] = lines as [MetricsLine, MetricsLine, MetricsLine];
    expect(one).toMatchObject({ invited: 4, uploaded: 4, certified: 4, phase: 'released' });
    expect(two.epsilon_spent).toBeGreaterThan(one.epsilon_spent!);
    expect(two.epsilon_spent).toBeCloseTo(8, 3);
    expect(two.virtual_ms).toBeGreaterThan(one.virtual_ms!);
    expect(one.upload_bytes).toBeGreaterThan(0);
    expect(text(directory, 'metrics.csv').trim().split('\n')).toHaveLength(lines.length + 1);
  });

  test('the figures are those of the model that lies beside them', async () => {
    const dataset = await loadDataset('synthetic-band', { syntheticRows: 400 });
    const { test: rows } = scenarioOf(smallExperiment().experiment, dataset, '1', 1);
    const { spec, weights } = JSON.parse(text(directory, 'units', units[1]!, 'model.json'));
    const { engine } = await loadEngine('kernel', spec);
    const { features, labels, count } = subset(dataset, rows);
    const scores = await engine.predict(spec, Float32Array.from(weights), features, count);
    const last = parseLines(text(directory, 'metrics.ndjson')).at(-1)!;
    expect(last.auc).toBe(auc(labels, scores));
  });

  test('the same again, byte for byte, on two threads', async () => {
    const again = out('threads');
    const one = await runExperiment(smallExperiment({ seeds: 1 }), { outDirectory: again, workers: 2 });
    expect(one.summary.ran.workers).toBe(2);
    for (const file of ['metrics.ndjson', 'plan.json', 'model.json'])
      expect(text(again, 'units', units[0]!, file)).toBe(text(directory, 'units', units[0]!, file));
    const [ended, begun] = [text(again, 'metrics.ndjson'), text(directory, 'metrics.ndjson')];
    expect(begun.startsWith(ended)).toBe(true);
  });

  test('another seed gives other figures', () => {
    const lines = parseLines(text(directory, 'metrics.ndjson'));
    expect(lines[2]!.auc).not.toBe(lines[5]!.auc);
  });
});

describe('taking up a run', () => {
  test('what is done is kept, the rest is done, and the folder ends the same', async () => {
    const whole = out('whole');
    await runExperiment(smallExperiment(), { outDirectory: whole });
    const directory = out('killed');
    const aborted = new AbortController();
    // Ends as a kill would: in the middle of the second unit.
    const run = runExperiment(smallExperiment(), {
      outDirectory: directory,
      signal: aborted.signal,
      onProgress: ({ roundsDone }) => {
        if (roundsDone === 3) aborted.abort(new Error('killed'));
      },
    });
    await expect(run).rejects.toThrow();
    expect(existsSync(join(directory, 'summary.json'))).toBe(false);
    expect(existsSync(join(directory, 'lock'))).toBe(false);
    const first = join(directory, 'units', 'point-0000-seed-0000', 'done.json');
    const before = readFileSync(first, 'utf8');
    const told: number[] = [];
    await runExperiment(smallExperiment(), {
      outDirectory: directory,
      onProgress: ({ roundsDone, roundsTotal, unitsKept }) => told.push(roundsDone, roundsTotal, unitsKept),
    });
    expect(told.slice(0, 3)).toEqual([0, 2, 1]);
    expect(readFileSync(first, 'utf8')).toBe(before);
    expect(text(directory, 'metrics.ndjson')).toBe(text(whole, 'metrics.ndjson'));
  });

  test('a unit whose metrics were changed is done again', async () => {
    const directory = out('killed');
    const file = join(directory, 'units', 'point-0000-seed-0001', 'metrics.ndjson');
    const good = readFileSync(file, 'utf8');
    writeFileSync(file, good.replace('"auc":0.', '"auc":1.'));
    await runExperiment(smallExperiment(), { outDirectory: directory });
    expect(readFileSync(file, 'utf8')).toBe(good);
  });

  test('another experiment or other data is refused without --fresh', async () => {
    const directory = out('killed');
    const other = smallExperiment({ rounds: 1, seeds: 1 });
    await expect(runExperiment(other, { outDirectory: directory })).rejects.toThrow(
      /another experiment: --fresh/,
    );
    const head = join(directory, 'run.json');
    const good = readFileSync(head, 'utf8');
    writeFileSync(head, good.replace(/"tableSha256": "\w{4}/, '"tableSha256": "0000'));
    await expect(runExperiment(smallExperiment(), { outDirectory: directory })).rejects.toThrow(
      /other data: --fresh/,
    );
    writeFileSync(join(directory, 'notes.txt'), 'mine');
    const { summary } = await runExperiment(other, { outDirectory: directory, fresh: true });
    expect(summary.points[0]!.models.federated!.auc!.n).toBe(1);
    expect(readdirSync(join(directory, 'units'))).toEqual(['point-0000-seed-0000']);
    expect(text(directory, 'notes.txt')).toBe('mine');
  });

  test('a folder with other files, or one that a living process writes, is left alone', async () => {
    const directory = out('strange');
    await runExperiment(smallExperiment({ rounds: 1, seeds: 1 }), { outDirectory: directory });
    rmSync(join(directory, 'run.json'));
    const small = smallExperiment({ rounds: 1, seeds: 1 });
    await expect(runExperiment(small, { outDirectory: directory })).rejects.toThrow(/holds other files/);
    const lock = join(directory, 'lock');
    const { hostname } = await import('node:os');
    writeFileSync(lock, JSON.stringify({ pid: process.pid, host: hostname() }));
    await expect(runExperiment(small, { outDirectory: directory, fresh: true })).rejects.toMatchObject({
      code: 'UNAVAILABLE',
    });
    // A process that is no more holds nothing.
    writeFileSync(lock, JSON.stringify({ pid: 2 ** 22 + 1, host: hostname() }));
    await runExperiment(small, { outDirectory: directory, fresh: true });
    expect(existsSync(lock)).toBe(false);
  });
});

describe('federated evaluation', () => {
  test('what its rounds release stands in metrics, summary, page, and is compared', async () => {
    const directory = out('evaluated');
    const file = smallExperiment(
      { seeds: 1, baselines: [], 'evaluation.federated': { rounds: 1 } },
      SMALL.replace(/privacy: .*/, 'privacy: null'),
    );
    const { summary } = await runExperiment(file, { outDirectory: directory });
    const lines = parseLines(text(directory, 'metrics.ndjson'));
    expect(lines.map(({ kind }) => kind)).toEqual(['training', 'training', 'evaluation']);
    const [, trained, evaluated] = lines as [MetricsLine, MetricsLine, MetricsLine];
    const figures = summary.points[0]!.models.federated!;
    expect(summary.metrics).toContain('federated_auc');
    // The harness's figure is the last training round's, the other the evaluation's.
    expect(figures.auc!.mean).toBe(trained.auc);
    expect(evaluated.auc).toBeUndefined();
    expect(figures.federated_auc!.mean).toBe(evaluated.federated_auc);
    // Hospitals score the rows they kept out of training: the harness's test rows, to the histogram's bins.
    expect(Math.abs(evaluated.federated_auc! - trained.auc!)).toBeLessThan(0.02);
    expect(text(directory, 'index.html')).toContain('AUC, federated evaluation');
    const run = readRun(directory);
    const comparison = compareRuns([run, { ...run, directory: `${directory}/again` }]);
    expect(comparison.metrics).toContain('federated_auc');
    const without = { ...run, summary: { ...run.summary, metrics: ['auc' as const] } };
    expect(compareRuns([run, { ...without, directory: 'b' }]).metrics).toEqual(['auc']);
  });
});

describe('sweeps', () => {
  test('a point that fails is left out and tried again; what can be done is done', async () => {
    const directory = out('diverging');
    // Every step multiplies the weights by 1 − 1000: they overflow within an epoch or ten.
    const file = smallExperiment(
      { seeds: 1, 'training.learningRate': 100, 'training.epochs': 20 },
      `${SMALL}sweep:\n  training.l2: [0, 10]\n`.replace(/privacy: .*/, 'privacy: null'),
    );
    const { summary } = await runExperiment(file, { outDirectory: directory });
    expect(summary.points.map(({ label }) => label)).toEqual(['training.l2=0']);
    expect(summary.failures).toEqual([
      expect.objectContaining({ label: 'training.l2=10', seed: '0', code: 'DATA_INVALID' }),
    ]);
    const page = readFileSync(join(directory, 'index.html'), 'utf8');
    expect(page).toMatch(/Failed and left out: training\.l2=10, seed 0/);
    const again = await runExperiment(file, { outDirectory: directory });
    expect(again.unitsKept).toBe(1);
    expect(again.summary.failures).toHaveLength(1);
  });

  test('every point has its figures; baselines are the same; a point that cannot run fails before any does', async () => {
    const file = smallExperiment({}, `${SMALL}sweep:\n  privacy.epsilon: [1, 8]\n`);
    const directory = out('sweep');
    const { summary } = await runExperiment(file, { outDirectory: directory });
    expect(summary.points.map(({ label }) => label)).toEqual(['privacy.epsilon=1', 'privacy.epsilon=8']);
    const [tight, loose] = summary.points;
    expect(tight!.privacy!.epsilon_spent).toBeCloseTo(1, 3);
    expect(loose!.privacy!.epsilon_spent).toBeCloseTo(8, 3);
    expect(tight!.models.central).toEqual(loose!.models.central);
    expect(readdirSync(join(directory, 'plots'))).toContain('auc-by-epsilon.svg');

    const bad = smallExperiment({}, `${SMALL}sweep:\n  privacy.delta: [0.00001, 0.5]\n`);
    await expect(runExperiment(bad, { outDirectory: out('bad') })).rejects.toThrow(
      /small\.yaml:13:28: privacy\.delta: more than 0 and at most 1\/100.* \(at privacy\.delta=0\.5\)/,
    );
    expect(existsSync(out('bad'))).toBe(false);
  });
});
