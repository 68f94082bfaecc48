/**
 * How the client's commands print what the agent says while it works.
 *
 * For: cli/commands/client*.ts. Trusts: nothing; text is made printable.
 */
import { type CommonOptions, printJson, printLine } from '../command.ts';
import { printable } from '../terminal.ts';

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

export const loggerOf = ({ json }: CommonOptions) => (json ? jsonLogger : plainLogger);
