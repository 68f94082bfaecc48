/**
 * Goal: what is stored is what the run folder says, seed by seed; a folder that is half done gives what is done, and one of
 * another experiment is refused.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { loadDataset } from '../datasets/index.ts';
import { runExperiment } from '../runs/run.ts';
import { smallExperiment, temporaryFolder } from '../runs/testing-experiment.ts';
import { collectRun, doneUnits } from './collect.ts';
import { differenceOf, meanOfMetric } from './figures-of.ts';
import { storedText } from './stored.ts';

const scratch = temporaryFolder();
afterAll(() => scratch.dispose());

const file = smallExperiment({ sweep: { 'privacy.epsilon': [2, 8] } });
const dataset = await loadDataset('synthetic-band', { syntheticRows: 400 });

describe('a run folder', () => {
  const directory = join(scratch.path, 'run');

  test('gives the means, differences and bytes of its own summary', async () => {
    const { summary } = await runExperiment(file, { outDirectory: directory });
    const run = collectRun('small', directory, file, dataset)!;
    expect(run.conditions.map(({ model, label }) => [model, label])).toEqual([
      ['federated', 'privacy.epsilon=2'],
      ['central', 'privacy.epsilon=2'],
      ['federated', 'privacy.epsilon=8'],
      ['central', 'privacy.epsilon=8'],
    ]);
    summary.points.forEach((point, i) => {
      const [federated, central] = run.conditions.slice(2 * i, 2 * i + 2);
      for (const metric of ['auc', 'balanced_accuracy', 'worst_decile_auc'] as const) {
        const expected = point.models.federated![metric]!;
        expect(meanOfMetric(federated!, metric)!.mean).toBeCloseTo(expected.mean, 5);
        const difference = differenceOf(federated!, central!, metric)!;
        expect(federated!.trainRows).toBe(dataset.count - federated!.testRows);
        expect(difference.mean).toBeCloseTo(point.federated_minus_central![metric]!.mean, 5);
        expect(difference.n).toBe(2);
      }
      expect(federated!.bytesPerClientRound).toBe(Math.round(point.upload_bytes_per_device_round));
      expect(federated!.privacy!.epsilon).toBe([2, 8][i]);
      expect(federated!.privacy!.epsilonSpent).toBeCloseTo(point.privacy!.epsilon_spent!, 3);
      expect(central!.privacy).toBeNull();
    });
    expect(run.ran).toMatchObject({ seal: 'none', identity: 'none', noise: 'seeded, not private' });
    expect(JSON.parse(storedText({ version: 1, runs: [run] }))).toEqual({ version: 1, runs: [run] });
  });

  test('half done: the seeds that are done, under the names they have', () => {
    rmSync(join(directory, 'units', 'point-0001-seed-0000'), { recursive: true });
    expect(doneUnits(directory, file).map(({ point, seed }) => [point.index, seed])).toEqual([
      [0, '0'],
      [0, '1'],
      [1, '1'],
    ]);
    const run = collectRun('small', directory, file, dataset)!;
    expect(run.conditions.map(({ seeds }) => seeds.join())).toEqual(['0,1', '0,1', '1', '1']);
  });

  test('of another experiment is refused, and none is no result', () => {
    const other = smallExperiment({ rounds: 3 });
    expect(() => collectRun('small', directory, other, dataset)).toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID' }),
    );
    expect(collectRun('small', join(scratch.path, 'nothing'), file, dataset)).toBeNull();
  });
});
