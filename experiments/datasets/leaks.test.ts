/**
 * Goal: every leak that research/health-data.md §1 lists is refused with a coded error. Each test first shows the leak on
 * the data, through a loader or splitter weakened by exactly the rule under test, and what it would have been worth.
 * Files are skipped where absent. The leak of random minutes (apnoea) needs all nights: baselines.slow.test.ts.
 */
import { describe, expect, test } from 'vitest';
import { type Row, readTable } from '../../client/sources/csv.ts';
import { seededRandom, uniform } from '../../crypto/random.ts';
import { encodeTable, inputNames, parseFeatureSchema } from '../../protos/features.ts';
import { personsOf } from './apnea.ts';
import type { Dataset, DatasetName } from './index.ts';
import {
  clientsOf,
  datasetAvailable,
  datasetDefinition,
  datasetOf,
  datasets,
  findDataRoot,
  loadDataset,
  splitOf,
} from './index.ts';
import { daysOf } from './lifesnaps.ts';
import { auc } from './metrics.ts';
import { personOfRecord } from './mitbih-af.ts';
import { sharedPersons, splitRows } from './split-rules.ts';
import type { Split } from './splits.ts';

const dataRoot = findDataRoot();
const present = new Map<DatasetName, boolean>();
for (const name of Object.keys(datasets) as DatasetName[])
  present.set(name, await datasetAvailable(name, dataRoot));
const withData = (name: DatasetName) => test.skipIf(!present.get(name));
const codeIs = (code: string) => expect.objectContaining({ code });
const unsafe = codeIs('PARAMETER_UNSAFE');

/** Label of the nearest training row: the model that profits most from having met somebody before. */
function nearestLabels(
  dataset: Dataset,
  { train, test: rows }: Split,
  testRowsMax = 300,
): [number, number][] {
  const { features, inputs, labels } = dataset;
  const step = Math.max(1, Math.floor(rows.length / testRowsMax));
  return rows
    .filter((_, i) => i % step === 0)
    .map((row) => {
      let best = Number.POSITIVE_INFINITY;
      let found = 0;
      for (const other of train) {
        let distance = 0;
        for (let j = 0; j < inputs && distance < best; j++)
          distance += (features[row * inputs + j]! - features[other * inputs + j]!) ** 2;
        if (distance < best) [best, found] = [distance, labels[other]!];
      }
      return [labels[row]!, found];
    });
}
const hitShare = (pairs: readonly (readonly [number, number])[]): number =>
  pairs.filter(([label, found]) => label === found).length / pairs.length;

const oneColumn = (dataset: Dataset, name: string): number[] => {
  const j = inputNames(dataset.schema).indexOf(name);
  return dataset.rows.map((_, i) => dataset.features[i * dataset.inputs + j]!);
};

describe('repeated people (NHANES)', () => {
  /** 10,000 rows of 6,779 people in the R package: the same share of copies, made from 1,000 people here. */
  const resample = (rows: readonly Row[]): Row[] => {
    const random = seededRandom('nhanes-copies');
    const people = rows.slice(0, 1000);
    const copies = Array.from({ length: 475 }, () => people[Math.floor(uniform(random) * 1000)]!);
    return [...people, ...copies];
  };

  withData('nhanes')(
    'refused; a loader that takes rows for people reads the label off the copy',
    async () => {
      const { file } = datasetDefinition('nhanes');
      const { rows } = await readTable(`${dataRoot}/${file!.path}`);
      const { cleanRows: _, ...definition } = datasetDefinition('nhanes');
      const copied = resample(rows);
      expect(() => definition.clean(copied, [])).toThrow(codeIs('DATA_INVALID'));
      // Weakened twice: no check of IDs while cleaning, each row taken for another person.
      const { kept } = encodeTable(definition.schema, copied);
      const clean = Array.from(kept, (index) => ({
        index,
        site: 'a',
        person: copied[index]!.ID!,
        values: copied[index]!,
      }));
      expect(() => datasetOf(definition, clean, 'test')).toThrow(codeIs('DATA_INVALID'));
      const weakened = datasetOf(
        definition,
        clean.map((row) => ({ ...row, person: String(row.index) })),
        'test',
      );
      const leaky = splitOf(weakened, '0', { rule: 'random', share: 0.8 });
      const honest = splitOf(datasetOf({ ...definition, manyRowsPerPerson: true }, clean, 'test'), '0', {
        rule: 'by-person',
        fold: 0,
        folds: 5,
      });
      const aucOf = (split: Split): number => {
        const pairs = nearestLabels(weakened, split);
        return auc(
          pairs.map(([label]) => label),
          pairs.map(([, found]) => found),
        );
      };
      expect(aucOf(leaky)).toBeGreaterThan(aucOf(honest) + 0.08);
    },
  );

  test('the same person twice in any table of one row per person', () => {
    const row = { ID: '1', SurveyYr: '2009_10' };
    expect(() => datasetDefinition('nhanes').clean([row, row], [])).toThrow(codeIs('DATA_INVALID'));
  });
});

describe('inputs that give something away', () => {
  withData('uci-heart')('chol: 0 is "not measured" and names Switzerland', async () => {
    const honest = await loadDataset('uci-heart', { dataRoot });
    const { definition, rows, schema } = honest;
    const chol = (minimum: number) => [
      ...schema.features,
      { column: 'chol', kind: 'number' as const, minimum, maximum: 600 },
    ];
    await expect(loadDataset('uci-heart', { dataRoot, features: chol(0) })).rejects.toThrow(unsafe);
    await expect(loadDataset('uci-heart', { dataRoot, features: chol(0) })).rejects.toThrow('"chol"');
    const { neverInputs: _, ...unnamed } = definition;
    // Without the list of columns, a sensible range still refuses it: all of one site lies outside.
    expect(() => datasetOf(unnamed, rows, 'test', chol(100))).toThrow(/site "switzerland".*not measured/);
    // With a range that holds the code, nothing generic can tell: hence the list. This is what it would be worth.
    const weakened = datasetOf(unnamed, rows, 'test', chol(0));
    const swiss = rows.map((row) => (row.site === 'switzerland' ? 0 : 1));
    expect(auc(swiss, oneColumn(weakened, 'chol'))).toBeGreaterThan(0.9);
  });

  withData('nhanes')('DiabetesAge: only people with diabetes have one', async () => {
    const { definition, rows, labels, schema } = await loadDataset('nhanes', { dataRoot });
    const features = [
      ...schema.features,
      { column: 'DiabetesAge', kind: 'number' as const, minimum: -1, maximum: 80 },
    ];
    await expect(loadDataset('nhanes', { dataRoot, features })).rejects.toThrow(unsafe);
    const { neverInputs: _, ...unnamed } = definition;
    const filled = rows.map((row) => ({
      ...row,
      values: { ...row.values, DiabetesAge: row.values.DiabetesAge || '-1' },
    }));
    const weakened = datasetOf(unnamed, filled, 'test', features);
    expect(auc(labels, oneColumn(weakened, 'DiabetesAge'))).toBeGreaterThan(0.9);
  });

  test.each(Object.values(datasets))('$name: none of its inputs is on its own list', ({ name }) => {
    const { schema, neverInputs = {} } = datasetDefinition(name);
    for (const { column } of parseFeatureSchema(structuredClone(schema)).features)
      expect(Object.keys(neverInputs)).not.toContain(column);
  });
});

describe('shared users (WISDM)', () => {
  withData('wisdm')('random windows are refused; they would read ten points better', async () => {
    const dataset = await loadDataset('wisdm', { dataRoot });
    for (const rule of ['random', 'per-site', 'index-mod-5'] as const)
      expect(() => splitOf(dataset, '0', { rule })).toThrow(unsafe);
    expect(() => clientsOf(dataset, { kind: 'row' }, [0, 1])).toThrow(unsafe);
    const leaky = splitRows(dataset, '0', { rule: 'random', share: 0.8 });
    expect(sharedPersons(dataset, leaky).size).toBe(36);
    const byUser = [0, 1, 2].map((fold) => splitOf(dataset, '0', { rule: 'by-person', fold, folds: 5 }));
    const honest = byUser.map((split) => hitShare(nearestLabels(dataset, split, 100)));
    const mean = honest.reduce((a, b) => a + b) / honest.length;
    expect(hitShare(nearestLabels(dataset, leaky, 300))).toBeGreaterThan(mean + 0.1);
  });
});

describe('one person in two records', () => {
  withData('mitbih-af')(
    'MIT-BIH 201 and 202; without the rule both sides of some fold know him',
    async () => {
      expect(['201', '202', '203'].map(personOfRecord)).toEqual(['201', '201', '203']);
      const dataset = await loadDataset('mitbih-af', { dataRoot });
      expect(new Set(dataset.rows.map((row) => row.person)).size).toBe(47);
      expect(() => splitOf(dataset, '0', { rule: 'random' })).toThrow(unsafe);
      // Records follow each other in the file: row indices tell 201 from 202.
      const of201 = dataset.rows.filter((row) => row.person === '201');
      const gap = of201[30]!.index;
      const weakened = {
        ...dataset,
        rows: dataset.rows.map((row) =>
          row.person === '201' && row.index >= gap ? { ...row, person: '202' } : row,
        ),
      };
      const apart = ['0', '1', '2'].filter((seed) =>
        [0, 1, 2, 3].some((fold) => {
          const split = splitOf(weakened, seed, { rule: 'by-person', fold, folds: 4 });
          return sharedPersons(dataset, split).size > 0;
        }),
      );
      expect(apart.length).toBeGreaterThan(0);
    },
  );

  const night = (record: string, person: string, weight = '102'): Row => ({
    record,
    person,
    sex: 'M',
    height_cm: '175',
    weight_kg: weight,
  });
  test('apnoea nights: same sex, height and weight are one person, whatever the table says', () => {
    expect([...personsOf([night('a01', 'p01'), night('a14', 'p01'), night('a02', 'p02', '80')])]).toEqual([
      ['a01', 'p01'],
      ['a14', 'p01'],
      ['a02', 'p02'],
    ]);
    expect(() => personsOf([night('a01', 'p01'), night('a14', 'p14')])).toThrow(codeIs('DATA_INVALID'));
    expect(() => personsOf([night('a01', 'p01'), night('a14', 'p14')])).toThrow('both sides');
  });
  withData('apnea')(
    'the table: 35 nights, 25 people, ten nights that a split by night would leak',
    async () => {
      const { rows } = await readTable(`${dataRoot}/apnea-ecg-rr/records.csv`);
      const persons = personsOf(rows);
      expect(persons.size).toBe(35);
      expect(new Set(persons.values()).size).toBe(25);
      const forged = rows.map((row) => ({ ...row, person: row.record! }));
      expect(() => personsOf(forged)).toThrow(codeIs('DATA_INVALID'));
    },
  );
  test('official test records are refused by name', () => {
    expect(() => personsOf([night('x05', 'p40')])).toThrow('official split leaks');
  });
});

describe('tomorrow (LifeSnaps)', () => {
  withData('lifesnaps')(
    'inputs see the day and before; a view that sees tomorrow gives the label away',
    async () => {
      const { rows } = await readTable(`${dataRoot}/lifesnaps-daily/daily.csv.gz`);
      const some = rows.slice(0, 600);
      const definition = datasetDefinition('lifesnaps');
      const honest = definition.clean(some, []);
      // Whatever happens on a day leaves the inputs of all days before it alone.
      const target = honest[100]!;
      const after = some.map((row, index) =>
        row.id === target.person && index > target.index
          ? { ...row, bpm: '99', steps: '1', nremhr: '99', very_active_minutes: '99' }
          : row,
      );
      const again = definition.clean(after, []).find((row) => row.index === target.index)!;
      expect(again.values).toEqual(target.values);
      // Weakened: the window begins one day too late.
      const leaky = daysOf(some, (days, day) =>
        Array.from({ length: 7 }, (_, back) => days.get(day + 1 - back)),
      );
      const known = leaky.map(({ values }) => Number(values.resting_hr_change_1));
      const label = leaky.map(({ values }) => Number(values.resting_hr_change_tomorrow));
      expect(known.filter((value, i) => Math.abs(value - label[i]!) < 1e-3).length).toBe(label.length);
      const honestKnown = honest.map(({ values }) => Number(values.resting_hr_change_1));
      expect(honestKnown.filter((value, i) => Math.abs(value - label[i]!) < 1e-3).length).toBeLessThan(20);
    },
  );
});
