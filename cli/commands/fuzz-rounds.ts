/**
 * `pulsefold fuzz-rounds`: deterministic fault simulation of whole rounds (docs/fuzzing.md).
 *
 * For: anybody who wants to see the rounds hold, and whoever changes them. Exit code 1 with the reproduction's path when
 * an invariant breaks. Trusts: nothing; a replayed file is parsed strictly.
 */
import { availableParallelism } from 'node:os';
import type { Command } from 'commander';
import type { CampaignResult } from '../../experiments/fuzz/campaign.ts';
import { type CommonOptions, integerBetween, leaf, printJson, printLine } from '../command.ts';
import { createProgress, formatDuration, renderFields, renderTable } from '../terminal.ts';

interface FuzzFlags extends CommonOptions {
  readonly ops: number;
  readonly seed?: string;
  readonly replay?: string;
  readonly workers: number;
  readonly directory: string;
}

/** Also `1e5`. */
function opsCount(text: string): number {
  const match = /^(\d{1,9})(?:e(\d))?$/.exec(text);
  const plain = match ? String(Number(match[1]) * 10 ** Number(match[2] ?? 0)) : text;
  return integerBetween(1, 1_000_000_000)(plain);
}

export function command(): Command {
  return leaf('fuzz-rounds', {
    description:
      'Whole rounds under crashes, lost and changed messages, lying holders and wrong clocks; the real parts, a made ' +
      'network and time. Checks after each op that no sum, budget, receipt or log entry is wrong.',
    examples: [
      'fuzz-rounds --ops 1e5',
      'fuzz-rounds --seed 7 --ops 20000 --json',
      'fuzz-rounds --replay FILE',
    ],
  })
    .option('--ops <n>', 'ops to play, for example 1e5', opsCount, 10_000)
    .option('--seed <text>', 'the same seed plays the same stories (default: a new one)')
    .option('--replay <file>', 'play one reproduction and print what happens')
    .option('--workers <n>', 'threads; 0 plays in this one', integerBetween(0, 256), availableParallelism())
    .option('--directory <directory>', 'where a reproduction is written', 'runs/fuzz')
    .action(async (options: FuzzFlags) => {
      const { createWorld } = await import('../../experiments/fuzz/world.ts');
      const world = await createWorld();
      const broken =
        options.replay === undefined
          ? await campaign(world, options)
          : await replay(world, options, options.replay);
      if (broken) process.exitCode = 1;
    });
}

type World = Awaited<ReturnType<typeof import('../../experiments/fuzz/world.ts')['createWorld']>>;

async function campaign(world: World, options: FuzzFlags): Promise<boolean> {
  const { runCampaign } = await import('../../experiments/fuzz/campaign.ts');
  const json = options.json === true;
  const seed = options.seed ?? String(Date.now());
  const progress = createProgress({ label: 'fuzz', total: options.ops, json });
  const startMs = performance.now();
  const result = await runCampaign(world, {
    ops: options.ops,
    seed,
    workers: options.workers,
    directory: options.directory,
    onProgress: (ops, runs) => {
      const perSecond = Math.round((ops * 1000) / (performance.now() - startMs));
      progress.update(ops, `${runs} runs, ${perSecond} ops/s`);
    },
    onShrink: (runs, ops) =>
      progress.update(options.ops, `an invariant broke; shrinking: ${runs} runs, ${ops} ops`),
  });
  progress.finish(result.failure ? 'an invariant broke' : 'every invariant holds');
  if (json) printJson({ command: 'fuzz-rounds', noise: 'seeded, not private', ...summaryOf(result) });
  else printText(result);
  return result.failure !== null;
}

const summaryOf = ({ failure, ...result }: CampaignResult) => ({
  ...result,
  opsPerSecond: Math.round((result.ops * 1000) / result.elapsedMs),
  failure: failure && {
    file: failure.file,
    invariant: failure.reproduction.invariant,
    message: failure.reproduction.message,
    ops: failure.reproduction.story.ops.length,
  },
});

function printText(result: CampaignResult): void {
  const { failure } = result;
  const faults = Object.entries(result.faults).sort(([, a], [, b]) => b - a);
  const invariants = Object.entries(result.invariants);
  printLine(renderTable(['fault', 'injected'], faults));
  printLine(renderTable(['invariant', 'checked'], invariants));
  process.stdout.write(
    renderFields([
      ['seed', result.seed],
      ['ops', result.ops],
      ['ops per second', Math.round((result.ops * 1000) / result.elapsedMs)],
      ['plans', result.runs],
      [
        'rounds',
        Object.entries(result.rounds)
          .map(([phase, count]) => `${count} ${phase}`)
          .join(', '),
      ],
      ['messages', result.messages],
      ['virtual time', `${result.virtualHours.toFixed(1)} h in ${formatDuration(result.elapsedMs)}`],
      ...(failure
        ? ([
            ['broken', failure.reproduction.invariant],
            ['what', failure.reproduction.message],
            ['reproduction', failure.file],
            ['play it', `pulsefold fuzz-rounds --replay ${failure.file}`],
          ] as const)
        : []),
    ]),
  );
}

async function replay(world: World, options: FuzzFlags, file: string): Promise<boolean> {
  const { readReproduction } = await import('../../experiments/fuzz/reproduction.ts');
  const { runStory } = await import('../../experiments/fuzz/simulation.ts');
  const { story } = readReproduction(file);
  const { violation, summary, trace, ...result } = await runStory(world, story, { audit: true, trace: true });
  const broken = violation && { invariant: violation.invariant, message: violation.message };
  if (options.json) printJson({ command: 'fuzz-rounds', replay: file, ...result, broken });
  else {
    printLine(trace.join('\n'));
    printLine('');
    printLine(summary);
    printLine(broken ? `\nbroken: ${broken.invariant}: ${broken.message}` : '\nevery invariant holds');
  }
  return violation !== null;
}
