/**
 * What the subcommands share: options every one of them has, passphrases, addresses, printing.
 *
 * For: cli/commands. Trusts: nothing; options are parsed here once, with what to do in every error.
 */
import { Command, InvalidArgumentError, Option } from 'commander';
import { UsageError } from './failure.ts';
import type { Cell } from './terminal.ts';
import { renderFields } from './terminal.ts';

export interface CommonOptions {
  readonly json?: true;
  readonly debug?: true;
}

export interface LeafText {
  readonly description: string;
  /** Command lines, without `pulsefold`. */
  readonly examples: readonly string[];
}

/** A command that does something: --json, --debug and examples in its help. */
export function leaf(name: string, { description, examples }: LeafText): Command {
  return new Command(name)
    .description(description)
    .helpOption('-h, --help', 'print help')
    .option('--json', 'print JSON, one object per line, for programs')
    .option('--debug', 'print the stack of a failure')
    .allowExcessArguments(false)
    .configureHelp({ helpWidth: Math.min(process.stdout.columns ?? 100, 110) })
    .addHelpText('after', exampleText(examples));
}

/** A command that only holds others. */
export function group(name: string, { description, examples }: LeafText): Command {
  return new Command(name)
    .description(description)
    .helpOption('-h, --help', 'print help')
    .helpCommand(false)
    .configureHelp({ helpWidth: Math.min(process.stdout.columns ?? 100, 110) })
    .addHelpText('after', exampleText(examples));
}

const exampleText = (examples: readonly string[]): string =>
  `\n${examples.length > 1 ? 'Examples' : 'Example'}:\n${examples.map((line) => `  $ pulsefold ${line}\n`).join('')}`;

export const DEFAULT_PASSPHRASE_ENV = 'PULSEFOLD_PASSPHRASE';

export interface PassphraseOptions {
  readonly passphraseEnv?: string;
  readonly passphraseFile?: string;
}

/** Never the passphrase itself: command lines can be read by every user of the machine. */
export const withPassphrase = (command: Command): Command =>
  command
    .option(
      '--passphrase-env <name>',
      `environment variable with the passphrase (default: ${DEFAULT_PASSPHRASE_ENV})`,
    )
    .addOption(new Option('--passphrase-file <file>', 'file with the passphrase').conflicts('passphraseEnv'));

/** Throws CONFIG_INVALID when the passphrase is not there. */
export async function passphraseOf(options: PassphraseOptions): Promise<string> {
  const { readPassphrase } = await import('../protos/transport/identity-store.ts');
  if (options.passphraseFile !== undefined) return await readPassphrase({ file: options.passphraseFile });
  return await readPassphrase({ env: options.passphraseEnv ?? DEFAULT_PASSPHRASE_ENV });
}

export const suiteOption = (): Option =>
  new Option('--suite <suite>', 'ciphers and signatures').choices(['intl', 'gm']).default('intl');

/** `host:port`, `[v6]:port`. */
export function parseAddress(text: string): string {
  const match = /^(\[[0-9a-fA-F:.]+\]|[^\s/:]{1,253}):(\d{1,5})$/.exec(text);
  const port = Number(match?.[2]);
  if (!match || port < 1 || port > 65_535)
    throw new InvalidArgumentError('Expected host:port, e.g. localhost:7443.');
  return text;
}

/** An option parser for integers in [minimum, maximum]. */
export const integerBetween =
  (minimum: number, maximum: number) =>
  (text: string): number => {
    const value = Number(text);
    const fits = /^\d{1,15}$/.test(text) && value >= minimum && value <= maximum;
    if (!fits) throw new InvalidArgumentError(`Expected a whole number from ${minimum} to ${maximum}.`);
    return value;
  };

/** Options that may be repeated. */
export const collect = (value: string, previous: readonly string[] | undefined): string[] => [
  ...(previous ?? []),
  value,
];

/** `30m`, `24h`, `7d` in milliseconds. */
export function parseDuration(text: string): number {
  const match = /^(\d{1,6})(s|m|h|d)$/.exec(text);
  if (!match) throw new InvalidArgumentError('Expected a duration such as 30m, 24h or 7d.');
  const unitMs = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }[match[2] as 's' | 'm' | 'h' | 'd'];
  return Number(match[1]) * unitMs;
}

export const printLine = (text: string): void => {
  process.stdout.write(`${text}\n`);
};
export const printJson = (value: object): void => printLine(JSON.stringify(value));

/** The value for programs, or the fields for people. */
export function printResult(
  options: CommonOptions,
  value: object,
  fields: readonly (readonly [string, Cell])[],
): void {
  if (options.json) printJson(value);
  else process.stdout.write(renderFields(fields));
}

/** Exactly one of two values. */
export function ensureUsage(condition: unknown, message: string, command: string): asserts condition {
  if (!condition) throw new UsageError(message, command);
}
