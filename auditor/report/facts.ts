/**
 * What a report states, as numbers and codes, before any language: gathered from audited evidence, cut to a month,
 * every ε recomputed (auditor/costs.ts), every name masked (mask.ts).
 *
 * Times are those in the log; its order is proven, its clock is the coordinator's. Trusts: `verifyRunDirectory` under
 * the keys that were pinned. May be called by: auditor/report/.
 */
import type { LeafKind } from '../../crypto/log/leaves.ts';
import type { ParsedPlan, Plan } from '../../protos/plan.ts';
import { type AccountOrder, epsilonOf } from '../accountant.ts';
import { planOf } from '../bundle/run-files.ts';
import { auditRun, type EvidenceFacts } from '../bundle/verify.ts';
import { countRights } from '../check-consent.ts';
import { amountAt, costOf, type RoundCost } from '../costs.ts';
import { type Finding, Findings } from '../findings.ts';
import { conversionDelta, groupCountOf, type RoundPurpose } from '../group-terms.ts';
import { real } from '../numbers.ts';
import { dimensionOf, termsOf } from '../plan-terms.ts';
import { bookOf, type PlanBook, type RoundLeaves } from '../round-book.ts';
import { type NumberedLeaf, readLeaves } from '../run-directory.ts';
import { TightSums } from '../tight-account.ts';
import type { AuditResult, AuditTrust } from '../verify.ts';
import type { Pinned } from './basis.ts';
import { fingerprint, scrub, scrubName } from './mask.ts';
import { type AdaptiveClipFacts, adaptiveClipOf, type Published, publishedIn } from './published.ts';

/** A calendar month in UTC, from its first millisecond to the first of the next. */
export interface Period {
  /** `2026-11`. */
  readonly month: string;
  readonly fromMs: number;
  readonly toMs: number;
}

export interface MaskedFinding {
  readonly severity: Finding['severity'];
  readonly code: Finding['code'];
  readonly message: string;
  readonly leaf?: number;
  readonly round?: number;
}

export type RoundOutcome = 'released' | 'certified' | 'aborted' | 'open';

export interface RoundFacts {
  readonly round: number;
  readonly purpose: RoundPurpose;
  readonly openedMs: number;
  readonly outcome: RoundOutcome;
  /** From the holders' certificate; undefined without one. */
  readonly cohortCount: number | undefined;
  /** Honest noise shares that the charge counts on. */
  readonly noiseShares: number | undefined;
  readonly charged: number;
  /** ε of the most-charged participant after this round, recomputed. */
  readonly epsilonAfter: number;
}

export interface TimelinePoint {
  readonly timeMs: number;
  readonly epsilon: number;
}

export interface PrivacyFacts {
  readonly unit: 'person' | 'record';
  readonly epsilonBudget: number;
  readonly delta: number;
  readonly gamma: string;
  readonly samplingRate: string;
  readonly noiseVariance: string;
  readonly sensitivitySquared: number;
  /** The accountant's order: 'zcdp' or a Rényi order. */
  readonly order: string;
  /** Of the most-charged participant of this plan, over all that its log shows, at the start and end of the month. */
  readonly epsilonStart: number;
  readonly epsilonEnd: number;
  /** The same charges at the end of the month by the privacy loss itself (auditor/tight-account.ts): reported, never a gate. */
  readonly epsilonEndTight: number | undefined;
  /** At the end of the log. Equals the audit's own figure. */
  readonly epsilonLatest: number;
  /** Participants charged up to the end of the month, and in it. */
  readonly chargedTotal: number;
  readonly chargedInMonth: number;
  /** Charges of other plans on the same participants that could not be recomputed, as their plan is not there. */
  readonly statedCharges: number;
  readonly timeline: readonly TimelinePoint[];
}

export interface PlanFacts {
  readonly name: string;
  readonly hash: string;
  readonly purpose: string;
  readonly epoch: string;
  readonly suite: 'intl' | 'gm';
  readonly transport: 'bfv' | 'shares';
  readonly kem: string;
  readonly groups: number;
  readonly dataset: string;
  readonly label: string;
  readonly columns: readonly string[];
  readonly modelKind: string;
  readonly parameters: number;
  readonly strategy: string;
  readonly clip: string;
  readonly unitsPerClip: number;
  readonly cohortMin: number;
  readonly cohortMax: number;
  readonly roundsPlanned: number;
  readonly evaluationPath: 'none' | 'federated';
  readonly holders: readonly string[];
  readonly approvers: readonly string[];
  readonly coordinator: string;
  readonly registrar: string;
  readonly approvedMs: number | undefined;
  readonly ok: boolean;
  readonly findings: readonly MaskedFinding[];
  readonly leaves: number;
  readonly root: string;
  readonly privacy: PrivacyFacts | undefined;
  /** Rounds opened in the month. */
  readonly rounds: readonly RoundFacts[];
  readonly releases: number;
  /** What the plan says to those whose consent it asks for; undefined: it asks for none. */
  readonly consent: { readonly controller: string; readonly retentionDays: number } | undefined;
  /** Devices whose receipts add up to more than the ledger charged them; undefined where the run does not say. */
  readonly budgetAlarms: number | undefined;
  readonly adaptiveClip: AdaptiveClipFacts | undefined;
  /** Leaves of the month by kind. */
  readonly leafCounts: Readonly<Partial<Record<LeafKind, number>>>;
}

export interface ReportFacts {
  readonly period: Period;
  readonly madeMs: number;
  readonly ok: boolean;
  readonly pinned: Pinned;
  readonly evidence: readonly EvidenceFacts[];
  /** Descriptions of damaged places; with any, `plans` is empty. */
  readonly damage: readonly string[];
  /** Distinct pseudonyms charged in the plans shown, in the month and up to its end. */
  readonly participants: { readonly inMonth: number; readonly total: number };
  readonly plans: readonly PlanFacts[];
  /** Entries of the month about people's rights, over the logs of the evidence, each log once. */
  readonly rights: Rights;
}

export interface Rights {
  readonly consents: number;
  readonly withdrawals: number;
  readonly accesses: number;
  readonly erasures: number;
}

/** A run as the report reads it. */
export interface ReportRun {
  readonly parsed: ParsedPlan;
  readonly result: AuditResult;
  readonly leaves: readonly NumberedLeaf[];
  readonly published: Published;
}

/** Audits one directory and keeps its leaves. Throws PLAN_INVALID where there is no readable plan. */
export function openReportRun(directory: string, trust: AuditTrust, runs: number): ReportRun {
  const parsed = planOf(directory);
  const { result } = auditRun(directory, trust, runs);
  const leaves = readLeaves(directory, new Findings(), () => undefined);
  return { parsed, result, leaves, published: publishedIn(directory) };
}

export function planFactsOf(run: ReportRun, runs: readonly ReportRun[], period: Period): PlanFacts {
  const { parsed, result, leaves } = run;
  const { plan } = parsed;
  const book = bookOf(leaves, parsed.hashHex);
  const walked = walkCharges(run, runs, period);
  const inMonth = (timeMs: number) => timeMs >= period.fromMs && timeMs < period.toMs;
  const rounds = book.rounds
    .filter(({ round_opened: opened }) => opened[0] !== undefined && inMonth(opened[0].leaf.timeMs))
    .map((round) => roundFactsOf(plan, round, walked?.after.get(round.round) ?? 0));
  const leafCounts: Partial<Record<LeafKind, number>> = {};
  for (const { leaf } of leaves)
    if (inMonth(leaf.timeMs) && (!('planHash' in leaf) || leaf.planHash === parsed.hashHex))
      leafCounts[leaf.kind] = (leafCounts[leaf.kind] ?? 0) + 1;
  return {
    ...termsOfPlan(parsed, book),
    ok: result.ok,
    findings: result.findings.map((finding) => ({ ...finding, message: scrub(finding.message) })),
    leaves: result.leaves,
    root: result.root,
    privacy: walked?.facts,
    rounds,
    budgetAlarms: run.published.budgetAlarms,
    adaptiveClip: adaptiveClipOf(plan, run.published),
    releases: rounds.filter(({ outcome }) => outcome === 'released').length,
    leafCounts,
  };
}

function termsOfPlan(parsed: ParsedPlan, book: PlanBook) {
  const { plan, hashHex } = parsed;
  const { aggregation, features } = plan;
  return {
    name: scrubName(plan.name),
    hash: hashHex,
    purpose: scrub(plan.purpose),
    epoch: scrubName(plan.epoch),
    suite: plan.suite,
    transport: aggregation.transport,
    kem: aggregation.transport === 'shares' ? aggregation.kem : 'none',
    groups: groupCountOf(plan, 'training'),
    dataset: scrubName(features.dataset),
    label: scrubName(features.label.column),
    columns: features.features.map(({ column }) => scrubName(column)),
    modelKind: plan.model.kind,
    parameters: dimensionOf(plan, 'training'),
    strategy: plan.training.strategy,
    clip: plan.mechanism.clip,
    unitsPerClip: plan.mechanism.unitsPerClip,
    cohortMin: plan.rounds.cohortMin,
    cohortMax: plan.rounds.cohortMax,
    roundsPlanned: plan.rounds.training + plan.rounds.evaluation,
    evaluationPath: plan.evaluation.path,
    holders: plan.holders.map(({ signingPublicKey }) => fingerprint(signingPublicKey)),
    approvers: (book.approvals[0]?.leaf.approvals ?? []).map(({ publicKey }) => fingerprint(publicKey)),
    coordinator: fingerprint(plan.coordinatorPublicKey),
    registrar: fingerprint(plan.registrarSha256),
    approvedMs: book.approvals[0]?.leaf.timeMs,
    consent: plan.consent && {
      controller: scrub(plan.consent.controller),
      retentionDays: plan.consent.retentionDays,
    },
  };
}

function roundFactsOf(plan: Plan, leaves: RoundLeaves, epsilonAfter: number): RoundFacts {
  const opened = leaves.round_opened[0]!.leaf;
  const cohortCount = leaves.round_certificate[0]?.leaf.cohortCount;
  const outcome: RoundOutcome =
    leaves.release.length > 0
      ? 'released'
      : cohortCount !== undefined
        ? 'certified'
        : leaves.abort.length > 0
          ? 'aborted'
          : 'open';
  return {
    round: leaves.round,
    purpose: opened.purpose,
    openedMs: opened.timeMs,
    outcome,
    cohortCount,
    noiseShares: cohortCount === undefined ? undefined : termsOf(plan, opened.purpose, cohortCount)?.shares,
    charged: leaves.settlement
      .filter(({ leaf }) => leaf.outcome === 'charged')
      .reduce((total, { leaf }) => total + leaf.pseudonyms.length, 0),
    epsilonAfter,
  };
}

/** Rights that were exercised in the month; runs that show one log count it once, the longest view of it. */
export function rightsOf(runs: readonly ReportRun[], { fromMs, toMs }: Period): Rights {
  const logs = new Map<string, ReportRun>();
  for (const run of runs) {
    // The first leaf tells logs apart: it carries the first plan and its time.
    const key = JSON.stringify(run.leaves[0]?.leaf ?? run.result.root);
    const known = logs.get(key);
    if (!known || known.leaves.length < run.leaves.length) logs.set(key, run);
  }
  const inMonth = [...logs.values()].flatMap(({ leaves }) =>
    leaves.filter(({ leaf }) => leaf.timeMs >= fromMs && leaf.timeMs < toMs),
  );
  return countRights(inMonth);
}

/** Distinct pseudonyms that these plans charged; one stands for a participant in one budget epoch. */
export function participantsOf(
  runs: readonly ReportRun[],
  { fromMs, toMs }: Period,
): ReportFacts['participants'] {
  const plans = new Set(runs.map(({ parsed }) => parsed.hashHex));
  const [inMonth, total] = [new Set<string>(), new Set<string>()];
  for (const { leaves } of runs)
    for (const { leaf } of leaves) {
      if (leaf.kind !== 'settlement' || leaf.outcome !== 'charged' || leaf.timeMs >= toMs) continue;
      if (!plans.has(leaf.planHash)) continue;
      for (const pseudonym of leaf.pseudonyms) {
        total.add(pseudonym);
        if (leaf.timeMs >= fromMs) inMonth.add(pseudonym);
      }
    }
  return { inMonth: inMonth.size, total: total.size };
}

const orderOf = (text: string): AccountOrder => (text === 'zcdp' ? text : Number(text));

/**
 * Walks the log in its order and adds up what each participant of this plan is charged, in recomputed amounts; charges
 * of plans that are not among `runs` count as the log states them.
 */
function walkCharges(
  { parsed, leaves }: ReportRun,
  runs: readonly ReportRun[],
  { fromMs, toMs }: Period,
): { facts: PrivacyFacts; after: Map<number, number> } | undefined {
  const { privacy } = parsed.plan;
  if (privacy === null) return undefined;
  const delta = conversionDelta(parsed.plan);
  const costs = costsOf(leaves, runs);
  const spent = new Map<string, number>();
  const mine = new Set<string>();
  const charged = { total: new Set<string>(), month: new Set<string>() };
  const after = new Map<number, number>();
  const timeline: TimelinePoint[] = [];
  let order = 'zcdp';
  let stated = 0;
  let [atStart, atEnd, latest] = [0, 0, 0];
  const tight = new TightSums();
  for (const { leaf } of leaves) {
    if (leaf.kind !== 'settlement') continue;
    const own = leaf.planHash === parsed.hashHex;
    if (own) order = leaf.order;
    const cost = costs.get(`${leaf.planHash}/${leaf.round}`);
    const amount = cost === undefined ? real(leaf.charge) : amountAt(cost, orderOf(leaf.order));
    if (leaf.outcome !== 'charged') continue;
    if (cost === undefined) stated++;
    if (leaf.timeMs < toMs) tight.add(leaf.pseudonyms, cost);
    for (const pseudonym of leaf.pseudonyms) {
      spent.set(pseudonym, (spent.get(pseudonym) ?? 0) + amount);
      if (!own) continue;
      mine.add(pseudonym);
      if (leaf.timeMs < toMs) charged.total.add(pseudonym);
      if (leaf.timeMs >= fromMs && leaf.timeMs < toMs) charged.month.add(pseudonym);
    }
    latest = epsilonOf(mostOf(mine, spent), orderOf(order), delta);
    if (own) after.set(leaf.round, latest);
    if (leaf.timeMs < fromMs) atStart = latest;
    if (leaf.timeMs >= toMs) continue;
    atEnd = latest;
    timeline.push({ timeMs: leaf.timeMs, epsilon: latest });
  }
  const terms = termsOf(parsed.plan, 'training', parsed.plan.rounds.cohortMin)!;
  return {
    after,
    facts: {
      unit: privacy.unit,
      epsilonBudget: real(privacy.epsilon),
      delta: real(privacy.delta),
      gamma: privacy.gamma,
      samplingRate: privacy.samplingRate,
      noiseVariance: privacy.noiseVariance,
      sensitivitySquared: terms.sensitivitySquared,
      order,
      epsilonStart: atStart,
      epsilonEnd: atEnd,
      epsilonEndTight: tight.epsilonAt(mine, delta, atEnd),
      epsilonLatest: latest,
      chargedTotal: charged.total.size,
      chargedInMonth: charged.month.size,
      statedCharges: stated,
      timeline,
    },
  };
}

const mostOf = (mine: ReadonlySet<string>, spent: ReadonlyMap<string, number>): number => {
  let most = 0;
  for (const pseudonym of mine) most = Math.max(most, spent.get(pseudonym) ?? 0);
  return most;
};

/** Recomputed cost by `<plan hash>/<round>` of every certified round of the plans that are there. */
function costsOf(leaves: readonly NumberedLeaf[], runs: readonly ReportRun[]): Map<string, RoundCost> {
  const costs = new Map<string, RoundCost>();
  for (const { parsed } of runs)
    for (const round of bookOf(leaves, parsed.hashHex).rounds) {
      const cohortCount = round.round_certificate[0]?.leaf.cohortCount;
      if (cohortCount === undefined) continue;
      const purpose = round.round_opened[0]?.leaf.purpose ?? 'training';
      const cost = costOf(parsed.plan, purpose, cohortCount);
      if (cost !== undefined) costs.set(`${parsed.hashHex}/${round.round}`, cost);
    }
  return costs;
}
