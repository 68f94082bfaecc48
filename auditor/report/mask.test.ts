import { mkdtempSync, rmSync } from 'node:fs';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { toHex } from '../../crypto/bytes.ts';
import { RunFixture } from '../testing.ts';
import { openReportRun, planFactsOf, type ReportFacts } from './facts.ts';
import { documentOf, gatherFacts, periodOf, REPORT_FORMATS, renderReport } from './make.ts';
import { scrub } from './mask.ts';
import { pdfText } from './testing.ts';
import { LANGUAGES } from './text.ts';

const root = mkdtempSync(join(tmpdir(), 'pulsefold-mask-test-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const fresh = (): string => mkdtempSync(join(root, 'case-'));

/** Month of the fixture's leaves (1,790,000,000,000 ms). */
const MONTH = periodOf('2026-09');
const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString('utf8');
const honest = new RunFixture();
const honestFacts = gatherFacts({
  evidence: [honest.write(fresh())],
  period: MONTH,
  trust: { logKey: honest.logKey },
  madeMs: Date.UTC(2026, 9, 1),
});

describe('nobody is named', () => {
  const NASTY =
    'Run on node-7.cluster.example.org:8443 (10.1.2.3, fe80::1, 2001:db8::7:1, localhost:7443) by zane.doevsky@clinic.example, ' +
    'tel +49 30 1234567, id 11010519491231002X, files /home/zane/heart.csv C:\\data\\pulse.csv ~/keyring ../upwards \\\\nasbox\\share, ' +
    'https://clinic.example/p?id=q4711q, device 0123456789abcdef0123456789abcdef, mac 00:1a:2b:3c:4d:5e, ' +
    'uuid 123e4567-e89b-12d3-a456-426614174000 <script>alert(1)</script>';
  const LEAKS = [
    ...[
      'node-7',
      'cluster',
      '10.1.2.3',
      'fe80:',
      '2001:db8',
      'localhost',
      'zane',
      'doevsky',
      'clinic',
      '1234567',
    ],
    ...[
      '1101051949',
      '/home',
      'heart.csv',
      'pulse.csv',
      'keyring',
      'upwards',
      'nasbox',
      'q4711q',
      '0123456789abcdef',
    ],
    ...['00:1a:2b', '123e4567'],
  ];

  it('scrubs free text by its form and keeps words', () => {
    const clean = scrub(NASTY);
    expect(LEAKS.filter((leak) => clean.toLowerCase().includes(leak))).toEqual([]);
    expect(clean).toMatch(/^Run on ■■■ /);
    const kept = [
      'Heart risk of adults, e.g. 40/80 mmHg at 1.5 m, q = 1/3, in v2.0 of the plan; ε = 0.2599413539 of 3.',
      '用于心脏病风险研究，不用于诊断（2026 年）。',
      'model.json is not the last released model; ledger.json and the settlements in the log differ',
    ];
    for (const sentence of kept) expect(scrub(sentence)).toBe(sentence);
  });

  /** Facts of a run whose plan's free text, names and columns are all nasty. */
  function nastyFacts(): { facts: ReportFacts; secrets: string[] } {
    const run = new RunFixture();
    run.edit(run.leaf('abort', 2), { reason: NASTY.slice(0, 300) });
    const directory = run.write(fresh());
    const opened = openReportRun(directory, {}, 1);
    const { plan } = opened.parsed;
    const parsed = {
      ...opened.parsed,
      plan: {
        ...plan,
        purpose: NASTY,
        epoch: 'host7.example.com',
        features: {
          ...plan.features,
          dataset: '/srv/data/zane',
          label: { ...plan.features.label, column: 'zane@clinic.example' },
        },
      },
    };
    const leaky = {
      ...opened,
      parsed,
      result: {
        ...opened.result,
        findings: [{ severity: 'warning' as const, code: 'NOT_CHECKED' as const, message: NASTY }],
      },
    };
    const planFacts = planFactsOf(leaky, [leaky], MONTH);
    const secrets = [
      ...run.leaves.flatMap((leaf) => ('pseudonyms' in leaf ? leaf.pseudonyms : [])),
      ...run.leaves.flatMap((leaf) =>
        'signatures' in leaf ? leaf.signatures.map(({ signature }) => signature) : [],
      ),
      ...run.holders.flatMap(({ id, signing }) => [id, toHex(signing.publicKey)]),
      ...[run.coordinator, run.approver].map(({ publicKey }) => toHex(publicKey)),
      'ethics',
      'pulsefold.example',
      directory,
      root,
      tmpdir(),
      ...(hostname().length > 3 ? [hostname()] : []),
    ];
    return {
      secrets,
      facts: {
        ...honestFacts,
        damage: [],
        plans: [planFacts],
        evidence: [{ kind: 'bundle', sha256: 'ab'.repeat(32), bytes: 1, members: 1 }],
      },
    };
  }

  /** What a reader, or a program that unpacks it, finds in a report. */
  async function visible(
    facts: ReportFacts,
    language: 'en' | 'zh',
    format: 'html' | 'pdf' | 'json',
  ): Promise<string> {
    const bytes = await renderReport(facts, language, format);
    if (format !== 'pdf') return text(bytes);
    const blocks = documentOf(facts, language)
      .blocks.map((block) => JSON.stringify(block))
      .join('\n');
    return `${Buffer.from(bytes).toString('latin1')}\n${blocks}\n${pdfText(bytes) ?? ''}`;
  }

  it.each(REPORT_FORMATS.flatMap((format) => LANGUAGES.map((language) => [format, language] as const)))(
    'hunt in %s, %s',
    async (format, language) => {
      const { facts, secrets } = nastyFacts();
      const found = (await visible(facts, language, format)).toLowerCase();
      const leaks = [
        ...new Set([...LEAKS, ...secrets].filter((secret) => found.includes(secret.toLowerCase()))),
      ];
      expect(leaks).toEqual([]);
      if (format === 'pdf') return;
      // Whatever looks like an address, a path or an id, except the hashes of the evidence itself.
      const allowed = new Set([facts.plans[0]!.hash, facts.plans[0]!.root, facts.evidence[0]!.sha256]);
      const hex = [...found.matchAll(/(?<![0-9a-f.])[0-9a-f]{16,}/g)]
        .map(([id]) => id)
        .filter((id) => !allowed.has(id));
      expect(hex).toEqual([]);
      expect(found).not.toMatch(/\b\d{1,3}(\.\d{1,3}){3}\b/);
      expect(found).not.toMatch(/(^|[\s"'>])\/(tmp|home|srv|var|work|etc|usr)\b/);
      expect(found).not.toMatch(/[a-z0-9._-]+@[a-z0-9-]+\.[a-z]/);
      expect(found).not.toMatch(/https?:/);
    },
  );

  it('the hunt can fail', async () => {
    const { facts } = nastyFacts();
    const [plan] = facts.plans;
    const leaking = {
      ...facts,
      plans: [{ ...plan!, purpose: NASTY, coordinator: toHex(honest.coordinator.publicKey) }],
    };
    for (const format of REPORT_FORMATS) {
      const found = (await visible(leaking, 'en', format)).toLowerCase();
      expect(found).toContain('10.1.2.3');
      expect(found).toContain(toHex(honest.coordinator.publicKey));
    }
  });
});
