import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { isPulsefoldError } from '../../error.ts';
import { seededRandom, systemRandom } from '../../random.ts';
import type { SealInput } from './engine.ts';
import { aSeedOf, type LongEngine, loadLongEngine, sealLong } from './index.ts';
import { sumOfSecrets, sumOfSlots, testParameters, testSlots } from './testing.ts';

const configHash = new Uint8Array(32).fill(9);

describe('engines', () => {
  it('load by name; auto is one of the two and agrees with the twin', async () => {
    const twin = await loadLongEngine({ engine: 'typescript' });
    expect(twin.name).toBe('typescript');
    const auto = await loadLongEngine();
    expect(['wasm-simd', 'typescript']).toContain(auto.name);
    const parameters = testParameters();
    const slots = testSlots(parameters.slotCount, 100, 'auto');
    const seal = (engine: LongEngine) =>
      sealLong(engine, parameters, { configHash, slots, random: seededRandom('auto') });
    expect(seal(auto)).toEqual(seal(twin));
  });
});

describe('sealLong', () => {
  const parameters = testParameters({ slotCount: 321 });

  it('seals under fresh keys, and the sum opens under their sum', async () => {
    const engine = await loadLongEngine({ engine: 'typescript' });
    const clients = [1, 2, 3].map((i) => {
      const slots = testSlots(321, 1000, `seal ${i}`);
      return { slots, ...sealLong(engine, parameters, { configHash, slots, random: systemRandom }) };
    });
    expect(clients[0]!.secret).not.toEqual(clients[1]!.secret);
    const folder = engine.folder(parameters);
    for (const { packed } of clients) folder.add(packed);
    const input = { sums: folder.bytes(), secretSum: sumOfSecrets(clients), cohort: 3 };
    const opened = engine.open(parameters, { ...input, aSeed: aSeedOf(configHash) });
    expect(opened).toEqual(sumOfSlots(clients));
    const other = aSeedOf(configHash.map((byte) => byte ^ 1));
    expect(() => engine.open(parameters, { ...input, aSeed: other })).toThrow(/do not open/);
  });

  it('overwrites key and errors, also when the engine throws', async () => {
    const engine = await loadLongEngine({ engine: 'typescript' });
    const seen: SealInput[] = [];
    const watching: LongEngine = {
      ...engine,
      seal: (p, input) => {
        seen.push(input);
        expect(input.secret.some((x) => x !== 0) && input.errors.some((x) => x !== 0)).toBe(true);
        return engine.seal(p, input);
      },
    };
    const slots = testSlots(321, 1000, 'wipe');
    const { secret } = sealLong(watching, parameters, { configHash, slots, random: systemRandom });
    expect(secret.some((x) => x !== 0)).toBe(true);
    const short = { configHash, slots: slots.subarray(1), random: systemRandom };
    expect(() => sealLong(watching, parameters, short)).toThrow(/321/);
    expect(seen).toHaveLength(2);
    for (const input of seen) {
      expect(input.secret.every((x) => x === 0) && input.errors.every((x) => x === 0)).toBe(true);
    }
  });

  it('binds a to all 32 bytes of the config hash', () => {
    // SHA-256 of u32le(length) ‖ bytes for the label and the hash.
    const label = new TextEncoder().encode('pulsefold/v1/longsum-a');
    const expected = createHash('sha256')
      .update(Uint8Array.of(label.length, 0, 0, 0))
      .update(label)
      .update(Uint8Array.of(32, 0, 0, 0))
      .update(configHash)
      .digest();
    expect(aSeedOf(configHash)).toEqual(new Uint8Array(expected));
    let caught: unknown;
    try {
      aSeedOf(configHash.subarray(1));
    } catch (error) {
      caught = error;
    }
    expect(isPulsefoldError(caught) && caught.code).toBe('MALFORMED_MESSAGE');
  });
});
