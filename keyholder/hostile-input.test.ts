/**
 * Whatever a caller sends, every method answers with a coded error or a reply, and changes nothing by
 * mistake.
 */
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isPulsefoldError } from '../crypto/error.ts';
import { Committee, createWorld, type World } from './testing.ts';

let world: World;
let committee: Committee;
beforeAll(async () => {
  world = await createWorld();
  committee = new Committee(world);
});
afterAll(() => committee.close());

/** Messages that get past the first field now and then. */
const message = (): fc.Arbitrary<unknown> => {
  const hash = fc.oneof(fc.constant(world.parsed.hash), fc.uint8Array({ maxLength: 40 }), fc.anything());
  const round = fc.oneof(fc.integer({ min: 1, max: 5 }), fc.double(), fc.anything());
  const list = fc.oneof(fc.array(fc.anything(), { maxLength: 4 }), fc.anything());
  const phase = fc.constantFrom(
    'COMMIT_KEY',
    'REVEAL',
    'COMBINE',
    'TEST',
    'FINISH',
    'constructor',
    '__proto__',
    3,
  );
  const bytes = fc.oneof(fc.uint8Array({ minLength: 32, maxLength: 32 }), fc.anything());
  const fields = fc.record(
    {
      planHash: hash,
      round,
      phase,
      parts: list,
      shares: list,
      entries: list,
      deviceIds: list,
      modelHash: bytes,
      configHash: bytes,
      committeeKeyId: bytes,
      cohortRoot: bytes,
      reason: fc.anything(),
      plan: fc.oneof(fc.uint8Array({ maxLength: 300 }), fc.constant(world.parsed.bytes)),
      approvals: list,
      activeSet: list,
      signatures: list,
      draws: list,
      cohortCount: round,
      digitCount: round,
    },
    { requiredKeys: [] },
  );
  return fc.oneof({ weight: 4, arbitrary: fields }, { weight: 1, arbitrary: fc.anything() });
};

/** Runs `call`; only a coded error other than INTERNAL may come out. */
async function survive(call: () => unknown): Promise<void> {
  try {
    await call();
  } catch (error) {
    if (!isPulsefoldError(error) || error.code === 'INTERNAL') throw error;
  }
}

async function* streamOf(items: readonly unknown[]): AsyncGenerator<unknown> {
  yield* items;
}

describe('every method survives', () => {
  it.each(['registerPlan', 'ceremonyStep', 'accept', 'certify'] as const)('%s', async (method) => {
    const { service } = committee.holders[0]!;
    await fc.assert(
      fc.asyncProperty(message(), (value) => survive(() => service[method](value))),
      { numRuns: 150 },
    );
  });

  it.each(['open', 'draw'] as const)('%s', async (method) => {
    const { service } = committee.holders[0]!;
    const stream = fc.array(
      fc.oneof(
        message(),
        message().map((header) => ({ header })),
        message().map((part) => ({ part })),
      ),
      {
        maxLength: 4,
      },
    );
    await fc.assert(
      fc.asyncProperty(stream, (items) => survive(() => service[method](streamOf(items)))),
      { numRuns: 150 },
    );
  });

  it('and nothing came of it', () => {
    for (let round = 1; round <= 5; round++) {
      const at = { planHash: world.parsed.hash, round };
      const { store } = committee.holders[0]!.context;
      expect(store.statement(at)).toBeUndefined();
      expect(store.committeeKey(at)).toBeUndefined();
      expect(store.entries.count(at)).toBe(0);
    }
    expect(committee.holders[0]!.context.store.planCount()).toBe(1);
  });
});
