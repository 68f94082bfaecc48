/**
 * A Python virtual environment outside the repository with the systems that bench:peers compares with.
 *
 * Trusts: PyPI (or whatever index pip is configured for) for the packages of requirements.txt; benchmarks
 * only, the project itself needs no Python. May be called by: peers-bench.ts, epsilon-peers.ts.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, lstatSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { utf8 } from '../../../crypto/bytes.ts';
import { intlSuite } from '../../../crypto/identity/suite-intl.ts';

const REQUIREMENTS = join(import.meta.dirname, 'requirements.txt');
const INSTALL_MINUTES_MAX = 15;

export type Peers = { readonly python: string } | { readonly skipped: string };

function run(command: string, args: readonly string[]): { ok: boolean; output: string } {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    encoding: 'utf8',
    timeout: INSTALL_MINUTES_MAX * 60_000,
  });
  return { ok: status === 0, output: error?.message ?? `${stdout}\n${stderr}`.trim() };
}

/** What is installed: a requirements file beside this one, and what to call it. */
export interface Requirements {
  readonly file: string;
  readonly title: string;
}

const SECURE_SUMS: Requirements = {
  file: REQUIREMENTS,
  title: 'TenSEAL and Flower (about a minute, 320 MB)',
};

/** The interpreter of the environment, set up where it is not yet; or why there is none and what to do. */
export function preparePeers(onProgress: (text: string) => void, what: Requirements = SECURE_SUMS): Peers {
  const requirements = readFileSync(what.file);
  const hash = Buffer.from(intlSuite.digest(requirements)).toString('hex').slice(0, 12);
  const directory = process.env.PULSEFOLD_PEERS_VENV ?? join(tmpdir(), `pulsefold-peers-${hash}`);
  const python = join(directory, 'bin', 'python');
  const stamp = join(directory, 'pulsefold-requirements');
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  // The temporary directory is shared: another user's environment would be another user's code.
  if (lstatSync(directory).uid !== process.getuid?.())
    return {
      skipped: `${directory} belongs to another user: set PULSEFOLD_PEERS_VENV to a directory of yours.`,
    };
  if (existsSync(stamp) && Buffer.compare(readFileSync(stamp), utf8(hash)) === 0) return { python };
  const system = process.env.PULSEFOLD_PYTHON ?? 'python3';
  onProgress(`installing ${what.title} into ${directory}`);
  const made = run(system, ['-m', 'venv', directory]);
  if (!made.ok)
    return {
      skipped:
        `${system} with its venv module is needed: install Python 3.11 (Debian: python3-venv) or name one ` +
        `in PULSEFOLD_PYTHON (${lastLine(made.output)}).`,
    };
  const pip = ['-m', 'pip', 'install', '--quiet', '--retries', '1', '--timeout', '20'];
  const installed = run(python, [...pip, '--only-binary', ':all:', '--requirement', what.file]);
  if (!installed.ok)
    return {
      skipped:
        `pip could not install experiments/bench/peers/${basename(what.file)}: a reachable PyPI (or PIP_INDEX_URL) ` +
        `and a Python that they have wheels for, such as 3.11, are needed (${lastLine(installed.output)}).`,
    };
  writeFileSync(stamp, hash);
  return { python };
}

/** The last line that says what went wrong, short enough for one sentence. */
const lastLine = (output: string): string => {
  const lines = output.split('\n').filter((line) => line.trim() !== '');
  return (lines.findLast((line) => /error/i.test(line)) ?? lines.at(-1) ?? 'no output').trim().slice(0, 200);
};
