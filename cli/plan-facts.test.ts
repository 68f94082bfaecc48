import { expect, it } from 'vitest';
import { testPlan } from '../experiments/canary/testing-plans.ts';
import { finishPlan } from '../protos/plan.ts';
import { planFacts, planFields } from './plan-facts.ts';

it.each(['person', 'record'] as const)('states ε by PLD beside the account that gates: %s', async (unit) => {
  const facts = await planFacts(testPlan({ unit, evaluation: unit === 'person' }));
  const { epsilon, epsilonPld } = facts.privacy!;
  expect(epsilonPld!.high).toBeLessThan(epsilon);
  expect(epsilonPld!.high).toBeGreaterThan(epsilon * 0.8);
  expect(epsilonPld!.low).toBeGreaterThan(epsilonPld!.high * 0.98);
  const shown = Object.fromEntries(planFields(facts))['epsilon by PLD'];
  expect(Number.parseFloat(String(shown))).toBeGreaterThanOrEqual(epsilonPld!.high);
});

it('shows where an adaptive clip starts and how far it may go', async () => {
  const { plan } = testPlan({ unit: 'person', unitsPerClip: 1024 });
  const adaptiveClip = { quantile: '1/2', learningRate: 0.2, bitUnits: 64, clipMin: '1/10', clipMax: '10' };
  const parsed = finishPlan({
    ...plan,
    privacy: { ...plan.privacy!, epsilon: '30' },
    mechanism: { ...plan.mechanism, adaptiveClip },
  });
  const facts = await planFacts(parsed);
  expect(facts).toMatchObject({ clip: '1', adaptiveClip });
  expect(Object.fromEntries(planFields(facts))['clip adapts']).toMatch(/from 1, always within 1\/10 to 10/);
  expect(Object.fromEntries(planFields(await planFacts(testPlan({ unit: 'person' }))))).not.toHaveProperty(
    'clip adapts',
  );
});

it('says what a strategy sums beyond the model, and what it keeps on devices', async () => {
  const { plan } = testPlan({ unit: 'person' });
  const modelLine = async (training: object) => {
    const privacy = { ...plan.privacy!, epsilon: '30' };
    const parsed = finishPlan({ ...plan, privacy, training: { ...plan.training, ...training } });
    return String(Object.fromEntries(planFields(await planFacts(parsed))).model);
  };
  expect(await modelLine({})).toMatch(/^\d+ parameters, fedavg$/);
  const scaffold = await modelLine({ strategy: 'scaffold', populationCount: 10_000 });
  const [, parameters, summed] = scaffold.match(
    /^(\d+) parameters, scaffold: (\d+) numbers are summed, a corr/,
  )!;
  expect(Number(summed)).toBe(2 * Number(parameters));
  expect(await modelLine({ strategy: 'ditto', proximalMu: 1 })).toMatch(/ditto: personal weights stay/);
});

it('says how many rounds may stand open, and what the latest sum counts', async () => {
  const { plan } = testPlan({ unit: 'person' });
  const shown = async (overlap: number) => {
    const training = { ...plan.training, strategy: overlap > 0 ? 'fedbuff' : 'fedavg' };
    const parsed = finishPlan({ ...plan, training, rounds: { ...plan.rounds, overlap } });
    return Object.fromEntries(planFields(await planFacts(parsed))).overlap;
  };
  expect(await shown(3)).toMatch(
    /^up to 4 rounds open; a sum comes at most 3 releases late .* counts 0\.50;/,
  );
  expect(await shown(0)).toBeUndefined();
});
