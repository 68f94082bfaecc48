/** Goal: every example plan reads, and stands for plans that a coordinator would accept. */
import { readdirSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { accountPlan } from '../../protos/plan-mechanism.ts';
import { type DatasetName, datasetAvailable, findDataRoot } from '../datasets/index.ts';
import { readExperiment } from './experiment.ts';
import { datasetOf, planFor } from './run.ts';

const directory = resolve(import.meta.dirname, '../plans');
const files = readdirSync(directory).filter((name) => name.endsWith('.yaml'));
const dataRoot = findDataRoot();

/** Beats of 48 nights take seconds to read. */
const LARGE = ['cardio', 'apnea', 'mitbih-af'];

async function isHere(name: string): Promise<boolean> {
  return !LARGE.includes(name) && (await datasetAvailable(name as DatasetName, dataRoot));
}

describe('experiments/plans', () => {
  test('there are some, each named like its file and commented', () => {
    expect(files.length).toBeGreaterThan(10);
    for (const name of files) {
      const { experiment, yaml } = readExperiment(join(directory, name));
      expect(`${experiment.name}.yaml`).toBe(name);
      expect(yaml.text.startsWith('# ')).toBe(true);
    }
  });

  test.each(files)('%s', async (name) => {
    const file = readExperiment(join(directory, name));
    const { dataset: wanted } = file.experiment;
    if ('name' in wanted && !(await isHere(wanted.name))) return;
    const dataset = await datasetOf(file, {});
    for (const point of file.points.slice(0, 1)) {
      const { parsed, scenario } = planFor(dataset, {
        experimentPoint: point,
        seed: file.experiment.seeds[0]!,
        seedIndex: 0,
      });
      expect(scenario.test.some((row) => scenario.train.includes(row))).toBe(false);
      const stated = point.experiment.privacy?.epsilon;
      if (stated !== undefined) expect(accountPlan(parsed)!.epsilon).toBeLessThanOrEqual(Number(stated));
    }
  });
});
