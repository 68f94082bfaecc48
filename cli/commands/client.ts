/**
 * `pulsefold client join|withdraw`: a phone's or hospital's agent.
 *
 * For: program.ts. Trusts: the owner's config. Only `runClient` is reachable from here, which takes no sealer and no
 * hooks. A device that withdraws (budget, eligibility) ends with exit code 1 and its reason.
 */
import { type Command, Option } from 'commander';
import type { JoinSummary } from '../../client/agent/agent.ts';
import type { WithdrawalExtent } from '../../client/agent/withdraw.ts';
import { PulsefoldError } from '../../crypto/error.ts';
import { type CommonOptions, group, leaf, printJson, printLine, printResult } from '../command.ts';
import { stopSignal } from '../role.ts';
import { printable, renderFields, renderTable } from '../terminal.ts';

export function command(): Command {
  return group('client', {
    description: 'Take part in a plan with data that stay on this machine.',
    examples: ['client join --config phone.yaml', 'client withdraw --config phone.yaml'],
  })
    .addCommand(join())
    .addCommand(withdraw());
}

function join(): Command {
  return leaf('join', {
    description:
      'Enrol on the first start, check the plan, its approvals and the own budget, take part until the plan ends.',
    examples: ['client join --config phone.yaml', 'client join --config hospital.yaml --json'],
  })
    .requiredOption('-c, --config <file>', 'client config (YAML)')
    .action(async (options: CommonOptions & { readonly config: string }) => {
      const { runClient } = await import('../../client/agent/join.ts');
      const stop = new AbortController();
      void stopSignal(() => stop.abort());
      const logger = options.json ? jsonLogger : plainLogger;
      const summary = await runClient(options.config, { logger, signal: stop.signal });
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

interface WithdrawFlags extends CommonOptions {
  readonly config: string;
  readonly from: WithdrawalExtent;
}

function withdraw(): Command {
  return leaf('withdraw', {
    description:
      'Take no further part: nothing more is charged or sent. What was spent before stays spent; released models are not unlearned.',
    examples: [
      'client withdraw --config phone.yaml',
      'client withdraw --config phone.yaml --from all --json',
    ],
  })
    .requiredOption('-c, --config <file>', 'client config (YAML)')
    .addOption(
      new Option('--from <what>', 'the present plan, its family of plans, or everything')
        .choices(['plan', 'family', 'all'])
        .default('plan'),
    )
    .action(async (options: WithdrawFlags) => {
      const { withdrawClient } = await import('../../client/agent/join.ts');
      const logger = options.json ? jsonLogger : plainLogger;
      const receipt = await withdrawClient(options.config, options.from, { logger });
      const { scope, standingRound, spent, order, note } = receipt;
      const effect =
        standingRound === 0
          ? 'at once'
          : `after round ${standingRound}, which holds this device's update already and ends as it would have`;
      printResult(options, { event: 'withdrawn', ...receipt }, [
        ['withdrawn from', scope === '*' ? 'everything' : scope],
        ['takes effect', effect],
        ['charged so far', spent === '' ? 'nothing' : `${spent} (order ${order})`],
        ['note', note],
      ]);
      process.exit(process.exitCode ?? 0);
    });
}

const jsonLogger = {
  info: (fields: object, message: string) => printJson({ event: 'log', level: 'info', message, ...fields }),
  warn: (fields: object, message: string) => printJson({ event: 'log', level: 'warn', message, ...fields }),
};

const details = (fields: object): string => {
  const parts = Object.entries(fields).map(([name, value]) => `${name} ${String(value)}`);
  return parts.length > 0 ? ` (${parts.join(', ')})` : '';
};
const plainLogger = {
  info: (fields: object, message: string) => printLine(printable(`${message}${details(fields)}`)),
  warn: (fields: object, message: string) =>
    void process.stderr.write(`warning: ${printable(`${message}${details(fields)}`)}\n`),
};

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
