/**
 * Power and false alarms of the canary audit over many seeds, and the large model. Prints the table that
 * docs quote: flagged of seeds for each bug, alarms of clean audits.
 */
import { describe, expect, it } from 'vitest';
import { auditCanaries, FALSE_ALARM_RATE } from './audit.ts';
import { ADAPTIVE_BUGS, GROUP_BUGS, seededBugs } from './testing-bugs.ts';
import { type TestPlan, testPlan } from './testing-plans.ts';

const SEEDS = 10;
const CLEAN_SEEDS = 25;
const RUNS = 12;

const PLANS: Readonly<Record<string, TestPlan>> = {
  'person, mlp, evaluation': { unit: 'person', hidden: [8], evaluation: true },
  'record, mlp, grid of 1': { unit: 'record', cohortMin: 3, hidden: [8], unitsPerClip: 1 },
  'person, four groups': {
    unit: 'person',
    cohortMin: 36,
    gamma: '1/12',
    hidden: [8],
    groups: { count: 4, combine: 'trimmed-mean' },
  },
  'person, adaptive clip': { unit: 'person', hidden: [8], clipBitUnits: 8 },
};
const CLEAN: Readonly<Record<string, TestPlan>> = {
  ...PLANS,
  'person, lr': { unit: 'person', inputs: 20 },
  'record, lr, every row, evaluation': {
    unit: 'record',
    inputs: 20,
    cohortMin: 3,
    samplingRate: '1',
    evaluation: true,
  },
};
const LARGE: TestPlan = { unit: 'person', cohortMin: 3, inputs: 200, hidden: [500] };

const bugsOf = ({ unit, groups, clipBitUnits }: TestPlan) => [
  ...seededBugs(unit),
  ...(groups ? GROUP_BUGS : []),
  ...(clipBitUnits === undefined ? [] : ADAPTIVE_BUGS),
];

describe.each(Object.entries(PLANS))('%s', (_name, plan) => {
  it.each(bugsOf(plan))('$name: flagged for every seed', async ({ name, subject, check }) => {
    const parsed = testPlan(plan);
    let [flagged, byCheck] = [0, 0];
    for (let seed = 0; seed < SEEDS; seed++) {
      const report = await auditCanaries(parsed, { runs: RUNS, seed: `power/${seed}`, subject });
      if (report.verdict === 'ALARM') flagged++;
      if (report.checks.some((one) => one.status === 'alarm' && one.name.includes(check))) byCheck++;
    }
    process.stdout.write(`${_name} | ${name} | ${flagged}/${SEEDS}, by its check ${byCheck}\n`);
    expect(flagged).toBe(SEEDS);
    expect(byCheck).toBe(SEEDS);
  });
});

describe('clean audits', () => {
  let [alarms, audits] = [0, 0];
  it.each(Object.entries(CLEAN))('%s', async (name, plan) => {
    const parsed = testPlan(plan);
    let own = 0;
    for (let seed = 0; seed < CLEAN_SEEDS; seed++) {
      const report = await auditCanaries(parsed, { runs: RUNS, seed: `clean/${seed}` });
      audits++;
      if (report.verdict === 'ALARM') own++;
    }
    alarms += own;
    process.stdout.write(`${name} | clean | ${own}/${CLEAN_SEEDS}\n`);
    expect(own).toBeLessThanOrEqual(2);
  });

  it('raise at most 5 % false alarms, by design 1 %', () => {
    expect(audits).toBe(150);
    expect(alarms).toBeLessThanOrEqual(7);
    expect(FALSE_ALARM_RATE).toBeLessThanOrEqual(0.05);
  });
});

describe('a model of 100,000 parameters', () => {
  it('is audited in one run, without an alarm', async () => {
    const report = await auditCanaries(testPlan(LARGE), { seed: 'large' });
    expect(report).toMatchObject({ mode: 'one-run', verdict: 'no violation found' });
    expect(report.checks.every(({ status }) => status === 'ok')).toBe(true);
  });

  it.each(seededBugs('person'))('$name: flagged', async ({ name, subject, check }) => {
    const report = await auditCanaries(testPlan(LARGE), { seed: 'large', runs: 2, subject });
    process.stdout.write(`d = 101,001 | ${name} | ${report.verdict}\n`);
    expect(report.verdict).toBe('ALARM');
    expect(report.checks.some((one) => one.status === 'alarm' && one.name.includes(check))).toBe(true);
  });
});
