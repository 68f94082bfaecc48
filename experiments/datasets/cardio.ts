/**
 * Cardiovascular disease, 70,000 medical examinations: one row is one person, so one row is one phone.
 *
 * For: experiments/datasets/index.ts. No licence is stated for this set: local experiments only, never
 * redistributed. Sound published accuracies end at .73–.74; more than .85 means a leak.
 */
import type { Row } from '../../client/sources/csv.ts';
import type { DatasetDefinition, DatasetRow } from './types.ts';

/** Plausibility limits of the set's README: outside them the entry is a typing error, not a patient. */
function plausible(values: Row): boolean {
  const systolic = Number(values.sbp);
  const diastolic = Number(values.dbp);
  const height = Number(values.height);
  const weight = Number(values.weight);
  return (
    systolic >= 60 &&
    systolic <= 240 &&
    diastolic >= 30 &&
    diastolic <= 160 &&
    diastolic < systolic &&
    height >= 120 &&
    height <= 220 &&
    weight >= 30 &&
    weight <= 200
  );
}

/**
 * Two- and three-valued columns go to [0, 1], measurements to [-1, 1]: then all inputs spread alike (about
 * 0.3), which is what three rounds of gradient steps need. Known from the coding of the columns, not from
 * the rows.
 */
const level = (column: string, minimum: number, maximum: number) => ({
  column,
  kind: 'number' as const,
  minimum,
  maximum,
  scale: 'unit' as const,
});

export const cardio: DatasetDefinition = {
  name: 'cardio',
  title: 'Cardiovascular disease, 70,000 examinations',
  licence: 'none stated (Kaggle, S. Ulianova 2019): local experiments only, do not redistribute',
  citation: 'Ulianova S.: Cardiovascular Disease dataset. Kaggle, 2019.',
  unit: 'person',
  siteKind: 'none',
  split: { rule: 'index-mod-5' },
  clients: { by: 'row', count: 68_619 },
  neverInputs: { id: 'names the person' },
  cleanRows: 68_619,
  file: {
    path: 'cardio-70k/cardio_train.csv.gz',
    delimiter: ';',
    sha256: '3a86a308201f52731358286ed1f7fc3a9d3bbb34cb896b515d0c86757d0b6d62',
    textSha256: '7bfc8149d9c1811f73d0956f3b94275cb01b1fc4a32a9fe5f383e94ddd2c7280',
  },
  schema: {
    dataset: 'cardio',
    label: { column: 'cardio', positive: { equals: '1', otherwise: ['0'] } },
    features: [
      // Days: 30 to 70 years, the ages cardiovascular screening programmes address; clamped outside.
      { column: 'age', kind: 'number', minimum: 10_957, maximum: 25_567 },
      level('gender', 1, 2),
      // cm: about the 0.1 % to 99.9 % of adult height in any population.
      { column: 'height', kind: 'number', minimum: 140, maximum: 200 },
      // kg: underweight of a small adult to class III obesity.
      { column: 'weight', kind: 'number', minimum: 40, maximum: 140 },
      // mmHg: hypotension (90/50) to hypertensive crisis (180/120, ESC/ESH 2018); a risk model saturates
      // there.
      { column: 'sbp', kind: 'number', minimum: 90, maximum: 180 },
      { column: 'dbp', kind: 'number', minimum: 50, maximum: 120 },
      // 1 normal, 2 above normal, 3 well above normal.
      level('cholesterol', 1, 3),
      level('gluc', 1, 3),
      level('smoke', 0, 1),
      level('alco', 0, 1),
      level('active', 0, 1),
    ],
    complete: true,
  },
  clean(rows: readonly Row[]): DatasetRow[] {
    return rows.flatMap((values, index) =>
      plausible(values) ? [{ index, site: 'cardio', person: values.id ?? String(index), values }] : [],
    );
  },
};
