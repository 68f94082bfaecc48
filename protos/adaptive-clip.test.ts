import { describe, expect, it } from 'vitest';
import { compareRational, parseRational, rationalToNumber } from '../crypto/dp/rational.ts';
import { getSuite } from '../crypto/identity/suite.ts';
import { clipOfRound, firstClip, nextClip } from './adaptive-clip.ts';
import { finishPlan, type ParsedPlan, parsePlanBytes } from './plan.ts';
import {
  accountPlan,
  mechanismOf,
  mechanismOfRound,
  roundMechanismOf,
  vectorLength,
} from './plan-mechanism.ts';
import { digitCountOf } from './plan-scheme.ts';
import { encodeRoundConfig, parseRoundConfig } from './round-config.ts';

const adaptiveClip = { quantile: '1/2', learningRate: 0.2, bitUnits: 16, clipMin: '1/100', clipMax: '50' };
const base = {
  version: 1,
  name: 'adaptive',
  purpose: 'A test of adaptive clips.',
  suite: 'intl',
  seed: '1',
  features: {
    dataset: 'test',
    label: { column: 'event', positive: { above: 0 } },
    features: ['a', 'b'].map((column) => ({ column, kind: 'number', minimum: 0, maximum: 1 })),
    complete: true,
  },
  model: { kind: 'lr', inputs: 2, hidden: [], activation: 'relu' },
  training: { strategy: 'fedavg', epochs: 1, batchSize: 8, learningRate: 0.1 },
  rounds: {
    training: 2,
    cohortMin: 200,
    cohortTarget: 300,
    cohortMax: 300,
    checkInWindowMs: 1000,
    deadlineMs: 10_000,
  },
  mechanism: { clip: '2', unitsPerClip: 64 },
  privacy: { unit: 'person', epsilon: '100', delta: '0.00001', gamma: '1/10', noiseVariance: '100' },
  holders: [1, 2, 3, 4].map((i) => ({
    id: `holder-${i}`,
    signingPublicKey: `${i}`.repeat(64),
    sealingPublicKey: `${i + 4}`.repeat(64),
  })),
  registrarSha256: '0'.repeat(64),
  coordinatorPublicKey: '9'.repeat(64),
};
const planOf = (changes: object = {}, terms: object = {}): ParsedPlan =>
  finishPlan({
    ...base,
    ...changes,
    mechanism: { ...base.mechanism, adaptiveClip: { ...adaptiveClip, ...terms } },
  });
const refusal = (field: string) =>
  expect.objectContaining({ code: 'PLAN_INVALID', message: expect.stringContaining(`plan.${field}:`) });

describe('the rule', () => {
  const follow = (
    norms: readonly number[],
    quantile: string,
    learningRate: number,
    start: string,
    rounds: number,
  ) => {
    const clips = [start];
    for (let i = 0; i < rounds; i++) {
      const clip = parseRational(clips.at(-1)!);
      const within = norms.filter((norm) => norm <= rationalToNumber(clip)).length / norms.length;
      const terms = { ...adaptiveClip, quantile, learningRate, clipMin: '1/1000', clipMax: '1000' };
      clips.push(nextClip(terms, clip, within));
    }
    return clips.slice(1).map((clip) => rationalToNumber(parseRational(clip)));
  };
  it('row 25: norms 5 and 2.5, C₀ = 16, target 0, η = ln 2', () => {
    const clips = follow([5, 2.5], '0', Math.LN2, '16', 5);
    [8, 4, 2.828_427, 2, 2].forEach((expected, i) => {
      expect(clips[i]! / expected).toBeCloseTo(1, 5);
    });
  });
  it('row 26: C = 3, target .2, η = .2, measured .5', () => {
    const next = nextClip({ ...adaptiveClip, quantile: '1/5' }, parseRational('3'), 0.5);
    expect(rationalToNumber(parseRational(next)) / 2.825_293_600_752_745).toBeCloseTo(1, 5);
  });
  it('finds the quantile, and writes 20 binary digits', () => {
    const norms = Array.from({ length: 1001 }, (_, i) => 1 + i / 1000);
    expect(follow(norms, '3/4', 0.5, '40', 60).at(-1)).toBeCloseTo(1.75, 2);
    const { numerator, denominator } = parseRational(nextClip(adaptiveClip, parseRational('3'), 0.123));
    expect(numerator).toBeLessThan(2n ** 20n);
    expect(denominator & (denominator - 1n)).toBe(0n);
  });
  it('stays within the bounds', () => {
    expect(nextClip(adaptiveClip, parseRational('50'), 0)).toBe('50');
    expect(nextClip(adaptiveClip, parseRational('1/100'), 1)).toBe('1/100');
  });
});

describe('the plan', () => {
  it('pays for the bit, at any clip: one entry more and bitUnits² more sensitivity', () => {
    const [fixed, adaptive] = [finishPlan(base), planOf()];
    expect(vectorLength(adaptive.plan, 'training')).toBe(vectorLength(fixed.plan, 'training') + 1);
    expect(digitCountOf(adaptive, 'training')).toBe(4);
    const [a, b] = [fixed, adaptive].map((parsed) => roundMechanismOf(parsed, 'training', 200)!);
    expect(b!.sensitivitySquared - a!.sensitivitySquared).toBe(256n);
    expect(accountPlan(adaptive)!.epsilon).toBeGreaterThan(accountPlan(fixed)!.epsilon);
    expect(accountPlan(planOf({}, { bitUnits: 64 }))!.epsilon).toBeGreaterThan(
      accountPlan(adaptive)!.epsilon,
    );
  });

  it('without it is byte for byte what it was', () => {
    const text = new TextDecoder().decode(finishPlan(base).bytes);
    expect(text).not.toMatch(/adaptiveClip/);
    const adaptive = planOf();
    expect(parsePlanBytes(adaptive.bytes).hashHex).toBe(adaptive.hashHex);
    expect(adaptive.hashHex).not.toBe(finishPlan(base).hashHex);
  });

  it.each([
    ['mechanism.adaptiveClip', { privacy: null }, {}],
    ['mechanism.adaptiveClip.quantile', {}, { quantile: '1' }],
    ['mechanism.adaptiveClip.quantile', {}, { quantile: '0' }],
    ['mechanism.adaptiveClip.bitUnits', {}, { bitUnits: 65 }],
    ['mechanism.adaptiveClip.clipMin', {}, { clipMin: '3' }],
    ['mechanism.adaptiveClip.clipMin', {}, { clipMax: '1' }],
    ['mechanism.adaptiveClip.clipMin', {}, { clipMin: '0' }],
    ['mechanism.adaptiveClip.clipMax', {}, { clipMax: '1000000001' }],
    ['mechanism.adaptiveClip.learningRate', {}, { learningRate: 0 }],
    [
      'mechanism.adaptiveClip',
      { aggregation: { transport: 'shares', groups: { count: 3, combine: 'mean' } } },
      {},
    ],
  ])('%s: refused', (field, changes, terms) => {
    expect(() => planOf(changes, terms)).toThrow(refusal(field));
  });

  it('is for persons', () => {
    const privacy = { ...base.privacy, unit: 'record' };
    const mechanism = { ...base.mechanism, expectedBatch: '10', recordsMax: 100_000, adaptiveClip };
    expect(() => finishPlan({ ...base, privacy, mechanism })).toThrow(refusal('mechanism.adaptiveClip'));
  });
});

describe('the round', () => {
  const parsed = planOf();
  const suite = getSuite('intl');
  const config = {
    version: 1,
    planHash: parsed.hashHex,
    round: 1,
    kind: 'training',
    modelHash: '0'.repeat(64),
    committeeKeyId: '0'.repeat(64),
    digitCount: 4,
    openedAtMs: 0,
  } as const;

  it('states its clip under the hash of its configuration', () => {
    const [one, two] = ['2', '3/2'].map((clip) => encodeRoundConfig({ ...config, clip }, suite));
    expect(one!.hashHex).not.toBe(two!.hashHex);
    expect(parseRoundConfig(one!.bytes, suite).config.clip).toBe('2');
    // A fixed clip is not mentioned, so that configurations are what they were.
    expect(new TextDecoder().decode(encodeRoundConfig(config, suite).bytes)).not.toMatch(/clip/);
    expect(firstClip(parsed.plan, 'training')).toBe('2');
    expect(firstClip(finishPlan(base).plan, 'training')).toBeUndefined();
  });

  it('its clip is the mechanism’s, and changes no sensitivity', () => {
    const at = (clip: string) => mechanismOfRound(parsed, { kind: 'training', round: 1, clip });
    expect(compareRational(at('3/2').clip, parseRational('3/2'))).toBe(0);
    const { clip: _, ...others } = at('3/2');
    const { clip: __, ...planned } = mechanismOf(parsed, 'training', 1);
    expect(others).toEqual(planned);
  });

  it.each([
    ['none', undefined],
    ['below clipMin', '1/101'],
    ['above clipMax', '51'],
    ['not in lowest terms', '4/2'],
    ['a decimal', '1.5'],
    ['negative', '-1'],
    ['no number', 'NaN'],
    ['nothing', ''],
  ])('refuses a clip that is %s', (_name, clip) => {
    expect(() => clipOfRound(parsed.plan, 'training', clip)).toThrow(
      expect.objectContaining({ code: 'WRONG_CONFIG' }),
    );
  });

  it('states none where the plan’s is fixed', () => {
    expect(() => clipOfRound(finishPlan(base).plan, 'training', '2')).toThrow(/fixed/);
    expect(() => clipOfRound(parsed.plan, 'evaluation', '2')).toThrow(/fixed/);
  });
});
