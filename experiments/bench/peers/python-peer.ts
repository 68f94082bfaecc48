/**
 * The child process that runs peers.py: one JSON command per line, one JSON answer per line, vectors through
 * files.
 *
 * Trusts: the child; benchmarks only. May be called by: contenders.ts, peers-bench.ts.
 */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface, type Interface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { z } from 'zod';

const milliseconds = z.array(z.number().nonnegative()).min(1);

export const runAnswer = z.object({
  client_ms: milliseconds,
  server_ms: milliseconds,
  sign_ms: milliseconds.optional(),
  verify_ms: milliseconds.optional(),
  open_ms: z.number().nonnegative(),
  upload_bytes: z.int().positive(),
  masked_bytes: z.int().positive().optional(),
  uncompressed_bytes: z.int().positive().optional(),
  release_bytes: z.int().positive().optional(),
  tolerance: z.number().positive().optional(),
  cpu_share: z.number().nonnegative(),
});
export type RunAnswer = z.infer<typeof runAnswer>;

const versionsAnswer = z.object({
  tenseal: z.string(),
  flwr: z.string(),
  numpy: z.string(),
  python: z.string(),
});
export type Versions = z.infer<typeof versionsAnswer>;

const STDERR_KEPT = 4000;

export class PythonPeer {
  readonly #child: ChildProcessByStdio<Writable, Readable, Readable>;
  readonly #lines: Interface;
  readonly #directory = mkdtempSync(join(tmpdir(), 'pulsefold-peers-run-'));
  #stderr = '';

  constructor(python: string) {
    this.#child = spawn(python, ['-B', join(import.meta.dirname, 'peers.py')], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, OMP_NUM_THREADS: '1', FLWR_TELEMETRY_ENABLED: '0' },
    });
    this.#lines = createInterface({ input: this.#child.stdout });
    this.#child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr = (this.#stderr + text).slice(-STDERR_KEPT);
    });
    // A child that is gone is noticed when its answer does not come.
    this.#child.stdin.on('error', () => undefined);
  }

  async #ask(command: object): Promise<unknown> {
    const closed = new AbortController();
    const answer = once(this.#lines, 'line', { signal: closed.signal }) as Promise<[string]>;
    const gone = once(this.#child, 'close', { signal: closed.signal }).then(() => null);
    this.#child.stdin.write(`${JSON.stringify(command)}\n`);
    const first = await Promise.race([answer, gone]);
    for (const left of [answer, gone]) left.catch(() => undefined);
    closed.abort();
    if (first === null) throw new Error(`peers.py ended before it answered:\n${this.#stderr}`);
    return JSON.parse(first[0]);
  }

  async versions(): Promise<Versions> {
    return versionsAnswer.parse(await this.#ask({ op: 'versions' }));
  }

  /** The vectors that every following run adds. */
  async load(vectors: readonly Int32Array[]): Promise<void> {
    const path = join(this.#directory, 'vectors');
    writeFileSync(path, Buffer.concat(vectors.map((v) => Buffer.from(v.buffer, v.byteOffset, v.byteLength))));
    await this.#ask({ op: 'load', path, d: vectors[0]!.length });
  }

  async run(contender: object): Promise<{ answer: RunAnswer; sums: Float64Array }> {
    const path = join(this.#directory, 'sums');
    const answer = runAnswer.parse(await this.#ask({ op: 'run', path, ...contender }));
    return { answer, sums: new Float64Array(new Uint8Array(readFileSync(path)).buffer) };
  }

  async close(): Promise<void> {
    this.#child.stdin.end();
    if (this.#child.exitCode === null) await once(this.#child, 'close');
    rmSync(this.#directory, { recursive: true, force: true });
  }
}
