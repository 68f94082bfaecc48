/**
 * `npm run results`: runs the experiment files of experiments/plans/results through the code of `pulsefold run`, and writes
 * docs/results.json, docs/results.md and docs/images/results-*.svg from what they give.
 *
 * Resumable: runs/results holds a folder for each file, and what is done there is kept. Harness code (DESIGN §2.12).
 * Run: npm run results [-- --only heart,nhanes] [--quick] [--no-run | --page] [--fresh] [--data DIR]
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { ensure } from '../../crypto/error.ts';
import { type ExperimentFile, readExperiment } from '../runs/experiment.ts';
import { datasetOf, runExperiment } from '../runs/run.ts';
import { type ResultSet, runsOf, SETS } from './catalogue.ts';
import { collectRun, doneUnits } from './collect.ts';
import { chartsOf } from './figures.ts';
import { pageOf } from './page.ts';
import { personalConditions } from './personal.ts';
import { readStored, STORED_VERSION, type StoredResults, type StoredRun, storedText } from './stored.ts';

const ROOT = resolve(import.meta.dirname, '../..');
const QUICK_SEEDS = 2;

const { values: flags } = parseArgs({
  options: {
    only: { type: 'string' },
    /** Two seeds of everything, into runs/results-quick: a look, not the page. */
    quick: { type: 'boolean', default: false },
    /** Collect and write what run folders hold, done or not. */
    'no-run': { type: 'boolean', default: false },
    /** Only write page and charts again, from results.json as it is; needs neither data nor run folders. */
    page: { type: 'boolean', default: false },
    fresh: { type: 'boolean', default: false },
    data: { type: 'string' },
  },
});
const work = join(ROOT, 'runs', flags.quick ? 'results-quick' : 'results');
const documents = flags.quick ? work : join(ROOT, 'docs');

// An exit by signal without this would leave a run folder locked.
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => process.exit(128 + constants.signals[signal]));
if (flags.page) writePage(readStored(join(documents, 'results.json')));
else for (const set of setsOf(flags.only)) for (const id of runsOf(set)) await runOne(set, id);

function setsOf(only: string | undefined): readonly ResultSet[] {
  if (only === undefined) return SETS;
  return only.split(',').map((id) => {
    const set = SETS.find((one) => one.id === id);
    ensure(set, 'CONFIG_INVALID', `--only ${id}: known sets are ${SETS.map((one) => one.id).join(', ')}`);
    return set;
  });
}

/** Runs what is missing, then writes the page with what there is. */
async function runOne(set: ResultSet, id: string): Promise<void> {
  const file = readExperiment(
    join(ROOT, 'experiments/plans/results', `${id}.yaml`),
    flags.quick ? { seeds: QUICK_SEEDS } : {},
  );
  const directory = join(work, id);
  const data = flags.data === undefined ? {} : { dataDirectory: flags.data };
  if (!flags['no-run'])
    await runExperiment(file, {
      ...data,
      outDirectory: directory,
      fresh: flags.fresh,
      onProgress: ({ roundsDone, roundsTotal, note }) =>
        tell(`${id}: ${roundsDone}/${roundsTotal} rounds, ${note}`),
    });
  const run = await collected(set, id, directory, file, data);
  if (run) write(run);
  tell(`${id}: ${run ? 'written' : 'nothing done yet'}\n`);
}

async function collected(
  set: ResultSet,
  id: string,
  directory: string,
  file: ExperimentFile,
  data: { readonly dataDirectory?: string },
): Promise<StoredRun | null> {
  const dataset = await datasetOf(file, data);
  const run = collectRun(id, directory, file, dataset);
  if (!run || !set.personal?.includes(id)) return run;
  const personal = await personalConditions(directory, dataset, doneUnits(directory, file));
  return { ...run, conditions: [...run.conditions, ...personal] };
}

function write(run: StoredRun): void {
  mkdirSync(join(documents, 'images'), { recursive: true });
  const before = readStored(join(documents, 'results.json'));
  const runs = SETS.flatMap(runsOf).flatMap(
    (id) => (id === run.id ? run : before.runs.find((known) => known.id === id)) ?? [],
  );
  const results: StoredResults = { version: STORED_VERSION, runs };
  writeFileSync(join(documents, 'results.json'), storedText(results));
  writePage(results);
}

function writePage(results: StoredResults): void {
  writeFileSync(join(documents, 'results.md'), pageOf(results));
  for (const { name, svg } of chartsOf(results))
    writeFileSync(join(documents, 'images', `results-${name}.svg`), svg);
}

function tell(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\x1b[K${text}`);
  else if (text.endsWith('\n')) process.stderr.write(`${text.trimEnd()} (${relative(ROOT, documents)})\n`);
}
