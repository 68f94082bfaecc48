/**
 * What a run ran on: versions, commit, machine, data. Stands in the run folder, so that a figure can be made again.
 *
 * May be called by: experiments.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { arch, cpus, platform, release, totalmem } from 'node:os';
import { join, resolve } from 'node:path';
import type { Dataset } from '../datasets/types.ts';

const ROOT = resolve(import.meta.dirname, '../..');

export interface Versions {
  readonly pulsefold: string;
  /** Commit, with `+` and a digest of the changes where the code differs from it; null outside a repository. */
  readonly commit: string | null;
  readonly node: string;
  readonly packages: Readonly<Record<string, string>>;
  readonly system: string;
  readonly processor: string;
  readonly memory_bytes: number;
  readonly data: {
    readonly name: string;
    readonly source: string;
    readonly rows: number;
    /** Of the file as distributed, where it is pinned. */
    readonly file_sha256: string | null;
    /** Of features and labels as encoded. */
    readonly table_sha256: string;
  };
}

/** Packages that a figure may depend on. */
const PACKAGES = ['@tensorflow/tfjs-core', '@tensorflow/tfjs-backend-wasm', 'node-seal'];

export function versionsOf(dataset: Dataset, tableSha256: string): Versions {
  const { version } = packageFile(join(ROOT, 'package.json'));
  const { name, file } = dataset.definition;
  return {
    pulsefold: version,
    commit: commitOf(),
    node: process.versions.node,
    packages: Object.fromEntries(
      PACKAGES.map((name) => [name, packageFile(join(ROOT, 'node_modules', name, 'package.json')).version]),
    ),
    system: `${platform()} ${release()} ${arch()}`,
    processor: `${cpus().length} × ${cpus()[0]?.model ?? 'unknown'}`,
    memory_bytes: totalmem(),
    data: {
      name,
      source: dataset.source,
      rows: dataset.count,
      file_sha256: file?.sha256 ?? null,
      table_sha256: tableSha256,
    },
  };
}

/** One text per state of the code. */
export const codeOf = ({ pulsefold, commit, node }: Versions): string =>
  `${pulsefold} ${commit ?? 'no commit'} node ${node}`;

export function tableSha256Of({ features, labels }: Dataset): string {
  const hash = createHash('sha256');
  for (const { buffer, byteOffset, byteLength } of [features, labels])
    hash.update(new Uint8Array(buffer, byteOffset, byteLength));
  return hash.digest('hex');
}

function packageFile(path: string): { readonly version: string } {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as { version: string };
  } catch {
    return { version: 'not installed' };
  }
}

/** What a figure can depend on: sources and kernels; not documents, which a run itself may write. */
const CODE = ['*.ts', '*.js', '*.wasm', 'package-lock.json'];

/** @param root of the repository; exported for tests */
export function commitOf(root = ROOT): string | null {
  const git = (...words: string[]): string =>
    execFileSync('git', words, {
      cwd: root,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      maxBuffer: 2 ** 28,
    });
  try {
    const commit = git('rev-parse', 'HEAD').trim();
    const diff = git('diff', 'HEAD', '--no-ext-diff', '--binary', '--', ...CODE);
    const fresh = git('ls-files', '-z', '--others', '--exclude-standard', '--', ...CODE).split('\0');
    const hash = createHash('sha256').update(diff);
    for (const file of fresh.filter((name) => name !== ''))
      hash.update(`\0${file}\0`).update(readFileSync(join(root, file)));
    const changed = diff !== '' || fresh.length > 1;
    return changed ? `${commit}+${hash.digest('hex').slice(0, 12)}` : commit;
  } catch {
    return null;
  }
}
