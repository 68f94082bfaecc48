import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { toHex } from '../crypto/bytes.ts';
import { chargeOf } from './accountant.ts';
import { termsOf } from './plan-terms.ts';
import { formatAudit } from './report.ts';
import { RunFixture } from './testing.ts';
import type { FixtureOptions } from './testing-plan.ts';
import { type AuditTrust, verifyRunDirectory } from './verify.ts';

const root = mkdtempSync(join(tmpdir(), 'pulsefold-audit-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const freshDirectory = (): string => mkdtempSync(join(root, 'run-'));
const trustOf = (run: RunFixture): AuditTrust => ({
  logKey: run.logKey,
  approvers: [{ id: 'ethics', publicKey: toHex(run.approver.publicKey) }],
  approvalsRequired: 1,
  planHash: run.parsed.hashHex,
});
const audit = (run: RunFixture, trust: AuditTrust = trustOf(run)) =>
  verifyRunDirectory(run.write(freshDirectory()), trust);
const errorsOf = (result: ReturnType<typeof audit>): string[] => [
  ...new Set(
    result.findings.filter((finding) => finding.severity === 'error').map((finding) => finding.code),
  ),
];

describe('an honest run', () => {
  it.each<[string, FixtureOptions]>([
    ['person, intl', {}],
    ['record with Poisson batches', { unit: 'record' }],
    ['no DP', { unit: 'none' }],
    ['gm suite', { suite: 'gm' }],
  ])('passes: %s', (_name, options) => {
    const result = audit(new RunFixture(options));
    expect(result.findings).toEqual([]);
    expect(result).toMatchObject({
      ok: true,
      planName: 'heart-risk',
      rounds: { certified: 2, aborted: 1, released: 2 },
    });
    if (options.unit === 'none') expect(result.budget).toBeUndefined();
    else {
      expect(result.budget).toMatchObject({
        delta: 1e-5,
        gamma: 0.25,
        epsilonBudget: 3,
        participantsCharged: 4,
      });
      expect(result.budget!.epsilon).toBeGreaterThan(0.1);
      expect(result.budget!.epsilon).toBeLessThan(3);
    }
    expect(formatAudit(result)[0]).toMatch(/^OK/);
  });

  it('passes where the formula for four clients costs more than what was reserved for three', () => {
    const run = new RunFixture({ shaky: true });
    expect(chargeOf(termsOf(run.parsed.plan, 'training', 4)!, 'zcdp')).toBeGreaterThan(
      1.01 * Number(run.leaf('reservation').charge),
    );
    expect(run.leaf('mechanism').charge).toBe(run.leaf('reservation').charge);
    expect(audit(run).findings).toEqual([]);
  });

  it('says what was taken on trust when no key is pinned', () => {
    const result = audit(new RunFixture(), {});
    expect(result.ok).toBe(true);
    expect(result.findings.map((finding) => finding.code)).toEqual(['TRUST_NOT_PINNED', 'TRUST_NOT_PINNED']);
  });

  it('continues an earlier checkpoint', () => {
    const run = new RunFixture();
    for (const size of [0, 1, 7, run.leaves.length])
      expect(audit(run, { ...trustOf(run), earlierCheckpoint: run.checkpoint(size) }).ok).toBe(true);
  });
});

describe('a file changed after signing', () => {
  const cases: [string, (lines: string[]) => string[], string[]][] = [
    [
      'one flipped bit in a leaf',
      (lines) => lines.with(5, lines[5]!.replace(/"timeMs":(\d+)\d/, '"timeMs":$10')),
      ['ROOT_MISMATCH'],
    ],
    [
      'one flipped bit that breaks JSON',
      (lines) => lines.with(5, lines[5]!.replace('{', 'z')),
      ['LEAF_MALFORMED', 'ROOT_MISMATCH'],
    ],
    ['the last leaf dropped', (lines) => lines.slice(0, -1), ['SIZE_MISMATCH', 'ROOT_MISMATCH']],
    ['a leaf dropped in the middle', (lines) => lines.toSpliced(6, 1), ['SIZE_MISMATCH', 'ROOT_MISMATCH']],
    ['a leaf twice', (lines) => lines.toSpliced(6, 0, lines[6]!), ['SIZE_MISMATCH', 'ROOT_MISMATCH']],
    ['two leaves swapped', (lines) => lines.with(4, lines[5]!).with(5, lines[4]!), ['ROOT_MISMATCH']],
    ['white space', (lines) => lines.with(0, ` ${lines[0]}`), ['LEAF_MALFORMED', 'ROOT_MISMATCH']],
  ];
  it.each(cases)('%s', (_name, change, codes) => {
    const run = new RunFixture();
    const directory = run.write(freshDirectory());
    const path = join(directory, 'log', 'leaves.ndjson');
    const lines = readFileSync(path, 'utf8').split('\n').slice(0, -1);
    writeFileSync(
      path,
      change(lines)
        .map((line) => `${line}\n`)
        .join(''),
    );
    const result = verifyRunDirectory(directory, trustOf(run));
    expect(result.ok).toBe(false);
    expect(errorsOf(result)).toEqual(expect.arrayContaining(codes));
  });

  it('a last line cut off, a line without end', () => {
    const run = new RunFixture();
    const directory = run.write(freshDirectory());
    const path = join(directory, 'log', 'leaves.ndjson');
    const text = readFileSync(path, 'utf8');
    for (const bad of [text.slice(0, -9), `${text}${'x'.repeat(100_000)}`]) {
      writeFileSync(path, bad);
      expect(errorsOf(verifyRunDirectory(directory, trustOf(run)))).toContain('FILE_MALFORMED');
    }
  });

  it('every single flipped bit of a leaf file is caught (sampled)', () => {
    const run = new RunFixture();
    const directory = run.write(freshDirectory());
    const path = join(directory, 'log', 'leaves.ndjson');
    const original = readFileSync(path);
    for (let at = 3; at < original.length; at += Math.floor(original.length / 25)) {
      const changed = Buffer.from(original);
      changed[at]! ^= 1 << (at % 8);
      writeFileSync(path, changed);
      expect(errorsOf(verifyRunDirectory(directory, trustOf(run))), `byte ${at}`).toContain('ROOT_MISMATCH');
    }
  });

  it.each<[string, string, (text: string) => string, string]>([
    [
      'the checkpoint',
      'log/checkpoint',
      (text) => text.replace(/\n\d+\n/, '\n999\n'),
      'CHECKPOINT_SIGNATURE',
    ],
    [
      'a cohort leaf',
      'rounds/1.json',
      (text) => text.replace(/"cohortLeafHashes":\["[0-9a-f]{4}/, '"cohortLeafHashes":["0000'),
      'COHORT_MISMATCH',
    ],
    ['an opened sum', 'rounds/1.json', (text) => text.replace('3000', '3001'), 'SUM_MISMATCH'],
    [
      'a sum of another round',
      'rounds/3.json',
      (text) => text.replace('"digits":[3', '"digits":[1'),
      'SUM_MISMATCH',
    ],
    [
      'a weight of the model',
      'model.json',
      (text) => text.replace(/"weights":\[[^,]+/, '"weights":[0.5'),
      'MODEL_MISMATCH',
    ],
    [
      'a charge in the ledger',
      'ledger.json',
      (text) => text.replace(/"chargeSteps":\d/, '"chargeSteps":1'),
      'LEDGER_MISMATCH',
    ],
    [
      'a name in the ledger',
      'ledger.json',
      (text) => text.replace('1'.repeat(64), '9'.repeat(64)),
      'LEDGER_MISMATCH',
    ],
    ['the plan', 'plan.json', (text) => text.replace('"cohortMin":3', '"cohortMin":2'), 'FILE_MALFORMED'],
    ['no JSON', 'rounds/1.json', () => '{', 'FILE_MALFORMED'],
  ])('%s', (_name, file, change, code) => {
    const run = new RunFixture();
    const directory = run.write(freshDirectory());
    const path = join(directory, file);
    const text = readFileSync(path, 'utf8');
    expect(change(text)).not.toBe(text);
    writeFileSync(path, change(text));
    expect(errorsOf(verifyRunDirectory(directory, trustOf(run)))).toContain(code);
  });

  it.each(['log/checkpoint', 'log/leaves.ndjson', 'plan.json', 'rounds/1.json', 'model.json', 'ledger.json'])(
    'a missing %s',
    (file) => {
      const run = new RunFixture();
      const directory = run.write(freshDirectory());
      rmSync(join(directory, file));
      const result = verifyRunDirectory(directory, trustOf(run));
      expect(result.ok).toBe(false);
      expect(errorsOf(result)).toContain(file === 'rounds/1.json' ? 'SUM_MISSING' : 'FILE_MISSING');
      expect(formatAudit(result)[0]).toMatch(/^FAILED/);
    },
  );
});
