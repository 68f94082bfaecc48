/**
 * Goal: each strategy does what its paper says it does, on losses where that is a closed form: a/2·‖w − b‖², whose k
 * gradient steps move w by −s(k)·(w − b), s(k) = 1 − (1 − ηa)^k.
 */
import { describe, expect, test } from 'vitest';
import { Federation, type Quadratic, strategyPlan } from './testing-quadratic.ts';

const at = (value: number) => [value, -value, 2 * value];
const s = (a: number, steps: number, learningRate: number) => 1 - (1 - learningRate * a) ** steps;

describe('SCAFFOLD (arXiv 1910.06378): FedAvg stops away from the optimum of unlike clients, SCAFFOLD does not', () => {
  const losses: Quadratic[] = [
    { a: 1, b: at(0) },
    { a: 4, b: at(1) },
  ];
  const training = { epochs: 10, learningRate: 0.1 };
  const optimum = 4 / 5; // Σ a·b / Σ a
  const biased = s(4, 10, 0.1) / (s(1, 10, 0.1) + s(4, 10, 0.1));

  test('closed forms of both fixed points', async () => {
    expect(Math.abs(optimum - biased)).toBeGreaterThan(0.19);
    const average = await Federation.ofQuadratics(strategyPlan('fedavg', training), losses).run(60);
    const corrected = await Federation.ofQuadratics(
      strategyPlan(
        'scaffold',
        { ...training, populationCount: 4 },
        { rounds: { ...small, cohortTarget: 2 } },
      ),
      losses,
    ).run(120);
    at(1).forEach((unit, i) => {
      expect(average[i]).toBeCloseTo(biased * unit, 4);
      expect(corrected[i]).toBeCloseTo(optimum * unit, 4);
    });
  });

  test('also where only half of the devices are in a round', async () => {
    const four = [...losses, { a: 2, b: at(-1) }, { a: 1, b: at(3) }];
    const best = (4 * 1 + 2 * -1 + 1 * 3) / 8;
    const federation = Federation.ofQuadratics(strategyPlan('scaffold', training), four);
    for (let i = 0; i < 120; i++) await federation.step(i % 2 === 0 ? [0, 1] : [2, 3]);
    at(best).forEach((value, i) => {
      expect(federation.model[i]).toBeCloseTo(value, 3);
    });
  });

  test('c is the mean of the c_i, and at the optimum each c_i is its own gradient there', async () => {
    const parsed = strategyPlan(
      'scaffold',
      { ...training, populationCount: 2 },
      { rounds: { ...small, cohortTarget: 2 } },
    );
    const federation = Federation.ofQuadratics(parsed, losses);
    await federation.run(100);
    const own = await Promise.all(federation.devices.map(({ memory }) => memory.load('control')));
    for (let i = 0; i < 3; i++) {
      expect(federation.blob[3 + i]).toBeCloseTo((own[0]![i]! + own[1]![i]!) / 2, 4);
      losses.forEach(({ a, b }, k) => {
        expect(own[k]![i]).toBeCloseTo(a * (optimum * at(1)[i]! - b[i]!), 3);
      });
    }
  });

  test('a clip that bites moves c_i by what was sent, so that c stays their mean', async () => {
    const parsed = strategyPlan(
      'scaffold',
      { ...training, populationCount: 2 },
      { rounds: { ...small, cohortTarget: 2 }, mechanism: { clip: '1/4', unitsPerClip: 2 ** 22 } },
    );
    const federation = Federation.ofQuadratics(parsed, losses);
    await federation.run(5);
    const own = await Promise.all(federation.devices.map(({ memory }) => memory.load('control')));
    for (let i = 0; i < 3; i++)
      expect(federation.blob[3 + i]).toBeCloseTo((own[0]![i]! + own[1]![i]!) / 2, 5);
    await federation.run(200);
    expect(federation.model[0]).toBeCloseTo(optimum, 3);
  });
});

describe('FedNova (arXiv 2007.07481, Theorem 2): different numbers of local steps do not change the objective', () => {
  const losses: Quadratic[] = [
    { a: 1, b: at(0), records: 1 },
    { a: 1, b: at(1), records: 10 },
  ];
  // Fixed points of Σ weight·s(τ)·(w − b) = 0, weight 1 (FedAvg) or 1/τ (FedNova).
  const average = (rate: number) => s(1, 10, rate) / (s(1, 1, rate) + s(1, 10, rate));
  const nova = (rate: number) => s(1, 10, rate) / 10 / (s(1, 1, rate) + s(1, 10, rate) / 10);

  test.each([0.1, 0.02])('closed forms at a learning rate of %s', async (learningRate) => {
    const training = { epochs: 1, learningRate, serverLearningRate: 4 };
    const [plain, normalised] = await Promise.all(
      ['fedavg', 'fednova'].map((strategy) =>
        Federation.ofQuadratics(strategyPlan(strategy, training), losses).run(150),
      ),
    );
    expect(plain![0]).toBeCloseTo(average(learningRate), 3);
    expect(normalised![0]).toBeCloseTo(nova(learningRate), 3);
    // The optimum is 1/2: FedAvg's error stays as steps shrink (10/11), FedNova's goes to 0 with them.
    expect(Math.abs(normalised![0]! - 0.5)).toBeLessThan(0.7 * learningRate * 4);
    expect(plain![0]! - 0.5).toBeGreaterThan(0.35);
  });

  test('weights by records are weights of the objective', async () => {
    const training = { epochs: 1, learningRate: 0.02, serverLearningRate: 4, weighting: 'records' };
    const model = await Federation.ofQuadratics(strategyPlan('fednova', training), losses).run(150);
    // Σ n·(s/τ)·(w − b) = 0
    const [one, ten] = [s(1, 1, 0.02), s(1, 10, 0.02)];
    expect(model[0]).toBeCloseTo(ten / (one + ten), 3);
  });
});

describe('q-FedAvg (arXiv 1905.10497)', () => {
  const losses: Quadratic[] = [0, 0, 0, 1].map((b) => ({ a: 1, b: at(b) }));

  test('q = 0 is FedAvg', async () => {
    const plain = Federation.ofQuadratics(strategyPlan('fedavg'), losses);
    const fair = Federation.ofQuadratics(strategyPlan('qfedavg', { fairness: 0 }), losses);
    for (let i = 0; i < 5; i++) {
      await plain.step();
      await fair.step();
      for (let j = 0; j < 3; j++) expect(fair.model[j]).toBeCloseTo(plain.model[j]!, 4);
    }
  });

  test.each([0.5, 1, 3])('q = %s minimises Σ F^(q+1): w = 1/(1 + 3^(1/(2q+1)))', async (fairness) => {
    const training = { epochs: 1, learningRate: 0.3, fairness };
    const model = await Federation.ofQuadratics(strategyPlan('qfedavg', training), losses).run(250);
    expect(model[0]).toBeCloseTo(1 / (1 + 3 ** (1 / (2 * fairness + 1))), 2);
  });

  test('a step is Algorithm 2 by hand', async () => {
    const [learningRate, lossMax, q] = [0.25, 2, 2];
    const training = { epochs: 1, learningRate, fairness: q, lossMax };
    const federation = Federation.ofQuadratics(strategyPlan('qfedavg', training), [
      { a: 1, b: [1, 0, 0] },
      { a: 1, b: [0, 2, 0] },
    ]);
    await federation.step();
    const lipschitz = 1 / learningRate;
    // F = 1/2 and 2; Δw = L·(w − w̄) = −b; Δ = F^q·Δw; h = q·F^(q−1)·‖Δw‖² + L·F^q.
    const h = q * 0.5 * 1 + lipschitz * 0.25 + q * 2 * 4 + lipschitz * 4;
    expect(federation.model[0]).toBeCloseTo((0.25 * 1) / h, 5);
    expect(federation.model[1]).toBeCloseTo((4 * 2) / h, 5);
  });

  test('lossMax cancels while no loss exceeds it, and bounds what one that does is worth', async () => {
    const step = async (lossMax: number | undefined, b: number) => {
      const training = { epochs: 1, learningRate: 0.1, fairness: 2, lossMax };
      const federation = Federation.ofQuadratics(strategyPlan('qfedavg', training), [
        { a: 1, b: at(0.5) },
        { a: 1, b: at(-b) },
      ]);
      await federation.step();
      return federation.model[0]!;
    };
    expect(await step(6, 1)).toBeCloseTo(await step(3, 1), 4);
    expect(await step(undefined, 0.25)).toBeCloseTo(await step(1, 0.25), 5);
    expect(Math.abs(await step(0.75, 1))).toBeLessThan(Math.abs(await step(3, 1)));
  });
});

describe('personal models', () => {
  const losses: Quadratic[] = [-1, 0.5, 2].map((b) => ({ a: 1, b: at(b) }));

  test('Ditto (arXiv 2012.04221): v = (b + λw)/(1 + λ), w that of FedAvg', async () => {
    const training = { epochs: 3, learningRate: 0.2, proximalMu: 0.5 };
    const federation = Federation.ofQuadratics(strategyPlan('ditto', training), losses);
    await federation.run(80);
    expect(federation.model[0]).toBeCloseTo(0.5, 4);
    for (const [k, { memory }] of federation.devices.entries()) {
      const personal = (await memory.load('personal'))!;
      for (let i = 0; i < 3; i++)
        expect(personal[i]).toBeCloseTo((losses[k]!.b[i]! + 0.5 * 0.5 * at(1)[i]!) / 1.5, 4);
    }
  });

  test('Ditto with λ = 0 is training alone, and with a large λ the common model', async () => {
    for (const [proximalMu, pulled] of [
      [0, 0],
      [9, 0.9],
    ] as const) {
      const training = { epochs: 5, learningRate: 0.05, proximalMu };
      const federation = Federation.ofQuadratics(strategyPlan('ditto', training), losses);
      await federation.run(60);
      const personal = (await federation.devices[2]!.memory.load('personal'))!;
      expect(personal[0]).toBeCloseTo(2 * (1 - pulled) + 0.5 * pulled, 3);
    }
  });

  test('FedPer (arXiv 1912.00818): shared layers meet in the mean, the last one is each device’s own', async () => {
    const nine = (b: number) => [b, -b, b, b, -b, b, 3 * b, -2 * b, b];
    const federation = Federation.ofQuadratics(
      strategyPlan('fedper', { epochs: 3, learningRate: 0.2 }),
      [-1, 0.5, 2].map((b) => ({ a: 1, b: nine(b) })),
    );
    const start = federation.model.slice();
    await federation.run(60);
    for (let i = 0; i < 6; i++) expect(federation.model[i]).toBeCloseTo(nine(0.5)[i]!, 4);
    expect([...federation.model.subarray(6)]).toEqual([...start.subarray(6)]);
    const personal = (await federation.devices[2]!.memory.load('personal'))!;
    expect(personal).toHaveLength(3);
    for (let i = 0; i < 3; i++) expect(personal[i]).toBeCloseTo(nine(2)[6 + i]!, 4);
  });
});

const small = {
  training: 400,
  cohortMin: 2,
  cohortTarget: 4,
  cohortMax: 16,
  checkInWindowMs: 1000,
  deadlineMs: 10_000,
};
