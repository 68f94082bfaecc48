/**
 * `pulsefold client consent|withdraw|export|erase`: what a person may ask of the platform about their own device.
 *
 * For: client.ts. Trusts: the owner's config. A question is asked on a terminal only; a script says --yes.
 */
import { createInterface } from 'node:readline/promises';
import { type Command, Option } from 'commander';
import type { ConsentDisclosure } from '../../client/agent/consent.ts';
import type { WithdrawalExtent } from '../../client/agent/withdraw.ts';
import { utf8 } from '../../crypto/bytes.ts';
import { ensure, PulsefoldError } from '../../crypto/error.ts';
import {
  type CommonOptions,
  leaf,
  parseAddress,
  parseDuration,
  printJson,
  printLine,
  printResult,
} from '../command.ts';
import { printable, renderFields } from '../terminal.ts';
import { loggerOf } from './client-logger.ts';

interface ConfigOptions extends CommonOptions {
  readonly config: string;
}
interface YesOptions extends ConfigOptions {
  readonly yes?: true;
}

const rights = () => import('../../client/agent/rights.ts');
const withConfig = (command: Command): Command =>
  command.requiredOption('-c, --config <file>', 'client config (YAML)');
const done = (): never => process.exit(process.exitCode ?? 0);
const timeText = (ms: number): string => new Date(ms).toISOString().replace('T', ' ').slice(0, 19);

/** Yes or no on the terminal. Throws CONFIG_INVALID where there is none and --yes is missing. */
async function agreed(question: string, { yes, json }: YesOptions): Promise<boolean> {
  if (yes) return true;
  ensure(
    process.stdin.isTTY === true && !json,
    'CONFIG_INVALID',
    'a person must decide: run this on a terminal and answer, or pass --yes if they have',
  );
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return /^(y|yes|ja|是)$/i.test((await terminal.question(`${question} [yes/no] `)).trim());
  } finally {
    terminal.close();
  }
}

interface ConsentFlags extends YesOptions {
  readonly expires?: number;
}

export function consent(): Command {
  return withConfig(
    leaf('consent', {
      description:
        'Read what the present plan is for, who gets what and what it costs in privacy; then say yes or no. ' +
        'A yes is signed, kept here, sent, and answered with a signed receipt.',
      examples: [
        'client consent --config phone.yaml',
        'client consent --config phone.yaml --expires 90d --yes --json',
      ],
    }),
  )
    .option('--expires <duration>', 'how long it holds for new rounds: 24h, 90d', parseDuration)
    .option('-y, --yes', 'the person has read it and agrees (for scripts)')
    .action(async (options: ConsentFlags) => {
      const { consentClient } = await rights();
      const { expires } = options;
      let shown: ConsentDisclosure | undefined;
      const receipt = await consentClient(
        options.config,
        {
          decide: async (disclosure) => {
            shown = disclosure;
            if (options.json) printJson({ event: 'disclosure', ...disclosure });
            else printDisclosure(disclosure);
            return await agreed('Do you agree that your data are used in this way?', options);
          },
          ...(expires === undefined ? {} : { expiresMs: Date.now() + expires }),
        },
        { logger: loggerOf(options) },
      );
      if (receipt === null)
        throw new PulsefoldError('CONSENT_MISSING', 'no consent was given; nothing was signed or sent');
      printResult(options, { event: 'consented', ...receipt }, [
        ['consented to', shown?.extent === 'family' ? receipt.scope : `plan ${shown?.planName}`],
        ['until', receipt.expiresMs === undefined ? 'withdrawn' : `${timeText(receipt.expiresMs)} UTC`],
        ['recorded', `${timeText(receipt.receivedMs)} UTC`],
        ['in the log as', receipt.commitment],
        ['note', receipt.note],
      ]);
      done();
    });
}

function printDisclosure(d: ConsentDisclosure): void {
  process.stdout.write(
    renderFields([
      ['plan', `${d.planName} (${d.planHash.slice(0, 12)})`],
      ['purpose', d.purpose],
      ['controller', d.controller],
      ['contact', d.contact],
      ['data read here', d.columns.join(', ')],
      ['to predict', d.label],
      ['your data', 'stay on this device; encrypted updates leave it, and only sums are opened'],
      ...d.recipients.map(({ who, gets }) => [who, gets] as const),
      ['privacy', d.privacyInWords],
      ...d.kept.map(({ what, howLong }) => ['kept', `${what}: ${howLong}`] as const),
      [
        'holds for',
        d.extent === 'family'
          ? `all plans of ${d.scope} with this purpose, in budget epoch ${d.epoch}`
          : `this plan alone (budget epoch ${d.epoch})`,
      ],
      [
        'your rights',
        'withdraw at any time, get a copy, be erased: pulsefold client withdraw, export, erase',
      ],
      ...(d.given ? [['given', 'a consent of this device covers it already'] as const] : []),
    ]),
  );
}

interface WithdrawFlags extends ConfigOptions {
  readonly from: WithdrawalExtent;
}

export function withdraw(): Command {
  return withConfig(
    leaf('withdraw', {
      description:
        'Take no further part: nothing more is charged or sent. What was spent before stays spent; released models are not unlearned.',
      examples: [
        'client withdraw --config phone.yaml',
        'client withdraw --config phone.yaml --from all --json',
      ],
    }),
  )
    .addOption(
      new Option('--from <what>', 'the present plan, its family of plans, or everything')
        .choices(['plan', 'family', 'all'])
        .default('plan'),
    )
    .action(async (options: WithdrawFlags) => {
      const { withdrawClient } = await rights();
      const receipt = await withdrawClient(options.config, options.from, { logger: loggerOf(options) });
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
      done();
    });
}

interface ExportFlags extends ConfigOptions {
  readonly out: string;
  readonly withData?: true;
  readonly offline?: true;
}

export function exportData(): Command {
  return withConfig(
    leaf('export', {
      description:
        'Write everything about your part into one open JSON file (docs/person-export.md): plans, consents, receipts, ' +
        'proofs, charges, and what the coordinator says it holds about this device.',
      examples: [
        'client export --config phone.yaml --out my-part.json',
        'client export --config phone.yaml --out my-part.json --with-data --json',
      ],
    }),
  )
    .requiredOption('-o, --out <file>', 'file to write; only you can read it')
    .option('--with-data', 'add the local tables')
    .option('--offline', 'do not ask the coordinator')
    .action(async (options: ExportFlags) => {
      const { exportClient } = await rights();
      const { formatPersonExport } = await import('../../protos/person-export.ts');
      const { writeFileAtomic } = await import('../../protos/transport/atomic-file.ts');
      const choice = { withData: options.withData === true, offline: options.offline === true };
      const made = await exportClient(options.config, choice, { logger: loggerOf(options) });
      const bytes = utf8(formatPersonExport(made));
      await writeFileAtomic(options.out, bytes);
      const { report } = (made.coordinator ?? {}) as {
        report?: { uploads: unknown[]; omitted: readonly string[] };
      };
      const summary = {
        file: options.out,
        bytes: bytes.length,
        plans: made.plans.length,
        unreadablePlans: (made.unreadablePlans ?? []).map(({ planHash, reason }) => ({ planHash, reason })),
        consents: made.consents.length,
        withdrawals: made.withdrawals.length,
        receipts: made.receipts.length,
        logProofs: made.logProofs.length,
        alarms: made.alarms.length,
        coordinatorAsked: made.coordinator !== undefined,
        omitted: report?.omitted ?? [],
      };
      printResult(options, { event: 'exported', ...summary }, [
        ['written', `${options.out} (${bytes.length} bytes)`],
        ['plans', summary.plans],
        ...summary.unreadablePlans.map(({ planHash, reason }): [string, string] => [
          'kept unread',
          `plan ${planHash.slice(0, 12)}, which this version refuses: ${reason}`,
        ]),
        ['consents, withdrawals', `${summary.consents}, ${summary.withdrawals}`],
        ['receipts', summary.receipts],
        ['proofs of the log', summary.logProofs],
        ['alarms', summary.alarms],
        ["the coordinator's report", summary.coordinatorAsked ? 'in it, signed' : 'not asked (--offline)'],
        ['check it', `pulsefold audit prove ${options.out} --bundle BUNDLE`],
      ]);
      done();
    });
}

interface EraseFlags extends YesOptions {
  readonly keepReceipt?: string;
  readonly withData?: true;
  readonly registrar?: string;
  readonly localOnly?: true;
}

export function erase(): Command {
  return withConfig(
    leaf('erase', {
      description:
        'Have the coordinator and the registrar forget this device, then destroy its key and vault. It cannot be undone; ' +
        'export first (client export). What was charged stays under a pseudonym that the coordinator cannot link any more.',
      examples: [
        'client erase --config phone.yaml --keep-receipt erased.json',
        'client erase --config phone.yaml --yes --json',
      ],
    }),
  )
    .option('--keep-receipt <file>', 'write the signed receipts here before anything is destroyed')
    .option('--with-data', 'destroy the local tables that the config names, too')
    .option(
      '--registrar <address>',
      "the registrar's address for enrolled devices (default: registrar.address of the config)",
      parseAddress,
    )
    .option('--local-only', 'tell nobody, destroy here: for servers that are gone')
    .option('-y, --yes', 'the person wants it (for scripts)')
    .action(async (options: EraseFlags) => {
      if (!options.json)
        printLine(
          'This destroys the key, receipts and budget of this device. Coordinator and registrar forget it.',
        );
      if (!(await agreed('Erase this device for good?', options)))
        throw new PulsefoldError('NOT_ELIGIBLE', 'nothing was erased');
      const { eraseClient } = await rights();
      const { keepReceipt, registrar } = options;
      const outcome = await eraseClient(
        options.config,
        {
          withData: options.withData === true,
          localOnly: options.localOnly === true,
          ...(keepReceipt === undefined ? {} : { keepReceipt }),
          ...(registrar === undefined ? {} : { registrar }),
        },
        { logger: loggerOf(options) },
      );
      if (options.json) printJson({ event: 'erased', ...outcome });
      else printErased(outcome, keepReceipt);
      done();
    });
}

type Outcome = Awaited<ReturnType<typeof import('../../client/agent/rights.ts')['eraseClient']>>;

function printErased({ coordinator, registrar, serial, destroyed }: Outcome, file: string | undefined): void {
  const rows: (readonly [string, string])[] = [];
  for (const { what, count } of coordinator?.erased ?? []) rows.push(['erased', `${what} (${count})`]);
  for (const { planHash, round } of coordinator?.standing ?? [])
    rows.push(['later', `round ${round} of plan ${planHash.slice(0, 12)}: when it has ended`]);
  for (const { what, why } of coordinator?.kept ?? []) rows.push(['kept', `${what}. ${why}`]);
  rows.push([
    'registrar',
    registrar
      ? `revoked and forgot this device (${registrar.serials.join(', ')})`
      : serial === ''
        ? 'not told'
        : `not told: ask its operator to run pulsefold registrar revoke ${serial}`,
  ]);
  rows.push(['destroyed here', destroyed.join(', ')]);
  if (file !== undefined) rows.push(['receipts', file]);
  process.stdout.write(renderFields(rows.map(([name, text]) => [name, printable(text)])));
}
