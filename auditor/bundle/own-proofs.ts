/**
 * Proofs and statements that a person keeps beside the receipts (`client export`), against the logs of the bundles.
 *
 * A .tlog-proof says: this leaf stood in the log whose tree the coordinator signed then. Here it is compared with the log
 * that the bundle shows: the same leaf at the same place, under a root that is a prefix of it. If not, the person was shown
 * another log than the auditor. Without the bundle proofs are compared with each other, as far as their paths name the
 * same parts of the tree: no finding does not mean one log. A consent must stand in the log as its commitment, and no other under the person's
 * pseudonym. Trusts: the plans' coordinator keys. May be called by: auditor/bundle/history.ts.
 */
import { equalBytes, fromHex, utf8 } from '../../crypto/bytes.ts';
import { isPulsefoldError } from '../../crypto/error.ts';
import { getSuite } from '../../crypto/identity/suite.ts';
import { openCheckpoint, parseCheckpointText, parseSignedNote } from '../../crypto/log/checkpoint.ts';
import { type Leaf, parseLeaf } from '../../crypto/log/leaves.ts';
import { leafHash, nodeHash, verifyInclusion } from '../../crypto/log/merkle.ts';
import { noteVerifier } from '../../crypto/log/note-keys.ts';
import { parseTlogProof } from '../../crypto/log/tlog-proof.ts';
import { type Consent, consentRecord, consentStatement, statementCommitment } from '../../protos/consent.ts';
import type { PersonExport } from '../../protos/person-export.ts';
import { STATEMENT_SKEW_MS } from '../../protos/statement-age.ts';
import type { HistoryProblem, HistoryRun } from './history.ts';

export type OwnProof = PersonExport['logProofs'][number];
export type OwnConsent = PersonExport['consents'][number];

/** A complete subtree: leaves number·2^level to (number + 1)·2^level − 1, the same in every later tree of its log. */
export interface Subtree {
  readonly level: number;
  readonly number: number;
  readonly hash: Uint8Array;
}

/** A leaf in a tree that the coordinator signed. */
export interface ShownLeaf {
  readonly leaf: Leaf;
  /** Number of the leaf. */
  readonly index: number;
  readonly hash: Uint8Array;
  /** Name of the log, as its checkpoint has it. */
  readonly origin: string;
  readonly size: number;
  readonly root: Uint8Array;
  /** All that the path names, the leaf itself first. */
  readonly subtrees: readonly Subtree[];
}

/** What a proof shows of a run; `problem` undefined: the leaf stands in both logs. */
export interface ProofVerdict {
  readonly problem: HistoryProblem | undefined;
  readonly shown: ShownLeaf | undefined;
}

const INVALID: ProofVerdict = { problem: 'LOG_PROOF_INVALID', shown: undefined };

/** Never throws for a bad proof. */
export function checkOwnProof(run: HistoryRun, { what, planHash, round, proof }: OwnProof): ProofVerdict {
  try {
    const parsed = parseTlogProof(proof);
    if (parsed.extra === undefined) return INVALID;
    const { plan } = run.parsed;
    const { origin } = parseCheckpointText(parseSignedNote(parsed.checkpoint).text);
    const coordinator = noteVerifier({
      name: origin,
      algorithm: plan.suite === 'gm' ? 'sm2' : 'ed25519',
      publicKey: fromHex(plan.coordinatorPublicKey),
    });
    const { size, root } = openCheckpoint(parsed.checkpoint, [coordinator], origin);
    const hash = leafHash(parsed.extra);
    const { index, inclusion } = parsed;
    if (!verifyInclusion({ leafHash: hash, index, size, proof: inclusion, root })) return INVALID;
    const leaf = parseLeaf(parsed.extra);
    if (!fits(leaf, what, planHash, round)) return INVALID;
    const subtrees = subtreesOf({ hash, index, size, inclusion });
    const shown = { leaf, index, hash, origin, size, root, subtrees };
    return { problem: forkOf(run, shown), shown };
  } catch (error) {
    if (!isPulsefoldError(error)) throw error;
    return INVALID;
  }
}

/** Complete subtrees that a path which holds names: its hashes, and what is computed on the way up. */
export function subtreesOf({
  hash,
  index,
  size,
  inclusion,
}: Pick<ShownLeaf, 'hash' | 'index' | 'size'> & { readonly inclusion: readonly Uint8Array[] }): Subtree[] {
  const found: Subtree[] = [];
  const note = (level: number, number: number, hash: Uint8Array): void => {
    if ((number + 1) * 2 ** level <= size) found.push({ level, number, hash });
  };
  let [level, number, node] = [0, index, hash];
  note(level, number, node);
  for (const sibling of inclusion) {
    // What ends the tree without a neighbour on its right stands one level higher, too.
    while (number % 2 === 0 && (number + 1) * 2 ** level >= size) {
      number /= 2;
      level++;
    }
    const isRight = number % 2 === 1;
    note(level, isRight ? number - 1 : number + 1, sibling);
    node = isRight ? nodeHash(sibling, node) : nodeHash(node, sibling);
    number = Math.floor(number / 2);
    level++;
    note(level, number, node);
  }
  return found;
}

/**
 * The person's checkpoint may be newer than the bundle's: then those subtrees of its path are compared that the bundle
 * has, which is the leaf at least, if it is that old.
 */
function forkOf({ log }: HistoryRun, seen: ShownLeaf): HistoryProblem | undefined {
  const same = seen.subtrees.every(
    ({ level, number, hash }) =>
      (number + 1) * 2 ** level > log.size || equalBytes(log.nodes(level, number, 1)[0]!, hash),
  );
  const prefix = seen.size > log.size || equalBytes(log.root(seen.size), seen.root);
  return same && prefix ? undefined : 'LOG_FORKED';
}

/**
 * Whether proofs of one log contradict each other: two roots of one size, or two hashes of one subtree that several paths
 * name. Paths of far leaves in trees of different sizes may have none in common; then nothing is compared, and only a
 * bundle or a consistency proof could tell.
 */
export function contradict(shown: readonly Pick<ShownLeaf, 'size' | 'root' | 'subtrees'>[]): boolean {
  const seen = new Map<string, Uint8Array>();
  const differs = (place: string, hash: Uint8Array): boolean => {
    const known = seen.get(place) ?? hash;
    seen.set(place, known);
    return !equalBytes(known, hash);
  };
  return shown.some(
    ({ size, root, subtrees }) =>
      differs(`root ${size}`, root) ||
      subtrees.some(({ level, number, hash }) => differs(`${level} ${number}`, hash)),
  );
}

function fits(leaf: Leaf, what: OwnProof['what'], planHash: string, round: number): boolean {
  const kinds: Readonly<Record<OwnProof['what'], readonly Leaf['kind'][]>> = {
    decision: ['round_certificate', 'abort'],
    settlement: ['settlement'],
    consent: ['consent_commitment'],
    withdrawal: ['withdrawal'],
  };
  const ofRound = round === 0 || ('round' in leaf && leaf.round === round);
  return kinds[what].includes(leaf.kind) && 'planHash' in leaf && leaf.planHash === planHash && ofRound;
}

/**
 * Whether a consent that the coordinator has receipted stands in the log of the run that it names; a bundle that ends
 * before the receipt says nothing. Never throws for a bad consent.
 */
export function checkOwnConsent(
  runs: ReadonlyMap<string, HistoryRun>,
  { consent, signature, receipt }: OwnConsent,
): HistoryProblem | 'proven' | 'unknown' {
  try {
    const given = consentRecord.parse(utf8(consent));
    const run = runs.get(given.planHash);
    if (run === undefined || receipt === undefined) return 'unknown';
    const suite = getSuite(run.parsed.plan.suite);
    const commitment = statementCommitment(suite, consentStatement(utf8(consent)), fromHex(signature));
    const logged = run.consents.filter((leaf) => leaf.commitment === commitment);
    if (logged.length === 0)
      return run.lastMs > given.timeMs + STATEMENT_SKEW_MS ? 'CONSENT_NOT_IN_LOG' : 'unknown';
    const same = logged.some((leaf) => leaf.pseudonym === given.pseudonym && sameTerms(given, leaf));
    return same ? 'proven' : 'CONSENT_NOT_IN_LOG';
  } catch (error) {
    if (!isPulsefoldError(error)) throw error;
    return 'CONSENT_NOT_IN_LOG';
  }
}

/** What a person's file says about who they are in the log, and when it was written. */
export interface OwnFile {
  readonly pseudonyms: readonly string[];
  readonly consents: readonly OwnConsent[];
  /** Later leaves may stand for what the file does not have yet. */
  readonly madeMs: number;
}

type ConsentTerms = Pick<Consent, 'scope' | 'purposeDigest' | 'expiresMs'>;
const sameTerms = (a: ConsentTerms, b: Partial<ConsentTerms>): boolean =>
  a.scope === b.scope && a.purposeDigest === b.purposeDigest && a.expiresMs === b.expiresMs;

/**
 * Whether consent leaves stand under the person's pseudonyms that are none of their consents: the coordinator has made
 * them up, because nobody else writes leaves. A device keeps its newest 64 consents; leaves from before those are passed
 * over, as are those of the last minutes before the file was written.
 */
export function hasForgedConsents(run: HistoryRun, { pseudonyms, consents, madeMs }: OwnFile): boolean {
  const suite = getSuite(run.parsed.plan.suite);
  const given = new Map<string, Consent>();
  for (const { consent, signature } of consents) {
    const bytes = utf8(consent);
    const parsed = consentOf(bytes);
    if (parsed) given.set(statementCommitment(suite, consentStatement(bytes), fromHex(signature)), parsed);
  }
  const oldestMs = Math.min(...[...given.values()].map(({ timeMs }) => timeMs));
  const fromMs = consents.length < KEPT_BY_DEVICE ? 0 : oldestMs + STATEMENT_SKEW_MS;
  return run.consents.some((leaf) => {
    const mine = leaf.pseudonym !== undefined && pseudonyms.includes(leaf.pseudonym);
    if (!mine || leaf.timeMs < fromMs || leaf.timeMs > madeMs - STATEMENT_SKEW_MS) return false;
    const own = given.get(leaf.commitment);
    return own === undefined || !sameTerms(own, leaf);
  });
}

function consentOf(bytes: Uint8Array): Consent | undefined {
  try {
    return consentRecord.parse(bytes);
  } catch (error) {
    if (!isPulsefoldError(error)) throw error;
    return undefined;
  }
}

/** Of its consents, by a device (client/agent/consent.ts). */
const KEPT_BY_DEVICE = 64;

/** Whether a settlement leaf charges one of these pseudonyms. */
export const charges = (leaf: Leaf | undefined, pseudonym: string): boolean =>
  leaf?.kind === 'settlement' && leaf.outcome === 'charged' && leaf.pseudonyms.includes(pseudonym);
