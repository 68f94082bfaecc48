/**
 * Pima Indians diabetes: 768 women, one site. A smoke test for loaders, not a benchmark to report.
 *
 * For: experiments/datasets/index.ts. 0 stands for "missing" in five columns; a row with such a 0 in an
 * input is left out. SkinThickness and Insulin (227 and 374 missing) are no inputs: they would halve the
 * table.
 */
import type { Row } from '../../client/sources/csv.ts';
import type { DatasetDefinition, DatasetRow } from './types.ts';

/** Inputs in which 0 is impossible in a living person and means "missing". */
const zeroIsMissing = ['Glucose', 'BloodPressure', 'BMI'] as const;

export const pima: DatasetDefinition = {
  name: 'pima',
  title: 'Pima Indians diabetes',
  licence: 'CC0 as listed on Kaggle (withdrawn by UCI)',
  citation:
    'Smith et al.: Using the ADAP learning algorithm to forecast the onset of diabetes mellitus. SCAMC 1988.',
  unit: 'record',
  siteKind: 'none',
  split: { rule: 'by-person', fold: 0, folds: 5 },
  clients: { by: 'row', count: 724 },
  cleanRows: 724,
  file: {
    path: 'pima-diabetes/pima.csv',
    delimiter: ',',
    sha256: 'bf81d06e0c0512662862248241ab46d7c29258c6ceaad32f3cab56b52a17fdab',
    textSha256: 'bf81d06e0c0512662862248241ab46d7c29258c6ceaad32f3cab56b52a17fdab',
  },
  schema: {
    dataset: 'pima',
    label: { column: 'Outcome', positive: { equals: '1', otherwise: ['0'] } },
    features: [
      { column: 'Pregnancies', kind: 'number', minimum: 0, maximum: 15 },
      // mg/dl two hours after 75 g glucose: hypoglycaemia to the diabetic range (≥ 200).
      { column: 'Glucose', kind: 'number', minimum: 40, maximum: 250 },
      // Diastolic, mmHg.
      { column: 'BloodPressure', kind: 'number', minimum: 30, maximum: 120 },
      { column: 'BMI', kind: 'number', minimum: 15, maximum: 60 },
      // A weighted family history, 0 without affected relatives; its authors' scale ends near 2.5.
      { column: 'DiabetesPedigreeFunction', kind: 'number', minimum: 0, maximum: 2.5 },
      { column: 'Age', kind: 'number', minimum: 20, maximum: 80 },
    ],
    complete: true,
  },
  clean(rows: readonly Row[]): DatasetRow[] {
    return rows.flatMap((values, index) =>
      zeroIsMissing.every((column) => Number(values[column]) > 0)
        ? [{ index, site: 'pima', person: String(index), values }]
        : [],
    );
  },
};
