/**
 * Which files of a run directory are evidence: what docs/protocol.md "Run directory" lists, and everything under log/.
 * Whatever else lies there (predictions of the demo, private directories kept with --keep) stays behind.
 *
 * Trusts: nothing. Symbolic links are not followed. May be called by: auditor/bundle/, cli/.
 */
import { closeSync, lstatSync, openSync, readdirSync, readSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { ensure, isPulsefoldError, PulsefoldError } from '../../crypto/error.ts';
import { type ParsedPlan, PLAN_BYTES_MAX, parsePlanBytes } from '../../protos/plan.ts';
import { BUNDLE_MEMBERS_MAX, BUNDLE_RUNS_MAX, isMemberName } from './manifest.ts';

const ROOT_FILES = ['alarms.json', 'approvals.json', 'ledger.json', 'model.json', 'plan.json'];
const DEPTH_MAX = 8;

const kindOf = (path: string): 'file' | 'directory' | undefined => {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat?.isFile()) return 'file';
  return stat?.isDirectory() ? 'directory' : undefined;
};

const isRun = (directory: string): boolean => kindOf(join(directory, 'plan.json')) === 'file';

/**
 * The run directories meant by one argument: itself, or those right beneath it (`pulsefold demo` makes one per plan).
 * Throws NOT_FOUND.
 */
export function findRuns(directory: string): string[] {
  ensure(
    kindOf(resolve(directory)) === 'directory',
    'NOT_FOUND',
    `${directory}: no such directory; name the run_dir that the coordinator or demo wrote`,
  );
  if (isRun(directory)) return [directory];
  const inside = readdirSync(directory)
    .sort()
    .map((name) => join(directory, name))
    .filter((path) => kindOf(path) === 'directory' && isRun(path));
  ensure(inside.length > 0, 'NOT_FOUND', `${directory}: holds no plan.json, so it is no run directory`);
  ensure(
    inside.length <= BUNDLE_RUNS_MAX,
    'FIELD_OUT_OF_RANGE',
    `${directory}: more than ${BUNDLE_RUNS_MAX} runs`,
  );
  return inside;
}

/** Its plan. Throws PLAN_INVALID or FIELD_OUT_OF_RANGE. */
export function planOf(directory: string): ParsedPlan {
  const path = join(directory, 'plan.json');
  const file = openSync(path, 'r');
  try {
    const buffer = Buffer.alloc(PLAN_BYTES_MAX + 2);
    const count = readSync(file, buffer);
    ensure(count <= PLAN_BYTES_MAX + 1, 'FIELD_OUT_OF_RANGE', `${path}: too long for a plan`);
    const bytes = new Uint8Array(buffer.subarray(0, count));
    return parsePlanBytes(bytes.at(-1) === 0x0a ? bytes.subarray(0, -1) : bytes);
  } catch (cause) {
    if (!isPulsefoldError(cause)) throw cause;
    throw new PulsefoldError(cause.code, `${path}: ${cause.message}`, { cause });
  } finally {
    closeSync(file);
  }
}

/** Folder of a run in a bundle: `<plan name>-<12 digits of its hash>`. */
export const folderOf = ({ plan, hashHex }: ParsedPlan): string => `${plan.name}-${hashHex.slice(0, 12)}`;

/** Names of a run's evidence, with `/`, sorted. Names that the format has no room for are refused. */
export function evidenceOf(directory: string, folder: string): string[] {
  const names = [
    ...ROOT_FILES.filter((name) => kindOf(join(directory, name)) === 'file'),
    ...walk(directory, 'rounds', 1),
    ...walk(directory, 'log', DEPTH_MAX),
  ];
  ensure(names.length <= BUNDLE_MEMBERS_MAX, 'FIELD_OUT_OF_RANGE', `${directory}: too many files`);
  const wrong = names.find((name) => !isMemberName(`${folder}/${name}`));
  ensure(wrong === undefined, 'DATA_INVALID', `${directory}: ${wrong} is no name that a run directory has`);
  return names.sort();
}

function walk(directory: string, name: string, depth: number): string[] {
  const path = join(directory, name);
  if (depth === 0 || kindOf(path) !== 'directory') return [];
  return readdirSync(path).flatMap((entry) => {
    const inner = `${name}/${entry}`;
    if (entry.startsWith('.')) return [];
    const kind = kindOf(join(directory, inner));
    if (kind === 'file') return [inner];
    return kind === 'directory' ? walk(directory, inner, depth - 1) : [];
  });
}
