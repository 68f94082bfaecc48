/**
 * Child processes of a demo or an e2e run: started, followed line by line, killed, restarted.
 *
 * For: experiments/. Trusts: programs of this repository. Every child is killed when the parent exits.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { createWriteStream, type WriteStream } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { PulsefoldError } from '../../crypto/error.ts';

export interface ChildOptions {
  readonly name: string;
  readonly module: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Standard error goes here, standard output is parsed as JSON lines. */
  readonly logFile: string;
  readonly onEvent?: (event: ChildEvent) => void;
}

export type ChildEvent = { readonly event: string } & Readonly<Record<string, unknown>>;

/** Ten processes load the same TypeScript: stripped and compiled once. Inside the checkout, where nobody else writes. */
const COMPILE_CACHE = join(import.meta.dirname, '..', '..', 'node_modules', '.cache', 'pulsefold');

const children = new Set<ChildProcess>();
process.once('exit', () => {
  for (const child of children) child.kill('SIGKILL');
});

const START_MS_MAX = 60_000;

export class Child {
  readonly options: ChildOptions;
  #process: ChildProcess | null = null;
  #exit: Promise<number | null> = Promise.resolve(null);
  #log: WriteStream | null = null;
  #expectExit = false;
  #lastError = '';

  constructor(options: ChildOptions) {
    this.options = options;
  }

  get pid(): number | undefined {
    return this.#process?.pid;
  }

  get running(): boolean {
    return this.#process !== null && this.#process.exitCode === null && this.#process.signalCode === null;
  }

  /** Starts the program and waits for its `listening` (or other) event. Throws UNAVAILABLE with its last words. */
  async start(readyEvent: string): Promise<ChildEvent> {
    const { module, args, env, logFile, onEvent, name } = this.options;
    this.#expectExit = false;
    this.#log = createWriteStream(logFile, { flags: 'a' });
    const child = fork(module, args, {
      env: { NODE_COMPILE_CACHE: COMPILE_CACHE, ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      execArgv: ['--disable-warning=ExperimentalWarning'],
    });
    this.#process = child;
    children.add(child);
    child.stderr!.on('data', (chunk: Buffer) => {
      this.#log?.write(chunk);
      this.#lastError = `${this.#lastError}${chunk.toString()}`.slice(-2000);
    });
    this.#exit = new Promise((resolve) => {
      child.once('exit', (code) => {
        children.delete(child);
        this.#log?.end();
        resolve(code);
      });
    });
    return new Promise((resolve, reject) => {
      const fail = (what: string) =>
        reject(
          new PulsefoldError('UNAVAILABLE', `${name} ${what}; see ${logFile}\n${this.#lastError.trim()}`),
        );
      const timer = setTimeout(() => fail(`did not start within ${START_MS_MAX / 1000} s`), START_MS_MAX);
      void this.#exit.then((code) => {
        clearTimeout(timer);
        if (!this.#expectExit) fail(`ended with code ${code}`);
        if (!this.#expectExit) onEvent?.({ event: 'exit', code });
      });
      const deliver = (event: ChildEvent) => {
        if (event.event === readyEvent) {
          clearTimeout(timer);
          resolve(event);
        }
        onEvent?.(event);
      };
      createInterface({ input: child.stdout! }).on('line', (line) => {
        const event = parseEvent(line);
        if (event) deliver(event);
        else this.#log?.write(`${line}\n`);
      });
      child.on('message', (message) => {
        const event = parseEvent(JSON.stringify(message));
        if (event) deliver(event);
      });
    });
  }

  send(message: object): void {
    this.#process?.send(message);
  }

  /** SIGKILL: nothing of the process' own runs any more. */
  async kill(): Promise<void> {
    this.#expectExit = true;
    this.#process?.kill('SIGKILL');
    await this.#exit;
  }

  async stop(graceMs = 3000): Promise<void> {
    if (!this.running) return;
    this.#expectExit = true;
    this.#process?.kill('SIGTERM');
    const timer = setTimeout(() => this.#process?.kill('SIGKILL'), graceMs);
    await this.#exit;
    clearTimeout(timer);
  }
}

function parseEvent(line: string): ChildEvent | null {
  if (!line.startsWith('{')) return null;
  try {
    const value = JSON.parse(line) as ChildEvent;
    return typeof value.event === 'string' ? value : null;
  } catch {
    return null;
  }
}
