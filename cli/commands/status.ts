/**
 * `pulsefold status`: what the coordinator is doing, as a table.
 *
 * For: program.ts. Trusts: nothing that the coordinator says beyond its being from the coordinator.
 */
import type { Command } from 'commander';
import type { z } from 'zod';
import { toHex } from '../../crypto/bytes.ts';
import { parse } from '../../protos/fields.ts';
import { type AdminOptions, statusReply, withAdmin, withAdminClient } from '../admin.ts';
import { leaf, printJson } from '../command.ts';
import { renderFields, renderTable } from '../terminal.ts';

const timeText = (timeMs: number): string => new Date(timeMs).toISOString().slice(0, 16).replace('T', ' ');

/** Nothing where nobody disagrees. */
function alarmFields({
  budgetAlarms,
  budgetAlarmCount,
}: Pick<z.output<typeof statusReply>, 'budgetAlarms' | 'budgetAlarmCount'>): (readonly [string, string])[] {
  if (budgetAlarmCount === 0) return [];
  const meaning =
    "receipts add up to more than this coordinator's ledger charged: charges were lost, or devices lie";
  return [
    ['budget alarms', `${budgetAlarmCount}: ${meaning}`],
    ...budgetAlarms.map(
      ({ round, said, ledger, timeMs }) =>
        [`  ${timeText(timeMs)}`, `round ${round}: ${said} by receipts, ${ledger} in the ledger`] as const,
    ),
  ];
}

export function command(): Command {
  return withAdmin(
    leaf('status', {
      description: 'Print plan, phase, rounds and privacy spent of a coordinator.',
      examples: ['status --coordinator localhost:7450 --identity me.identity'],
    }),
  ).action(async (options: AdminOptions) => {
    const reply = await withAdminClient(options, (client) =>
      client.call('getStatus', {}, { idempotent: true }),
    );
    const { planHash, ...status } = parse(statusReply, reply);
    const hash = toHex(planHash);
    if (options.json) {
      printJson({ planHash: hash, ...status });
      return;
    }
    const epsilon = status.epsilonAllowed
      ? `${status.epsilonSpent} of ${status.epsilonAllowed}`
      : 'no differential privacy';
    process.stdout.write(
      renderFields([
        ['plan', hash ? `${status.planName} (${hash.slice(0, 12)})` : 'none yet'],
        ['phase', `${status.phase}${status.message ? `: ${status.message}` : ''}`],
        ...(hash
          ? ([
              [
                'rounds',
                `${status.roundsCompleted} of ${status.roundsPlanned} completed, ${status.keysReady} keys ready`,
              ],
              ['epsilon', epsilon],
            ] as const)
          : []),
        ...alarmFields(status),
      ]),
    );
    if (status.rounds.length === 0) return;
    const rows = status.rounds.map((r) => [
      r.round,
      r.kind,
      r.phase,
      r.invited,
      r.uploaded,
      r.certified,
      r.message,
    ]);
    process.stdout.write(
      renderTable(
        [
          'round',
          'kind',
          'phase',
          'invited',
          'uploaded',
          'certified',
          { title: 'message', align: 'left', cellsMax: 60 },
        ],
        rows,
      ),
    );
  });
}
