/**
 * Where a text stands in a database: every column of every row, whatever the tables are for.
 *
 * Trusts: nothing. May be called by: rights-inspection.ts.
 */
import type { Database } from '../../coordinator/storage/store.ts';

export interface NamedIn {
  readonly table: string;
  /** Columns of the row, where it has them. */
  readonly plan: string | undefined;
  readonly scope: string | undefined;
}

/** One for each row that has the text in a text or a blob. */
export function tablesNaming(db: Database, text: string): NamedIn[] {
  const tables = db.all<{ name: string }>(
    "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name",
  );
  return tables.flatMap(({ name }) =>
    db
      .all<Record<string, unknown>>(`SELECT * FROM "${name}"`)
      .filter((row) => Object.values(row).some((value) => has(value, text)))
      .map(({ plan, scope }) => ({
        table: name,
        plan: plan as string | undefined,
        scope: scope as string | undefined,
      })),
  );
}

function has(value: unknown, text: string): boolean {
  if (typeof value === 'string') return value.includes(text);
  return value instanceof Uint8Array && Buffer.from(value).includes(text);
}
