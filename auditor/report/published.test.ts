// What stands beside the log: alarms about budgets and clips that adapted, told in both languages and without names.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { toHex } from '../../crypto/bytes.ts';
import { evidenceOf } from '../bundle/run-files.ts';
import { RunFixture } from '../testing.ts';
import { gatherFacts, periodOf, renderReport } from './make.ts';
import { adaptiveClipOf, publishedIn } from './published.ts';
import { LANGUAGES } from './text.ts';

const home = mkdtempSync(join(tmpdir(), 'pulsefold-published-'));
afterAll(() => rmSync(home, { recursive: true, force: true }));

const run = new RunFixture();
const directory = run.write(mkdtempSync(join(home, 'run-')));
const trust = { logKey: run.logKey, approvers: [{ id: 'ethics', publicKey: toHex(run.approver.publicKey) }] };
const reportOf = async (language: 'en' | 'zh') => {
  const period = periodOf('2026-11');
  const facts = gatherFacts({ evidence: [directory], period, trust, madeMs: 0 });
  return { facts, html: Buffer.from(await renderReport(facts, language, 'html')).toString('utf8') };
};

it('says how many devices have receipts for more than the ledger charged, and what that means', async () => {
  expect((await reportOf('en')).facts.plans[0]!.budgetAlarms).toBeUndefined();
  expect((await reportOf('en')).html).not.toContain('device has shown');
  writeFileSync(join(directory, 'alarms.json'), '{"alarms":[]}\n');
  expect((await reportOf('en')).html).toContain('no device has shown receipts');
  const alarms = [1, 3].map((round) => ({ round, said: '0.5', ledger: '0.25', timeMs: 1_795_000_000_000 }));
  writeFileSync(join(directory, 'alarms.json'), JSON.stringify({ alarms }));
  for (const language of LANGUAGES) {
    const { facts, html } = await reportOf(language);
    expect(facts).toMatchObject({ ok: true, plans: [{ budgetAlarms: 2 }] });
    expect(facts.plans[0]!.findings).toContainEqual(
      expect.objectContaining({ severity: 'warning', code: 'BUDGET_DISAGREEMENT' }),
    );
    expect(html).toContain(language === 'en' ? '2 devices hold signed receipts' : '2 台设备持有的签名收据');
  }
  expect(evidenceOf(directory, 'run')).toContain('alarms.json');
  writeFileSync(join(directory, 'alarms.json'), '{"alarms":[{"round":-1}]}');
  expect(publishedIn(directory).budgetAlarms).toBeUndefined();
  rmSync(join(directory, 'alarms.json'));
});

it('states the tight account beside the one that gates, never above it', async () => {
  const { facts, html } = await reportOf('en');
  const { epsilonEnd, epsilonEndTight } = facts.plans[0]!.privacy!;
  expect(epsilonEndTight).toBeLessThan(epsilonEnd);
  expect(epsilonEndTight).toBeGreaterThan(epsilonEnd / 2);
  expect(html).toContain((Math.ceil(epsilonEndTight! * 1000 - 1e-6) / 1000).toFixed(3));
});

it('shows the bounds of an adaptive clip and what was released', () => {
  const file = join(directory, 'rounds', '1.json');
  const before = readFileSync(file, 'utf8');
  const summary = { kind: 'training', clip: { fractionWithin: 0.75, next: '3/4' } };
  writeFileSync(file, JSON.stringify({ ...JSON.parse(before), summary }));
  const published = publishedIn(directory);
  expect(published.clips).toEqual([{ round: 1, clip: '3/4' }]);
  writeFileSync(file, before);
  const { plan } = run.parsed;
  expect(adaptiveClipOf(plan, published)).toBeUndefined();
  const terms = { quantile: '1/2', learningRate: 0.2, bitUnits: 4, clipMin: '1/10', clipMax: '10' };
  const adaptive = { ...plan, mechanism: { ...plan.mechanism, adaptiveClip: terms } };
  expect(adaptiveClipOf(adaptive, published)).toEqual({
    quantile: '1/2',
    clipMin: '1/10',
    clipMax: '10',
    released: [{ round: 1, clip: '3/4' }],
  });
});
