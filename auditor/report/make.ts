/**
 * `pulsefold audit report`: from evidence to a document in one language and format.
 *
 * Trusts: the keys in `AuditTrust`; masks everything else that could name somebody. May be called by: cli/.
 */
import { ensure } from '../../crypto/error.ts';
import { describeFault } from '../bundle/read.ts';
import { type EvidenceFacts, withEvidence } from '../bundle/verify.ts';
import { Findings } from '../findings.ts';
import { readLeaves } from '../run-directory.ts';
import type { AuditTrust } from '../verify.ts';
import { pinnedOf } from './basis.ts';
import type { ReportDocument } from './document.ts';
import {
  openReportRun,
  type Period,
  participantsOf,
  planFactsOf,
  type ReportFacts,
  type ReportRun,
  rightsOf,
} from './facts.ts';
import {
  basisBlocks,
  closingBlocks,
  gdprBlocks,
  nistBlocks,
  piplBlocks,
  registryBlocks,
  registryFields,
} from './frameworks.ts';
import { scrub } from './mask.ts';
import {
  coverBlocks,
  findingBlocks,
  keyFigureBlocks,
  privacyBlocks,
  roundBlocks,
  writerOf,
} from './sections.ts';
import { fill, type Language } from './text.ts';
import { CORE } from './text-core.ts';

/** `2026-11`. Throws FIELD_OUT_OF_RANGE for anything but a month from 2020 to 2199. */
export function periodOf(month: string): Period {
  const match = /^(20[2-9]\d|21\d\d)-(0[1-9]|1[0-2])$/.exec(month);
  ensure(match !== null, 'FIELD_OUT_OF_RANGE', 'name a month such as 2026-11');
  const [year, index] = [Number(match[1]), Number(match[2]) - 1];
  return { month, fromMs: Date.UTC(year, index, 1), toMs: Date.UTC(year, index + 1, 1) };
}

export interface ReportRequest {
  readonly evidence: readonly string[];
  readonly period: Period;
  readonly trust: AuditTrust;
  /** Printed on the cover. */
  readonly madeMs: number;
}

/** Audits all evidence and gathers what a report states. Throws NOT_FOUND, PLAN_INVALID, CONFIG_INVALID. */
export function gatherFacts({ evidence, period, trust, madeMs }: ReportRequest): ReportFacts {
  const runs: ReportRun[] = [];
  const seen: EvidenceFacts[] = [];
  const damage: string[] = [];
  for (const path of evidence)
    withEvidence(path, (directories, facts, faults) => {
      seen.push(facts);
      damage.push(...faults.map(describeFault));
      // With several plans a pinned hash concerns the one that has it.
      for (const directory of directories)
        runs.push(openReportRun(directory, trust, directories.length * evidence.length));
    });
  const twice = runs.find((run, i) => runs.findIndex((r) => r.parsed.hashHex === run.parsed.hashHex) !== i);
  ensure(!twice, 'CONFIG_INVALID', `plan ${twice?.parsed.hashHex.slice(0, 12)} is in the evidence twice`);
  const pinnedIsThere =
    trust.planHash === undefined || runs.some(({ parsed }) => parsed.hashHex === trust.planHash);
  ensure(pinnedIsThere || damage.length > 0, 'NOT_FOUND', 'no evidence has the plan that --plan names');
  const plans = damage.length > 0 ? [] : runs.map((run) => planFactsOf(run, runs, period));
  return {
    period,
    madeMs,
    ok: damage.length === 0 && plans.length > 0 && plans.every((plan) => plan.ok),
    pinned: pinnedOf(trust),
    evidence: seen,
    damage: damage.map(scrub),
    participants: participantsOf(damage.length > 0 ? [] : runs, period),
    plans,
    rights: rightsOf(damage.length > 0 ? [] : runs, period),
  };
}

/** Month of the last log entry of the evidence. Throws DATA_EMPTY where no log can be read. */
export function lastMonth(evidence: readonly string[]): string {
  const times = evidence.flatMap((path) =>
    withEvidence(path, (directories) =>
      directories.map((directory) => {
        const leaves = readLeaves(directory, new Findings(), () => undefined);
        return leaves.reduce((last, { leaf }) => Math.max(last, leaf.timeMs), 0);
      }),
    ),
  );
  const last = Math.max(0, ...times);
  const known = last > 0 && last < Date.UTC(2200, 0);
  ensure(known, 'DATA_EMPTY', 'the evidence has no log entry to take a month from; name one with --month');
  return new Date(last).toISOString().slice(0, 7);
}

export function documentOf(facts: ReportFacts, language: Language): ReportDocument {
  const writer = writerOf(language);
  const whole = facts.plans.length > 0;
  return {
    language,
    title: `${writer.say(CORE.title)} ${facts.period.month}`,
    footer: writer.say(CORE.footer, { month: facts.period.month }),
    pageText: (page, pages) => fill(CORE.page, language, { page, pages }),
    madeMs: facts.madeMs,
    blocks: [
      ...coverBlocks(writer, facts),
      ...findingBlocks(writer, facts),
      ...(whole
        ? [
            ...keyFigureBlocks(writer, facts),
            ...privacyBlocks(writer, facts),
            ...roundBlocks(writer, facts),
            ...basisBlocks(writer, facts),
            ...nistBlocks(writer, facts),
            ...registryBlocks(writer, facts),
            ...gdprBlocks(writer, facts),
            ...piplBlocks(writer, facts),
            ...closingBlocks(writer, facts),
          ]
        : []),
    ],
  };
}

export const REPORT_FORMATS = ['html', 'pdf', 'json'] as const;
export type ReportFormat = (typeof REPORT_FORMATS)[number];

/** The report as bytes. */
export async function renderReport(
  facts: ReportFacts,
  language: Language,
  format: ReportFormat,
): Promise<Uint8Array> {
  const document = documentOf(facts, language);
  if (format === 'json') return new Uint8Array(Buffer.from(`${JSON.stringify(jsonOf(facts, document))}\n`));
  if (format === 'html') {
    const { renderHtml } = await import('./html.ts');
    return new Uint8Array(Buffer.from(renderHtml(document)));
  }
  const { renderPdf } = await import('./pdf.ts');
  return await renderPdf(document);
}

/** Facts for programs, and the document's text as people read it (without drawings). */
function jsonOf(facts: ReportFacts, document: ReportDocument): object {
  const writer = writerOf(document.language);
  return {
    format: 'pulsefold-audit-report',
    version: 1,
    language: document.language,
    ...facts,
    registry: facts.plans.map((plan) => ({
      planHash: plan.hash,
      fields: registryFields(writer, plan, facts),
    })),
    blocks: document.blocks.map((block) =>
      block.type === 'figure' ? { ...block, drawing: block.drawing.label } : block,
    ),
  };
}
