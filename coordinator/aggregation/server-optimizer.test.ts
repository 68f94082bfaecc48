/** Goal: each optimiser equals its closed form, and its state survives a restart bit for bit. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { ServerHyper, ServerOptimizerState } from './server-optimizer.ts';
import {
  initialServerState,
  parseServerState,
  serializeServerState,
  serverHyper,
  serverStep,
} from './server-optimizer.ts';

const hypers: readonly ServerHyper[] = [
  { strategy: 'fedavg', learningRate: 1 },
  { strategy: 'fedprox', learningRate: 0.5 },
  { strategy: 'fedavgm', learningRate: 0.1, momentum: 0.9 },
  { strategy: 'fedadam', learningRate: 0.01, beta1: 0.9, beta2: 0.99, tau: 1e-3 },
  { strategy: 'fedyogi', learningRate: 0.01, beta1: 0.9, beta2: 0.99, tau: 1e-3 },
  { strategy: 'fedadagrad', learningRate: 0.01, beta1: 0.5, tau: 1e-3 },
];

/** Applies the same update `steps` times from zero weights (one parameter). */
function constantUpdate(
  hyper: ServerHyper,
  delta: number,
  steps: number,
): { weight: number; state: ServerOptimizerState } {
  let weights: Float32Array = Float32Array.of(0);
  let state = initialServerState(hyper, 1);
  for (let i = 0; i < steps; i++)
    ({ weights, state } = serverStep(state, weights, Float64Array.of(delta), hyper));
  return { weight: weights[0]!, state };
}

describe('closed forms under a constant update Δ', () => {
  test('fedavg and fedprox: w_T = T·η·Δ', () => {
    expect(constantUpdate(hypers[0]!, 0.25, 8).weight).toBe(2);
    expect(constantUpdate(hypers[1]!, 0.25, 8).weight).toBe(1);
  });

  test('fedavgm: v_t = Δ(1−β^t)/(1−β), w_T = η·Σ v_t', () => {
    const beta = 0.9;
    let expected = 0;
    for (let t = 1; t <= 7; t++) expected += (0.1 * 0.5 * (1 - beta ** t)) / (1 - beta);
    expect(constantUpdate(hypers[2]!, 0.5, 7).weight).toBeCloseTo(expected, 6);
  });

  test('fedadam: m_t = Δ(1−β1^t), u_t = Δ² + β2^t(τ²−Δ²), step η·m/(√u+τ)', () => {
    const [delta, tau] = [0.2, 1e-3];
    let expected = 0;
    for (let t = 1; t <= 6; t++) {
      const m = delta * (1 - 0.9 ** t);
      const u = delta ** 2 + 0.99 ** t * (tau ** 2 - delta ** 2);
      expected += (0.01 * m) / (Math.sqrt(u) + tau);
    }
    const { weight, state } = constantUpdate(hypers[3]!, delta, 6);
    expect(weight).toBeCloseTo(expected, 6);
    expect(state.step).toBe(6);
  });

  test('fedyogi: u_t = τ² + t·(1−β2)·Δ² while below Δ²', () => {
    const [delta, tau] = [0.2, 1e-3];
    let expected = 0;
    for (let t = 1; t <= 6; t++) {
      const m = delta * (1 - 0.9 ** t);
      const u = tau ** 2 + t * 0.01 * delta ** 2;
      expected += (0.01 * m) / (Math.sqrt(u) + tau);
    }
    expect(constantUpdate(hypers[4]!, delta, 6).weight).toBeCloseTo(expected, 6);
  });

  test('fedadagrad: u_t = τ² + t·Δ²', () => {
    const [delta, tau] = [0.2, 1e-3];
    let expected = 0;
    for (let t = 1; t <= 6; t++)
      expected += (0.01 * delta * (1 - 0.5 ** t)) / (Math.sqrt(tau ** 2 + t * delta ** 2) + tau);
    expect(constantUpdate(hypers[5]!, delta, 6).weight).toBeCloseTo(expected, 6);
  });

  test('Algorithm 2 of arXiv 2003.00295 by hand: updates 2, then 1, η = τ = 1, β1 = 0, β2 = 1/2', () => {
    const stepsOf = (hyper: ServerHyper) => {
      let [weights, state]: [Float32Array, ServerOptimizerState] = [
        Float32Array.of(0),
        initialServerState(hyper, 1),
      ];
      return [2, 1].map((delta) => {
        ({ weights, state } = serverStep(state, weights, Float64Array.of(delta), hyper));
        return { weight: weights[0]!, second: state.second[0]! };
      });
    };
    const [learningRate, tau, beta1, beta2] = [1, 1, 0, 0.5];
    // u: 1 → 0.5·1 + 0.5·4 = 2.5 → 0.5·2.5 + 0.5·1 = 1.75
    const adam = stepsOf({ strategy: 'fedadam', learningRate, beta1, beta2, tau });
    expect(adam.map(({ second }) => second)).toEqual([2.5, 1.75]);
    expect(adam[1]!.weight).toBeCloseTo(2 / (Math.sqrt(2.5) + 1) + 1 / (Math.sqrt(1.75) + 1), 6);
    // u: 1 < 4, so 1 + 0.5·4 = 3; then 3 > 1, so 3 − 0.5·1 = 2.5
    const yogi = stepsOf({ strategy: 'fedyogi', learningRate, beta1, beta2, tau });
    expect(yogi.map(({ second }) => second)).toEqual([3, 2.5]);
    expect(yogi[1]!.weight).toBeCloseTo(2 / (Math.sqrt(3) + 1) + 1 / (Math.sqrt(2.5) + 1), 6);
    // u: 1 + 4, + 1
    const adagrad = stepsOf({ strategy: 'fedadagrad', learningRate, beta1, tau });
    expect(adagrad.map(({ second }) => second)).toEqual([5, 6]);
    expect(adagrad[1]!.weight).toBeCloseTo(2 / (Math.sqrt(5) + 1) + 1 / (Math.sqrt(6) + 1), 6);
  });

  test('the second moments of all three stay at least 0', () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...hypers.slice(3)),
        fc.array(fc.double({ min: -100, max: 100, noNaN: true }), { minLength: 1, maxLength: 20 }),
        (hyper, updates) => {
          let weights: Float32Array = Float32Array.of(0);
          let state = initialServerState(hyper, 1);
          for (const delta of updates) {
            ({ weights, state } = serverStep(state, Float32Array.of(0), Float64Array.of(delta), hyper));
            expect(state.second[0]).toBeGreaterThanOrEqual(0);
            expect(Number.isFinite(weights[0])).toBe(true);
          }
        },
      ),
      { numRuns: 50 },
    );
  });

  test('scaffold moves the model by the learning rate and c by all that it is given', () => {
    const hyper: ServerHyper = { strategy: 'scaffold', learningRate: 0.5 };
    const blob = Float32Array.of(1, 2, 10, 20);
    const { weights } = serverStep(initialServerState(hyper, 4), blob, Float64Array.of(1, 1, 1, 1), hyper);
    expect([...weights]).toEqual([1.5, 2.5, 11, 21]);
  });

  test('fedadam by hand: first step', () => {
    // m = .1·2, u = .99·1e-6 + .01·4
    const { weight } = constantUpdate(hypers[3]!, 2, 1);
    expect(weight).toBeCloseTo((0.01 * 0.2) / (Math.sqrt(0.04 + 0.99e-6) + 1e-3), 7);
  });

  test('momentum 0 is fedavg', () => {
    const update = Float64Array.of(0.1, -0.7, 3);
    const weights = Float32Array.of(1, 2, 3);
    const plain: ServerHyper = { strategy: 'fedavg', learningRate: 0.3 };
    const still: ServerHyper = { strategy: 'fedavgm', learningRate: 0.3, momentum: 0 };
    expect(serverStep(initialServerState(still, 3), weights, update, still).weights).toEqual(
      serverStep(initialServerState(plain, 3), weights, update, plain).weights,
    );
  });
});

describe('state', () => {
  test.each(hypers)(
    '$strategy: a restart between rounds changes nothing, and inputs are left alone',
    (hyper) => {
      fc.assert(
        fc.property(
          fc.array(fc.array(fc.double({ min: -10, max: 10, noNaN: true }), { minLength: 3, maxLength: 3 }), {
            maxLength: 6,
          }),
          (updates) => {
            let a: ReturnType<typeof serverStep> = {
              weights: Float32Array.of(1, -1, 0.5),
              state: initialServerState(hyper, 3),
            };
            let b = a;
            for (const update of updates) {
              const before = serializeServerState(a.state);
              const next = serverStep(a.state, a.weights, Float64Array.from(update), hyper);
              expect(serializeServerState(a.state)).toBe(before);
              a = next;
              b = serverStep(
                parseServerState(serializeServerState(b.state)),
                b.weights,
                Float64Array.from(update),
                hyper,
              );
            }
            expect(b).toEqual(a);
          },
        ),
        { numRuns: 30 },
      );
    },
  );

  const good = JSON.parse(serializeServerState(initialServerState(hypers[3]!, 2))) as Record<string, unknown>;
  const nan = Buffer.from(Float64Array.of(Number.NaN).buffer).toString('base64');
  test.each<[string, string]>([
    ['not JSON', '{'],
    ['another version', JSON.stringify({ ...good, version: 2 })],
    ['unknown strategy', JSON.stringify({ ...good, strategy: 'sgd' })],
    ['unknown field', JSON.stringify({ ...good, extra: 0 })],
    ['negative step', JSON.stringify({ ...good, step: -1 })],
    ['cut moments', JSON.stringify({ ...good, first: 'AAAA' })],
    ['no base64', JSON.stringify({ ...good, first: '?' })],
    ['NaN moment', JSON.stringify({ ...good, first: nan })],
  ])('refuses stored state: %s', (_, text) => {
    expect(() => parseServerState(text)).toThrow(expect.objectContaining({ code: 'MALFORMED_MESSAGE' }));
  });
});

describe('refusals', () => {
  const weights = Float32Array.of(1, 2);
  const [fedavg, , fedavgm, fedadam] = hypers as [ServerHyper, ServerHyper, ServerHyper, ServerHyper];
  test.each<[string, string, () => unknown]>([
    [
      'wrong-length update',
      'VECTOR_LENGTH_MISMATCH',
      () => serverStep(initialServerState(fedavg, 2), weights, new Float64Array(3), fedavg),
    ],
    [
      'state of another strategy',
      'WRONG_CONFIG',
      () => serverStep(initialServerState(fedavgm, 2), weights, new Float64Array(2), fedadam),
    ],
    [
      'state of another size',
      'VECTOR_LENGTH_MISMATCH',
      () => serverStep(initialServerState(fedadam, 3), weights, new Float64Array(2), fedadam),
    ],
    [
      'NaN update',
      'DATA_INVALID',
      () => serverStep(initialServerState(fedavg, 2), weights, Float64Array.of(Number.NaN, 0), fedavg),
    ],
    [
      'overflow',
      'DATA_INVALID',
      () => serverStep(initialServerState(fedavg, 2), weights, Float64Array.of(1e300, 0), fedavg),
    ],
  ])('%s', (_, code, action) => {
    expect(action).toThrow(expect.objectContaining({ code }));
  });

  test.each<[string, unknown]>([
    ['momentum of 1', { strategy: 'fedavgm', learningRate: 1, momentum: 1 }],
    ['zero rate', { strategy: 'fedavg', learningRate: 0 }],
    ['a field of another strategy', { strategy: 'fedavg', learningRate: 1, momentum: 0.9 }],
    ['tau 0', { strategy: 'fedadam', learningRate: 1, beta1: 0.9, beta2: 0.99, tau: 0 }],
    ['unknown strategy', { strategy: 'sgd', learningRate: 1 }],
  ])('hyper-parameters: %s', (_, value) => {
    expect(serverHyper.safeParse(value).success).toBe(false);
  });
});
