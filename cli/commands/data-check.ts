/**
 * `pulsefold data check SCHEMA`: what the program understood of a schema file and its table.
 *
 * For: data.ts. Trusts: nothing in either file; loading is experiments/datasets/csv-dataset.ts. What is printed are
 * statistics of the rows, for whoever holds them: not a release.
 */
import type { Command } from 'commander';
import type { CsvCheck } from '../../experiments/datasets/csv-check.ts';
import { type CommonOptions, leaf, printJson } from '../command.ts';
import { type Cell, painter, printable, renderFields, renderTable } from '../terminal.ts';

export function check(): Command {
  return leaf('check', {
    description:
      'Read a schema file and its table; print rows, persons, sites, label balance, clamped shares and hints at leaks.',
    examples: ['data check clinic.yaml', 'data check clinic.yaml --csv /srv/clinic/2026.csv --json'],
  })
    .argument('<schema>', 'schema file, YAML or JSON (docs/datasets.md)')
    .option('--csv <file>', "another table than the schema's `file`")
    .action(async (schema: string, options: CommonOptions & { readonly csv?: string }) => {
      const { checkCsv } = await import('../../experiments/datasets/csv-check.ts');
      const report = await checkCsv(schema, options.csv === undefined ? {} : { csv: options.csv });
      if (options.json) printJson(report);
      else process.stdout.write(render(report));
    });
}

function render(report: CsvCheck): string {
  const { label, split } = report;
  const fields: (readonly [string, Cell])[] = [
    ['table', report.table],
    ['rows', `${report.rows} (${report.rowsLeftOut} left out: a value was missing)`],
    ['persons', `${report.persons} (at most ${report.rowsPerPersonMax} rows each)`],
    ['sites', report.sites.map(({ site, rows }) => `${site} ${rows}`).join(', ')],
    ['label', `${label.column}: ${balanceText(label, report.rows)}`],
    ['inputs', report.inputs],
    [
      'split',
      split
        ? `${JSON.stringify(split.rule)}: ${split.train} train, ${split.test} test`
        : 'refused, see below',
    ],
  ];
  const rows = report.features.map((feature) => [
    feature.column,
    feature.rule,
    feature.seen ? `${short(feature.seen[0])} to ${short(feature.seen[1])}` : null,
    feature.clampedShare === null ? null : percent(feature.clampedShare),
    feature.missingRows,
    feature.aucAlone === null ? null : feature.aucAlone.toFixed(3),
  ]);
  const table = renderTable(
    [
      { title: 'column', cellsMax: 32 },
      { title: 'public range or categories', cellsMax: 36 },
      { title: 'seen', align: 'right' },
      { title: 'clamped', align: 'right' },
      { title: 'rows lost', align: 'right' },
      { title: 'AUC alone', align: 'right' },
    ],
    rows,
  );
  const paint = painter();
  const warnings = report.warnings.map((text) => `${paint('yellow', 'warning')}: ${printable(text)}\n`);
  return `${renderFields(fields)}\n${table}${warnings.join('')}`;
}

function balanceText(label: CsvCheck['label'], rows: number): string {
  if (label.kind === 'regression') {
    const { mean = 0, smallest = 0, largest = 0 } = label.balance;
    return `number, mean ${short(mean)}, ${short(smallest)} to ${short(largest)}, ${percent(label.clampedShare ?? 0)} clamped`;
  }
  return Object.entries(label.balance)
    .map(([name, count]) => `${name} ${count} (${percent(count / rows)})`)
    .join(', ');
}

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;
const short = (value: number): string => String(Number(value.toPrecision(4)));
