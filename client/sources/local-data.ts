/**
 * A client's own table, read and encoded for training.
 *
 * For: client agents (`pulsefold client join --data FILE`). Trusts: nothing in the file; the schema comes
 * from an approved plan. Only the encoded numbers leave this function, and only to the trainer in the same
 * process.
 */
import { ensure, PulsefoldError } from '../../crypto/error.ts';
import type { FeatureSchema } from '../../protos/features.ts';
import { encodeTable, refusalMessage } from '../../protos/features.ts';
import type { TrainingData } from '../training/engine.ts';
import type { Row, TableOptions } from './csv.ts';
import { readTable } from './csv.ts';

export interface LocalData extends TrainingData {
  /** Rows left out because a value was missing (complete-case rule of the plan). */
  readonly incompleteRows: number;
}

/**
 * Encodes rows under the plan's schema. A row with a *missing* value is left out and counted; a *broken*
 * value (text where a number belongs, NaN, an unlisted category) refuses the table: it means the wrong file
 * or the wrong plan.
 * @throws PulsefoldError DATA_INVALID naming row and column; DATA_EMPTY when no complete row is left.
 */
export function encodeLocalRows(schema: FeatureSchema, rows: readonly Row[]): LocalData {
  const table = encodeTable(schema, rows);
  const broken = table.refused.find((refusal) => refusal.reason !== 'missing');
  if (broken) throw new PulsefoldError('DATA_INVALID', refusalMessage(broken));
  ensure(table.count > 0, 'DATA_EMPTY', 'no complete row is left; there is nothing to train on');
  const { features, labels, count, refused } = table;
  return { features, labels, count, incompleteRows: refused.length };
}

/**
 * Reads and encodes a CSV(.gz) file.
 * @throws PulsefoldError NOT_FOUND, DATA_INVALID, DATA_EMPTY, CHECKSUM_MISMATCH.
 */
export async function loadLocalData(
  path: string,
  schema: FeatureSchema,
  options: TableOptions = {},
): Promise<LocalData> {
  const table = await readTable(path, options);
  const needed = [schema.label.column, ...schema.features.map((feature) => feature.column)];
  for (const column of needed)
    ensure(
      table.columns.includes(column),
      'DATA_INVALID',
      `${table.name}: column "${column}" of the plan is not in the table`,
    );
  return encodeLocalRows(schema, table.rows);
}
