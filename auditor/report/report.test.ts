import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { toHex } from '../../crypto/bytes.ts';
import { writeBundle } from '../bundle/write.ts';
import { RunFixture } from '../testing.ts';
import type { FixtureOptions } from '../testing-plan.ts';
import { verifyRunDirectory } from '../verify.ts';
import type { Block, ReportDocument } from './document.ts';
import { openReportRun, participantsOf, type ReportFacts } from './facts.ts';
import { beliefPercent, epsilonText } from './format.ts';
import { documentOf, gatherFacts, lastMonth, periodOf, REPORT_FORMATS, renderReport } from './make.ts';
import { pdfText } from './testing.ts';
import { fill, isPair, LANGUAGES, type Pair, pair, placeholdersOf } from './text.ts';
import { CORE } from './text-core.ts';
import { FINDING_TEXT } from './text-findings.ts';
import { GDPR_ROWS, PIPL_ROWS } from './text-legal.ts';
import { REGISTRY_ROWS } from './text-registry.ts';
import { BASIS_TEXT, LIMITS, NIST_ROWS } from './text-technical.ts';

const root = mkdtempSync(join(tmpdir(), 'pulsefold-report-test-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const fresh = (): string => mkdtempSync(join(root, 'case-'));

/** Month of the fixture's leaves (1,790,000,000,000 ms). */
const MONTH = periodOf('2026-09');
const MADE_MS = Date.UTC(2026, 9, 1, 8, 30);
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf8');

const trustOf = (run: RunFixture) => ({
  logKey: run.logKey,
  approvers: [{ id: 'ethics', publicKey: toHex(run.approver.publicKey) }],
});
const factsOf = (run: RunFixture, period = MONTH, trust = trustOf(run)): ReportFacts =>
  gatherFacts({ evidence: [run.write(fresh())], period, trust, madeMs: MADE_MS });

const honest = new RunFixture();
const honestFacts = factsOf(honest);

describe('figures', () => {
  it.each<[string, FixtureOptions]>([
    ['person', {}],
    ['record with Poisson batches', { unit: 'record' }],
    ['gm suite', { suite: 'gm' }],
  ])("are the audit's own re-derivation: %s", (_name, options) => {
    const run = new RunFixture(options);
    const directory = run.write(fresh());
    const result = verifyRunDirectory(directory, trustOf(run));
    const [plan] = gatherFacts({
      evidence: [directory],
      period: MONTH,
      trust: trustOf(run),
      madeMs: 0,
    }).plans;
    expect(plan!.ok).toBe(true);
    expect(plan!.privacy!.epsilonEnd).toBeCloseTo(result.budget!.epsilon, 6);
    expect(plan!.privacy).toMatchObject({
      epsilonStart: 0,
      chargedTotal: 4,
      chargedInMonth: 4,
      statedCharges: 0,
    });
    expect(plan!.rounds.map(({ round, outcome, cohortCount }) => [round, outcome, cohortCount])).toEqual([
      [1, 'released', 4],
      [2, 'aborted', undefined],
      [3, 'released', 4],
    ]);
  });

  it("do not follow a coordinator's claims", async () => {
    const run = new RunFixture();
    const truth = honestFacts.plans[0]!.privacy!.epsilonEnd;
    for (const round of [1, 3]) {
      run.edit(run.leaf('release', round), { epsilon: '0.125' });
      run.edit(run.leaf('mechanism', round), { charge: '0.0001' });
      for (const nth of [0, 1]) run.edit(run.leaf('settlement', round, nth), { charge: '0.0001' });
    }
    const facts = factsOf(run);
    const [plan] = facts.plans;
    expect(facts.ok).toBe(false);
    expect(plan!.privacy!.epsilonEnd).toBeCloseTo(truth, 9);
    expect(plan!.findings.map(({ code }) => code)).toEqual(
      expect.arrayContaining(['EPSILON_MISMATCH', 'CHARGE_MISMATCH']),
    );
    const html = text(await renderReport(facts, 'en', 'html'));
    expect(html).toContain(epsilonText(truth));
    expect(html).toContain('The evidence does not hold.');
    expect(html).toContain('IN DOUBT');
    expect(html).not.toContain('CHECKED</span></td></tr>\n<tr><td class="strong">Composition');
  });

  it('of a plan without privacy say so', async () => {
    const facts = factsOf(new RunFixture({ unit: 'none' }));
    expect(facts).toMatchObject({ ok: true });
    expect(facts.plans[0]!.privacy).toBeUndefined();
    for (const language of LANGUAGES) {
      const html = text(await renderReport(facts, language, 'html'));
      expect(html).not.toMatch(/within a budget|noise added on|预算内的差分隐私|噪声在设备端/);
      expect(html).toContain(
        fill(CORE.noDpText, language, { plan: `heart-risk (${facts.plans[0]!.hash.slice(0, 8)})` }),
      );
    }
  });

  it('are never rounded down', () => {
    expect(epsilonText(1.0000001)).toBe('1.001');
    expect(epsilonText(2.999999996422299)).toBe('3.000');
    expect([beliefPercent(0), beliefPercent(Math.log(3)), beliefPercent(800)]).toEqual([
      '50.0',
      '75.0',
      '100.0',
    ]);
  });

  it('count a participant of two plans of one epoch once', () => {
    const other = new RunFixture({ unit: 'record' });
    const directories = [honest.write(fresh()), other.write(fresh())];
    const runs = directories.map((directory) => openReportRun(directory, {}, 2));
    expect(participantsOf(runs, MONTH)).toEqual({ inMonth: 4, total: 4 });
  });
});

describe('the month', () => {
  /** Round 3 belongs to October. */
  function twoMonths(): RunFixture {
    const run = new RunFixture();
    for (const leaf of run.leaves)
      if ('round' in leaf && leaf.round === 3 && leaf.kind !== 'ceremony')
        run.edit(leaf, { timeMs: Date.UTC(2026, 9, 5) });
    return run;
  }

  it('cuts rounds and charges, and carries what was spent before', () => {
    const run = twoMonths();
    const [september] = factsOf(run).plans;
    const [october] = factsOf(run, periodOf('2026-10')).plans;
    expect(september!.rounds.map(({ round }) => round)).toEqual([1, 2]);
    expect(october!.rounds.map(({ round }) => round)).toEqual([3]);
    expect(october!.privacy!.epsilonStart).toBe(september!.privacy!.epsilonEnd);
    expect(october!.privacy!.epsilonEnd).toBeGreaterThan(september!.privacy!.epsilonEnd);
    expect(september!.privacy!.timeline).toHaveLength(1);
    expect(lastMonth([run.write(fresh())])).toBe('2026-10');
  });

  it('may be empty, before and after', async () => {
    const [before] = factsOf(honest, periodOf('2026-08')).plans;
    expect(before).toMatchObject({
      rounds: [],
      releases: 0,
      privacy: { epsilonStart: 0, epsilonEnd: 0, chargedTotal: 0 },
    });
    const facts = factsOf(honest, periodOf('2026-11'));
    const [after] = facts.plans;
    expect(after).toMatchObject({ rounds: [], privacy: { chargedInMonth: 0, chargedTotal: 4 } });
    expect(after!.privacy!.epsilonStart).toBe(after!.privacy!.epsilonEnd);
    for (const language of LANGUAGES)
      for (const format of REPORT_FORMATS)
        expect((await renderReport(facts, language, format)).length).toBeGreaterThan(1000);
    expect(text(await renderReport(facts, 'en', 'html'))).toContain('No round was opened in this month.');
  });

  it.each(['2026-13', '2026-00', '26-11', '2026-1', '1999-01', '2026-11-01', ''])(
    'is refused: %s',
    (month) => {
      expect(() => periodOf(month)).toThrow(/such as 2026-11/);
    },
  );

  it('bounds are those of UTC', () => {
    expect(periodOf('2026-12')).toEqual({
      month: '2026-12',
      fromMs: Date.UTC(2026, 11, 1),
      toMs: Date.UTC(2027, 0, 1),
    });
  });
});

describe('both languages', () => {
  const pairs: Pair[] = [
    ...Object.values(CORE),
    ...Object.values(BASIS_TEXT),
    ...Object.values(FINDING_TEXT),
    ...LIMITS,
    ...[...NIST_ROWS, ...GDPR_ROWS, ...PIPL_ROWS].flatMap((row) => [row.label, row.text]),
    ...REGISTRY_ROWS.map((row) => row.text),
  ];
  it('have every sentence, with the same blanks', () => {
    const wrong = pairs.filter(
      ({ en, zh }) =>
        en.trim() === '' ||
        zh.trim() === '' ||
        /\p{Script=Han}/u.test(en) ||
        /[’“”]/.test(en) ||
        placeholdersOf(en).join() !== placeholdersOf(zh).join(),
    );
    expect(wrong).toEqual([]);
    const noHan = pairs.filter(
      ({ zh }) => !/\p{Script=Han}/u.test(zh) && !/^[{}a-zA-Z0-9 /=,.:;()αδγε-]+$/u.test(zh),
    );
    expect(noHan).toEqual([]);
    expect(pairs.every(isPair)).toBe(true);
  });

  it('name every finding', () => {
    const source = readFileSync(new URL('../findings.ts', import.meta.url), 'utf8');
    const union = source.slice(
      source.indexOf('FindingCode ='),
      source.indexOf(';', source.indexOf('FindingCode =')),
    );
    const codes = [...union.matchAll(/'([A-Z_]+)'/g)].map((match) => match[1]!);
    expect(codes.length).toBeGreaterThan(20);
    expect(codes.filter((code) => !(code in FINDING_TEXT))).toEqual([]);
  });

  it('have the same blocks, rows and badges', () => {
    const shape = (document: ReportDocument) =>
      document.blocks.map((block: Block) => {
        if (block.type !== 'table') return [block.type];
        const badges = block.rows.map((row) =>
          row.map((cell) => (typeof cell === 'object' && 'badge' in cell ? cell.badge : '')),
        );
        return [block.type, block.columns.map(({ width }) => width), badges];
      });
    expect(shape(documentOf(honestFacts, 'zh'))).toEqual(shape(documentOf(honestFacts, 'en')));
  });

  it('have widths that fill the page', () => {
    for (const block of documentOf(honestFacts, 'en').blocks)
      if (block.type === 'table')
        expect(block.columns.reduce((total, { width }) => total + width, 0)).toBeCloseTo(1, 9);
  });

  it('leave no hole', () => {
    expect(() => fill(pair('{missing}', '{missing}'), 'en')).toThrow(/\{missing\}/);
  });
});

describe('the files', () => {
  it('HTML needs no network and no script, and escapes', async () => {
    const facts = {
      ...honestFacts,
      plans: [{ ...honestFacts.plans[0]!, purpose: '<img src=x onerror="1">&' }],
    };
    const html = text(await renderReport(facts, 'en', 'html'));
    expect(html).not.toMatch(/<(script|link|img|iframe)|<[^>]*\ssrc=|url\(|@import|javascript:/i);
    expect(html).toContain('&lt;img');
    expect(html).toContain("default-src 'none'");
    expect(html).toContain('@page{size:A4');
    for (const tag of ['table', 'svg', 'dl', 'ul', 'section', 'figure'])
      expect(html.split(`<${tag}`).length, tag).toBe(html.split(`</${tag}>`).length);
  });

  it('PDF embeds its fonts, is the same each time, and has real text', async ({ skip }) => {
    for (const language of LANGUAGES) {
      const bytes = await renderReport(honestFacts, language, 'pdf');
      const raw = Buffer.from(bytes).toString('latin1');
      expect(raw.startsWith('%PDF-1.7')).toBe(true);
      expect(raw).toContain('FontFile2');
      expect(raw).not.toContain('/Helvetica');
      expect(bytes.length).toBeLessThan(600_000);
      expect(Buffer.compare(bytes, await renderReport(honestFacts, language, 'pdf'))).toBe(0);
      const content = pdfText(bytes);
      if (content === undefined) skip('pdftotext (poppler-utils) is not installed');
      expect(content).toContain(CORE.title[language]);
      expect(content).toContain(honestFacts.plans[0]!.hash);
      expect(content).toContain(epsilonText(honestFacts.plans[0]!.privacy!.epsilonEnd));
      expect(content).toContain(language === 'zh' ? '第 1 页，共' : 'Page 1 of');
      // A glyph that the font lacks would come out as nothing or as a box.
      expect(content!.replace(/\s/g, '')).toContain(CORE.howToReadText[language].replace(/\s/g, ''));
    }
  });

  it('JSON holds facts, registry fields and text', async () => {
    const json = JSON.parse(text(await renderReport(honestFacts, 'en', 'json')));
    expect(json).toMatchObject({ format: 'pulsefold-audit-report', version: 1, ok: true, language: 'en' });
    const fields = json.registry[0].fields;
    expect(fields['privacy_loss.privacy_parameters']).toMatchObject({ basis: 'checked' });
    expect(fields['product.data_curators'].basis).toBe('open');
    expect(Object.keys(fields).length).toBeGreaterThan(18);
  });

  it('a damaged bundle gives a report that says so and audits nothing', async () => {
    const path = join(fresh(), 'run.bundle');
    writeBundle([honest.write(fresh())], path);
    const bytes = readFileSync(path);
    bytes[bytes.length - 5000]! ^= 4;
    writeFileSync(path, bytes);
    const facts = gatherFacts({ evidence: [path], period: MONTH, trust: {}, madeMs: MADE_MS });
    expect(facts).toMatchObject({ ok: false, plans: [] });
    for (const language of LANGUAGES) {
      const html = text(await renderReport(facts, language, 'html'));
      expect(html).toContain(CORE.verdictDamaged[language]);
      expect((await renderReport(facts, language, 'pdf')).length).toBeGreaterThan(1000);
    }
  });

  it('names what is wrong with the evidence', () => {
    const directory = honest.write(fresh());
    const ask =
      (evidence: string[], trust = {}) =>
      () =>
        gatherFacts({ evidence, period: MONTH, trust, madeMs: 0 });
    expect(ask([join(root, 'nowhere')])).toThrow(/no such directory or file/);
    expect(ask([directory, directory])).toThrow(/twice/);
    expect(ask([directory], { planHash: '0'.repeat(64) })).toThrow(/--plan/);
    writeFileSync(join(directory, 'plan.json'), '{}');
    expect(ask([directory])).toThrow(/plan/);
  });
});
