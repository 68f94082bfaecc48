/**
 * A small table with its schema in a directory of its own, to be broken line by line. For: csv-*.test.ts.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isPulsefoldError } from '../../crypto/error.ts';
import { loadCsvDataset } from './index.ts';

export const lines = [
  'name: trial',
  'file: trial.csv',
  'label: { column: outcome, positive: "1", otherwise: ["0"] }',
  'features:',
  '  age: [18, 100]',
  '  sex: [female, male]',
  'person: who',
  'site: where',
];
export const rows = [
  'who,where,age,sex,outcome',
  'a,x,50,female,1',
  'b,x,60,male,0',
  'c,y,70,male,1',
  'd,y,40,female,0',
];

/** `list` with line `line` (1 is the first) replaced. */
export const changed = (list: readonly string[], line: number, text: string): string[] =>
  list.map((old, i) => (i + 1 === line ? text : old));

export class CsvScratch {
  readonly directory = mkdtempSync(join(tmpdir(), 'pulsefold-csv-'));

  write(name: string, content: string | Uint8Array): string {
    const path = join(this.directory, name);
    writeFileSync(path, content);
    return path;
  }

  /** The coded failure of loading `schema` with `table`. */
  async failure(
    schema: readonly string[],
    table: string | Uint8Array,
  ): Promise<{ code: string; message: string }> {
    this.write('trial.csv', table);
    try {
      await loadCsvDataset(this.write('trial.yaml', schema.join('\n')));
    } catch (error) {
      if (isPulsefoldError(error)) return { code: error.code, message: error.message };
      throw error;
    }
    throw new Error('nothing was refused');
  }

  dispose(): void {
    rmSync(this.directory, { recursive: true });
  }
}
