/**
 * `pulsefold data list|get`: the public data sets that demo and experiments use.
 *
 * For: program.ts. Trusts: pinned checksums, not the network (experiments/datasets/download.ts).
 */
import { join } from 'node:path';
import type { Command } from 'commander';
import { type CommonOptions, group, leaf, printJson, printResult } from '../command.ts';
import { renderTable } from '../terminal.ts';

export function command(): Command {
  return group('data', {
    description: 'Public data sets. synthetic-band needs no file.',
    examples: ['data list', 'data get uci-heart'],
  })
    .addCommand(list())
    .addCommand(get());
}

function list(): Command {
  return leaf('list', {
    description: 'List data sets, their unit, licence and whether their file is here.',
    examples: ['data list', 'data list --data ../shared/data --json'],
  })
    .option('--data <dir>', 'directory of the data files (default: PULSEFOLD_DATA, ./data, ../shared/data)')
    .action(async (options: CommonOptions & { readonly data?: string }) => {
      const { datasetAvailable, datasets, findDataRoot } = await import(
        '../../experiments/datasets/index.ts'
      );
      const root = findDataRoot(options.data);
      const described = await Promise.all(
        Object.values(datasets).map(async ({ name, title, unit, licence, citation, cleanRows, file }) => {
          const available = await datasetAvailable(name, root);
          const path = file && available && root !== undefined ? join(root, file.path) : null;
          return { name, title, unit, rows: cleanRows ?? null, available, path, licence, citation };
        }),
      );
      if (options.json) {
        for (const dataset of described) printJson(dataset);
        return;
      }
      const rows = described.map((d) => [
        d.name,
        d.title,
        d.unit,
        d.rows,
        d.available ? 'yes' : 'no',
        d.licence,
      ]);
      const title = { title: 'title', cellsMax: 48 };
      process.stdout.write(
        renderTable(['name', title, 'unit', 'rows', 'here', { title: 'licence', cellsMax: 40 }], rows),
      );
    });
}

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
