/**
 * The canary audit in short: it flags every seeded bug by the check that is made for it and leaves correct plans alone.
 * The long version, with more seeds, plans and the large model, is canary.slow.test.ts.
 */
import { describe, expect, it } from 'vitest';
import type { CanaryReport } from '../../auditor/canary/canary-report.ts';
import { seededRandom } from '../../crypto/random.ts';
import { PRODUCTS, reachableFrom, sources } from '../e2e/testing-sources.ts';
import { auditCanaries, type CanaryAuditOptions } from './audit.ts';
import { Bench, stageOf } from './bench.ts';
import { productionSubject, rotatedUnits, unitsOf, vectorOfRotated } from './pipeline.ts';
import { ADAPTIVE_BUGS, GROUP_BUGS, seededBugs } from './testing-bugs.ts';
import { type TestPlan, testPlan } from './testing-plans.ts';

const PERSON: TestPlan = { unit: 'person', cohortMin: 3, hidden: [8], evaluation: true };
const RECORD: TestPlan = { unit: 'record', cohortMin: 3, hidden: [8], unitsPerClip: 2 };
const GROUPS: TestPlan = {
  unit: 'person',
  cohortMin: 36,
  gamma: '1/12',
  hidden: [8],
  groups: { count: 4, combine: 'median' },
};
const ADAPTIVE: TestPlan = { unit: 'person', cohortMin: 3, hidden: [8], clipBitUnits: 8 };
const RUNS = 12;

const audit = (plan: TestPlan, seed: string, options: CanaryAuditOptions = {}): Promise<CanaryReport> =>
  auditCanaries(testPlan(plan), { runs: RUNS, seed, ...options });

const alarmsOf = ({ checks }: CanaryReport): string[] =>
  checks.filter(({ status }) => status === 'alarm').map(({ name }) => name);

describe('seeded bugs', () => {
  // Every bug once, turn about on a plan of each unit; all of both stand in the slow suite.
  const person = seededBugs('person').filter((_, i) => i % 2 === 0);
  const record = seededBugs('record').filter(({ name }) => !person.some((bug) => bug.name === name));
  const cases = [
    ...person.map((bug) => ['person', bug.name, PERSON, bug] as const),
    ...record.map((bug) => ['record', bug.name, RECORD, bug] as const),
    ...[...GROUP_BUGS, ...seededBugs('person').filter((_, i) => i % 4 === 0)].map(
      (bug) => ['groups', bug.name, GROUPS, bug] as const,
    ),
    ...[...ADAPTIVE_BUGS, ...seededBugs('person').filter((_, i) => i % 4 === 2)].map(
      (bug) => ['adaptive clip', bug.name, ADAPTIVE, bug] as const,
    ),
  ];

  it.each(cases)('%s: %s is flagged by its own check', async (_unit, _name, plan, bug) => {
    const report = await audit(plan, 'bug', { subject: bug.subject });
    expect(report.verdict).toBe('ALARM');
    expect(alarmsOf(report).some((name) => name.includes(bug.check))).toBe(true);
  });

  it('are not what a distance between few runs would show: without the checks most would pass', async () => {
    const proved = [];
    for (const bug of seededBugs('person').slice(0, 5)) {
      const report = await audit(PERSON, 'distance', { subject: bug.subject });
      proved.push(report.epsilonLowerBound > report.epsilonClaimed);
    }
    expect(proved.filter(Boolean).length).toBeLessThan(proved.length / 2);
  });
});

describe('correct plans', () => {
  it.each([PERSON, RECORD])('raise no alarm: %o', async (plan) => {
    for (const seed of ['1', '2', '3']) {
      const report = await audit(plan, seed);
      expect(alarmsOf(report)).toEqual([]);
      expect(report).toMatchObject({ verdict: 'no violation found', mode: 'replay', runs: RUNS });
      expect(report.noise).toBe('seeded, not private');
      expect(report.checks.map(({ status }) => status)).not.toContain('weak');
      expect(report.epsilonLowerBound).toBeLessThanOrEqual(report.epsilonClaimed);
      expect(report.note).toMatch(/not an epsilon/);
    }
  });

  it.each([GROUPS, ADAPTIVE, { ...GROUPS, groups: { count: 4, combine: 'krum' } }])(
    'raise no alarm where groups open or the clip adapts: %o',
    async (plan) => {
      for (const seed of ['1', '2']) {
        const report = await audit(plan, seed);
        expect(alarmsOf(report)).toEqual([]);
        expect(report.verdict).toBe('no violation found');
        expect(report.checks.map(({ status }) => status)).not.toContain('weak');
        const bit = report.checks.find(({ name }) => name === 'training: clip bit');
        expect(bit === undefined).toBe(plan.clipBitUnits === undefined);
      }
    },
  );

  it('repeat exactly from a seed, and say so; other seeds differ; without one the noise is real', async () => {
    const [once, again, other] = [
      await audit(RECORD, 's'),
      await audit(RECORD, 's'),
      await audit(RECORD, 't'),
    ];
    expect(again).toEqual(once);
    expect(other.checks).not.toEqual(once.checks);
    const fresh = await auditCanaries(testPlan(RECORD), { runs: 2 });
    expect(fresh.noise).toBe('system');
  });

  it('of large models are audited in one run with many canaries', async () => {
    const report = await audit(PERSON, 'large', { mode: 'one-run', runs: 60 });
    expect(report).toMatchObject({
      mode: 'one-run',
      canaries: 120,
      verdict: 'no violation found',
      rounds: 1,
    });
    expect(Object.keys(report.bounds)).toEqual(['oneRun', 'oneRunGaussian']);
    expect(report.estimates.cosine).toBeGreaterThan(0);
    const weak = seededBugs('person').find(({ name }) => name.includes('1e-4'))!;
    const leaking = await audit(PERSON, 'large', { mode: 'one-run', runs: 60, subject: weak.subject });
    expect(leaking.epsilonLowerBound).toBeGreaterThan(leaking.epsilonClaimed);
    expect(alarmsOf(leaking)).toContain('bound');
  });

  it('progress ends at its total', async () => {
    const seen: [number, number][] = [];
    const report = await audit(RECORD, 'p', { onProgress: (done, total) => seen.push([done, total]) });
    expect(seen).toHaveLength(report.releases);
    expect(seen.at(-1)).toEqual([report.releases, report.releases]);
    expect(new Set(seen.map(([, total]) => total)).size).toBe(1);
  });
});

describe('claims', () => {
  it('that are too small for the mechanism set off the alarm, though the code is right', async () => {
    // Half of the ε, as an account with half the sensitivity would state it.
    const plan = testPlan(PERSON);
    const honest = await auditCanaries(plan, { runs: RUNS, seed: 'c' });
    expect(alarmsOf(honest)).toEqual([]);
    const report = await auditCanaries(plan, { runs: RUNS, seed: 'c', claim: honest.epsilonClaimed / 2 });
    expect(alarmsOf(report)).toEqual(['accounting']);
  });

  it('of plans without privacy do not exist', async () => {
    const parsed = testPlan(PERSON);
    const bare = { ...parsed, plan: { ...parsed.plan, privacy: null } };
    await expect(auditCanaries(bare)).rejects.toMatchObject({ code: 'PLAN_INVALID' });
    const training = { ...parsed.plan.training, strategy: 'scaffold' as const };
    await expect(auditCanaries({ ...parsed, plan: { ...parsed.plan, training } })).rejects.toMatchObject({
      code: 'PLAN_INVALID',
      message: expect.stringContaining('scaffold'),
    });
  });
});

describe('the pipeline', () => {
  it('turns releases back into the integers that were summed', async () => {
    const parsed = testPlan({ ...RECORD, samplingRate: '1' });
    const stage = stageOf(parsed, 'training');
    const rotated = Float64Array.from({ length: stage.dimension }, (_, i) => (i % 7 === 0 ? 1 : 0) / 8);
    const vectors = vectorOfRotated(parsed, 2, rotated);
    const random = seededRandom('pipeline');
    const subject = productionSubject(parsed);
    const [one, other] = [
      { vectors, count: 1 },
      { vectors: new Float32Array(stage.dimension), count: 1 },
    ];
    const published = await subject.release({
      kind: 'training',
      round: 2,
      contributions: [one, other],
      random,
    });
    const integers = rotatedUnits(parsed, 'training', 2, unitsOf(parsed, 'training', published, 2));
    for (const value of integers) expect(Math.abs(value - Math.round(value))).toBeLessThan(1e-6);
    const bench = new Bench({ parsed, subject, random });
    await expect(bench.release(stage, 1, [one, one, one])).rejects.toMatchObject({ code: 'INTERNAL' });
  });
});

describe('weakened mechanisms', () => {
  it('are reachable from no product, command or export, only from tests', () => {
    const weakened = ['experiments/canary/testing-weakened.ts', 'experiments/canary/testing-bugs.ts'];
    const starts = [...sources.keys()].filter(
      (path) =>
        !/\.test\.ts$/.test(path) &&
        !weakened.includes(path) &&
        (PRODUCTS.includes(path.split('/')[0]!) || !/(^|\/)testing/.test(path)),
    );
    expect(starts).toContain('cli/commands/audit-canary.ts');
    expect(starts).toContain('experiments/canary/audit.ts');
    const reached = reachableFrom(sources, starts);
    for (const path of weakened) {
      expect(sources.has(path)).toBe(true);
      expect(reached.has(path)).toBe(false);
    }
    expect(reachableFrom(sources, ['experiments/canary/canary.test.ts']).has(weakened[0]!)).toBe(true);
  });
});
