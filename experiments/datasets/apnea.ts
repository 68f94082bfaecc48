/**
 * Apnea-ECG: apnoea per minute from beat intervals of a night, 35 nights of 25 people.
 *
 * For: experiments/datasets/index.ts. Leaks guarded by tests: nights of one person (same sex, height and weight) are
 * one client and stand on one side; the official test records x01–x35 are refused, because 23 of them share a person
 * with these nights; random minutes (AUC about .05 too good) are refused by split-rules.ts.
 */
import type { Row } from '../../client/sources/csv.ts';
import { ensure, PulsefoldError } from '../../crypto/error.ts';
import { nightFeatures, nightInputs } from './night-features.ts';
import type { DatasetDefinition, DatasetRow } from './types.ts';

/** rr_10ms counts hundredths of a second. */
const countsPerSecond = 100;

export const apnea: DatasetDefinition = {
  name: 'apnea',
  title: 'Apnea-ECG: apnoea per minute of sleep, 25 people',
  licence: 'ODC-By 1.0',
  citation: 'Penzel et al.: The Apnea-ECG database. Computers in Cardiology 27:255, 2000; PhysioNet.',
  unit: 'person',
  manyRowsPerPerson: true,
  siteKind: 'none',
  split: { rule: 'by-person', fold: 0, folds: 5 },
  clients: { by: 'person', count: 25 },
  neverInputs: {
    record: 'names the night',
    person: 'names the person',
    minute: 'the clock of the recording is not the heart',
  },
  cleanRows: 17_045,
  file: {
    path: 'apnea-ecg-rr/rr.csv.gz',
    delimiter: ',',
    rowsMax: 1_200_000,
    sha256: 'c19d937f05e38a899a08a51873ff564d90601ca5d47bcc084f65119bf5b04e03',
    textSha256: 'b19c45da8a5976f2ce0c8f0dc638b4c845a2f5f6c3ddb8189312490198c41daa',
  },
  furtherFiles: [
    {
      path: 'apnea-ecg-rr/labels.csv',
      delimiter: ',',
      sha256: '6cd5aec2a1c20ef2a133a0d52839eab9638961eb02865e8b76a4db276fcfe3e5',
      textSha256: '6cd5aec2a1c20ef2a133a0d52839eab9638961eb02865e8b76a4db276fcfe3e5',
    },
    {
      path: 'apnea-ecg-rr/records.csv',
      delimiter: ',',
      sha256: 'f81d84a2889b1ece117fd1af77d122e7b83de9fa139f7834be8ddb3157132ec4',
      textSha256: 'f81d84a2889b1ece117fd1af77d122e7b83de9fa139f7834be8ddb3157132ec4',
    },
  ],
  schema: {
    dataset: 'apnea',
    label: { column: 'apnea', positive: { equals: '1', otherwise: ['0'] } },
    features: nightInputs.map(([column, minimum, maximum]) => ({ column, kind: 'number', minimum, maximum })),
    complete: true,
  },
  clean(beats, [labels = [], records = []]): DatasetRow[] {
    const personOf = personsOf(records);
    const times = beatTimes(beats);
    const nights = new Map<string, Row[]>();
    for (const label of labels) {
      const list = nights.get(label.record ?? '');
      if (list) list.push(label);
      else nights.set(label.record ?? '', [label]);
    }
    const rows: DatasetRow[] = [];
    for (const [record, minutes] of nights) {
      const person = personOf.get(record);
      const night = times.get(record);
      ensure(person && night, 'DATA_INVALID', `apnea: night ${record} has labels, but no person or no beats`);
      const last = Math.max(...minutes.map(({ minute }) => Number(minute)));
      ensure(
        Number.isInteger(last) && last >= 0 && last < 24 * 60,
        'DATA_INVALID',
        `apnea: night ${record} has a minute outside a day`,
      );
      const features = nightFeatures(night, last + 1);
      for (const { minute, apnea: label } of minutes) {
        const values: Record<string, string> = { apnea: label ?? '' };
        for (const [name, value] of Object.entries(features[Number(minute)]!))
          values[name] = value.toPrecision(6);
        rows.push({ index: rows.length, site: 'apnea-ecg', person, values });
      }
    }
    return rows;
  },
};

/**
 * Who slept in each night. The table's `person` column is an inference of whoever made the table, so it is inferred
 * again here: nights with the same sex, height and weight are one person's, and a table that says otherwise is refused.
 * @throws PulsefoldError DATA_INVALID.
 */
export function personsOf(records: readonly Row[]): Map<string, string> {
  const personOf = new Map<string, string>();
  const personOfBody = new Map<string, string>();
  for (const { record = '', person = '', sex, height_cm, weight_kg } of records) {
    if (/^x\d\d$/.test(record))
      throw new PulsefoldError(
        'DATA_INVALID',
        `apnea: ${record} is an official test record; 23 of those 35 are of people who are also in the training ` +
          'nights, so the official split leaks; leave the x records out and split by-person',
      );
    const body = JSON.stringify([sex, height_cm, weight_kg]);
    const known = personOfBody.get(body);
    ensure(
      known === undefined || known === person,
      'DATA_INVALID',
      `apnea: night ${record} has the sex, height and weight of another night, but another person; they are one ` +
        'person, or their nights would stand on both sides of a split',
    );
    personOfBody.set(body, person);
    personOf.set(record, person);
  }
  return personOf;
}

/** When each beat came, s since the start of its record; a record's first entry is the offset of its first beat. */
function beatTimes(beats: readonly Row[]): Map<string, number[]> {
  const times = new Map<string, number[]>();
  let counts = 0;
  for (const { record = '', rr_10ms } of beats) {
    let night = times.get(record);
    if (!night) {
      night = [];
      counts = 0;
      times.set(record, night);
    }
    const interval = Number(rr_10ms);
    ensure(
      Number.isInteger(interval) && interval >= 0,
      'DATA_INVALID',
      `apnea: night ${record} has a beat interval that is no count`,
    );
    counts += interval;
    night.push(counts / countsPerSecond);
  }
  return times;
}
