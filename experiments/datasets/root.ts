/**
 * Where the data files are: `--data DIR`, else PULSEFOLD_DATA, else directories next to the repository.
 *
 * For: cli/ and experiments/. Trusts: the person who started the process.
 */
import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import { ensure } from '../../crypto/error.ts';

const repositoryRoot = resolve(import.meta.dirname, '../..');

/** Where `pulsefold data get` puts files, and where they are looked for. */
export const downloadRoot = (): string => resolve('data');

const isDirectory = (path: string): boolean =>
  statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;

/**
 * @param option value of `--data`; an explicit directory that is not there is an error, never silently
 * skipped
 * @returns an existing directory, or undefined when there is none to be found
 * @throws PulsefoldError NOT_FOUND
 */
export function findDataRoot(
  option?: string,
  environment: Readonly<Record<string, string | undefined>> = process.env,
): string | undefined {
  for (const [source, path] of [
    ['--data', option],
    ['PULSEFOLD_DATA', environment.PULSEFOLD_DATA],
  ] as const) {
    if (!path) continue;
    const root = resolve(path);
    ensure(isDirectory(root), 'NOT_FOUND', `${source}: ${root} is not a directory`);
    return root;
  }
  const candidates = [
    downloadRoot(),
    resolve(repositoryRoot, 'data'),
    resolve(repositoryRoot, '../shared/data'),
  ];
  return candidates.find(isDirectory);
}
