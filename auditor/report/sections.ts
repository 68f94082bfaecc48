/**
 * First half of a report: verdict, findings, key figures, privacy spent, rounds.
 *
 * Trusts: masked facts (facts.ts). May be called by: auditor/report/.
 */
import { budgetChart, cohortChart, timelineChart } from './charts.ts';
import { type Badge, type Block, type Cell, INK } from './document.ts';
import type { MaskedFinding, PlanFacts, ReportFacts } from './facts.ts';
import { beliefPercent, dayText, epsilonText, smallText, timeText } from './format.ts';
import { fill, type Language, type Pair, type Values } from './text.ts';
import { CORE } from './text-core.ts';
import { FINDING_TEXT, FINDING_TEXT_UNKNOWN } from './text-findings.ts';
import type { Basis } from './text-technical.ts';

const FINDINGS_SHOWN = 40;
const ROUNDS_SHOWN = 40;

export interface Writer {
  readonly language: Language;
  say(text: Pair, values?: Values): string;
}
export const writerOf = (language: Language): Writer => ({
  language,
  say: (text, values) => fill(text, language, values),
});

export const BADGE_TEXT: Readonly<Record<Basis, Pair>> = {
  checked: CORE.basisChecked,
  attested: CORE.basisAttested,
  declared: CORE.basisDeclared,
  open: CORE.basisOpen,
};

/** A basis as it stands in a table; what a failed audit cannot vouch for is in doubt. */
export const badge = ({ say }: Writer, basis: Basis, ok: boolean): Cell =>
  basis === 'checked' && !ok
    ? { badge: 'doubt', text: say(CORE.basisDoubt) }
    : { badge: basis, text: say(BADGE_TEXT[basis]) };

export const planLabel = ({ name, hash }: PlanFacts): string => `${name} (${hash.slice(0, 8)})`;

export function coverBlocks(writer: Writer, facts: ReportFacts): Block[] {
  const { say } = writer;
  const { period, plans, evidence } = facts;
  const month = say(CORE.periodValue, { month: period.month });
  return [
    { type: 'cover', title: say(CORE.title), subtitle: say(CORE.subtitle), period: period.month },
    {
      type: 'facts',
      rows: [
        [say(CORE.period), month],
        [say(CORE.plans), plans.length === 0 ? say(CORE.none) : plans.map(planLabel).join(', ')],
        ...evidence.map((item): [string, string] => [
          say(CORE.evidence),
          item.kind === 'bundle'
            ? say(CORE.evidenceBundle, { members: item.members ?? 0, digest: item.sha256 ?? '' })
            : say(CORE.evidenceDirectory),
        ]),
        [say(CORE.made), say(CORE.madeBy, { time: timeText(facts.madeMs) })],
      ],
    },
    verdict(writer, facts),
  ];
}

function verdict({ say, language }: Writer, { ok, plans, damage }: ReportFacts): Block {
  const count = (severity: MaskedFinding['severity']) =>
    plans.reduce((n, plan) => n + plan.findings.filter((f) => f.severity === severity).length, 0);
  if (damage.length > 0)
    return {
      type: 'verdict',
      tone: 'bad',
      title: say(CORE.verdictDamaged),
      text: say(CORE.verdictDamagedText, { count: damage.length }),
    };
  if (!ok)
    return {
      type: 'verdict',
      tone: 'bad',
      title: say(CORE.verdictBad),
      text: say(CORE.verdictBadText, { count: count('error') }),
    };
  const warnings = count('warning');
  const trust = warnings === 0 ? '' : say(CORE.verdictTrust, { count: warnings });
  return {
    type: 'verdict',
    tone: 'good',
    title: say(CORE.verdictGood),
    text: fill(CORE.verdictGoodText, language, { trust }).trim(),
  };
}

export function findingBlocks(writer: Writer, { plans, damage }: ReportFacts): Block[] {
  const { say } = writer;
  const heading: Block = { type: 'heading', level: 1, text: say(CORE.findings) };
  if (damage.length > 0)
    return [
      heading,
      {
        type: 'table',
        columns: [{ title: say(CORE.damagedPlace), width: 1 }],
        rows: damage.slice(0, FINDINGS_SHOWN).map((place) => [place]),
      },
    ];
  const all = plans
    .flatMap((plan) => plan.findings.map((finding) => ({ plan, finding })))
    .sort((a, b) => a.finding.severity.localeCompare(b.finding.severity));
  if (all.length === 0) return [heading, { type: 'paragraph', text: say(CORE.findingsNone) }];
  const rows = all.slice(0, FINDINGS_SHOWN).map(({ plan, finding }): Cell[] => {
    const severity: Badge = finding.severity;
    const label = say(severity === 'error' ? CORE.severityError : CORE.severityWarning);
    return [
      { badge: severity, text: label },
      planLabel(plan),
      `${say(FINDING_TEXT[finding.code] ?? FINDING_TEXT_UNKNOWN)} ${whereOf(writer, finding)}`.trim(),
      finding.message,
    ];
  });
  const more = all.length - rows.length;
  return [
    heading,
    {
      type: 'table',
      columns: [
        { title: say(CORE.severity), width: 0.13 },
        { title: say(CORE.plan), width: 0.2 },
        { title: say(CORE.finding), width: 0.33, strong: true },
        { title: say(CORE.detail), width: 0.34 },
      ],
      rows,
    },
    ...(more > 0 ? [{ type: 'paragraph' as const, text: say(CORE.moreFindings, { count: more }) }] : []),
  ];
}

function whereOf({ say, language }: Writer, { round, leaf }: MaskedFinding): string {
  const parts = [
    round === undefined ? '' : say(CORE.whereRound, { round }),
    leaf === undefined ? '' : say(CORE.whereLeaf, { leaf }),
  ].filter((part) => part !== '');
  if (parts.length === 0) return '';
  return language === 'zh' ? `（${parts.join('，')}）` : `(${parts.join(', ')})`;
}

export function keyFigureBlocks(writer: Writer, { plans, participants }: ReportFacts): Block[] {
  const { say } = writer;
  const priced = plans.flatMap(({ privacy }) => (privacy === undefined ? [] : [privacy]));
  const highest = priced.reduce(
    (most, privacy) => (most === undefined || privacy.epsilonEnd > most.epsilonEnd ? privacy : most),
    undefined as (typeof priced)[number] | undefined,
  );
  const cohorts = plans.flatMap(({ rounds }) => rounds.flatMap(({ cohortCount }) => cohortCount ?? []));
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
  return [
    { type: 'heading', level: 2, text: say(CORE.keyFigures) },
    {
      type: 'tiles',
      tiles: [
        highest === undefined
          ? { value: '–', label: say(CORE.figureNoDp) }
          : {
              value: `ε ${epsilonText(highest.epsilonEnd)}`,
              label: say(CORE.figureEpsilon, { budget: highest.epsilonBudget }),
            },
        { value: String(sum(plans.map(({ releases }) => releases))), label: say(CORE.figureReleases) },
        { value: String(participants.inMonth), label: say(CORE.figureCharged) },
        { value: cohorts.length === 0 ? '–' : String(Math.min(...cohorts)), label: say(CORE.figureCohort) },
      ],
    },
    { type: 'heading', level: 2, text: say(CORE.howToRead) },
    { type: 'paragraph', text: say(CORE.howToReadText) },
    {
      type: 'legend',
      rows: (
        [
          ['checked', CORE.basisCheckedText],
          ['attested', CORE.basisAttestedText],
          ['declared', CORE.basisDeclaredText],
          ['open', CORE.basisOpenText],
        ] as const
      ).map(([basis, text]) => [{ badge: basis, text: say(BADGE_TEXT[basis]) }, say(text)]),
    },
  ];
}

export function privacyBlocks(writer: Writer, { plans, period }: ReportFacts): Block[] {
  const { say } = writer;
  const priced = plans.flatMap((plan) =>
    plan.privacy === undefined ? [] : [{ plan, privacy: plan.privacy, label: planLabel(plan) }],
  );
  const blocks: Block[] = [{ type: 'heading', level: 1, text: say(CORE.privacy) }];
  if (priced.length > 0) {
    blocks.push({ type: 'paragraph', text: say(CORE.privacyLead) }, privacyTable(writer, priced));
    blocks.push({ type: 'paragraph', text: say(CORE.tightText) });
    for (const { label, plan, privacy } of priced) {
      if (!plan.ok) {
        blocks.push({ type: 'paragraph', strong: true, text: say(CORE.privacyDoubt, { plan: label }) });
        continue;
      }
      const values = {
        plan: label,
        unit: say(privacy.unit === 'person' ? CORE.unitPerson : CORE.unitRecord),
        percent: beliefPercent(privacy.epsilonEnd),
        delta: smallText(privacy.delta),
      };
      blocks.push({ type: 'paragraph', text: say(CORE.privacyPlain, values) });
      blocks.push(...alarmBlocks(writer, plan, label));
      if (privacy.statedCharges > 0)
        blocks.push({ type: 'paragraph', text: say(CORE.statedCharges, { count: privacy.statedCharges }) });
    }
    const bars = priced.map(({ plan, privacy }) => ({
      name: planLabel(plan),
      spent: privacy.epsilonEnd,
      budget: privacy.epsilonBudget,
      label: say(CORE.spentOf, { spent: epsilonText(privacy.epsilonEnd), budget: privacy.epsilonBudget }),
    }));
    const label = bars.map((bar) => `${bar.name}: ${bar.label}`).join('; ');
    const titles = { title: say(CORE.chartBudget), unit: say(CORE.chartBudgetUnit) };
    blocks.push({ type: 'figure', ...titles, drawing: budgetChart(bars, label) });
    blocks.push(...timelineBlocks(writer, priced, [period.fromMs, period.toMs]));
  }
  for (const plan of plans)
    if (plan.privacy === undefined)
      blocks.push({ type: 'paragraph', strong: true, text: say(CORE.noDpText, { plan: planLabel(plan) }) });
  return blocks;
}

function alarmBlocks({ say }: Writer, { budgetAlarms }: PlanFacts, label: string): Block[] {
  if (budgetAlarms === undefined) return [];
  const values = { plan: label, count: budgetAlarms };
  const some = budgetAlarms > 0;
  return [{ type: 'paragraph', strong: some, text: say(some ? CORE.alarmsSome : CORE.alarmsNone, values) }];
}

const CLIPS_SHOWN = 40;

/** Where the clip adapts: its bounds, and what was released. */
function clipBlocks({ say, language }: Writer, plan: PlanFacts): Block[] {
  if (plan.adaptiveClip === undefined) return [];
  const { quantile, clipMin: least, clipMax: most, released } = plan.adaptiveClip;
  const bounds = say(CORE.clipAdapts, { plan: planLabel(plan), quantile, least, most, first: plan.clip });
  const shown = released
    .slice(-CLIPS_SHOWN)
    .map(({ round, clip }) => `${round}: ${decimalOf(clip)}`)
    .join(language === 'zh' ? '，' : ', ');
  const clips = shown === '' ? '' : say(CORE.clipsReleased, { clips: shown });
  return [{ type: 'paragraph', text: language === 'zh' ? bounds + clips : `${bounds} ${clips}`.trim() }];
}

/** A rational as four digits. */
const decimalOf = (text: string): string => {
  const [numerator, denominator = '1'] = text.split('/');
  return String(Number((Number(numerator) / Number(denominator)).toPrecision(4)));
};

type Priced = { plan: PlanFacts; privacy: NonNullable<PlanFacts['privacy']>; label: string };

function privacyTable(writer: Writer, priced: readonly Priced[]): Block {
  const { say } = writer;
  return {
    type: 'table',
    columns: [
      { title: say(CORE.plan), width: 0.23, strong: true },
      { title: say(CORE.unit), width: 0.1 },
      { title: say(CORE.start), width: 0.09, align: 'right' },
      { title: say(CORE.end), width: 0.09, align: 'right', strong: true },
      { title: say(CORE.tight), width: 0.11, align: 'right' },
      { title: say(CORE.budget), width: 0.09, align: 'right' },
      { title: 'δ', width: 0.1, align: 'right' },
      { title: 'γ', width: 0.07, align: 'right' },
      { title: say(CORE.charged), width: 0.12, align: 'right' },
    ],
    rows: priced.map(({ label, privacy }) => [
      label,
      say(privacy.unit === 'person' ? CORE.unitPersonLabel : CORE.unitRecordLabel),
      epsilonText(privacy.epsilonStart),
      epsilonText(privacy.epsilonEnd),
      privacy.epsilonEndTight === undefined ? '–' : epsilonText(privacy.epsilonEndTight),
      String(privacy.epsilonBudget),
      smallText(privacy.delta),
      privacy.gamma,
      String(privacy.chargedTotal),
    ]),
  };
}

/** The axis runs over the charges, not over the month: a month of which one hour saw rounds would be a wall. */
function timelineBlocks(
  { say }: Writer,
  priced: readonly Priced[],
  [fromMs, toMs]: readonly [number, number],
): Block[] {
  const times = priced.flatMap(({ privacy }) => privacy.timeline.map((point) => point.timeMs));
  if (times.length === 0) return [];
  const inMonth = times.some((timeMs) => timeMs >= fromMs && timeMs < toMs);
  if (!inMonth) return [];
  const first = Math.min(...times);
  const last = Math.max(...times);
  const margin = Math.max(1000, (last - first) * 0.04);
  const range = [first - margin, last + margin] as const;
  const long = last - first > 3 * 86_400_000;
  const seconds = last - first < 600_000;
  const tick = (timeMs: number): string => {
    if (long) return dayText(timeMs);
    return seconds ? new Date(timeMs).toISOString().slice(11, 19) : timeText(timeMs).slice(5);
  };
  const series = priced.map(({ plan, privacy }) => ({
    name: planLabel(plan),
    budget: privacy.epsilonBudget,
    points: privacy.timeline,
  }));
  const label = `${say(CORE.chartTimeline)}, ${timeText(first)} – ${timeText(last)} UTC`;
  return [
    {
      type: 'figure',
      title: say(CORE.chartTimeline),
      unit: `${say(CORE.chartTimelineUnit)} (${timeText(first)} – ${timeText(last)} UTC)`,
      drawing: timelineChart(series, range, tick, label),
    },
  ];
}

const OUTCOME_TEXT = {
  released: CORE.outcomeReleased,
  certified: CORE.outcomeCertified,
  aborted: CORE.outcomeAborted,
  open: CORE.outcomeOpen,
} as const;

export function roundBlocks(writer: Writer, { plans }: ReportFacts): Block[] {
  const { say } = writer;
  const blocks: Block[] = [{ type: 'heading', level: 1, text: say(CORE.rounds) }];
  for (const plan of plans) {
    blocks.push({ type: 'heading', level: 2, text: planLabel(plan) });
    if (plan.rounds.length === 0) {
      blocks.push({ type: 'paragraph', text: say(CORE.roundsNone) });
      continue;
    }
    blocks.push(...clipBlocks(writer, plan));
    const shown = plan.rounds.slice(0, ROUNDS_SHOWN);
    blocks.push({
      type: 'paragraph',
      text: say(CORE.roundsLead, { shown: shown.length, total: plan.rounds.length }),
    });
    blocks.push({
      type: 'table',
      columns: [
        { title: say(CORE.round), width: 0.09 },
        { title: say(CORE.opened), width: 0.21 },
        { title: say(CORE.kind), width: 0.13 },
        { title: say(CORE.outcome), width: 0.2 },
        { title: say(CORE.cohort), width: 0.12, align: 'right' },
        { title: say(CORE.noiseShares), width: 0.13, align: 'right' },
        { title: say(CORE.epsilonAfter), width: 0.12, align: 'right', strong: true },
      ],
      rows: shown.map((round) => [
        String(round.round),
        timeText(round.openedMs),
        say(round.purpose === 'training' ? CORE.kindTraining : CORE.kindEvaluation),
        say(OUTCOME_TEXT[round.outcome]),
        round.cohortCount === undefined ? '–' : String(round.cohortCount),
        round.noiseShares === undefined ? '–' : String(round.noiseShares),
        plan.privacy === undefined || round.epsilonAfter === 0 ? '–' : epsilonText(round.epsilonAfter),
      ]),
    });
    const bars = plan.rounds.map(({ round, cohortCount }) => ({ name: String(round), count: cohortCount }));
    if (bars.some(({ count }) => count !== undefined))
      blocks.push({
        type: 'figure',
        title: say(CORE.chartCohorts),
        unit: say(CORE.chartCohortsUnit),
        drawing: cohortChart(bars, plan.cohortMin, `${say(CORE.chartCohorts)}: ${plan.name}`),
      });
  }
  if (plans.length === 0) blocks.push({ type: 'paragraph', text: say(CORE.roundsNone) });
  return blocks;
}

export const inkOf = (tone: 'good' | 'bad'): string => (tone === 'good' ? INK.good : INK.bad);
