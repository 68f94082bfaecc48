/**
 * What a loaded table is refused for, because its test figures would be better than the truth.
 *
 * For: index.ts and csv-dataset.ts, which call these on every load. Trusts: nothing. Pure. Splits have their own
 * refusal (split-rules.ts: one person on both sides). research/health-data.md §1 lists the leaks behind these rules.
 */
import { ensure } from '../../crypto/error.ts';
import type { FeatureSchema } from '../../protos/features.ts';
import type { DatasetDefinition, DatasetRow } from './types.ts';

/** @throws PulsefoldError PARAMETER_UNSAFE when an input is a column that gives something away. */
export function refuseGiveaways(
  definition: Pick<DatasetDefinition, 'name' | 'neverInputs'>,
  schema: Pick<FeatureSchema, 'features'>,
): void {
  const never = definition.neverInputs ?? {};
  for (const { column } of schema.features)
    ensure(
      !Object.hasOwn(never, column),
      'PARAMETER_UNSAFE',
      `${definition.name}: column "${column}" must not be an input: ${never[column]}`,
    );
}

/** @throws PulsefoldError DATA_INVALID when a person occurs twice in a table of one row per person. */
export function refuseRepeatedPersons(
  definition: Pick<DatasetDefinition, 'name' | 'manyRowsPerPerson'>,
  rows: readonly Pick<DatasetRow, 'person'>[],
): void {
  if (definition.manyRowsPerPerson) return;
  const people = new Set(rows.map((row) => row.person)).size;
  ensure(
    people === rows.length,
    'DATA_INVALID',
    `${definition.name}: ${rows.length} rows are of ${people} people, but each person should occur once; copies would ` +
      'stand on both sides of a split. Use the de-duplicated file',
  );
}

/** Columns and rows as text, before encoding. */
export interface RawTable {
  readonly name: string;
  readonly rows: readonly Pick<DatasetRow, 'site' | 'values'>[];
  readonly schema: Pick<FeatureSchema, 'features'>;
}

const siteRowsMin = 5;

/**
 * Refuses a number that lies outside its range in every row of one site, and not in every row of another: a code for
 * "not measured" (chol = 0 in Switzerland) or another unit. After clamping, the model reads the site off it.
 * @throws PulsefoldError PARAMETER_UNSAFE naming column and site.
 */
export function refuseSiteMarkers({ name, rows, schema }: RawTable): void {
  for (const feature of schema.features) {
    if (feature.kind !== 'number') continue;
    const sites = new Map<string, { rows: number; outside: number }>();
    for (const { site, values } of rows) {
      const count = sites.get(site) ?? { rows: 0, outside: 0 };
      const value = Number(values[feature.column]);
      count.rows++;
      if (value < feature.minimum || value > feature.maximum) count.outside++;
      sites.set(site, count);
    }
    const somewhereFine = [...sites.values()].some(({ rows: all, outside }) => outside < all / 2);
    for (const [site, { rows: all, outside }] of sites)
      ensure(
        sites.size < 2 || !somewhereFine || all < siteRowsMin || outside < all,
        'PARAMETER_UNSAFE',
        `${name}: column "${feature.column}" lies outside its range in all ${all} rows of site "${site.slice(0, 40)}": a ` +
          'code for "not measured", or another unit. The model would read the site off it; leave the column out, name ' +
          'the code under `missing`, or bring the unit in line',
      );
  }
}
