/**
 * One line for every failure: `error CODE: message` on stderr, exit code 1, or 2 for a wrong command line.
 *
 * For: cli/. Trusts: nothing; messages may quote a server and are made printable. Stacks appear under --debug only.
 */
import { CommanderError } from 'commander';
import { type ErrorCode, isPulsefoldError, PulsefoldError } from '../crypto/error.ts';
import { printable } from './terminal.ts';

export const EXIT_FAILURE = 1;
export const EXIT_USAGE = 2;

/** A wrong command line. `command` is what `--help` is advised for. */
export class UsageError extends Error {
  readonly command: string;
  constructor(message: string, command = 'pulsefold') {
    super(message);
    this.name = 'UsageError';
    this.command = command;
  }
}

/** What the operating system says about files and addresses, in the project's codes. */
const systemCodes: Readonly<Record<string, readonly [ErrorCode, string]>> = {
  ENOENT: ['NOT_FOUND', 'no such file or directory; check the path'],
  ENOTDIR: ['NOT_FOUND', 'a part of the path is not a directory'],
  EISDIR: ['NOT_FOUND', 'is a directory; name a file'],
  EACCES: ['UNAVAILABLE', 'permission denied; check who owns it'],
  EPERM: ['UNAVAILABLE', 'permission denied; check who owns it'],
  EEXIST: ['CONFIG_INVALID', 'exists already'],
  ENOSPC: ['UNAVAILABLE', 'the disk is full'],
  EROFS: ['UNAVAILABLE', 'the file system is read-only'],
  EADDRINUSE: ['UNAVAILABLE', 'the address is in use; stop the other process or choose another port'],
  EADDRNOTAVAIL: ['UNAVAILABLE', 'this machine does not have that address'],
};

export function describeFailure(error: unknown): { readonly code: string; readonly message: string } {
  if (isPulsefoldError(error)) return { code: error.code, message: error.message };
  const system = error as NodeJS.ErrnoException;
  const known =
    system instanceof Error && typeof system.code === 'string' ? systemCodes[system.code] : undefined;
  if (known) {
    const [code, advice] = known;
    return {
      code,
      message: `${system.path ?? (system as { address?: string }).address ?? system.syscall}: ${advice}`,
    };
  }
  const message = error instanceof Error ? error.message : String(error);
  return {
    code: 'INTERNAL',
    message: `${message || 'unknown failure'} (a bug: run again with --debug and report it)`,
  };
}

/** Writes the line and returns the exit code. Help and version, which commander throws too, give 0. */
export function reportFailure(error: unknown, options: { readonly debug: boolean }): number {
  if (error instanceof CommanderError && error.exitCode === 0) return 0;
  // Commander has printed its own line through `configureOutput` (program.ts).
  if (error instanceof CommanderError) return EXIT_USAGE;
  if (error instanceof UsageError) {
    process.stderr.write(usageLine(error.message, error.command));
    return EXIT_USAGE;
  }
  const { code, message } = describeFailure(error);
  process.stderr.write(`error ${code}: ${message.split('\n').map(printable).join('\n  ')}\n`);
  if (options.debug) writeStacks(error);
  return EXIT_FAILURE;
}

export const usageLine = (message: string, command: string): string =>
  `error USAGE: ${printable(message)} (see: ${command} --help)\n`;

function writeStacks(error: unknown): void {
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    process.stderr.write(`${at === error ? '' : 'caused by '}${at.stack ?? at.message}\n`);
  }
}

/** Runs `body`; what the operating system refuses in it becomes a coded error that begins with `what`. */
export async function naming<Result>(what: string, body: () => Result | Promise<Result>): Promise<Result> {
  try {
    return await body();
  } catch (cause) {
    const known = systemCodes[String((cause as NodeJS.ErrnoException).code)];
    if (isPulsefoldError(cause) || !known) throw cause;
    throw new PulsefoldError(known[0], `${what}: ${known[1]}`, { cause });
  }
}
