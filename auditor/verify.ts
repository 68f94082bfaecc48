/**
 * `pulsefold audit verify DIR`: re-checks an exported run offline. No secret and no network is needed.
 *
 * It recomputes the tree and compares it with the signed checkpoint; verifies every holder signature,
 * cohort size, sum and model hash; and derives every charge and ε again with its own accountant. What it
 * cannot see: whether the log shows everybody the same tree (give `earlierCheckpoint`, or one from a
 * witness), whether a hospital really sampled at the stated rate, and who stands behind a pseudonym.
 * Trusts: the keys in `AuditTrust`. Without them it trusts the plan in the directory and says so. May be
 * called by: cli/, tests.
 */
import { equalBytes, fromHex, toHex } from '../crypto/bytes.ts';
import { type NoteVerifier, openCheckpoint, type VerifiedCheckpoint } from '../crypto/log/checkpoint.ts';
import { CompactRange, MerkleTree } from '../crypto/log/merkle.ts';
import { noteVerifierOf } from '../crypto/log/note-keys.ts';
import type { ParsedPlan } from '../protos/plan.ts';
import {
  type BudgetSummary,
  checkEpsilon,
  checkLedger,
  checkMechanisms,
  checkSettlements,
} from './check-budget.ts';
import { checkConsents, type RightsSummary } from './check-consent.ts';
import { checkTiles, checkWitnesses, hasTiles } from './check-log-files.ts';
import { checkWithdrawals } from './check-quota.ts';
import { type ApprovalTrust, checkApprovals, checkRounds, contextOf } from './check-rounds.ts';
import { checkVersions } from './check-versions.ts';
import { type Finding, Findings } from './findings.ts';
import { bookOf } from './round-book.ts';
import {
  type NumberedLeaf,
  readAlarms,
  readLeaves,
  readLedger,
  readLine,
  readModel,
  readPlan,
  readRounds,
} from './run-directory.ts';

export interface AuditTrust extends ApprovalTrust {
  /** The log's key as `name+id+base64` (log/key), obtained from elsewhere than the run directory. */
  readonly logKey?: string | undefined;
  /** A checkpoint of the same log seen earlier: its tree must be a prefix of this one. */
  readonly earlierCheckpoint?: string | undefined;
  /** Text of a tlog-policy: the witnesses whose quorum must have cosigned the checkpoint. */
  readonly policy?: string | undefined;
  /** Lower-case hexadecimal hash of the plan that was meant. */
  readonly planHash?: string | undefined;
}

export interface AuditResult {
  /** True if there is no error; warnings say what was not checked. */
  readonly ok: boolean;
  readonly findings: readonly Finding[];
  readonly leaves: number;
  /** Root of the log, hexadecimal. */
  readonly root: string;
  readonly planHash: string | undefined;
  readonly planName: string | undefined;
  readonly rounds: { readonly certified: number; readonly aborted: number; readonly released: number };
  /** Absent for a plan without DP. */
  readonly budget: BudgetSummary | undefined;
  /** Absent where the plan cannot be read. */
  readonly rights: RightsSummary | undefined;
}

export { noteVerifierOf };

/** Audits one run directory. Never throws for what it finds in there: findings say it. */
export function verifyRunDirectory(directory: string, trust: AuditTrust = {}): AuditResult {
  const findings = new Findings();
  const parsed = readPlan(directory, findings);
  const checkpoint = readCheckpoint(directory, parsed, trust, findings);
  const { leaves, count, root } = readLog(directory, checkpoint, trust, findings);
  if (parsed === undefined) return resultOf(findings, count, root, undefined, []);
  if (trust.planHash !== undefined)
    findings.require(
      parsed.hashHex === trust.planHash,
      'FILE_MALFORMED',
      'plan.json is another plan than the one asked for',
    );
  const context = contextOf(parsed, findings);
  const book = bookOf(leaves, parsed.hashHex);
  if (book.foreignLeaves > 0)
    findings.warn(
      'NOT_CHECKED',
      `${book.foreignLeaves} leaves belong to other plans; audit their run directories too`,
    );
  checkApprovals(context, book, trust);
  const files = readRounds(directory, findings);
  checkRounds(context, book, files);
  checkVersions(context, book, { files, model: readModel(directory, findings) });
  checkMechanisms(context, book);
  checkSettlements(context, book);
  const budget = checkEpsilon(context, leaves);
  checkWithdrawals(context, leaves);
  const rights = checkConsents(context, leaves);
  checkLedger(context, book, readLedger(directory, findings));
  warnOfAlarms(findings, readAlarms(directory, findings)?.alarms.length ?? 0);
  return resultOf(findings, count, root, parsed, book.rounds, { budget, rights });
}

/** Attested by the coordinator against itself, so a warning: the log alone cannot tell who is right. */
function warnOfAlarms(findings: Findings, count: number): void {
  if (count > 0)
    findings.warn(
      'BUDGET_DISAGREEMENT',
      `${count} devices have receipts for more than the ledger charged: charges were lost, or they lie`,
    );
}

function resultOf(
  findings: Findings,
  leaves: number,
  root: Uint8Array,
  parsed: ParsedPlan | undefined,
  rounds: ReturnType<typeof bookOf>['rounds'],
  { budget, rights }: Partial<Pick<AuditResult, 'budget' | 'rights'>> = {},
): AuditResult {
  const count = (kind: 'round_certificate' | 'abort' | 'release') =>
    rounds.filter((round) => round[kind].length > 0).length;
  return {
    ok: findings.errors === 0,
    findings: findings.list,
    leaves,
    root: toHex(root),
    planHash: parsed?.hashHex,
    planName: parsed?.plan.name,
    rounds: { certified: count('round_certificate'), aborted: count('abort'), released: count('release') },
    budget,
    rights,
  };
}

/**
 * The key that must have signed: pinned, or else the coordinator key in the plan under the name in log/key.
 */
function logVerifiers(
  directory: string,
  parsed: ParsedPlan | undefined,
  trust: AuditTrust,
  findings: Findings,
): NoteVerifier[] {
  try {
    if (trust.logKey !== undefined) return [noteVerifierOf(trust.logKey.trim())];
    findings.warn(
      'TRUST_NOT_PINNED',
      'no log key was given: the checkpoint is checked against the key in the run directory',
    );
    const line = readLine(directory, 'log/key', findings);
    if (line === undefined) return [];
    const verifier = noteVerifierOf(line.trim());
    if (parsed !== undefined)
      findings.require(
        equalBytes(verifier.publicKey, fromHex(parsed.plan.coordinatorPublicKey)),
        'CHECKPOINT_SIGNATURE',
        'log/key is not the coordinator key that the plan names',
      );
    return [verifier];
  } catch (error) {
    findings.error('FILE_MALFORMED', `log key: ${(error as Error).message}`);
    return [];
  }
}

function readCheckpoint(
  directory: string,
  parsed: ParsedPlan | undefined,
  trust: AuditTrust,
  findings: Findings,
): VerifiedCheckpoint | undefined {
  const verifiers = logVerifiers(directory, parsed, trust, findings);
  const note = readLine(directory, 'log/checkpoint', findings);
  if (note === undefined || verifiers.length === 0) return undefined;
  try {
    const opened = openCheckpoint(note, verifiers, verifiers[0]!.name);
    checkWitnesses(directory, note, { policy: trust.policy, logs: verifiers }, findings);
    return opened;
  } catch (error) {
    findings.error('CHECKPOINT_SIGNATURE', (error as Error).message);
    return undefined;
  }
}

/** Recomputes the tree while reading; only leaves under the signed size are passed on. */
function readLog(
  directory: string,
  checkpoint: VerifiedCheckpoint | undefined,
  trust: AuditTrust,
  findings: Findings,
): { leaves: NumberedLeaf[]; count: number; root: Uint8Array } {
  const earlier = earlierOf(checkpoint, trust, findings);
  const range = new CompactRange();
  const tree = hasTiles(directory) ? new MerkleTree() : undefined;
  let prefix = earlier?.size === 0 ? range.root() : undefined;
  const leaves = readLeaves(directory, findings, (hash) => {
    range.append(hash);
    tree?.appendHash(hash);
    if (range.size === earlier?.size) prefix = range.root();
  });
  const root = range.root();
  if (tree) checkTiles(directory, tree, findings);
  if (earlier !== undefined)
    findings.require(
      prefix !== undefined && equalBytes(prefix, earlier.root),
      'CHECKPOINT_FORKED',
      'the log does not continue the earlier checkpoint: history was rewritten or two logs are shown',
    );
  if (checkpoint !== undefined) {
    findings.require(
      range.size === checkpoint.size,
      'SIZE_MISMATCH',
      `the log has ${range.size} leaves, its checkpoint says ${checkpoint.size}`,
    );
    findings.require(
      equalBytes(root, checkpoint.root),
      'ROOT_MISMATCH',
      'the leaves do not give the root that the checkpoint signs',
    );
  }
  return { leaves, count: range.size, root };
}

function earlierOf(
  checkpoint: VerifiedCheckpoint | undefined,
  trust: AuditTrust,
  findings: Findings,
): VerifiedCheckpoint | undefined {
  if (trust.earlierCheckpoint === undefined || checkpoint === undefined) return undefined;
  try {
    return openCheckpoint(trust.earlierCheckpoint, checkpoint.signedBy, checkpoint.origin);
  } catch (error) {
    findings.error('CHECKPOINT_FORKED', `the earlier checkpoint: ${(error as Error).message}`);
    return undefined;
  }
}
