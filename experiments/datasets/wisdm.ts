/**
 * WISDM v1.1: six activities from the accelerometer of a phone in the trouser pocket, 36 users.
 *
 * For: experiments/datasets/index.ts. Leak guarded by tests: windows of one user never stand on both sides (a random
 * split reads some ten points better). Known errors of v1.1 that the inputs avoid: XAVG is 0 everywhere; XSTANDDEV
 * repeats ZSTANDDEV. A missing peak time means that no peaks were found (sitting, standing), which is a fact about
 * the window and becomes "0 peaks a second"; leaving such rows out would remove two classes by half.
 */
import type { Row } from '../../client/sources/csv.ts';
import { ensure } from '../../crypto/error.ts';
import type { DatasetDefinition, DatasetRow } from './types.ts';

export const activities = ['Walking', 'Jogging', 'Upstairs', 'Downstairs', 'Sitting', 'Standing'] as const;

const axes = ['X', 'Y', 'Z'] as const;
/** Below the phone's noise, m/s²: keeps logarithms finite. */
const noiseFloor = 0.05;

const number = (column: string, minimum: number, maximum: number) => ({
  column,
  kind: 'number' as const,
  minimum,
  maximum,
});

export const wisdm: DatasetDefinition = {
  name: 'wisdm',
  title: 'WISDM v1.1: six activities, 36 users',
  licence: 'free for research with citation (WISDM Lab, Fordham University)',
  citation:
    'Kwapisz, Weiss, Moore: Activity recognition using cell phone accelerometers. SensorKDD 2010 (ACM SIGKDD 12:74).',
  unit: 'person',
  manyRowsPerPerson: true,
  siteKind: 'none',
  split: { rule: 'by-person', fold: 0, folds: 5 },
  clients: { by: 'person', count: 36 },
  neverInputs: {
    user: 'names the person',
    UNIQUE_ID: 'counts the windows of a recording, and recordings were made activity by activity',
    XAVG: 'is 0 everywhere in v1.1',
    XSTANDDEV: 'repeats ZSTANDDEV in v1.1',
  },
  cleanRows: 5418,
  file: {
    path: 'wisdm-har/wisdm_v1.1_transformed.csv.gz',
    delimiter: ',',
    sha256: '40c920c48508371522e38b7501d7b7fc9155632a004748c6b46a00339a8099e9',
    textSha256: '134d5789c26cbceb1ea8d0e39f2deb84faf5777e18d4f34552a2f2c6a4b1172b',
  },
  schema: {
    dataset: 'wisdm',
    label: { column: 'class', classes: [...activities] },
    features: [
      // m/s²: phones of 2010 measure ±2 g; a resting phone reads 9.8 along some axis.
      number('YAVG', -12, 12),
      number('ZAVG', -12, 12),
      number('tilt_y', 0, 12),
      number('tilt_z', 0, 12),
      number('RESULTANT', 0, 20),
      number('rest', 0, 18),
      number('YSTANDDEV', 0, 13),
      number('ZSTANDDEV', 0, 15),
      ...axes.map((axis) => number(`${axis}ABSOLDEV`, 0, 12)),
      // Natural logarithms of deviations, from the phone's noise to jogging.
      ...axes.map((axis) => number(`log_${axis}ABSOLDEV`, -3, 3)),
      number('log_YSTANDDEV', -3, 3),
      number('log_ZSTANDDEV', -3, 3),
      number('log_y_over_z', -3, 3),
      number('log_x_over_y', -3, 3),
      // Mean absolute over standard deviation: 1 for two-valued signals, small for spikes.
      number('spread_y', 0, 1.2),
      number('spread_z', 0, 1.2),
      // Peaks a second; running steps come at 2.5 to 3.
      ...axes.map((axis) => number(`peaks_${axis}`, 0, 5)),
      ...axes.map((axis) => ({ ...number(`no_peaks_${axis}`, 0, 1), scale: 'unit' as const })),
    ],
    complete: true,
  },
  clean(rows: readonly Row[]): DatasetRow[] {
    return rows.map((row, index) => {
      ensure(row.user, 'DATA_INVALID', `wisdm: row ${index} names no user`);
      return { index, site: 'wisdm', person: row.user, values: { ...row, ...derived(row) } };
    });
  },
};

/** From the window's own row and nothing else. */
function derived(row: Row): Record<string, string> {
  const of = (column: string): number => Number(row[column]);
  const log = (column: string): number => Math.log(of(column) + noiseFloor);
  const values: Record<string, number> = {
    tilt_y: Math.abs(of('YAVG')),
    tilt_z: Math.abs(of('ZAVG')),
    // What the resultant holds beyond the mean of two axes: the third axis and movement.
    rest: Math.sqrt(Math.max(0, of('RESULTANT') ** 2 - of('YAVG') ** 2 - of('ZAVG') ** 2)),
    log_YSTANDDEV: log('YSTANDDEV'),
    log_ZSTANDDEV: log('ZSTANDDEV'),
    log_y_over_z: log('YSTANDDEV') - log('ZSTANDDEV'),
    log_x_over_y: log('XABSOLDEV') - log('YABSOLDEV'),
    spread_y: of('YABSOLDEV') / (of('YSTANDDEV') + noiseFloor),
    spread_z: of('ZABSOLDEV') / (of('ZSTANDDEV') + noiseFloor),
  };
  for (const axis of axes) {
    const peakMs = row[`${axis}PEAK`];
    values[`log_${axis}ABSOLDEV`] = log(`${axis}ABSOLDEV`);
    values[`peaks_${axis}`] = peakMs ? 1000 / Number(peakMs) : 0;
    values[`no_peaks_${axis}`] = peakMs ? 0 : 1;
  }
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, value.toPrecision(6)]));
}
