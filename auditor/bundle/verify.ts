/**
 * `pulsefold audit verify BUNDLE`: the bytes against the manifest, then each run inside as auditor/verify.ts does.
 *
 * Damaged bundles are not audited: what they hold is not what was exported. Unpacks into a private temporary directory
 * that is removed again. Trusts: the keys in `AuditTrust`. May be called by: cli/, auditor/report/.
 */
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ensure } from '../../crypto/error.ts';
import { real } from '../numbers.ts';
import { type AuditResult, type AuditTrust, verifyRunDirectory } from '../verify.ts';
import { runFoldersOf } from './manifest.ts';
import { type BundleFault, type ReadBundle, readBundle } from './read.ts';
import { findRuns, folderOf, planOf } from './run-files.ts';

/** What was looked at: a bundle that fits its manifest, or plain directories. */
export interface EvidenceFacts {
  readonly kind: 'bundle' | 'directory';
  /** SHA-256 of the bundle file. */
  readonly sha256?: string;
  readonly bytes?: number;
  readonly members?: number;
}

export interface AuditedRun {
  /** Name of its folder in the bundle, `<plan name>-<12 digits of its hash>`, or 'run' where the plan is unreadable. */
  readonly folder: string;
  readonly result: AuditResult;
  /** Whether its accounting counts on sampling that nobody outside can see. */
  readonly sampled: boolean;
}

export interface AuditedEvidence {
  readonly ok: boolean;
  readonly evidence: EvidenceFacts;
  /** Places where a bundle is damaged; then `runs` is empty. */
  readonly faults: readonly BundleFault[];
  readonly runs: readonly AuditedRun[];
}

/** The evidence as run directories, as long as `use` runs. */
export function withEvidence<Result>(
  path: string,
  use: (directories: readonly string[], facts: EvidenceFacts, faults: readonly BundleFault[]) => Result,
): Result {
  const stat = statSync(path, { throwIfNoEntry: false });
  ensure(
    stat !== undefined,
    'NOT_FOUND',
    `${path}: no such directory or file; name a run directory or a bundle`,
  );
  if (stat.isDirectory()) return use(findRuns(path), { kind: 'directory' }, []);
  const into = mkdtempSync(join(tmpdir(), 'pulsefold-bundle-'));
  try {
    const bundle = readBundle(path, into);
    const damaged = bundle.faults.length > 0 || bundle.manifest === undefined;
    const folders = damaged ? [] : runFoldersOf(bundle.manifest!);
    return use(
      folders.map((folder) => join(into, folder)),
      factsOf(bundle),
      bundle.faults,
    );
  } finally {
    rmSync(into, { recursive: true, force: true });
  }
}

const factsOf = ({ sha256, bytes, manifest }: ReadBundle): EvidenceFacts => ({
  kind: 'bundle',
  sha256,
  bytes,
  members: manifest?.members.length ?? 0,
});

/** Never throws for what it finds inside; only for a path that is not there. */
export function verifyEvidence(path: string, trust: AuditTrust = {}): AuditedEvidence {
  return withEvidence(path, (directories, evidence, faults) => {
    const runs = directories.map((directory) => auditRun(directory, trust, directories.length));
    const pinnedIsThere =
      trust.planHash === undefined || runs.some(({ result }) => result.planHash === trust.planHash);
    return {
      ok: faults.length === 0 && runs.length > 0 && pinnedIsThere && runs.every(({ result }) => result.ok),
      evidence,
      faults,
      runs,
    };
  });
}

/** One run. In evidence of several a pinned plan hash is asked of the run that has it, or else of all of them. */
export function auditRun(directory: string, trust: AuditTrust, runs = 1): AuditedRun {
  const parsed = tryPlan(directory);
  const { planHash, ...rest } = trust;
  const others = runs > 1 && parsed !== undefined && parsed.hashHex !== planHash;
  const result = verifyRunDirectory(directory, others ? rest : trust);
  const rate = parsed?.plan.privacy?.samplingRate;
  return {
    folder: parsed === undefined ? 'run' : folderOf(parsed),
    result,
    sampled: rate !== undefined && real(rate) !== 1,
  };
}

function tryPlan(directory: string) {
  try {
    return planOf(directory);
  } catch {
    // What is wrong with it is a finding of the audit.
    return undefined;
  }
}
