/**
 * `npm run e2e:phones`: 300 one-person phones in four client hosts, each phone with its own key, vault and channel;
 * one host is SIGKILLed in the middle of a round; the rounds complete, and an observer between agent and sealer shows
 * that every opened sum equals the sum of its certified digits.
 *
 * Needs the cardio data (../shared/data or PULSEFOLD_DATA); else runs on the synthetic band population and says so.
 */
import { datasetAvailable, findDataRoot } from '../datasets/index.ts';
import { runDemo } from '../demo/demo.ts';

const dataRoot = findDataRoot();
const dataset = (await datasetAvailable('cardio', dataRoot)) ? 'cardio' : 'synthetic-band';
if (dataset !== 'cardio')
  process.stderr.write('cardio data is not at hand: using the synthetic band population\n');
const figures = await runDemo({
  dataset,
  dp: true,
  repeats: 1,
  clients: 300,
  rounds: 3,
  suite: 'intl',
  transport: 'shares',
  seed: '0',
  evaluation: 'none',
  killCoordinator: false,
  vanish: true,
  observe: true,
  stopHolders: 0,
  keep: false,
  json: process.argv.includes('--json'),
});
process.stdout.write(`${JSON.stringify(figures)}\n`);
process.exit(0);
