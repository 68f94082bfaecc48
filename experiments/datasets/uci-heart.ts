/**
 * UCI heart disease, four hospitals: the one small clinical set with a real hospital split.
 *
 * For: experiments/datasets/index.ts. Protocol of FLamby's Fed-Heart-Disease (du Terrail et al. 2210.04620):
 * drop slope, ca and thal (mostly empty outside Cleveland), keep the 740 rows complete in the rest. Unlike
 * FLamby, scale by public ranges instead of per-site statistics, which would cost privacy budget.
 */
import type { Row } from '../../client/sources/csv.ts';
import type { DatasetDefinition, DatasetRow } from './types.ts';

/** Columns that must be present for a row to count as complete (FLamby's rule, chol included). */
const completeColumns = [
  'age',
  'sex',
  'cp',
  'trestbps',
  'chol',
  'fbs',
  'restecg',
  'thalach',
  'exang',
  'oldpeak',
] as const;

export const uciHeart: DatasetDefinition = {
  name: 'uci-heart',
  title: 'UCI heart disease, four hospitals',
  licence: 'CC BY 4.0 (UCI Machine Learning Repository no. 45)',
  citation:
    'Janosi, Steinbrunn, Pfisterer, Detrano: Heart Disease. UCI Machine Learning Repository, no. 45, 1988.',
  unit: 'record',
  siteKind: 'hospital',
  split: { rule: 'per-site' },
  clients: { by: 'site', count: 4 },
  neverInputs: {
    chol: '0 means "not measured" and names the hospital (all Swiss rows)',
    slope: 'mostly empty outside Cleveland: whether it is there names the hospital',
    ca: 'mostly empty outside Cleveland: whether it is there names the hospital',
    thal: 'mostly empty outside Cleveland: whether it is there names the hospital',
    site: 'names the hospital',
  },
  cleanRows: 740,
  file: {
    path: 'uci-heart-4site/heart4.csv',
    delimiter: ',',
    sha256: 'f2c325494cdd8d0d92feb4ccc5eccb44d268225bd292fe4373c74cd8d560e722',
    textSha256: 'f2c325494cdd8d0d92feb4ccc5eccb44d268225bd292fe4373c74cd8d560e722',
  },
  schema: {
    dataset: 'uci-heart',
    label: { column: 'num', positive: { above: 0 } },
    // Serum cholesterol is no input: chol = 0 means "not measured" (all Swiss rows), so any use of it, also
    // an "is missing" flag, lets the model read off the hospital instead of the patient. Yes/no columns go
    // to [0, 1] like the one-hot ones, measurements to [-1, 1]: inputs then spread alike and records stay
    // short under the clip.
    features: [
      // Adults referred for angiography; below 20 and above 90 practically nobody is.
      { column: 'age', kind: 'number', minimum: 20, maximum: 90 },
      { column: 'sex', kind: 'number', minimum: 0, maximum: 1, scale: 'unit' },
      { column: 'cp', kind: 'category', values: ['1', '2', '3', '4'] },
      // Systolic pressure at rest, mmHg: 80 is hypotension, above 220 admission is postponed.
      { column: 'trestbps', kind: 'number', minimum: 80, maximum: 220 },
      { column: 'fbs', kind: 'number', minimum: 0, maximum: 1, scale: 'unit' },
      { column: 'restecg', kind: 'category', values: ['0', '1', '2'] },
      // Peak heart rate of an exercise test, bpm: 220 − age bounds it above; under 60 no exercise took place.
      { column: 'thalach', kind: 'number', minimum: 60, maximum: 220 },
      { column: 'exang', kind: 'number', minimum: 0, maximum: 1, scale: 'unit' },
      // Exercise ST depression, mm; negative is elevation. Beyond −3 and 7 mm the test is stopped.
      { column: 'oldpeak', kind: 'number', minimum: -3, maximum: 7 },
    ],
    complete: true,
  },
  clean(rows: readonly Row[]): DatasetRow[] {
    return rows.flatMap((values, index) =>
      completeColumns.every((column) => values[column] !== '')
        ? [{ index, site: values.site ?? '', person: String(index), values }]
        : [],
    );
  },
};
