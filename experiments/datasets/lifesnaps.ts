/**
 * LifeSnaps: tomorrow's resting heart rate from today and the days before, 69 people with a Fitbit Sense.
 *
 * For: experiments/datasets/index.ts. The label is the *change* until tomorrow, so that a model starts from
 * yesterday's news ("as today", MAE 1.01 bpm here) and learns what is left; MAE in bpm is the same for both.
 * Leaks guarded by tests: inputs come from the day itself and earlier (`historyOf` has nothing else); days of one
 * person never stand on both sides. Missing history is "no change", with a range from -x to x around 0.
 */
import type { Row } from '../../client/sources/csv.ts';
import { ensure } from '../../crypto/error.ts';
import type { DatasetDefinition, DatasetRow } from './types.ts';

/** Days that the inputs may look back on, the day itself included. */
const historyDays = 7;
const dayMs = 86_400_000;

/** Name, minimum, maximum; changes and differences are in the unit of what they are of. */
const inputs = [
  // bpm
  ['resting_hr', 40, 100],
  ['resting_hr_change_1', -5, 5],
  ['resting_hr_change_2', -5, 5],
  ['resting_hr_change_3', -5, 5],
  ['week_mean_minus_resting_hr', -8, 8],
  ['mean_hr_minus_resting_hr', 0, 40],
  ['mean_hr_change', -25, 25],
  ['mean_hr_minus_week_mean', -15, 15],
  ['sleep_hr_minus_resting_hr', -15, 15],
  ['sleep_hr_change', -15, 15],
  // Minutes a day.
  ['very_active_minutes', 0, 120],
  ['moderately_active_minutes', 0, 120],
  ['lightly_active_minutes', 0, 480],
  ['sedentary_minutes', 0, 1440],
  ['steps', 0, 25_000],
  ['steps_change', -20_000, 20_000],
  ['very_active_change', -120, 120],
  // Minutes in heart-rate zones.
  ['minutes_zone_1', 0, 600],
  ['minutes_zone_2', 0, 120],
  ['asleep_minus_7_hours', -240, 240],
] as const;

export const lifesnaps: DatasetDefinition = {
  name: 'lifesnaps',
  title: "LifeSnaps: tomorrow's resting heart rate, 69 people",
  licence: 'CC BY 4.0',
  citation: 'Yfantidou et al.: LifeSnaps, a 4-month multi-modal dataset. Scientific Data 9:663, 2022.',
  unit: 'person',
  manyRowsPerPerson: true,
  siteKind: 'none',
  split: { rule: 'by-person', fold: 0, folds: 5 },
  clients: { by: 'person', count: 69 },
  neverInputs: { id: 'names the person', date: 'names the day', resting_hr_tomorrow: 'is the label' },
  cleanRows: 4089,
  file: {
    path: 'lifesnaps-daily/daily.csv.gz',
    delimiter: ',',
    sha256: '0725d4d9906a7656cb3071ea5c184a68cc22a917f1d3564f74a3bc69f5cdc5e7',
    textSha256: '73ed206db34b6cda872aed625ecff8b55a83b01fcc629a770180e993895ebcec',
  },
  schema: {
    dataset: 'lifesnaps',
    // bpm from one day to the next: Fitbit's resting rate is smoothed, more is a new device or an illness.
    label: { column: 'resting_hr_change_tomorrow', target: { minimum: -10, maximum: 10 } },
    features: inputs.map(([column, minimum, maximum]) => ({ column, kind: 'number', minimum, maximum })),
    complete: true,
  },
  clean: (rows) => daysOf(rows, (days, day) => historyOf(days, day)),
};

type Days = ReadonlyMap<number, Row>;

/** The day and what lies behind it: index 0 is the day itself, index k is k days before; nothing ahead of it. */
export type History = readonly (Row | undefined)[];

function historyOf(days: Days, day: number): History {
  return Array.from({ length: historyDays }, (_, back) => days.get(day - back));
}

/**
 * One row per person and day whose resting heart rate is known that day and the next.
 * @param view what the inputs see of a person's days; anything but historyOf is a leak (tests show it)
 */
export function daysOf(rows: readonly Row[], view: (days: Days, day: number) => History): DatasetRow[] {
  const people = new Map<string, Map<number, Row>>();
  const indexOf = new Map<Row, number>();
  rows.forEach((row, index) => {
    const day = Date.parse(`${row.date}T00:00:00Z`) / dayMs;
    ensure(
      row.id && Number.isInteger(day),
      'DATA_INVALID',
      `lifesnaps: row ${index} has no person or no date`,
    );
    const days = people.get(row.id) ?? new Map<number, Row>();
    ensure(!days.has(day), 'DATA_INVALID', `lifesnaps: row ${index} repeats a day of the same person`);
    people.set(row.id, days.set(day, row));
    indexOf.set(row, index);
  });
  const result: DatasetRow[] = [];
  for (const [person, days] of people)
    for (const [day, row] of days) {
      const today = read(row, 'resting_hr');
      const tomorrow = read(days.get(day + 1), 'resting_hr');
      if (today === undefined || tomorrow === undefined) continue;
      const values: Record<string, string> = {
        resting_hr_change_tomorrow: (tomorrow - today).toPrecision(6),
      };
      for (const [name, value] of Object.entries(inputsOf(view(days, day))))
        values[name] = value.toPrecision(6);
      result.push({ index: indexOf.get(row)!, site: 'lifesnaps', person, values });
    }
  return result.sort((a, b) => a.index - b.index);
}

function read(row: Row | undefined, column: string): number | undefined {
  const text = row?.[column];
  if (text === undefined || text.trim() === '') return undefined;
  const value = Number(text);
  return Number.isFinite(value) ? value : undefined;
}

function inputsOf(history: History): Record<(typeof inputs)[number][0], number> {
  const of = (column: string, back = 0): number | undefined => read(history[back], column);
  const difference = (a: number | undefined, b: number | undefined): number =>
    a === undefined || b === undefined ? 0 : a - b;
  const change = (column: string, back = 0): number => difference(of(column, back), of(column, back + 1));
  const mean = (column: string): number | undefined => {
    const known = history.map((_, back) => of(column, back)).filter((value) => value !== undefined);
    return known.length === 0 ? undefined : known.reduce((a, b) => a + b, 0) / known.length;
  };
  const resting = of('resting_hr')!;
  return {
    resting_hr: resting,
    resting_hr_change_1: change('resting_hr'),
    resting_hr_change_2: change('resting_hr', 1),
    resting_hr_change_3: change('resting_hr', 2),
    week_mean_minus_resting_hr: difference(mean('resting_hr'), resting),
    mean_hr_minus_resting_hr: difference(of('bpm'), resting),
    mean_hr_change: change('bpm'),
    mean_hr_minus_week_mean: difference(of('bpm'), mean('bpm')),
    sleep_hr_minus_resting_hr: difference(of('nremhr'), resting),
    sleep_hr_change: change('nremhr'),
    very_active_minutes: of('very_active_minutes') ?? 0,
    moderately_active_minutes: of('moderately_active_minutes') ?? 0,
    lightly_active_minutes: of('lightly_active_minutes') ?? 0,
    sedentary_minutes: of('sedentary_minutes') ?? 0,
    steps: of('steps') ?? 0,
    steps_change: change('steps'),
    very_active_change: change('very_active_minutes'),
    minutes_zone_1: of('minutes_in_default_zone_1') ?? 0,
    minutes_zone_2: of('minutes_in_default_zone_2') ?? 0,
    asleep_minus_7_hours: difference(of('minutesAsleep'), 420),
  };
}
