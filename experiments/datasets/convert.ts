/**
 * Rebuilds the tables the loaders know from the files their public sources offer. Pure text to text.
 *
 * For: download.ts. Trusts: nothing; the result's checksum decides. Tested against the research copies.
 */
import Papa from 'papaparse';
import { parseTable } from '../../client/sources/csv.ts';
import { ensure } from '../../crypto/error.ts';

/** `\n` line ends and exactly one at the end. */
export const convertLineEnds = (text: string): string => `${text.replaceAll('\r', '').trimEnd()}\n`;

const heartColumns = 'age,sex,cp,trestbps,chol,fbs,restecg,thalach,exang,oldpeak,slope,ca,thal,num'.split(
  ',',
);

/** The four processed.*.data files (UCI's have no header, copies may) → one CSV with a site column. */
export function convertHeart(parts: readonly { readonly site: string; readonly text: string }[]): string {
  const lines = [`site,${heartColumns.join(',')}`];
  for (const { site, text } of parts) {
    for (const line of convertLineEnds(text).trimEnd().split('\n')) {
      const cells = line.split(',').map((cell) => cell.trim());
      if (cells[0] === 'age') continue;
      ensure(
        cells.length === heartColumns.length,
        'DATA_INVALID',
        `${site}: a line has ${cells.length} fields`,
      );
      lines.push([site, ...cells.map(heartCell)].join(','));
    }
  }
  return `${lines.join('\n')}\n`;
}

/** Missing marks become empty; numbers lose superfluous zeros (63.0 → 63, .7 → 0.7). */
function heartCell(cell: string): string {
  if (cell === '' || cell === '?' || Number(cell) === -9) return '';
  ensure(Number.isFinite(Number(cell)), 'DATA_INVALID', 'a cell is not a number');
  return String(Number(cell));
}

const nhanesColumns = (
  'ID,SurveyYr,Gender,Age,Race1,Education,Poverty,Weight,Height,BMI,Pulse,BPSysAve,BPDiaAve,DirectChol,' +
  'TotChol,Diabetes,DiabetesAge,HealthGen,DaysPhysHlthBad,SleepHrsNight,SleepTrouble,PhysActive,' +
  'AlcoholYear,SmokeNow,Smoke100'
).split(',');

/**
 * The R package's table → one row per person (it repeats 3,221 of its 10,000 rows), adults with a known
 * label, without the columns nobody needs to hold.
 */
export function convertNhanes(text: string): string {
  const { rows } = parseTable('NHANES.csv', text);
  const people = new Set<string>();
  const data: string[][] = [];
  for (const row of rows) {
    const known = row.Diabetes === 'Yes' || row.Diabetes === 'No';
    if (!known || !(Number(row.Age) >= 20) || people.has(row.ID ?? '')) continue;
    people.add(row.ID ?? '');
    data.push(nhanesColumns.map((column) => (row[column] === 'NA' ? '' : (row[column] ?? ''))));
  }
  return `${Papa.unparse({ fields: nhanesColumns, data }, { newline: '\n' })}\n`;
}

const axes = ['X', 'Y', 'Z'];
/** The lab's documented order; public copies of the file have lost their header. */
const wisdmColumns = [
  'UNIQUE_ID',
  'user',
  ...axes.flatMap((axis) => Array.from({ length: 10 }, (_, bin) => `${axis}${bin}`)),
  ...['AVG', 'PEAK', 'ABSOLDEV', 'STANDDEV'].flatMap((figure) => axes.map((axis) => `${axis}${figure}`)),
  'RESULTANT',
  'class',
];

/** WISDM's transformed ARFF, its header or what is left of it skipped → CSV; `?` becomes empty. */
export function convertWisdm(text: string): string {
  const lines = [wisdmColumns.join(',')];
  for (const line of convertLineEnds(text).trimEnd().split('\n')) {
    if (!/^\d/.test(line)) continue;
    const cells = line.split(',').map((cell) => (cell.trim() === '?' ? '' : cell.trim()));
    ensure(cells.length === wisdmColumns.length, 'DATA_INVALID', `WISDM: a line has ${cells.length} fields`);
    lines.push(cells.join(','));
  }
  return `${lines.join('\n')}\n`;
}

/** LifeSnaps' table without the unnamed first column that counts its rows. */
export function convertLifesnaps(text: string): string {
  const lines = convertLineEnds(text).trimEnd().split('\n');
  ensure(lines[0]?.startsWith(',id,date,'), 'DATA_INVALID', 'LifeSnaps: the header is not the expected one');
  return `${lines.map((line) => line.slice(line.indexOf(',') + 1)).join('\n')}\n`;
}
