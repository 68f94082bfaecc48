/**
 * `pulsefold client`: a phone's or hospital's agent, and what its person may ask for (client-rights.ts).
 *
 * For: program.ts. Trusts: the owner's config. Only `runClient` and rights are reachable from here, which take no sealer
 * and no hooks. A device that withdraws (budget, eligibility, consent) ends with exit code 1 and its reason.
 */
import type { Command } from 'commander';
import type { JoinSummary } from '../../client/agent/agent.ts';
import { PulsefoldError } from '../../crypto/error.ts';
import { type CommonOptions, group, leaf, printJson } from '../command.ts';
import { stopSignal } from '../role.ts';
import { renderFields, renderTable } from '../terminal.ts';
import { loggerOf } from './client-logger.ts';
import { consent, erase, exportData, withdraw } from './client-rights.ts';

export function command(): Command {
  return group('client', {
    description: 'Take part in a plan with data that stay on this machine; consent, withdraw, export, erase.',
    examples: [
      'client consent --config phone.yaml',
      'client join --config phone.yaml',
      'client export --config phone.yaml --out my-part.json',
    ],
  })
    .addCommand(join())
    .addCommand(consent())
    .addCommand(withdraw())
    .addCommand(exportData())
    .addCommand(erase());
}

function join(): Command {
  return leaf('join', {
    description:
      'Enrol on the first start, check the plan, its approvals, the consent and the own budget, take part until the plan ends.',
    examples: ['client join --config phone.yaml', 'client join --config hospital.yaml --json'],
  })
    .requiredOption('-c, --config <file>', 'client config (YAML)')
    .action(async (options: CommonOptions & { readonly config: string }) => {
      const { runClient } = await import('../../client/agent/join.ts');
      const stop = new AbortController();
      void stopSignal(() => stop.abort());
      const summary = await runClient(options.config, { logger: loggerOf(options), signal: stop.signal });
      if (options.json) printJson({ event: 'summary', ...summary });
      else printSummary(summary);
      // Money and budgets alike: who disagrees about them must not look as if all were well.
      const [alarm] = summary.alarms;
      if (alarm) throw new PulsefoldError('BUDGET_DISAGREEMENT', `round ${alarm.round}: ${alarm.reason}`);
      if (summary.ended === 'stopped')
        throw new PulsefoldError(summary.code ?? 'NOT_ELIGIBLE', summary.reason);
      process.exit(process.exitCode ?? 0);
    });
}

function printSummary({ planName, planHash, deviceId, ended, reason, rounds, budget }: JoinSummary): void {
  const rows = rounds.map((r) => [r.round, r.kind, r.outcome, r.uploadBytes, r.cohortCount, r.reason ?? '']);
  if (rows.length > 0) {
    process.stdout.write(renderTable(['round', 'kind', 'outcome', 'bytes', 'cohort', 'reason'], rows));
  }
  process.stdout.write(
    renderFields([
      ['plan', `${planName} (${planHash.slice(0, 12)})`],
      ['device', deviceId],
      ['ended', `${ended}: ${reason}`],
      ['epsilon spent', budget.epsilonSpent],
    ]),
  );
}
