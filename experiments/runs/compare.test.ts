/**
 * Goal: runs are paired exactly where they tested on the same rows under the same seed, differences have the right sign and
 * winner, and what does not compare is refused.
 */
import { describe, expect, test } from 'vitest';
import { type Comparison, compareRuns, type FinishedFolder, readRun } from './compare.ts';
import { comparePage } from './compare-page.ts';
import type { MetricsLine, UnitRecord } from './folder.ts';
import type { RunSummary } from './summary.ts';
import type { MetricName } from './task-metrics.ts';

interface Figures {
  readonly name: string;
  /** auc by seed. */
  readonly federated: Readonly<Record<string, number>>;
  readonly central?: Readonly<Record<string, number>>;
  /** Whose test rows. */
  readonly split?: string;
  readonly metric?: MetricName;
}

/** A finished run with these figures, as if read from a folder. */
function runOf({ name, federated, central = {}, split = 'same', metric = 'auc' }: Figures): FinishedFolder {
  const seeds = Object.keys(federated);
  const line = (model: 'federated' | 'central', seed: string, value: number) =>
    ({
      point: 0,
      seed,
      model,
      round: model === 'central' ? null : 2,
      [metric]: value,
    }) as unknown as MetricsLine;
  const lines = seeds.flatMap((seed) => [
    ...(central[seed] === undefined ? [] : [line('central', seed, central[seed])]),
    // An earlier round, which is not what is compared.
    { ...line('federated', seed, 0.1), round: 1 } as MetricsLine,
    line('federated', seed, federated[seed]!),
  ]);
  const records = seeds.map(
    (seed) => ({ point: 0, seed, test_sha256: `${split}-${seed}`, test_rows: 100 }) as unknown as UnitRecord,
  );
  const summary = {
    name,
    task: metric === 'mae' ? 'regression' : 'binary',
    metrics: [metric],
    dataset: 'band',
    dataset_title: 'Band',
    evaluation: 'Harness',
    noise: 'seeded, not private',
    ran: { engine: 'kernel' },
    code: ['1'],
    seeds,
    failures: [],
    points: [{ index: 0, label: '', privacy: null }],
  } as unknown as RunSummary;
  return {
    directory: `/runs/${name}`,
    head: { name, hashHex: '00', tableSha256: 't' },
    summary,
    records,
    lines,
  };
}

const difference = ({ differences }: Comparison, condition: string) =>
  differences.find((one) => one.condition === condition)!;

describe('pairing', () => {
  const luck = { a: 0.7, b: 0.8, c: 0.9, d: 0.6 };
  const better = { a: 0.712, b: 0.811, c: 0.913, d: 0.61 };

  test('same rows, same seeds: the shared luck goes, the difference stays', () => {
    const found = difference(
      compareRuns(
        [runOf({ name: 'one', federated: luck }), runOf({ name: 'two', federated: better })],
        ['auc'],
      ),
      'two',
    );
    expect(found).toMatchObject({ paired: true, seeds: 4, better: 'condition' });
    expect(found.difference.mean).toBeCloseTo((0.012 + 0.011 + 0.013 + 0.01) / 4, 12);
    expect(found.difference.low).toBeGreaterThan(0);
  });

  test('other test rows under the same seeds do not pair: then the same figures tell nothing apart', () => {
    const found = difference(
      compareRuns(
        [runOf({ name: 'one', federated: luck }), runOf({ name: 'two', federated: better, split: 'other' })],
        ['auc'],
      ),
      'two',
    );
    expect(found).toMatchObject({ paired: false, better: null });
  });

  test('only the seeds that both have', () => {
    const found = difference(
      compareRuns(
        [
          runOf({ name: 'one', federated: luck }),
          runOf({ name: 'two', federated: { b: 0.811, d: 0.61, z: 0.1 } }),
        ],
        ['auc'],
      ),
      'two',
    );
    expect(found).toMatchObject({ paired: true, seeds: 2 });
    expect(found.difference.mean).toBeCloseTo((0.011 + 0.01) / 2, 12);
  });

  test('central training of the first run is a condition of its own, paired with it', () => {
    const comparison = compareRuns(
      [
        runOf({ name: 'one', federated: luck, central: better }),
        runOf({ name: 'two', federated: luck, central: better }),
      ],
      ['auc'],
    );
    expect(comparison.conditions.map(({ name }) => name)).toEqual(['one', 'one: central', 'two']);
    expect(difference(comparison, 'one: central').better).toBe('condition');
    expect(difference(comparison, 'two').difference.mean).toBe(0);
  });

  test('of errors, less is better', () => {
    const metric = 'mae' as const;
    const comparison = compareRuns(
      [runOf({ name: 'one', federated: luck, metric }), runOf({ name: 'two', federated: better, metric })],
      [metric],
    );
    expect(difference(comparison, 'two').better).toBe('reference');
  });

  test('one seed: a difference without an interval decides nothing', () => {
    const comparison = compareRuns(
      [runOf({ name: 'one', federated: { a: 0.1 } }), runOf({ name: 'two', federated: { a: 0.9 } })],
      ['auc'],
    );
    expect(difference(comparison, 'two')).toMatchObject({ paired: true, better: null });
  });
});

describe('refusals', () => {
  test('another data set, a metric that is not there, nothing to compare with, no folder', () => {
    const one = runOf({ name: 'one', federated: { a: 0.7 } });
    const other = { ...one, summary: { ...one.summary, dataset: 'heart' } };
    expect(() => compareRuns([one, other])).toThrow(/two data sets do not compare/);
    expect(() => compareRuns([one, one], ['mae'])).toThrow(/do not all have mae/);
    expect(() => compareRuns([one])).toThrow(/nothing to be compared with/);
    expect(() => readRun('/nowhere')).toThrow(/no run folder/);
  });

  test('runs of one name are told apart by their folders; other tables are noted', () => {
    const one = runOf({ name: 'one', federated: { a: 0.7, b: 0.8 } });
    const two = { ...one, directory: '/runs/again', head: { ...one.head, tableSha256: 'u' } };
    const comparison = compareRuns([one, two], ['auc']);
    expect(comparison.conditions.map(({ name }) => name)).toEqual(['one', 'again']);
    expect(comparison.notes).toEqual([expect.stringMatching(/different tables/)]);
  });
});

test('the page holds every condition and escapes what it is told', () => {
  const runs = [
    runOf({ name: 'one', federated: { a: 0.7, b: 0.8 } }),
    runOf({ name: '<script>two', federated: { a: 0.71, b: 0.82 } }),
  ];
  const html = comparePage(compareRuns(runs, ['auc']), runs);
  expect(html).toContain('&lt;script&gt;two');
  expect(html).not.toContain('<script');
  expect(html).toContain('+0.0150');
  expect(html).toContain('seeded, not private');
});
