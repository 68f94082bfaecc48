/**
 * Runs the real command: in a process of its own, where signals, the environment or the start itself are what is
 * tested, else in this one, which saves starting Node each time. For: cli tests. Trusts: nothing.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

export const CLI = join(import.meta.dirname, 'pulsefold.ts');
export const PASSPHRASE = 'correct horse battery';

export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

const environment = (extra: Readonly<Record<string, string>>) => ({
  PATH: process.env.PATH,
  HOME: process.env.HOME,
  PULSEFOLD_PASSPHRASE: PASSPHRASE,
  ...extra,
});

interface CommandOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** Runs `node <file> ...words` to its end. */
export function runNode(
  words: readonly string[],
  options: CommandOptions & { readonly node?: string } = {},
): Promise<Finished> {
  return new Promise((resolve, reject) => {
    const child = spawn(options.node ?? process.execPath, words, {
      cwd: options.cwd,
      env: environment(options.env ?? {}),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk.toString();
    });
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk.toString();
    });
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, stdout, stderr }));
  });
}

/** `pulsefold ...words` in a process of its own. */
export const pulsefold = (
  words: readonly string[],
  options: Parameters<typeof runNode>[1] = {},
): Promise<Finished> => runNode([CLI, ...words], options);

type Captured = Pick<NodeJS.WriteStream, 'write'>;
function capture(stream: Captured, add: (text: string) => void): () => void {
  const { write } = stream;
  stream.write = ((chunk: string | Uint8Array) => {
    add(typeof chunk === 'string' ? chunk : Buffer.from(chunk).toString());
    return true;
  }) as Captured['write'];
  return () => {
    stream.write = write;
  };
}

async function runHere(words: readonly string[], options: CommandOptions): Promise<Finished> {
  const { run } = await import('./pulsefold.ts');
  const before = { directory: process.cwd(), environment: process.env, exitCode: process.exitCode };
  let [stdout, stderr] = ['', ''];
  const release = [
    capture(process.stdout, (text) => (stdout += text)),
    capture(process.stderr, (text) => (stderr += text)),
  ];
  try {
    process.exitCode = undefined;
    process.env = environment(options.env ?? {});
    if (options.cwd !== undefined) process.chdir(options.cwd);
    await run(words);
    return { code: Number(process.exitCode ?? 0), stdout, stderr };
  } finally {
    for (const one of release) one();
    process.chdir(before.directory);
    process.env = before.environment;
    process.exitCode = before.exitCode;
  }
}

let last: Promise<unknown> = Promise.resolve();
/** `pulsefold ...words` in this process, one after the other; commands that end the process themselves cannot. */
export function pulsefoldHere(words: readonly string[], options: CommandOptions = {}): Promise<Finished> {
  const mine = last.then(() => runHere(words, options));
  last = mine.catch(() => {});
  return mine;
}

export interface Event {
  readonly event: string;
  readonly [field: string]: unknown;
}

/** A role started with --json. */
export interface Role {
  readonly child: ChildProcess;
  /** The first event of that kind, past or future; rejects when the process ends before. */
  event(name: string): Promise<Event>;
  readonly exit: Promise<number | null>;
  stderr(): string;
}

export function startRole(words: readonly string[], cwd: string): Role {
  const child = spawn(process.execPath, [CLI, ...words, '--json'], {
    cwd,
    env: environment({}),
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const events: Event[] = [];
  const waiting = new Set<() => void>();
  let stderr = '';
  let ended = false;
  const wake = (): void => {
    for (const look of waiting) look();
  };
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  createInterface({ input: child.stdout }).on('line', (line) => {
    const value = JSON.parse(line) as Event;
    if (typeof value.event === 'string') events.push(value);
    wake();
  });
  const exit = new Promise<number | null>((resolve) => {
    child.on('close', (code) => {
      ended = true;
      wake();
      resolve(code);
    });
  });
  const event = (name: string): Promise<Event> =>
    new Promise((resolve, reject) => {
      const look = (): void => {
        const found = events.find((candidate) => candidate.event === name);
        if (!found && !ended) return;
        waiting.delete(look);
        if (found) resolve(found);
        else reject(new Error(`ended without a "${name}" event: ${stderr}`));
      };
      waiting.add(look);
      look();
    });
  return { child, event, exit, stderr: () => stderr };
}

/** A directory that `dispose` removes. */
export function temporaryDirectory(): { readonly path: string; dispose(): void } {
  const path = mkdtempSync(join(tmpdir(), 'pulsefold-cli-'));
  return { path, dispose: () => rmSync(path, { recursive: true, force: true }) };
}
