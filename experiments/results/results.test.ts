/**
 * Goal: docs/results.md and its charts are what docs/results.json renders to, the stored figures come from the experiment
 * files in the tree, nothing was tuned on reported seeds, and a target that is missed says so.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type ExperimentFile, readExperiment } from '../runs/experiment.ts';
import { runsOf, SETS } from './catalogue.ts';
import { chartsOf } from './figures.ts';
import { differenceOf } from './figures-of.ts';
import { pageOf } from './page.ts';
import { readStored, type StoredCondition, type StoredResults, storedText } from './stored.ts';
import { outcomeOf, outcomesOf, TARGETS } from './targets.ts';

const root = resolve(import.meta.dirname, '../..');
const docs = join(root, 'docs');
const plans = join(root, 'experiments/plans/results');
const stored = readStored(join(docs, 'results.json'));
const planOf = (id: string): ExperimentFile => readExperiment(join(plans, `${id}.yaml`));

describe('the page', () => {
  test('is what the stored figures render to, charts too', () => {
    expect(readFileSync(join(docs, 'results.md'), 'utf8')).toBe(pageOf(stored));
    expect(readFileSync(join(docs, 'results.json'), 'utf8')).toBe(storedText(stored));
    const charts = chartsOf(stored);
    const files = readdirSync(join(docs, 'images')).filter((name) => name.startsWith('results-'));
    expect(files.sort()).toEqual(charts.map(({ name }) => `results-${name}.svg`).sort());
    for (const { name, svg } of charts)
      expect(readFileSync(join(docs, 'images', `results-${name}.svg`), 'utf8'), name).toBe(svg);
  });

  test('has every set, figures of the experiment files as they are, and says what ran', () => {
    expect(stored.runs.map(({ id }) => id)).toEqual(SETS.flatMap(runsOf));
    for (const { id, file, experimentSha256, ran } of stored.runs) {
      expect(join(root, file)).toBe(join(plans, `${id}.yaml`));
      expect(experimentSha256, `${id}: npm run results`).toBe(planOf(id).hashHex);
      expect(ran).toMatchObject({ seal: 'none', identity: 'none', store: 'memory' });
    }
    expect(pageOf(stored)).toContain('noise: seeded, not private');
  });

  test('another figure gives another page', () => {
    const moved = withValues(stored, 'heart', 'federated', (value) => value - 0.001);
    expect(pageOf(moved)).not.toBe(pageOf(stored));
  });
});

describe('seeds', () => {
  test('reported ones are 0 and up, at least 5, of heart 20; those of tuning 100 and up', () => {
    for (const id of SETS.flatMap(runsOf)) {
      const seeds = planOf(id).experiment.seeds.map(Number);
      const least = ['heart', 'heart-dp'].includes(id) ? 20 : 5;
      expect(seeds, id).toEqual([...seeds.keys()]);
      expect(seeds.length, id).toBeGreaterThanOrEqual(least);
      expect(seeds.length, id).toBeLessThan(100);
    }
    const tuned = readdirSync(join(plans, 'tuning'));
    expect(tuned.length).toBeGreaterThan(5);
    for (const name of tuned)
      for (const seed of readExperiment(join(plans, 'tuning', name)).experiment.seeds)
        expect(Number(seed), name).toBeGreaterThanOrEqual(100);
  });
});

describe('targets', () => {
  test('each points at a run and a model that the page has', () => {
    for (const { target, outcome } of outcomesOf(stored)) expect(outcome, target.what).not.toBe('not run');
  });

  test('a figure under its bound is missed, and the page says so with the reason', () => {
    const target = TARGETS.find(({ figure, minus }) => figure.run === 'nhanes' && !minus)!;
    expect(outcomeOf(stored, target).outcome).toBe('met');
    const worse = withValues(stored, 'nhanes', 'federated', () => 0.7739);
    expect(outcomeOf(worse, target).outcome).toBe('missed');
    expect(missedOf(pageOf(worse))).toBe(missedOf(pageOf(stored)) + 1);
    expect(pageOf(worse)).toContain('**missed** | not found out |');
  });

  test('below means below, and what was not run is not met', () => {
    const target = TARGETS.find(({ is }) => is === 'below')!;
    const at = withValues(stored, 'lifesnaps', 'federated', () => 0.99);
    expect(outcomeOf(at, target).outcome).toBe('missed');
    expect(outcomeOf({ ...stored, runs: [] }, target)).toMatchObject({ outcome: 'not run', reached: null });
  });
});

describe('paired differences', () => {
  const condition = (
    seeds: readonly string[],
    tests: readonly string[],
    auc: readonly (number | null)[],
  ): StoredCondition => ({
    model: 'federated',
    label: '',
    privacy: null,
    clients: 4,
    testRows: 10,
    trainRows: 20,
    rounds: 1,
    bytesPerClientRound: null,
    seeds,
    tests,
    values: { auc },
  });

  test('by seed, whatever the order, and only on the same rows', () => {
    const a = condition(['0', '1', '2', '3'], ['x', 'y', 'z', 'w'], [0.9, 0.8, 0.7, null]);
    const b = condition(['1', '0', '2', '3'], ['y', 'x', 'other', 'w'], [0.7, 0.6, 0.1, 0.5]);
    const difference = differenceOf(a, b, 'auc')!;
    expect(difference.n).toBe(2);
    expect(difference.mean).toBeCloseTo(0.2, 12);
    // Two values, .3 and .1: t(.975, 1) = 12.706, variance .02, Nadeau and Bengio's factor 1/2 + 10/20.
    expect(difference.high! - difference.mean).toBeCloseTo(12.7062 * Math.sqrt(0.02), 4);
    expect(differenceOf(a, condition(['0'], ['else'], [0.5]), 'auc')).toBeNull();
  });
});

const missedOf = (page: string): number => page.split('**missed**').length - 1;

function withValues(
  { version, runs }: StoredResults,
  run: string,
  model: StoredCondition['model'],
  moved: (value: number) => number,
): StoredResults {
  return {
    version,
    runs: runs.map((one) =>
      one.id !== run
        ? one
        : {
            ...one,
            conditions: one.conditions.map((condition) =>
              condition.model !== model
                ? condition
                : {
                    ...condition,
                    values: Object.fromEntries(
                      Object.entries(condition.values).map(([name, values]) => [
                        name,
                        values.map((value) => value && moved(value)),
                      ]),
                    ),
                  },
            ),
          },
    ),
  };
}
