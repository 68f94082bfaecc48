/**
 * MIT-BIH arrhythmia, atrial fibrillation per minute from beat intervals: 48 records of 47 people.
 *
 * For: experiments/datasets/index.ts. Leaks guarded by tests: records 201 and 202 are one person; minutes of one
 * person never stand on both sides; beat symbols and rhythm marks are the cardiologists', a band does not see them:
 * only the interval column becomes inputs.
 */
import type { Row } from '../../client/sources/csv.ts';
import { ensure } from '../../crypto/error.ts';
import { beatFeatures, beatInputs } from './beat-features.ts';
import type { DatasetDefinition, DatasetRow } from './types.ts';

const samplesPerSecond = 360;
/** Records are 30 minutes; the last seconds after that are no whole minute. */
const minutesMax = 30;
const beatsMin = 20;

/** Moody & Mark 2001: "records 201 and 202 were obtained from the same subject". */
export const personOfRecord = (record: string): string => (record === '202' ? '201' : record);

export const mitbihAf: DatasetDefinition = {
  name: 'mitbih-af',
  title: 'MIT-BIH: atrial fibrillation per minute, 47 people',
  licence: 'ODC-By 1.0',
  citation: 'Moody, Mark: The impact of the MIT-BIH Arrhythmia Database. IEEE EMB 20:45, 2001; PhysioNet.',
  unit: 'person',
  manyRowsPerPerson: true,
  siteKind: 'none',
  split: { rule: 'by-person', fold: 0, folds: 4 },
  clients: { by: 'person', count: 47 },
  neverInputs: { record: 'names the person', rhythm: 'is the label' },
  cleanRows: 1439,
  file: {
    path: 'mitbih-rr/beats.csv.gz',
    delimiter: ',',
    sha256: 'f5e59a81f11a6193c363fefe1b0eb4bdc8ca19740635e3faf7e185f98deb26ff',
    textSha256: '8b5031ae3e0691bc47a0d8487582ae62080a5ab27d3b1fa289604e7bc61ce3f9',
  },
  schema: {
    dataset: 'mitbih-af',
    label: { column: 'fibrillation', positive: { equals: '1', otherwise: ['0'] } },
    features: beatInputs.map(([column, minimum, maximum]) => ({ column, kind: 'number', minimum, maximum })),
    complete: true,
  },
  clean(rows: readonly Row[]): DatasetRow[] {
    return recordsOf(rows).flatMap(({ record, first, beats }) => minutesOf(record, first, beats));
  },
};

interface Beat {
  readonly seconds: number;
  readonly fibrillation: boolean;
}

function recordsOf(rows: readonly Row[]): { record: string; first: number; beats: Beat[] }[] {
  const records: { record: string; first: number; beats: Beat[] }[] = [];
  rows.forEach((row, index) => {
    const record = row.record ?? '';
    const seconds = Number(row.rr_samples_360hz) / samplesPerSecond;
    ensure(
      record !== '' && Number.isFinite(seconds) && seconds >= 0,
      'DATA_INVALID',
      `mitbih-af: row ${index} is no beat`,
    );
    let current = records.at(-1);
    if (current?.record !== record) {
      ensure(
        !records.some((other) => other.record === record),
        'DATA_INVALID',
        `mitbih-af: record ${record} is not in one piece`,
      );
      current = { record, first: index, beats: [] };
      records.push(current);
    }
    current.beats.push({ seconds, fibrillation: row.rhythm === 'AFIB' });
  });
  return records;
}

/** A record's first entry is the offset of its first beat, not an interval. */
function minutesOf(record: string, first: number, beats: readonly Beat[]): DatasetRow[] {
  const minutes: { index: number; intervals: number[]; beats: number; fibrillation: number }[] = [];
  let seconds = 0;
  beats.forEach((beat, i) => {
    seconds += beat.seconds;
    const minute = Math.floor(seconds / 60);
    if (minute >= minutesMax) return;
    minutes[minute] ??= { index: first + i, intervals: [], beats: 0, fibrillation: 0 };
    const window = minutes[minute];
    window.beats++;
    if (i > 0) window.intervals.push(beat.seconds);
    if (beat.fibrillation) window.fibrillation++;
  });
  return minutes.flatMap((window) => {
    const features = window.beats >= beatsMin ? beatFeatures(window.intervals) : undefined;
    if (!features) return [];
    const values: Record<string, string> = {
      fibrillation: 2 * window.fibrillation > window.beats ? '1' : '0',
    };
    for (const [name, value] of Object.entries(features)) values[name] = value.toPrecision(6);
    return [{ index: window.index, site: 'mitbih', person: personOfRecord(record), values }];
  });
}
