/**
 * `pulsefold audit prove`: one participant's own history over epochs and plans, from its receipts and the bundles they
 * belong to. Public logs name participants by a pseudonym of one epoch; only who holds the receipts can link epochs.
 *
 * Per receipt: the coordinator's signature; what it claims (receipt-claims.ts), and what the second accountant finds. Per
 * pseudonym: a charge in the log without a receipt is an alarm. Trusts: what `verifyRunDirectory` accepted under the
 * pinned keys; without a bundle, the plan that the participant shows (own-run.ts). May be called by: cli/.
 */
import { fromHex, toHex } from '../../crypto/bytes.ts';
import { isPulsefoldError } from '../../crypto/error.ts';
import { getSuite } from '../../crypto/identity/suite.ts';
import type { LeafOf } from '../../crypto/log/leaves.ts';
import { MerkleTree } from '../../crypto/log/merkle.ts';
import type { ParsedPlan } from '../../protos/plan.ts';
import { parseReceipt, type Receipt, type ReceiptOutcome } from '../../protos/receipt.ts';
import { receiptStatement } from '../../protos/statements.ts';
import { costOf, EpsilonSum } from '../costs.ts';
import { Findings } from '../findings.ts';
import { conversionDelta, type RoundPurpose } from '../group-terms.ts';
import { bookOf, type RoundLeaves } from '../round-book.ts';
import { readLeaves } from '../run-directory.ts';
import type { AuditResult, AuditTrust } from '../verify.ts';
import { totalsOf } from './history-totals.ts';
import {
  charges,
  checkOwnConsent,
  checkOwnProof,
  contradict,
  hasForgedConsents,
  type OwnConsent,
  type OwnFile,
  type OwnProof,
} from './own-proofs.ts';
import { chargeIn, problemsOf } from './receipt-claims.ts';
import type { SignedReceipt } from './receipts-file.ts';
import { planOf } from './run-files.ts';
import { auditRun } from './verify.ts';

/** A run as far as a history needs it. */
export interface HistoryRun {
  readonly parsed: ParsedPlan;
  /** The audit of its bundle; undefined where there is none, and `rounds` hold what own proofs show (own-run.ts). */
  readonly result: AuditResult | undefined;
  readonly rounds: ReadonlyMap<number, RoundLeaves>;
  /** The log as its leaves hash. */
  readonly log: MerkleTree;
  /** Consents in the log. */
  readonly consents: readonly LeafOf<'consent_commitment'>[];
  /** Time of the last leaf, by the coordinator's clock. */
  readonly lastMs: number;
  /** Whether a run without a bundle contradicts the pinned plan or log key; a bundle's audit says it in `result`. */
  readonly differsFromPins?: boolean;
}

/** Audits a run directory and keeps its rounds. Throws PLAN_INVALID where its plan cannot be read. */
export function openHistoryRun(directory: string, trust: AuditTrust): HistoryRun {
  const parsed = planOf(directory);
  const { result } = auditRun(directory, trust, 2);
  const log = new MerkleTree();
  const leaves = readLeaves(directory, new Findings(), (hash) => void log.appendHash(hash));
  const rounds = new Map(bookOf(leaves, parsed.hashHex).rounds.map((round) => [round.round, round]));
  const consents = leaves.flatMap(({ leaf }) => (leaf.kind === 'consent_commitment' ? [leaf] : []));
  return { parsed, result, rounds, log, consents, lastMs: leaves.at(-1)?.leaf.timeMs ?? 0 };
}

export type HistoryProblem =
  | 'BUNDLE_MISSING'
  | 'LOG_NOT_SHOWN'
  | 'RECEIPT_MALFORMED'
  | 'RECEIPT_NOT_SIGNED'
  | 'RECEIPT_TWICE'
  | 'RECEIPT_CONFLICT'
  | 'RUN_NOT_SOUND'
  | 'PIN_DIFFERS'
  | 'QUORUM_MISSING'
  | 'COHORT_TOO_SMALL'
  | 'CERTIFICATE_NOT_IN_LOG'
  | 'NOT_IN_COHORT'
  | 'EXCLUSION_INVALID'
  | 'NOT_CHARGED_IN_LOG'
  | 'CHARGE_DIFFERS'
  | 'CHARGED_WITHOUT_RECEIPT'
  | 'CHARGED_AGAINST_RECEIPT'
  | 'LOG_PROOF_INVALID'
  | 'LOG_FORKED'
  | 'CONSENT_NOT_IN_LOG'
  | 'CONSENT_FORGED';

export interface HistoryEntry {
  readonly planName: string;
  readonly planHash: string;
  readonly epoch: string;
  readonly unit: 'person' | 'record' | 'none';
  readonly round: number;
  readonly purpose: RoundPurpose;
  /** When the log says that the round was settled, by the coordinator's clock. */
  readonly timeMs: number | undefined;
  readonly outcome: ReceiptOutcome | 'no receipt';
  readonly cohortCount: number | undefined;
  /** Whether the log charged this participant. */
  readonly charged: boolean;
  /** ε that this round alone would be, at the plan's δ; recomputed. */
  readonly epsilonAlone: number;
  /** Number of the leaf with the charge, under the root that the audit recomputed. */
  readonly leaf: number | undefined;
  /** Receipt, certificate, inclusion and charge all proven. */
  readonly proven: boolean;
  /** Leaves of this round that the participant's own proofs show to stand in the log: the deciding one, the charge. */
  readonly logProofs: readonly ('decision' | 'settlement')[];
  readonly problems: readonly HistoryProblem[];
}

export interface EpochTotal {
  readonly epoch: string;
  readonly unit: 'person' | 'record' | 'none';
  readonly rounds: number;
  readonly delta: number;
  /** Recomputed, over all plans of the epoch. */
  readonly epsilon: number;
}

export interface History {
  /** Every receipt proven, no alarm, all runs sound. */
  readonly ok: boolean;
  readonly receipts: number;
  /** The participant's own proofs of logging: how many were given, how many agree with the logs of the bundles. */
  readonly logProofs: { readonly given: number; readonly agree: number };
  /** The participant's consents: how many were given, how many stand in the logs of the bundles. */
  readonly consents: { readonly given: number; readonly proven: number };
  readonly entries: readonly HistoryEntry[];
  readonly epochs: readonly EpochTotal[];
  /** Over all epochs, one per unit of privacy. */
  readonly totals: readonly Omit<EpochTotal, 'epoch'>[];
  /** Plans without a bundle: `rests` on the person's own proofs, or `unknown`, neither plan nor bundle being there. */
  readonly unaudited: readonly {
    readonly planHash: string;
    readonly planName: string | undefined;
    readonly rests: 'own proofs' | 'unknown';
  }[];
  readonly problems: readonly HistoryProblem[];
}

/** Own proofs do not show what a round was for: the costlier purpose then. */
function purposeOf({ parsed: { plan }, result }: HistoryRun, round: RoundLeaves | undefined): RoundPurpose {
  const stated = round?.round_opened[0]?.leaf.purpose;
  if (stated !== undefined || result !== undefined || plan.rounds.evaluation === 0)
    return stated ?? 'training';
  const epsilonOf = (purpose: RoundPurpose): number => {
    const sum = new EpsilonSum();
    const cost = costOf(plan, purpose, plan.rounds.cohortMin);
    if (cost !== undefined) sum.add(cost);
    return sum.epsilonAt(conversionDelta(plan));
  };
  return epsilonOf('evaluation') > epsilonOf('training') ? 'evaluation' : 'training';
}

function entryOf(
  run: HistoryRun,
  number: number,
  pseudonym: string,
  outcome: HistoryEntry['outcome'],
  problems: readonly HistoryProblem[],
  logProofs: HistoryEntry['logProofs'] = [],
): HistoryEntry {
  const { plan, hashHex } = run.parsed;
  const round = run.rounds.get(number);
  const charge = chargeIn(round, pseudonym);
  const cohortCount = round?.round_certificate[0]?.leaf.cohortCount;
  const charged = charge?.charged === true;
  const alone = new EpsilonSum();
  const cost = charged
    ? costOf(plan, purposeOf(run, round), cohortCount ?? plan.rounds.cohortMin)
    : undefined;
  if (cost !== undefined) alone.add(cost);
  return {
    planName: plan.name,
    planHash: hashHex,
    epoch: plan.epoch,
    unit: plan.privacy?.unit ?? 'none',
    round: number,
    purpose: purposeOf(run, round),
    timeMs: charge?.settlement.leaf.timeMs ?? round?.round_opened[0]?.leaf.timeMs,
    outcome,
    cohortCount,
    charged,
    epsilonAlone: cost === undefined ? 0 : alone.epsilonAt(conversionDelta(plan)),
    leaf: charge?.settlement.number,
    proven: problems.length === 0,
    logProofs,
    problems,
  };
}

/** What an export has beside receipts. */
export interface OwnKeepsakes {
  readonly logProofs?: readonly OwnProof[];
  readonly consents?: readonly OwnConsent[];
  /** Who wrote the consents, and when; without it foreign ones under the same pseudonym are not looked for. */
  readonly writer?: Omit<OwnFile, 'consents'>;
}

/** Checks every proof whose run is there, and hands them out by receipt. */
function checkProofs(logProofs: readonly OwnProof[], byPlan: ReadonlyMap<string, HistoryRun>) {
  const verdicts = logProofs.flatMap((proof) => {
    const run = byPlan.get(proof.planHash);
    return run === undefined ? [] : [{ proof, ...checkOwnProof(run, proof) }];
  });
  const of = (receipt: Receipt) => {
    const own = verdicts.filter(
      ({ proof }) => proof.planHash === receipt.planHash && proof.round === receipt.round,
    );
    const shown = new Set<'decision' | 'settlement'>();
    for (const { proof, problem, shown: seen } of own)
      if (problem === undefined && proof.what === 'decision') shown.add('decision');
      else if (problem === undefined && charges(seen?.leaf, receipt.pseudonym)) shown.add('settlement');
    // A charge that is proven to somebody whose receipt says they were not in.
    const against = shown.has('settlement') && receipt.outcome !== 'certified';
    const problems: HistoryProblem[] = own.flatMap(({ problem }) => problem ?? []);
    if (against) problems.push('CHARGED_AGAINST_RECEIPT');
    return { shown: [...shown].sort(), problems: [...new Set(problems)] };
  };
  // One coordinator has one log, whichever plans its proofs are about.
  const logs = Map.groupBy(
    verdicts,
    ({ proof }) => byPlan.get(proof.planHash)!.parsed.plan.coordinatorPublicKey,
  );
  const forked = [...logs.values()].some((log) => contradict(log.flatMap(({ shown }) => shown ?? [])));
  return {
    of,
    agree: verdicts.filter(({ problem }) => problem === undefined).length,
    loose: [
      ...verdicts.flatMap(({ problem }) => problem ?? []),
      ...(forked ? (['LOG_FORKED'] as const) : []),
    ],
  };
}

/** Proves what the receipts and logs allow to be proven. Never throws for a bad receipt: it becomes a problem. */
export function proveHistory(
  receipts: readonly SignedReceipt[],
  runs: readonly HistoryRun[],
  { logProofs = [], consents = [], writer }: OwnKeepsakes = {},
): History {
  const byPlan = new Map(runs.map((run) => [run.parsed.hashHex, run]));
  // What stands in a log that is not the pinned one shows nothing.
  const meant = new Map([...byPlan].filter(([, run]) => !run.differsFromPins));
  const proofs = checkProofs(logProofs, meant);
  const given = consents.map((consent) => checkOwnConsent(meant, consent));
  const entries: HistoryEntry[] = [];
  const forged = writer !== undefined && runs.some((run) => hasForgedConsents(run, { ...writer, consents }));
  const loose: HistoryProblem[] = forged ? ['CONSENT_FORGED'] : [];
  const seen = new Map<string, string>();
  const pseudonyms = new Set<string>();
  const unknown = new Set<string>();
  for (const { receipt: bytes, signature } of receipts) {
    let receipt: Receipt;
    try {
      receipt = parseReceipt(bytes);
    } catch (error) {
      if (!isPulsefoldError(error)) throw error;
      loose.push('RECEIPT_MALFORMED');
      continue;
    }
    const run = byPlan.get(receipt.planHash);
    if (run === undefined) {
      loose.push('BUNDLE_MISSING');
      unknown.add(receipt.planHash);
      continue;
    }
    const { plan } = run.parsed;
    const signed = getSuite(plan.suite).verify(
      fromHex(plan.coordinatorPublicKey),
      receiptStatement(bytes),
      signature,
    );
    if (!signed) {
      loose.push('RECEIPT_NOT_SIGNED');
      continue;
    }
    const key = `${receipt.planHash}/${receipt.round}/${receipt.pseudonym}`;
    const text = toHex(bytes);
    if (seen.has(key)) {
      loose.push(seen.get(key) === text ? 'RECEIPT_TWICE' : 'RECEIPT_CONFLICT');
      continue;
    }
    seen.set(key, text);
    pseudonyms.add(receipt.pseudonym);
    const problems = problemsOf(run, receipt, run.rounds.get(receipt.round));
    if (run.result?.ok === false) problems.push('RUN_NOT_SOUND');
    if (run.differsFromPins) problems.push('PIN_DIFFERS');
    const own = proofs.of(receipt);
    problems.push(...own.problems);
    entries.push(entryOf(run, receipt.round, receipt.pseudonym, receipt.outcome, problems, own.shown));
  }
  entries.push(...unreceipted(runs, pseudonyms, seen));
  entries.sort(
    (a, b) => (a.timeMs ?? 0) - (b.timeMs ?? 0) || a.planHash.localeCompare(b.planHash) || a.round - b.round,
  );
  const used = new Set(entries.map(({ planHash }) => planHash));
  const unproven = given.filter((one) => one !== 'proven' && one !== 'unknown');
  const problems = [
    ...new Set([...loose, ...proofs.loose, ...unproven, ...entries.flatMap((entry) => entry.problems)]),
  ];
  // The same receipt given twice harms nobody.
  const harmless = problems.every((problem) => problem === 'RECEIPT_TWICE');
  return {
    ok: harmless && entries.length > 0,
    receipts: receipts.length,
    logProofs: { given: logProofs.length, agree: proofs.agree },
    consents: { given: given.length, proven: given.filter((one) => one === 'proven').length },
    entries,
    ...totalsOf(entries, byPlan),
    unaudited: [
      ...runs
        .filter(({ parsed, result }) => result === undefined && used.has(parsed.hashHex))
        .map(({ parsed: { hashHex: planHash, plan } }) => ({
          planHash,
          planName: plan.name,
          rests: 'own proofs' as const,
        })),
      ...[...unknown].map((planHash) => ({ planHash, planName: undefined, rests: 'unknown' as const })),
    ],
    problems,
  };
}

/** Charges of the participant's own pseudonyms that no receipt speaks of. */
function unreceipted(
  runs: readonly HistoryRun[],
  pseudonyms: ReadonlySet<string>,
  seen: ReadonlyMap<string, string>,
): HistoryEntry[] {
  return runs.flatMap((run) =>
    [...run.rounds.keys()].flatMap((round) =>
      [...pseudonyms]
        .filter((pseudonym) => chargeIn(run.rounds.get(round), pseudonym)?.charged === true)
        .filter((pseudonym) => !seen.has(`${run.parsed.hashHex}/${round}/${pseudonym}`))
        .map((pseudonym) => entryOf(run, round, pseudonym, 'no receipt', ['CHARGED_WITHOUT_RECEIPT'])),
    ),
  );
}
