/**
 * `pulsefold data list|get|check`: the public data sets that demo and experiments use, and one's own tables.
 *
 * For: program.ts. Trusts: pinned checksums, not the network (experiments/datasets/download.ts).
 */
import { join } from 'node:path';
import type { Command } from 'commander';
import type { DatasetName } from '../../experiments/datasets/types.ts';
import { type CommonOptions, group, leaf, printJson, printResult } from '../command.ts';
import { renderTable } from '../terminal.ts';
import { check } from './data-check.ts';

export function command(): Command {
  return group('data', {
    description: 'Public data sets (synthetic-band needs no file), and your own CSV through a schema file.',
    examples: ['data list', 'data get uci-heart', 'data check clinic.yaml'],
  })
    .addCommand(list())
    .addCommand(get())
    .addCommand(check());
}

function list(): Command {
  return leaf('list', {
    description:
      'List data sets: what is predicted, rows, natural clients, the split that does not leak, licence.',
    examples: ['data list', 'data list --data ../shared/data --json'],
  })
    .option('--data <dir>', 'directory of the data files (default: PULSEFOLD_DATA, ./data, ../shared/data)')
    .action(async (options: CommonOptions & { readonly data?: string }) => {
      const { datasetAvailable, datasets, findDataRoot } = await import(
        '../../experiments/datasets/index.ts'
      );
      const root = findDataRoot(options.data);
      const { labelKindOf } = await import('../../protos/features.ts');
      const described = await Promise.all(
        Object.values(datasets).map(async (definition) => {
          const { name, title, unit, licence, citation, cleanRows, file, clients, split } = definition;
          const available = await datasetAvailable(name as DatasetName, root);
          const path = file && available && root !== undefined ? join(root, file.path) : null;
          const task = labelKindOf(definition.schema);
          const rows = cleanRows ?? null;
          return { name, title, unit, task, rows, clients, split, available, path, licence, citation };
        }),
      );
      if (options.json) {
        for (const dataset of described) printJson(dataset);
        return;
      }
      const rows = described.map((d) => [
        d.name,
        d.title,
        TASKS[d.task],
        d.rows,
        d.clients.count === null ? `by ${d.clients.by}` : `${d.clients.count} by ${d.clients.by}`,
        d.split.rule,
        d.available ? 'yes' : 'no',
        d.licence,
      ]);
      const title = { title: 'title', cellsMax: 40 };
      const licence = { title: 'licence', cellsMax: 24 };
      const columns = ['name', title, 'task', 'rows', 'clients', 'split', 'here', licence];
      process.stdout.write(renderTable(columns, rows));
    });
}

const TASKS = { binary: 'yes/no', classes: 'classes', regression: 'number' } as const;

function get(): Command {
  return leaf('get', {
    description: 'Download a data set from its public source, check it against its pinned SHA-256, write it.',
    examples: ['data get uci-heart', 'data get cardio --out /srv/data'],
  })
    .argument('<name>', 'name, as `data list` prints it')
    .option('--out <dir>', 'data directory to write into (default: ./data)')
    .action(async (name: string, options: CommonOptions & { readonly out?: string }) => {
      const { downloadDataset } = await import('../../experiments/datasets/download.ts');
      if (!options.json) process.stderr.write(`downloading ${name} ...\n`);
      const path = await downloadDataset(name, options.out === undefined ? {} : { directory: options.out });
      printResult(options, { name, path }, [['written to', path]]);
    });
}
