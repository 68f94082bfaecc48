/**
 * The run folder: what it holds, how a killed run is taken up again, and that two processes never write one folder.
 *
 * A unit of work is one (sweep point, seed). Its files are written first, its `done.json` last and by renaming, so a unit
 * is either whole or done again. Trusts: its own directory. May be called by: experiments, cli.
 */
import { createHash } from 'node:crypto';
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { ensure, PulsefoldError } from '../../crypto/error.ts';
import type { SimulationLabel } from '../simulation/index.ts';
import type { PerDevice } from './per-device.ts';
import type { MetricValues } from './task-metrics.ts';

export type ModelRole = 'federated' | 'central' | 'local';

/** One line of metrics.ndjson. Nothing in it depends on the clock, the machine or the number of threads. */
export interface MetricsLine extends MetricValues {
  readonly point: number;
  readonly seed: string;
  readonly model: ModelRole;
  readonly kind: 'training' | 'evaluation' | 'baseline';
  /** Null for baselines. */
  readonly round: number | null;
  readonly phase: 'released' | 'unopened' | 'aborted' | null;
  /** Devices of the round: asked, acknowledged, in the certificate; asked and vanished, too late for the freeze. */
  readonly invited: number | null;
  readonly uploaded: number | null;
  readonly certified: number | null;
  readonly dropped: number | null;
  readonly late: number | null;
  /** All uploads of the round. */
  readonly upload_bytes: number | null;
  /** Of the most-charged person, up to and with this round; null without privacy. */
  readonly epsilon_spent: number | null;
  /** On the simulation's clock, all rounds so far. */
  readonly virtual_ms: number | null;
  /** All devices of the round; time and battery (full batteries) need an availability trace. Absent in older folders. */
  readonly fetched_bytes?: number | null;
  readonly train_ms?: number | null;
  readonly battery_share?: number | null;
}

/** What a finished unit says of itself. */
export interface UnitRecord {
  readonly point: number;
  readonly seed: string;
  readonly plan_sha: string;
  /** SHA-256 over the test rows, and over every client's training rows: equal ones pair two runs. */
  readonly test_sha256: string;
  readonly train_sha256: string;
  readonly metrics_sha256: string;
  readonly clients: number;
  readonly test_rows: number;
  /** Absent in folders of older versions. */
  readonly train_rows?: number;
  readonly epsilon_spent: number | null;
  readonly log_root: string;
  /** Whether the same file and seed give that root again. Absent in folders of older versions. */
  readonly log_repeats?: boolean;
  /** Absent in folders of older versions. */
  readonly per_device?: PerDevice;
  /** seal, identity, store, noise, engine, threads: what really ran. */
  readonly label: SimulationLabel;
  readonly elapsed_ms: number;
  readonly code: string;
}

export interface FolderHead {
  readonly name: string;
  readonly hashHex: string;
  /** SHA-256 of the encoded table. */
  readonly tableSha256: string;
}

const HEAD_FILE = 'run.json';
const LOCK_FILE = 'lock';
const SCRATCH = 'store';

export class RunFolder {
  readonly path: string;
  #locked = false;
  readonly #unlockAtExit = () => this.close();

  constructor(path: string) {
    this.path = path;
  }

  /**
   * Makes or takes up the folder and locks it. @throws CONFIG_INVALID where it belongs to another experiment or other
   * data, UNAVAILABLE where another process writes it.
   */
  open(head: FolderHead, options: { readonly fresh: boolean }): void {
    mkdirSync(this.path, { recursive: true });
    this.#lock();
    try {
      this.#take(head, options.fresh);
    } catch (error) {
      this.close();
      throw error;
    }
  }

  #take(head: FolderHead, fresh: boolean): void {
    const known = this.#head();
    if (fresh) this.#clear();
    else if (known === null)
      ensure(
        readdirSync(this.path).every((name) => name === LOCK_FILE),
        'CONFIG_INVALID',
        `${this.path} holds other files: choose another --out, or --fresh to remove what a run wrote there`,
      );
    else {
      ensure(
        known.hashHex === head.hashHex,
        'CONFIG_INVALID',
        `${this.path} holds run ${known.name} ${known.hashHex.slice(0, 12)}, another experiment: --fresh begins anew`,
      );
      ensure(
        known.tableSha256 === head.tableSha256,
        'CONFIG_INVALID',
        `${this.path} was begun on other data: --fresh begins anew`,
      );
    }
    this.write(HEAD_FILE, `${JSON.stringify(head, null, 2)}\n`);
  }

  close(): void {
    if (!this.#locked) return;
    this.#locked = false;
    process.off('exit', this.#unlockAtExit);
    rmSync(join(this.path, LOCK_FILE), { force: true });
  }

  /** Whole file or none. */
  write(file: string, content: string | Uint8Array): void {
    const target = join(this.path, file);
    const beside = `${target}.tmp`;
    const handle = openSync(beside, 'w');
    try {
      writeFileSync(handle, content);
      fsyncSync(handle);
    } finally {
      closeSync(handle);
    }
    renameSync(beside, target);
  }

  /** A directory of a unit for what is thrown away once it is done, made anew. */
  scratch(key: UnitKey): string {
    this.removeScratch(key);
    const directory = join(this.path, unitPath(key), SCRATCH);
    mkdirSync(directory, { recursive: true });
    return directory;
  }

  removeScratch(key: UnitKey): void {
    rmSync(join(this.path, unitPath(key), SCRATCH), { recursive: true, force: true });
  }

  /** Writes a unit's files, then its record. */
  writeUnit(
    key: UnitKey,
    record: Omit<UnitRecord, 'metrics_sha256'>,
    files: { readonly metrics: readonly MetricsLine[]; readonly [file: string]: unknown },
  ): UnitRecord {
    const directory = unitPath(key);
    mkdirSync(join(this.path, directory), { recursive: true });
    const { metrics, ...rest } = files;
    const text = linesOf(metrics);
    this.write(join(directory, 'metrics.ndjson'), text);
    for (const [file, content] of Object.entries(rest))
      this.write(join(directory, file), content as string | Uint8Array);
    const whole: UnitRecord = { ...record, metrics_sha256: sha256(text) };
    this.write(join(directory, 'done.json'), `${JSON.stringify(whole, null, 2)}\n`);
    return whole;
  }

  /** A finished unit, or null where it has to be done: not there, or its metrics are not what it says. */
  readUnit(key: UnitKey): { readonly record: UnitRecord; readonly lines: MetricsLine[] } | null {
    return readUnit(this.path, key);
  }

  #head(): FolderHead | null {
    const file = join(this.path, HEAD_FILE);
    return existsSync(file) ? readJson<FolderHead>(file) : null;
  }

  /** Removes what runs write, and nothing else. */
  #clear(): void {
    for (const name of RUN_FILES) rmSync(join(this.path, name), { recursive: true, force: true });
  }

  #lock(): void {
    const file = join(this.path, LOCK_FILE);
    for (let attempt = 0; ; attempt++) {
      try {
        writeFileSync(file, `${JSON.stringify({ pid: process.pid, host: hostname() })}\n`, { flag: 'wx' });
        break;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST' || attempt > 0) throw error;
        if (isHeld(file))
          throw new PulsefoldError(
            'UNAVAILABLE',
            `${this.path} is written by another process (${file}): wait for it, or remove that file if there is none`,
          );
        rmSync(file, { force: true });
      }
    }
    this.#locked = true;
    process.once('exit', this.#unlockAtExit);
  }
}

/** A lock of a process of this machine that has ended is nobody's. */
function isHeld(file: string): boolean {
  try {
    const { pid, host } = JSON.parse(readFileSync(file, 'utf8')) as { pid: number; host: string };
    if (host !== hostname()) return true;
    process.kill(pid, 0);
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    return code !== 'ESRCH' && code !== 'ENOENT';
  }
}

export interface UnitKey {
  readonly point: number;
  readonly seedIndex: number;
}

/** Everything a run writes: what --fresh removes. */
const RUN_FILES = [
  HEAD_FILE,
  'experiment.yaml',
  'experiment.json',
  'versions.json',
  'units',
  'plots',
  'metrics.ndjson',
  'metrics.csv',
  'summary.json',
  'index.html',
] as const;

export const unitPath = ({ point, seedIndex }: UnitKey): string =>
  join('units', `point-${String(point).padStart(4, '0')}-seed-${String(seedIndex).padStart(4, '0')}`);

export function readUnit(
  folder: string,
  key: UnitKey,
): { readonly record: UnitRecord; readonly lines: MetricsLine[] } | null {
  const directory = join(folder, unitPath(key));
  if (!existsSync(join(directory, 'done.json'))) return null;
  const record = readJson<UnitRecord>(join(directory, 'done.json'));
  const text = readFileSync(join(directory, 'metrics.ndjson'), 'utf8');
  if (sha256(text) !== record.metrics_sha256) return null;
  return { record, lines: parseLines(text) };
}

/** What a run wrote itself. @throws DATA_INVALID where something else has become of it. */
export function readJson<Type>(file: string): Type {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Type;
  } catch (cause) {
    throw new PulsefoldError(
      'DATA_INVALID',
      `${file} is not what a run wrote there: run it again with --fresh`,
      {
        cause,
      },
    );
  }
}

export const linesOf = (lines: readonly MetricsLine[]): string =>
  lines.map((line) => `${JSON.stringify(line)}\n`).join('');

export const parseLines = (text: string): MetricsLine[] =>
  text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as MetricsLine);

export const sha256 = (content: string | Uint8Array): string =>
  createHash('sha256').update(content).digest('hex');

/** A plain table for spreadsheets: every field of a line, empty where there is none. */
export function csvOf(
  lines: readonly MetricsLine[],
  points: readonly { readonly index: number; readonly label: string }[],
): string {
  const fields = [...new Set(lines.flatMap((line) => Object.keys(line)))];
  const labels = new Map(points.map(({ index, label }) => [index, label]));
  const cell = (value: unknown): string => {
    const text = value === null || value === undefined ? '' : String(value);
    return /[",\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const rows = lines.map((line) =>
    [labels.get(line.point) ?? '', ...fields.map((field) => line[field as keyof MetricsLine])]
      .map(cell)
      .join(','),
  );
  return `${['label', ...fields].join(',')}\n${rows.join('\n')}\n`;
}
