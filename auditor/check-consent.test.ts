// Goal: nobody is invited or charged under a plan that asks for consent unless theirs stands in the log before.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { Leaf, LeafOf } from '../crypto/log/leaves.ts';
import { purposeDigestOf } from '../protos/consent.ts';
import { documentOf, gatherFacts, periodOf } from './report/make.ts';
import { formatAudit } from './report.ts';
import { RunFixture } from './testing.ts';
import { verifyRunDirectory } from './verify.ts';

const root = mkdtempSync(join(tmpdir(), 'pulsefold-check-consent-test-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const fresh = (): string => mkdtempSync(join(root, 'case-'));

const TERMS = { required: true, controller: 'Heart Institute', contact: 'x', retentionDays: 30 } as const;
const TOTAL = { epsilon: '3', delta: '0.00001', order: 'zcdp' };

type Change = (leaf: LeafOf<'consent_commitment'>, i: number) => object | null;

/** The fixture's run, asking for consent, with a consent of each of its five people after the approval. */
function runWith(change: Change = () => ({}), options: ConstructorParameters<typeof RunFixture>[0] = {}) {
  const run = new RunFixture({ consent: TERMS, ...options });
  const people =
    (run.leaves.find(({ kind }) => kind === 'reservation') as LeafOf<'reservation'> | undefined)
      ?.pseudonyms ?? ['1', '2', '3', '4', '5'].map((digit) => digit.repeat(64));
  const leaves = people.flatMap((pseudonym, i): Leaf[] => {
    const leaf: LeafOf<'consent_commitment'> = {
      kind: 'consent_commitment',
      version: 1,
      timeMs: 1_789_999_999_000 + i,
      commitment: run.hash('consent', i),
      planHash: run.parsed.hashHex,
      pseudonym,
      scope: options?.quota ? 'family:heart' : `plan:${run.parsed.hashHex}`,
      purposeDigest: purposeDigestOf(run.parsed),
    };
    const changed = change(leaf, i);
    return changed === null ? [] : [{ ...leaf, ...changed } as Leaf];
  });
  run.leaves.splice(1, 0, ...leaves);
  return run;
}
const audit = (run: RunFixture) => {
  const result = verifyRunDirectory(run.write(fresh()), { logKey: run.logKey });
  const errors = result.findings.filter(({ severity }) => severity === 'error');
  return { result, codes: [...new Set(errors.map(({ code }) => code))] };
};

describe('a plan that asks for consent', () => {
  it('passes with everybody’s, by the digest that the other side computes', () => {
    const { result, codes } = audit(runWith());
    expect(codes).toEqual([]);
    expect(result.rights).toEqual({ consents: 5, withdrawals: 0, accesses: 0, erasures: 0, consenting: 5 });
    expect(formatAudit(result).join('\n')).toMatch(/rights {4}5 consented to this plan's purpose/);
  });

  it('passes by family, gm, and without DP where there are as many as participants', () => {
    expect(audit(runWith(undefined, { quota: { family: 'heart', share: '1', total: TOTAL } })).codes).toEqual(
      [],
    );
    expect(audit(runWith(undefined, { suite: 'gm' })).codes).toEqual([]);
    expect(audit(runWith(undefined, { unit: 'none' })).codes).toEqual([]);
  });

  const nobody = '9'.repeat(64);
  it.each<[string, Change, object]>([
    ['one of them missing', (_, i) => (i === 2 ? null : {}), {}],
    ['one to another purpose', (_, i) => (i === 2 ? { purposeDigest: '0'.repeat(64) } : {}), {}],
    ['one for another plan', (_, i) => (i === 2 ? { planHash: '0'.repeat(64) } : {}), {}],
    ['one for another family', (_, i) => (i === 2 ? { scope: 'family:sleep' } : {}), {}],
    ['one of nobody', (leaf, i) => (i === 2 ? { ...leaf, pseudonym: undefined } : {}), {}],
    ['one of somebody else', (_, i) => (i === 2 ? { pseudonym: nobody } : {}), {}],
    ['one that had ended', (leaf, i) => (i === 2 ? { expiresMs: leaf.timeMs + 1 } : {}), {}],
    ['fewer than participants, without DP', (_, i) => (i < 2 ? null : {}), { unit: 'none' }],
  ])('fails with %s', (_name, change, options) => {
    const run = runWith((leaf, i) => {
      const changed = change(leaf, i);
      if (changed === null) return null;
      // A leaf has no undefined fields.
      return changed;
    }, options);
    run.leaves = run.leaves.map((leaf) => JSON.parse(JSON.stringify(leaf)) as Leaf);
    expect(audit(run).codes).toEqual(['CONSENT_MISSING']);
  });

  it('fails where a consent comes after the invitation', () => {
    const run = runWith();
    const late = run.leaves.splice(1, 1)[0]!;
    run.leaves.push(late);
    expect(audit(run).codes).toEqual(['CONSENT_MISSING']);
  });

  it('fails where somebody consents after a withdrawal or an erasure', () => {
    for (const kind of ['withdrawal', 'erasure'] as const) {
      const run = runWith();
      const { pseudonym } = run.leaf('consent_commitment') as { pseudonym: string };
      const base = { version: 1, timeMs: 1_789_999_998_000, commitment: '0'.repeat(64), pseudonym } as const;
      const rest = { planHash: run.parsed.hashHex, afterRound: 3 };
      const left: Leaf =
        kind === 'erasure' ? { ...base, ...rest, kind } : { ...base, ...rest, kind, scope: '*' };
      run.leaves.splice(1, 0, left);
      expect(audit(run).codes).toEqual(['CONSENT_MISSING']);
      // In the other order it is what ought to be.
      run.leaves.splice(1, 1);
      run.leaves.splice(6, 0, left);
      expect(audit(run).codes).toEqual([]);
    }
  });

  it('that asks for none looks for none', () => {
    const { result, codes } = audit(new RunFixture());
    expect(codes).toEqual([]);
    expect(result.rights?.consenting).toBeUndefined();
  });

  it('a charge after an erasure is found, as after a withdrawal', () => {
    const run = runWith();
    const { pseudonym } = run.leaf('settlement').pseudonyms.map((name) => ({ pseudonym: name }))[0]!;
    const leaf: Leaf = {
      kind: 'erasure',
      version: 1,
      timeMs: 1_789_999_999_500,
      commitment: '0'.repeat(64),
      planHash: run.parsed.hashHex,
      pseudonym,
      afterRound: 1,
    };
    run.leaves.splice(6, 0, leaf);
    expect(audit(run).codes).toEqual(['SETTLEMENT_MISMATCH']);
  });
});

describe('the report', () => {
  it('counts rights in both languages and masks the controller’s addresses', () => {
    const run = runWith(undefined, {
      consent: { ...TERMS, controller: 'Heart Institute, dpo@heart.example' },
    });
    const base = { version: 1, timeMs: 1_790_000_000_500, commitment: '0'.repeat(64) } as const;
    run.leaves.push({ ...base, kind: 'subject_access' });
    const { planHash, pseudonym } = { planHash: run.parsed.hashHex, pseudonym: '8'.repeat(64) };
    run.leaves.push({ ...base, kind: 'erasure', planHash, pseudonym, afterRound: 3 });
    const facts = gatherFacts({
      evidence: [run.write(fresh())],
      period: periodOf('2026-09'),
      trust: { logKey: run.logKey },
      madeMs: Date.UTC(2026, 9, 1),
    });
    expect(facts.rights).toEqual({ consents: 5, withdrawals: 0, accesses: 1, erasures: 1 });
    const text = (language: 'en' | 'zh') => JSON.stringify(documentOf(facts, language).blocks);
    expect(text('en')).toMatch(/5 consents stand.*Heart Institute.*1 reports to participants.*1 erasures/s);
    expect(text('zh')).toMatch(/5 条同意.*1 次向参与者提供的报告.*1 次删除/s);
    for (const language of ['en', 'zh'] as const) {
      expect(text(language)).not.toContain('dpo@heart');
      expect(text(language)).not.toContain(pseudonym);
      expect(text(language)).toMatch(/30/);
    }
  });
});
