/**
 * Second half of a report: what the figures rest on, NIST SP 800-226, the Deployments Registry, GDPR, PIPL with GB/T
 * 35273, limits, the auditor's statement and the evidence in full.
 *
 * Trusts: masked facts (facts.ts). May be called by: auditor/report/.
 */
import { real } from '../numbers.ts';
import { basisIds, basisText } from './basis.ts';
import { pyramid } from './charts.ts';
import type { Block, Cell } from './document.ts';
import type { PlanFacts, ReportFacts } from './facts.ts';
import { amountText, dayText, epsilonText, smallText } from './format.ts';
import { badge, planLabel, type Writer } from './sections.ts';
import type { Values } from './text.ts';
import { CORE } from './text-core.ts';
import { GDPR_ROWS, PIPL_ROWS } from './text-legal.ts';
import { REGISTRY_ROWS } from './text-registry.ts';
import { LIMITS, NIST_ROWS, type Row } from './text-technical.ts';

/** Does a row apply to this plan? */
function applies(when: Row['when'], { privacy, transport, groups }: PlanFacts): boolean {
  switch (when) {
    case undefined:
      return true;
    case 'dp':
      return privacy !== undefined;
    case 'no-dp':
      return privacy === undefined;
    case 'sampled':
      return privacy !== undefined && real(privacy.samplingRate) !== 1;
    case 'unsampled':
      return privacy !== undefined && real(privacy.samplingRate) === 1;
    case 'person':
    case 'record':
      return privacy?.unit === when;
    case 'shares':
    case 'bfv':
      return transport === when;
    case 'groups':
      return groups > 1;
  }
}

function planValues({ say, language }: Writer, plan: PlanFacts, facts: ReportFacts): Values {
  const { privacy } = plan;
  const comma = language === 'zh' ? '、' : ', ';
  const quorum = Math.floor((plan.holders.length + Math.floor((plan.holders.length - 1) / 3)) / 2) + 1;
  const releases = plan.rounds.filter(({ outcome }) => outcome === 'released');
  return {
    ...(privacy === undefined
      ? {}
      : {
          unit: say(privacy.unit === 'person' ? CORE.unitPersonLabel : CORE.unitRecordLabel),
          epsilon: epsilonText(privacy.epsilonEnd),
          budget: privacy.epsilonBudget,
          delta: smallText(privacy.delta),
          gamma: privacy.gamma,
          q: privacy.samplingRate,
          variance: privacy.noiseVariance,
          sensitivity: amountText(privacy.sensitivitySquared),
          order: privacy.order === 'zcdp' ? 'zCDP' : `α = ${privacy.order}`,
        }),
    name: plan.name,
    purpose: plan.purpose,
    model: plan.modelKind,
    parameters: plan.parameters,
    dimension: plan.parameters,
    strategy: plan.strategy,
    clip: plan.clip,
    units: plan.unitsPerClip,
    cohortMin: plan.cohortMin,
    holders: plan.holders.length,
    quorum,
    columns: plan.columns.length,
    columnList: plan.columns.join(comma),
    label: plan.label,
    dataset: plan.dataset,
    epoch: plan.epoch,
    planned: plan.roundsPlanned,
    released: releases.length === 0 ? say(CORE.none) : dayText(releases.at(-1)!.openedMs),
    month: facts.period.month,
  };
}

export function basisBlocks(writer: Writer, facts: ReportFacts): Block[] {
  const { say } = writer;
  const ok = facts.ok;
  const dp = facts.plans.some(({ privacy }) => privacy !== undefined);
  const sampled = facts.plans.some((plan) => applies('sampled', plan));
  const consent = facts.plans.some((plan) => plan.consent !== undefined);
  return [
    { type: 'heading', level: 1, text: say(CORE.basis) },
    {
      type: 'table',
      columns: [
        { title: say(CORE.reason), width: 0.17 },
        { title: say(CORE.statement), width: 0.83 },
      ],
      rows: basisIds(facts.pinned, { ok, dp, sampled, consent }).map(({ id, basis }) => [
        badge(writer, basis, ok),
        say(basisText(id)),
      ]),
    },
  ];
}

export function nistBlocks(writer: Writer, facts: ReportFacts): Block[] {
  const { say } = writer;
  const layers = [
    { title: say(CORE.layerTop), text: say(CORE.pyramidTop) },
    { title: say(CORE.layerMiddle), text: say(CORE.pyramidMiddle) },
    { title: say(CORE.layerBase), text: say(CORE.pyramidBase) },
  ];
  const label = layers.map(({ title, text }) => `${title}: ${text}`).join('; ');
  return [
    { type: 'heading', level: 1, text: say(CORE.nist) },
    { type: 'paragraph', text: say(CORE.nistLead) },
    { type: 'figure', title: '', unit: '', drawing: pyramid(layers, label) },
    ...facts.plans.flatMap((plan): Block[] => {
      const values = planValues(writer, plan, facts);
      return [
        { type: 'heading', level: 2, text: planLabel(plan) },
        {
          type: 'table',
          columns: [
            { title: say(CORE.layer), width: 0.24, strong: true },
            { title: say(CORE.statement), width: 0.59 },
            { title: say(CORE.reason), width: 0.17 },
          ],
          rows: NIST_ROWS.filter(({ when }) => applies(when, plan)).map((row): Cell[] => [
            say(row.label),
            say(row.text, values),
            badge(writer, row.basis, plan.ok),
          ]),
        },
      ];
    }),
  ];
}

export function registryBlocks(writer: Writer, facts: ReportFacts): Block[] {
  const { say } = writer;
  return [
    { type: 'heading', level: 1, text: say(CORE.registry) },
    { type: 'paragraph', text: say(CORE.registryLead) },
    ...facts.plans.flatMap((plan): Block[] => {
      const values = planValues(writer, plan, facts);
      return [
        { type: 'heading', level: 2, text: planLabel(plan) },
        {
          type: 'table',
          columns: [
            { title: say(CORE.field), width: 0.4 },
            { title: say(CORE.value), width: 0.43 },
            { title: say(CORE.reason), width: 0.17 },
          ],
          rows: registryRows(plan).flatMap((row, i, rows): Cell[][] => {
            const [group, field] = row.key.split('.') as [string, string];
            const opens = rows[i - 1]?.key.startsWith(`${group}.`) !== true;
            const line = [field, say(row.text, values), badge(writer, row.basis, plan.ok)];
            return opens ? [[{ strong: group }, '', ''], line] : [line];
          }),
        },
      ];
    }),
  ];
}

const registryRows = (plan: PlanFacts) => REGISTRY_ROWS.filter(({ when }) => applies(when, plan));

/** The registry's fields of one plan by their schema paths, for the JSON report. */
export const registryFields = (
  writer: Writer,
  plan: PlanFacts,
  facts: ReportFacts,
): Record<string, { value: string; basis: string }> =>
  Object.fromEntries(
    registryRows(plan).map((row) => [
      row.key,
      {
        value: writer.say(row.text, planValues(writer, plan, facts)),
        basis: row.basis === 'checked' && !plan.ok ? 'doubt' : row.basis,
      },
    ]),
  );

function legalValues({ say, language }: Writer, { plans, participants, rights }: ReportFacts): Values {
  const comma = language === 'zh' ? '、' : ', ';
  const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);
  const distinct = (values: readonly string[]) => [...new Set(values)];
  const epsilons = plans.flatMap(({ privacy }) => (privacy === undefined ? [] : [privacy.epsilonEnd]));
  return {
    ...(epsilons.length === 0 ? {} : { epsilon: epsilonText(Math.max(...epsilons)) }),
    purposes: distinct(plans.map(({ purpose }) => purpose)).join(' ') || say(CORE.none),
    columns: distinct(plans.flatMap(({ columns }) => columns)).join(comma) || say(CORE.none),
    cohortMin: plans.length === 0 ? 0 : Math.min(...plans.map(({ cohortMin }) => cohortMin)),
    releases: sum(plans.map(({ releases }) => releases)),
    holders: Math.max(0, ...plans.map(({ holders }) => holders.length)),
    ...rights,
    controllers:
      distinct(plans.flatMap(({ consent }) => consent?.controller ?? [])).join(comma) || say(CORE.none),
    retention:
      distinct(plans.flatMap(({ consent }) => (consent ? [String(consent.retentionDays)] : []))).join(
        comma,
      ) || say(CORE.none),
    charged: participants.total,
    suites: distinct(plans.map(({ suite }) => SUITE_TEXT[suite])).join('; ') || say(CORE.none),
    plans: plans.length,
  };
}

const SUITE_TEXT = {
  intl: 'intl (Ed25519, X25519, SHA-256, XChaCha20-Poly1305)',
  gm: 'gm (SM2, SM3, SM4)',
} as const;

function legalBlocks(
  writer: Writer,
  facts: ReportFacts,
  rows: readonly Row[],
  { heading, lead }: { heading: string; lead: string },
): Block[] {
  const { say } = writer;
  const values = legalValues(writer, facts);
  const anyDp = facts.plans.some(({ privacy }) => privacy !== undefined);
  const allDp = facts.plans.every(({ privacy }) => privacy !== undefined) && facts.plans.length > 0;
  const shown = rows.filter(({ when }) => {
    if (when === 'dp') return anyDp;
    // Said as soon as one plan runs without it.
    return when === 'no-dp' ? !allDp && facts.plans.length > 0 : true;
  });
  return [
    { type: 'heading', level: 1, text: heading, tag: say(CORE.counsel) },
    { type: 'paragraph', text: lead },
    {
      type: 'table',
      columns: [
        { title: say(CORE.provision), width: 0.3, strong: true },
        { title: say(CORE.statement), width: 0.53 },
        { title: say(CORE.reason), width: 0.17 },
      ],
      rows: shown.map((row): Cell[] => [
        say(row.label),
        say(row.text, values),
        badge(writer, row.basis, facts.ok),
      ]),
    },
  ];
}

export const gdprBlocks = (writer: Writer, facts: ReportFacts): Block[] =>
  legalBlocks(writer, facts, GDPR_ROWS, {
    heading: writer.say(CORE.gdpr),
    lead: writer.say(CORE.gdprLead),
  });

export const piplBlocks = (writer: Writer, facts: ReportFacts): Block[] =>
  legalBlocks(writer, facts, PIPL_ROWS, {
    heading: writer.say(CORE.pipl),
    lead: writer.say(CORE.piplLead),
  });

export function closingBlocks(writer: Writer, facts: ReportFacts): Block[] {
  const { say, language } = writer;
  const comma = language === 'zh' ? '、' : ', ';
  const list = (items: readonly string[]) => (items.length === 0 ? say(CORE.none) : items.join(comma));
  return [
    { type: 'heading', level: 1, text: say(CORE.limits) },
    { type: 'list', items: LIMITS.map((limit) => say(limit)) },
    { type: 'heading', level: 1, text: say(CORE.appendix) },
    { type: 'paragraph', text: say(CORE.fingerprintsNote) },
    ...facts.plans.flatMap((plan): Block[] => [
      { type: 'heading', level: 2, text: planLabel(plan) },
      {
        type: 'facts',
        rows: [
          [say(CORE.planHash), plan.hash],
          [say(CORE.logRoot), plan.root],
          [say(CORE.logSize), String(plan.leaves)],
          [
            say(CORE.leafKinds),
            list(Object.entries(plan.leafCounts).map(([kind, count]) => `${kind} ${count}`)),
          ],
          [say(CORE.suiteLabel), SUITE_TEXT[plan.suite]],
          [say(CORE.epochLabel), plan.epoch],
          [say(CORE.approversLabel), list(plan.approvers)],
          [say(CORE.holdersLabel), list(plan.holders)],
          [say(CORE.coordinatorLabel), plan.coordinator],
          [say(CORE.registrarLabel), plan.registrar],
        ],
      },
    ]),
    { type: 'heading', level: 1, text: say(CORE.signature) },
    {
      type: 'signature',
      text: say(CORE.signatureText),
      fields: [
        say(CORE.signatureName),
        say(CORE.signatureOrganisation),
        say(CORE.signatureDate),
        say(CORE.signatureSign),
      ],
    },
  ];
}
