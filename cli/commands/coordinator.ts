/**
 * `pulsefold coordinator`: the platform's role. Runs plans, opens nothing.
 *
 * For: program.ts. Trusts: the operator's config.
 */
import type { Command } from 'commander';
import type { CoordinatorProgress } from '../../coordinator/server.ts';
import { type CommonOptions, leaf, printJson, printLine } from '../command.ts';
import { runRole } from '../role.ts';
import { printable } from '../terminal.ts';

export function command(): Command {
  return leaf('coordinator', {
    description: 'Run the plans of the config and those that researchers submit, until stopped.',
    examples: [
      'coordinator --config coordinator.yaml',
      'coordinator --config coordinator.yaml --json | jq .event',
    ],
  })
    .requiredOption('-c, --config <file>', 'coordinator config (YAML)')
    .addHelpText(
      'after',
      '\nWith --json every step is a line: {"event":"listening"|"ceremony"|"round"|"plan"|"stopped", ...}.\n',
    )
    .action(async (options: CommonOptions & { readonly config: string }) => {
      const { runCoordinator } = await import('../../coordinator/server.ts');
      const onProgress = options.json ? printProgressJson : printProgress;
      await runRole({
        role: 'coordinator',
        options,
        start: () => runCoordinator(options.config, { onProgress }),
      });
    });
}

function printProgressJson({ type, ...fields }: CoordinatorProgress): void {
  printJson({ event: type, ...fields });
}

function printProgress(progress: CoordinatorProgress): void {
  printLine(printable(sentenceOf(progress)));
}

export function sentenceOf(progress: CoordinatorProgress): string {
  const plan = `plan ${progress.plan.slice(0, 12)}`;
  if (progress.type === 'ceremony')
    return `${plan}: ${progress.ready} of ${progress.wanted} committee keys ready`;
  if (progress.type === 'plan')
    return `${plan} ${progress.status}${progress.message ? `: ${progress.message}` : ''}`;
  const { round, kind, phase, stuck, message, invited, uploaded, certified } = progress;
  const counts = `${invited} invited, ${uploaded} uploaded, ${certified} certified`;
  return `${plan}, ${kind} round ${round}: ${phase}${stuck ? ' (stuck)' : ''}, ${counts}${message ? `; ${message}` : ''}`;
}
