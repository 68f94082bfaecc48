/**
 * `pulsefold audit canary`: a bug alarm for the mechanism that a plan would run.
 *
 * For: audit.ts. Trusts: nothing in the plan. Runs the clients' code in this process on canaries that it makes up; no
 * data of anybody, no network.
 */
import { readFile } from 'node:fs/promises';
import { type Command, InvalidArgumentError } from 'commander';
import type { CanaryReport } from '../../auditor/canary/canary-report.ts';
import { utf8 } from '../../crypto/bytes.ts';
import { PulsefoldError } from '../../crypto/error.ts';
import type { ParsedPlan } from '../../protos/plan.ts';
import { type CommonOptions, integerBetween, leaf, printJson, printLine } from '../command.ts';
import { EXIT_FAILURE, naming } from '../failure.ts';
import { createProgress, painter, renderFields } from '../terminal.ts';

interface CanaryOptions extends CommonOptions {
  readonly runs?: number;
  readonly seed?: string;
}

function parseSeed(text: string): string {
  if (!/^[\x21-\x7e]{1,64}$/.test(text))
    throw new InvalidArgumentError('Expected 1 to 64 printable characters.');
  return text;
}

export function canary(): Command {
  return leaf('canary', {
    description:
      "Run a plan's mechanism on canaries and raise an alarm where it contradicts the plan's epsilon: too little " +
      'noise, clipping that does not clip, rounding of sums. Large models get one run with many canaries. ' +
      'A bug alarm, never an epsilon: no alarm confirms nothing. Exit code 1 on an alarm.',
    examples: ['audit canary heart.yaml', 'audit canary heart.yaml --runs 200 --seed 7 --json'],
  })
    .argument('<plan>', 'plan (YAML or JSON), or the plan.json of a run')
    .option(
      '--runs <number>',
      'runs with the canary, and as many without; for large models passes (default: by size)',
      integerBetween(2, 100_000),
    )
    .option('--seed <text>', 'repeatable: noise from this seed instead of the system', parseSeed)
    .action(auditPlan);
}

/** What a researcher wrote, or the canonical bytes that a coordinator exports with a run. */
async function readPlan(file: string): Promise<ParsedPlan> {
  const { parsePlanBytes, parsePlanText } = await import('../../protos/plan.ts');
  const text = await naming(`${file} (the plan)`, () => readFile(file, 'utf8'));
  try {
    return parsePlanText(text);
  } catch (cause) {
    if (!(cause instanceof PulsefoldError)) throw cause;
    try {
      return parsePlanBytes(utf8(text.trim()));
    } catch {
      throw new PulsefoldError(cause.code, `${file}: ${cause.message}`, { cause });
    }
  }
}

async function auditPlan(file: string, options: CanaryOptions): Promise<void> {
  const parsed = await readPlan(file);
  const { auditCanaries } = await import('../../experiments/canary/audit.ts');
  const { runs, seed } = options;
  let progress: ReturnType<typeof createProgress> | undefined;
  const report = await auditCanaries(parsed, {
    ...(runs === undefined ? {} : { runs }),
    ...(seed === undefined ? {} : { seed }),
    onProgress(done, total) {
      progress ??= createProgress({ label: 'canary rounds', total, json: options.json === true });
      progress.update(done);
    },
  });
  progress?.finish();
  if (options.json) printJson(report);
  else print(report);
  if (report.verdict === 'ALARM') process.exitCode = EXIT_FAILURE;
}

const COLOURS = { ok: 'green', alarm: 'red', weak: 'yellow' } as const;

function print(report: CanaryReport): void {
  const paint = painter();
  const alarm = report.verdict === 'ALARM';
  printLine(paint(alarm ? 'red' : 'green', report.verdict));
  process.stdout.write(
    renderFields([
      ['plan', `${report.plan} (${report.planHash})`],
      ['noise', report.noise],
      [
        'audited',
        report.mode === 'replay'
          ? `${report.runs} runs with a canary and ${report.runs} without, ${report.rounds} rounds each`
          : `one round with ${report.canaries} canaries in ${report.runs} passes`,
      ],
      ['epsilon stated', `${report.epsilonStated} at delta ${report.delta}, for the whole plan`],
      ['epsilon claimed', `${report.epsilonClaimed.toFixed(4)} for the audited rounds`],
      ['lower bound', `${report.epsilonLowerBound.toFixed(4)} at ${100 * report.confidence} % confidence`],
      ...Object.entries(report.bounds).map(([method, value]) => [`  ${method}`, value.toFixed(4)] as const),
      ...Object.entries(report.estimates).map(
        ([method, value]) => [`  ${method}`, `${value.toFixed(4)} (estimate without confidence)`] as const,
      ),
      ['false alarms', `at most ${100 * report.falseAlarmRate} % of audits of a correct mechanism`],
    ]),
  );
  for (const { name, status, detail } of report.checks) {
    const word = paint(COLOURS[status], (status === 'alarm' ? 'ALARM' : status).padEnd(5));
    printLine(`${word}  ${name}: ${detail}`);
  }
  printLine(report.note);
}
