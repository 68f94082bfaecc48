/**
 * NHANES 2009–2012 adults, diabetes from what a phone, a band and a scale can tell.
 *
 * For: experiments/datasets/index.ts. Leaks guarded by tests: the R package repeats people (the file here
 * has one row per ID, checked on load); DiabetesAge gives the label away and is never an input; Race1 is for
 * subgroup fairness, not a feature. Unweighted: no national estimate may be drawn from it.
 */
import type { Row } from '../../client/sources/csv.ts';
import { ensure } from '../../crypto/error.ts';
import { encodeTable } from '../../protos/features.ts';
import type { DatasetDefinition, DatasetRow } from './types.ts';

const yesNo = (column: string) => ({ column, kind: 'category' as const, values: ['No', 'Yes'] });

const schema: DatasetDefinition['schema'] = {
  dataset: 'nhanes',
  label: { column: 'Diabetes', positive: { equals: 'Yes', otherwise: ['No'] } },
  features: [
    // Adults; NCHS top-codes at 80.
    { column: 'Age', kind: 'number', minimum: 20, maximum: 80 },
    { column: 'Gender', kind: 'category', values: ['female', 'male'] },
    // kg/m²: severe underweight (WHO < 16) to far into class III obesity (≥ 40).
    { column: 'BMI', kind: 'number', minimum: 15, maximum: 60 },
    // Seated 60 s pulse, bpm: athlete's bradycardia to marked tachycardia.
    { column: 'Pulse', kind: 'number', minimum: 40, maximum: 130 },
    // mmHg, mean of readings: hypotension to above hypertensive crisis (180/120).
    { column: 'BPSysAve', kind: 'number', minimum: 80, maximum: 200 },
    { column: 'BPDiaAve', kind: 'number', minimum: 30, maximum: 120 },
    // Questionnaire SLD010H: hours on weekdays, 12 means 12 or more.
    { column: 'SleepHrsNight', kind: 'number', minimum: 2, maximum: 12 },
    yesNo('SleepTrouble'),
    yesNo('PhysActive'),
    yesNo('Smoke100'),
  ],
  complete: true,
};

export const nhanes: DatasetDefinition = {
  name: 'nhanes',
  title: 'NHANES 2009-2012 adults, diabetes',
  licence: 'public domain (CDC/NCHS); NCHS asks that nobody try to identify people',
  citation: 'CDC/NCHS: National Health and Nutrition Examination Survey 2009-2012; R package NHANES (Pruim).',
  unit: 'record',
  siteKind: 'cycle',
  // 'next-cycle' trains on 2009–10 and tests on 2011–12: drift in time, but a single training site.
  split: { rule: 'per-site' },
  clients: { by: 'site', count: 2 },
  neverInputs: {
    DiabetesAge: 'only people with the label have it',
    Race1: 'for subgroup fairness, not as a feature to exploit',
    ID: 'names the person',
    SurveyYr: 'names the survey cycle',
  },
  cleanRows: 4390,
  file: {
    path: 'nhanes-diabetes/nhanes_adults.csv.gz',
    delimiter: ',',
    sha256: '47b2d67a4d3c497856c43718a8f956f20d2f283ecf6d9b0947f3f21037915817',
    textSha256: 'c9c1f52b09758c924d62c66f3a3ca3db1271ea0e49afa7d81c21a7bc76c51be6',
  },
  schema,
  clean(rows: readonly Row[]): DatasetRow[] {
    const people = new Set(rows.map((row) => row.ID));
    ensure(
      people.size === rows.length,
      'DATA_INVALID',
      'NHANES: a person (ID) occurs twice; use the de-duplicated file',
    );
    // A diastolic mean of 0 means the sounds did not vanish: no measurement, as empty.
    const complete = encodeTable(schema, rows).kept;
    return Array.from(complete, (index) => ({ index, values: rows[index]! }))
      .filter(({ values }) => Number(values.BPDiaAve) > 0)
      .map(({ index, values }) => ({ index, site: values.SurveyYr ?? '', person: values.ID ?? '', values }));
  },
};
