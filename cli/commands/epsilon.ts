/**
 * `pulsefold epsilon < events.json`: ε at δ, or δ at ε, of a list of releases (crypto/dp/event-list.ts).
 *
 * For: program.ts. Trusts: nothing; the list is hostile input, read once with a cap.
 */
import { createReadStream } from 'node:fs';
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { Accountant } from '../../crypto/dp/accountants.ts';
import {
  EVENT_LIST_LENGTH_MAX,
  type ListedEvent,
  MECHANISM_FIELDS,
  parseEventList,
} from '../../crypto/dp/event-list.ts';
import type { DpEvent } from '../../crypto/dp/events.ts';
import { ensure } from '../../crypto/error.ts';
import { type CommonOptions, ensureUsage, leaf, printJson } from '../command.ts';
import { type Cell, renderFields, renderTable } from '../terminal.ts';

const ROWS_SHOWN = 20;

async function readInput(file: string | undefined): Promise<string> {
  if (file === undefined)
    ensureUsage(
      process.stdin.isTTY !== true,
      'give the events on standard input or name a file',
      'pulsefold epsilon',
    );
  const input: AsyncIterable<Uint8Array> = file === undefined ? process.stdin : createReadStream(file);
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of input) {
    size += chunk.length;
    ensure(
      size <= EVENT_LIST_LENGTH_MAX,
      'MALFORMED_MESSAGE',
      `the events exceed ${EVENT_LIST_LENGTH_MAX} bytes`,
    );
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

function parseNumber(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || text.length > 40 || !Number.isFinite(value) || value < 0)
    throw new InvalidArgumentError('Expected a number such as 1e-6.');
  return value;
}

interface EpsilonFlags extends CommonOptions {
  readonly delta?: number;
  readonly epsilon?: number;
  readonly accountant: Accountant;
}

/** Six digits, never below `value`. */
const roundedUp = (value: number): string => {
  const text = value.toPrecision(6);
  if (Number(text) >= value) return text;
  const digit = 10 ** (Math.floor(Math.log10(value)) - 5);
  return (Number(text) + digit).toPrecision(6);
};

function printTable(rows: readonly ListedEvent[], fields: readonly (readonly [string, Cell])[]): void {
  const shown = rows.slice(0, ROWS_SHOWN).map((row, index): Cell[] => [index, row.mechanism, row.count]);
  if (rows.length > ROWS_SHOWN) shown.push(['…', `${rows.length - ROWS_SHOWN} more`, null]);
  process.stdout.write(renderTable([{ title: '#', align: 'right' }, 'mechanism', 'count'], shown));
  process.stdout.write(renderFields(fields));
}

const FIELDS_TEXT = `
Mechanisms and their fields:
${MECHANISM_FIELDS.map(([name, fields]) => `  ${name}: ${fields}\n`).join('')}
Each takes count (1), neighbouring (add_or_remove, zero_out or replace_one) and unit (record or person) too.
sensitivity (1) is the distance between neighbours. Numbers may be text: "1/3".
`;

export function command(): Command {
  return leaf('epsilon', {
    description:
      'Compute epsilon at a delta, or delta at an epsilon, of a JSON list of releases (standard input or a file). ' +
      'epsilon is what may be promised; no accountant can promise less than epsilon_low (0: not known).',
    examples: [
      'epsilon --delta 1e-6 events.json',
      'epsilon --json --epsilon 1 --accountant rdp < events.json',
      `epsilon --delta 1e-6 <<'END'\n    [{"mechanism":"poisson_sampled_gaussian","q":0.01,"sigma":2.5,"count":50},\n     {"mechanism":"laplace","scale":10,"count":100}]\n    END`,
    ],
  })
    .addHelpText('after', FIELDS_TEXT)
    .argument('[file]', 'the events (default: standard input)')
    .option('--delta <delta>', 'compute epsilon at this delta', parseNumber)
    .option('--epsilon <epsilon>', 'compute delta at this epsilon', parseNumber)
    .addOption(
      new Option('--accountant <accountant>', 'how to account')
        .choices(['pld', 'rdp', 'zcdp'])
        .default('pld'),
    )
    .action(async (file: string | undefined, options: EpsilonFlags) => {
      const { delta, epsilon, accountant } = options;
      ensureUsage(
        (delta === undefined) !== (epsilon === undefined),
        'give either --delta or --epsilon',
        'pulsefold epsilon',
      );
      const rows = parseEventList(await readInput(file));
      const events: DpEvent = { type: 'composed', events: rows.map(({ event }) => event) };
      const { accountDelta, accountEpsilon } = await import('../../crypto/dp/accountants.ts');
      if (delta !== undefined) {
        const { low, high } = accountEpsilon(accountant, events, delta);
        if (options.json) printJson({ epsilon: high, epsilon_low: low, delta, accountant });
        else
          printTable(rows, [
            ['epsilon', `${roundedUp(high)} at delta ${delta}`],
            ['epsilon_low', low.toPrecision(6)],
            ['accountant', accountant],
          ]);
        return;
      }
      const { low, high } = accountDelta(accountant, events, epsilon!);
      if (options.json) printJson({ epsilon, delta: high, delta_low: low, accountant });
      else
        printTable(rows, [
          ['delta', `${roundedUp(high)} at epsilon ${epsilon}`],
          ['delta_low', low.toPrecision(6)],
          ['accountant', accountant],
        ]);
    });
}
