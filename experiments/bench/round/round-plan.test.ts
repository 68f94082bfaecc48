import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parameterCount } from '../../../protos/model.ts';
import { accountPlan } from '../../../protos/plan-mechanism.ts';
import { schemeOf } from '../../../protos/plan-scheme.ts';
import { modelNear, roundPlan } from './round-plan.ts';

const key = (byte: number) => byte.toString(16).padStart(2, '0').repeat(32);
const parties = {
  holders: [1, 2, 3, 4].map((i) => ({
    id: `holder-${i}`,
    signingPublicKey: key(i),
    sealingPublicKey: key(16 + i),
  })),
  registrarSha256: key(32),
  coordinatorPublicKey: key(33),
};

describe('the model', () => {
  it('has exactly 10,000 parameters when asked for them', () => {
    expect(modelNear(10_000)).toMatchObject({ inputs: 99, hidden: [99] });
    expect(parameterCount(modelNear(10_000))).toBe(10_000);
  });

  it('is near any other size', () => {
    fc.assert(
      fc.property(fc.integer({ min: 10, max: 1_050_000 }), (parameters) => {
        expect(Math.abs(parameterCount(modelNear(parameters)) - parameters)).toBeLessThanOrEqual(
          Math.max(2, parameters / 20),
        );
      }),
      { numRuns: 100 },
    );
  });

  it('is refused where no plan could have it', () => {
    expect(() => modelNear(2_000_000)).toThrow(expect.objectContaining({ code: 'FIELD_OUT_OF_RANGE' }));
    expect(() => modelNear(1)).toThrow(expect.objectContaining({ code: 'FIELD_OUT_OF_RANGE' }));
  });
});

describe('the plan', () => {
  it.each([
    ['shares', 10_000, 10_000, 16],
    ['shares', 100, 1000, 16],
    ['bfv', 100, 1000, 15],
  ] as const)(
    'over %s of %i clients with %i parameters has narrow slots and keeps its ε',
    (transport, clients, parameters, bits) => {
      const cohortMin = Math.floor(clients * 0.9);
      const parsed = roundPlan({ clients, parameters, transport, cohortMin, privacy: true, parties });
      const { layout, scheme } = schemeOf(parsed, 'training');
      expect(layout.modulusBits).toBeLessThanOrEqual(bits);
      expect(scheme.slotCount).toBe(parameterCount(parsed.plan.model));
      expect(accountPlan(parsed)!.epsilon).toBeLessThanOrEqual(3);
    },
  );

  it('can do without privacy', () => {
    const parsed = roundPlan({
      clients: 50,
      parameters: 500,
      transport: 'shares',
      cohortMin: 45,
      privacy: false,
      parties,
    });
    expect(parsed.plan.privacy).toBeNull();
  });
});
