#!/usr/bin/env node
/**
 * The `pulsefold` command: parses, runs one subcommand, turns every failure into one line.
 *
 * For: people, scripts, experiments/demo (starts the roles with it). Trusts: its command line. Subcommands are loaded
 * when they are asked for, so that `--help` does not load TensorFlow.
 */
import { enableCompileCache } from 'node:module';
import { join } from 'node:path';
import { reportFailure } from './failure.ts';
import { buildProgram } from './program.ts';

/**
 * Types stripped and code compiled once per version of a file: a command starts in half the time. Beside the packages,
 * where nobody can write who could not change the code itself; where that is nobody, it is left out silently.
 */
const COMPILE_CACHE = join(import.meta.dirname, '..', 'node_modules', '.cache', 'pulsefold');

/** Runs one command line; its exit code stands in `process.exitCode` then. */
export async function run(words: readonly string[]): Promise<void> {
  try {
    const program = await buildProgram(words);
    if (words.length === 0) program.outputHelp();
    else await program.parseAsync(words, { from: 'user' });
  } catch (error) {
    fail(words, error);
  }
}

const fail = (words: readonly string[], error: unknown): void => {
  process.exitCode = reportFailure(error, { debug: words.includes('--debug') });
};

export async function main(argv: readonly string[]): Promise<void> {
  enableCompileCache(COMPILE_CACHE);
  const words = argv.slice(2);
  const dieWith = (error: unknown): void => {
    fail(words, error);
    process.exit();
  };
  process.on('unhandledRejection', dieWith);
  process.on('uncaughtException', dieWith);
  // A reader that went away (`pulsefold ... | head`) is no error.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0);
    dieWith(error);
  });
  await run(words);
}

if (import.meta.main) await main(process.argv);
