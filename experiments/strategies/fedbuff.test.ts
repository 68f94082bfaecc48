/**
 * Goal: FedBuff (arXiv 2106.06639, whole sums discounted by (1 + t)^(−1/2)) does what its recursion says on losses where
 * that is a closed form, and stays stable where late sums that count like fresh ones do not.
 *
 * With a/2·‖w − b‖² and every sum one release late, e = w − b follows e_{r+1} = e_r − c·e_{r−1}, c = η·s/√2: roots of
 * z² − z + c, |z| = √c where they are complex.
 */
import { describe, expect, test } from 'vitest';
import { Federation, strategyPlan } from './testing-quadratic.ts';

const LOSS = { a: 1, b: [1, -2, 0.5] };
const LEARNING_RATE = 0.3;

/** `rounds` rounds with two open at a time: the first fresh, every later one from the version before the newest. */
async function late(strategy: string, serverLearningRate: number, rounds: number) {
  const training = { epochs: 1, learningRate: LEARNING_RATE, serverLearningRate };
  const federation = Federation.ofQuadratics(strategyPlan(strategy, training), [LOSS, LOSS]);
  const blobs = [federation.blob.slice()];
  for (let round = 1; round <= rounds; round++) {
    const staleness = Math.min(1, round - 1);
    await federation.step(undefined, { blob: blobs.at(-1 - staleness)!, staleness });
    blobs.push(federation.blob.slice());
  }
  return blobs.map((blob) => blob[0]! - LOSS.b[0]!);
}

describe('every sum one release late', () => {
  test('real roots: the closed form of the recursion', async () => {
    const step = LEARNING_RATE;
    const c = step / Math.SQRT2;
    const [z, y] = [1, -1].map((sign) => (1 + sign * Math.sqrt(1 - 4 * c)) / 2) as [number, number];
    const errors = await late('fedbuff', 1, 12);
    // e_0 = −b; the first sum is fresh.
    const [e0, e1] = [-1, -1 * (1 - step)];
    const [p, q] = [(e1 - y * e0) / (z - y), (z * e0 - e1) / (z - y)];
    errors.forEach((error, r) => {
      expect(error).toBeCloseTo(p * z ** r + q * y ** r, 5);
    });
  });

  test('a step that only the discount keeps stable', async () => {
    // c = 1.2 without the discount, and √1.2 a round outwards; 1.2/√2 with it, √0.85 inwards.
    const serverLearningRate = 1.2 / LEARNING_RATE;
    const [discounted, like] = [
      await late('fedbuff', serverLearningRate, 40),
      await late('fedavgm', serverLearningRate, 40),
    ];
    const most = (errors: readonly number[]) => Math.max(...errors.slice(-6).map(Math.abs));
    expect(most(discounted)).toBeLessThan(0.1);
    expect(most(like)).toBeGreaterThan(10);
  });
});

test('without overlap it is FedAvg, or with momentum FedAvgM', async () => {
  const losses = [LOSS, { a: 2, b: [0, 1, 3], records: 3 }];
  for (const [strategy, serverMomentum] of [
    ['fedavg', 0],
    ['fedavgm', 0.8],
  ] as const) {
    const training = { epochs: 2, serverMomentum };
    const [one, two] = [strategy, 'fedbuff'].map((name) =>
      Federation.ofQuadratics(strategyPlan(name, training), losses),
    );
    const [model, other] = [await one!.run(5), await two!.run(5)];
    // Another plan hash is another rotation and rounding, and nothing more.
    for (const [i, value] of model.entries()) expect(other[i]).toBeCloseTo(value, 4);
  }
});

test('momentum sees the discounted sum', async () => {
  const training = { epochs: 1, learningRate: LEARNING_RATE, serverMomentum: 0.5 };
  const federation = Federation.ofQuadratics(strategyPlan('fedbuff', training), [LOSS, LOSS]);
  const start = federation.blob.slice();
  await federation.step();
  await federation.step(undefined, { blob: start, staleness: 1 });
  // v1 = s·b; v2 = v1/2 + s·b/√2.
  const fresh = LEARNING_RATE * LOSS.b[0]!;
  expect(federation.blob[0]).toBeCloseTo(fresh + fresh / 2 + fresh / Math.SQRT2, 5);
});
