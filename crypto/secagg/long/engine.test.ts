import { createHash } from 'node:crypto';
import fc from 'fast-check';
import initialize from 'node-seal';
import { beforeAll, describe, expect, it } from 'vitest';
import { toHex } from '../../bytes.ts';
import { isPulsefoldError } from '../../error.ts';
import { RingEngine } from '../../he/seal.ts';
import { typescriptEngine as engine } from './engine-typescript.ts';
import { expandA } from './expansion.ts';
import { type LongParameters, longPrimes, openingErrorMax } from './parameters.ts';
import {
  customParameters,
  packedResidue,
  sealClient,
  sumOfSecrets,
  sumOfSlots,
  type TestClient,
  testParameters,
  testSeed,
  testSlots,
} from './testing.ts';

const aSeed = testSeed('round 1');

function codeOf(run: () => unknown): string | undefined {
  try {
    run();
    return undefined;
  } catch (error) {
    return isPulsefoldError(error) ? error.code : `not coded: ${error}`;
  }
}

function makeClients(parameters: LongParameters, count: number, limit: number): TestClient[] {
  return Array.from({ length: count }, (_, i) =>
    sealClient(engine, parameters, {
      aSeed,
      slots: testSlots(parameters.slotCount, limit, `slots ${i}`),
      label: `client ${i}`,
    }),
  );
}

function fold(parameters: LongParameters, clients: readonly TestClient[]): Uint8Array {
  const folder = engine.folder(parameters);
  for (const { packed } of clients) folder.add(packed);
  return folder.bytes();
}

describe('sums', () => {
  it('are exact for any slots, widths and counts whose sums fit', () => {
    const widths = fc.integer({ min: 2, max: 32 });
    const shape = fc.record({
      slotBits: widths,
      slotCount: fc.integer({ min: 1, max: 300 }),
      clients: fc.integer({ min: 1, max: 4 }),
      seed: fc.integer(),
    });
    fc.assert(
      fc.property(shape, ({ slotBits, slotCount, clients: count, seed }) => {
        const parameters = testParameters({ slotBits, slotCount });
        const half = 2 ** (slotBits - 1);
        // Random targets for the sum, extremes included, reached by int32 slots of any size on the way.
        const target = testSlots(slotCount, half, `target ${seed}`).map((x, i) =>
          i % 5 === 0 ? -half : i % 5 === 1 ? half - 1 : x,
        );
        const left = target.slice();
        const clients = Array.from({ length: count }, (_, i) => {
          const slots = i === count - 1 ? left.slice() : testSlots(slotCount, 2 ** 28, `${seed}/${i}`);
          // Keep the rest an int32: near the ends of a 32-bit slot the last client has it all.
          if (slotBits > 28 && i < count - 1) slots.fill(0);
          for (let j = 0; j < slotCount; j++) left[j]! -= slots[j]!;
          return sealClient(engine, parameters, { aSeed, slots, label: `${seed}-${i}` });
        });
        const secretSum = sumOfSecrets(clients);
        const sums = fold(parameters, clients);
        expect(engine.open(parameters, { aSeed, sums, secretSum, cohort: count })).toEqual(target);
      }),
      { numRuns: 40 },
    );
  });

  it.each([
    ['two polynomials of n = 4096', 4096, 3, 32, 2, 2 * 4096 + 2 * 77],
    ['two polynomials of n = 8192', 8192, 8, 16, 12, 12 * 8192 + 5],
    ['two polynomials of n = 16384', 16384, 16, 16, 25, 25 * 16384 + 26],
  ] as const)('are exact over %s', (_, polyDegree, primeCount, slotBits, slotsPerCoefficient, slotCount) => {
    const parameters = customParameters({
      ...{ polyDegree, primeCount, slotBits, slotsPerCoefficient, slotCount, clients: 1000 },
    });
    const clients = makeClients(parameters, 2, 2 ** (slotBits - 2));
    const input = { aSeed, sums: fold(parameters, clients), secretSum: sumOfSecrets(clients), cohort: 2 };
    expect(engine.open(parameters, input)).toEqual(sumOfSlots(clients));
  });

  it('borrow across slots: negative sums leave their neighbours alone', () => {
    const parameters = testParameters({ slotCount: 16 });
    const slots = Int32Array.of(-1, 0, -32_768, 32_767, -1, -1, 0, 1, 0, 0, -2, 0, 32_767, -32_768, 0, -1);
    const client = sealClient(engine, parameters, { aSeed, slots, label: 'borrow' });
    const input = { aSeed, sums: client.packed, secretSum: Int32Array.from(client.secret), cohort: 1 };
    expect(engine.open(parameters, input)).toEqual(slots);
  });

  it('that run over cost 2^b in their slot and 1 in the next, nothing else', () => {
    const parameters = customParameters({
      ...{ polyDegree: 4096, primeCount: 4, slotBits: 16, slotsPerCoefficient: 5, clients: 1000 },
      slotCount: 60,
    });
    const slots = new Int32Array(60);
    slots.set([7, 32_768, 7, -32_769, 7, 7, 7, 7, 7, 70_000]);
    const client = sealClient(engine, parameters, { aSeed, slots, label: 'over' });
    const input = { aSeed, sums: client.packed, secretSum: Int32Array.from(client.secret), cohort: 1 };
    const expected = slots.slice();
    // Beyond the last slot of a coefficient lies the error, which has room for a 1.
    expected.set([7, -32_768, 8, 32_767, 6, 7, 7, 7, 7, 70_000 - 65_536]);
    expect(engine.open(parameters, input)).toEqual(expected);
  });

  it('of 250 different clients, and of 100,000 additions of small ones, are exact', () => {
    const parameters = testParameters({ slotCount: 200, clients: 100_000, slotBits: 24 });
    const clients = makeClients(parameters, 250, 2 ** 15);
    const secretSum = sumOfSecrets(clients);
    const opened = engine.open(parameters, {
      aSeed,
      sums: fold(parameters, clients),
      secretSum,
      cohort: 250,
    });
    expect(opened).toEqual(sumOfSlots(clients));

    // One key and no error, 100,000 times: the residues wrap thousands of times.
    const slots = testSlots(200, 80, 'often');
    const secret = Int8Array.from({ length: parameters.polyDegree }, (_, i) => (i % 3) - 1);
    const errors = new Int8Array(parameters.coefficientCount);
    const packed = engine.seal(parameters, { aSeed, secret, errors, slots });
    const folder = engine.folder(parameters);
    folder.window().set(packed);
    for (let i = 0; i < 100_000; i++) {
      folder.addWindow();
      if (i % 30_000 === 0) folder.bytes();
    }
    expect(folder.count).toBe(100_000);
    const many = engine.open(parameters, {
      ...{ aSeed, sums: folder.bytes(), cohort: 100_000 },
      secretSum: Int32Array.from(secret, (s) => 100_000 * s),
    });
    expect(many).toEqual(slots.map((x) => 100_000 * x));
  });
});

describe('folders', () => {
  const parameters = testParameters({ slotCount: 333 });
  let clients: TestClient[] = [];
  beforeAll(() => {
    clients = makeClients(parameters, 5, 1000);
  });

  it('take back what they added, whatever it was', () => {
    const folder = engine.folder(parameters);
    folder.add(clients[0]!.packed);
    folder.add(clients[1]!.packed);
    const before = folder.bytes();
    const hostile = new Uint8Array(parameters.packedBytes).fill(0xff);
    folder.add(hostile);
    folder.add(clients[2]!.packed);
    expect(folder.bytes()).not.toEqual(before);
    folder.subtract(hostile);
    folder.subtract(clients[2]!.packed);
    expect(folder.bytes()).toEqual(before);
    expect(folder.count).toBe(2);
    folder.subtract(clients[0]!.packed);
    folder.subtract(clients[1]!.packed);
    expect(folder.bytes()).toEqual(new Uint8Array(parameters.packedBytes));
  });

  it('merge: the sum of two sums is the sum of all', () => {
    const left = engine.folder(parameters);
    left.add(fold(parameters, clients.slice(0, 2)));
    left.add(fold(parameters, clients.slice(2)));
    expect(left.bytes()).toEqual(fold(parameters, clients));
  });

  it('give canonical bytes: every residue below its prime, one upload unchanged', () => {
    expect(fold(parameters, clients.slice(0, 1))).toEqual(clients[0]!.packed);
    const folder = engine.folder(parameters);
    for (let i = 0; i < 5; i++) folder.add(new Uint8Array(parameters.packedBytes).fill(0xff));
    const bytes = folder.bytes();
    for (const [r, prime] of parameters.primes.entries()) {
      for (let i = 0; i < 4 * Math.ceil(parameters.coefficientCount / 4); i++) {
        expect(packedResidue(parameters, bytes, r, i)).toBe((5 * (2 ** 26 - 1)) % prime);
      }
    }
  });

  it('read from the window what add reads from a copy', () => {
    const folder = engine.folder(parameters);
    for (const { packed } of clients) {
      expect(folder.window().length).toBe(parameters.packedBytes);
      folder.window().set(packed);
      folder.addWindow();
    }
    expect(folder.bytes()).toEqual(fold(parameters, clients));
    expect(folder.count).toBe(5);
  });

  it('refuse a length that is not the one', () => {
    const folder = engine.folder(parameters);
    const { packed } = clients[0]!;
    for (const wrong of [packed.subarray(1), new Uint8Array(0), new Uint8Array(packed.length + 1)]) {
      expect(codeOf(() => folder.add(wrong))).toBe('WRONG_CIPHERTEXT_PARAMETERS');
      expect(codeOf(() => folder.subtract(wrong))).toBe('WRONG_CIPHERTEXT_PARAMETERS');
    }
    expect(folder.count).toBe(0);
    expect(folder.bytes()).toEqual(new Uint8Array(parameters.packedBytes));
    expect(codeOf(() => folder.add(packed))).toBeUndefined();
  });
});

describe('what does not open', () => {
  const parameters = testParameters({ slotCount: 400 });
  const cohort = 4;
  let clients: TestClient[] = [];
  let good: Parameters<typeof engine.open>[1];
  beforeAll(() => {
    clients = makeClients(parameters, cohort, 1000);
    good = { aSeed, sums: fold(parameters, clients), secretSum: sumOfSecrets(clients), cohort };
  });
  const opens = (over: Partial<typeof good>) => codeOf(() => engine.open(parameters, { ...good, ...over }));

  it('control: the honest sum does', () => {
    expect(engine.open(parameters, good)).toEqual(sumOfSlots(clients));
  });

  it('a sum with a client that was shown another model', () => {
    const { slots } = clients[0]!;
    const shown = (seed: Uint8Array) =>
      sealClient(engine, parameters, { aSeed: seed, slots, label: 'client 0' }).packed;
    const withClient = (packed: Uint8Array) =>
      fold(parameters, [{ ...clients[0]!, packed }, ...clients.slice(1)]);
    expect(opens({ sums: withClient(shown(testSeed('another model'))) })).toBe('OPENING_FAILED');
    // Weakened: were `a` not bound to the model, the same client would go unnoticed.
    expect(opens({ sums: withClient(shown(aSeed)) })).toBeUndefined();
  });

  it('any sum under another config hash', () => {
    expect(opens({ aSeed: testSeed('another round') })).toBe('OPENING_FAILED');
  });

  it('a sum whose keys lack one client, count one twice, or are off by one anywhere', () => {
    expect(opens({ secretSum: sumOfSecrets(clients.slice(1)) })).toBe('OPENING_FAILED');
    expect(opens({ secretSum: sumOfSecrets([...clients, clients[0]!]) })).toBe('OPENING_FAILED');
    for (const at of [0, 17, parameters.polyDegree - 1]) {
      const secretSum = good.secretSum.slice();
      secretSum[at]! += 1;
      expect(opens({ secretSum })).toBe('OPENING_FAILED');
    }
  });

  it('a sum that lacks an upload, or holds one twice', () => {
    expect(opens({ sums: fold(parameters, clients.slice(1)) })).toBe('OPENING_FAILED');
    expect(opens({ sums: fold(parameters, [...clients, clients[0]!]) })).toBe('OPENING_FAILED');
  });

  it('a sum with one bit flipped in the residues', () => {
    for (const at of [0, 5, parameters.packedBytes >> 1]) {
      const sums = good.sums.slice();
      sums[at]! ^= 0x40;
      expect(opens({ sums })).toBe('OPENING_FAILED');
    }
  });

  it('errors beyond the bound of the cohort, and the bound is what stops them', () => {
    const bound = openingErrorMax(parameters, 1);
    const withError = (error: number) => {
      const errors = new Int8Array(parameters.coefficientCount);
      errors[33] = error;
      const { secret, slots } = clients[0]!;
      return {
        sums: engine.seal(parameters, { aSeed, secret, errors, slots }),
        secretSum: Int32Array.from(secret),
      };
    };
    expect(bound).toBeLessThan(127);
    expect(opens({ ...withError(bound), cohort: 1 })).toBeUndefined();
    expect(opens({ ...withError(bound + 1), cohort: 1 })).toBe('OPENING_FAILED');
    expect(opens({ ...withError(-bound - 1), cohort: 1 })).toBe('OPENING_FAILED');
    // Weakened: with the bound of a larger cohort it would pass.
    expect(opens({ ...withError(bound + 1), cohort: 1000 })).toBeUndefined();
  });

  it('says how many coefficients failed, and nothing of what is in them', () => {
    try {
      engine.open(parameters, { ...good, aSeed: testSeed('another round') });
      expect.unreachable();
    } catch (error) {
      expect((error as Error).message).toMatch(/^\d+ of 100 coefficients do not open: /);
      expect((error as Error).message.match(/\d+/g)).toHaveLength(2);
    }
  });

  it('malformed calls', () => {
    expect(opens({ sums: good.sums.subarray(1) })).toBe('WRONG_CIPHERTEXT_PARAMETERS');
    expect(opens({ secretSum: good.secretSum.subarray(1) })).toBe('VECTOR_LENGTH_MISMATCH');
    expect(opens({ aSeed: aSeed.subarray(1) })).toBe('WRONG_CIPHERTEXT_PARAMETERS');
    for (const wrong of [0, 1.5, parameters.clients + 1, Number.NaN]) {
      expect(opens({ cohort: wrong })).toBe('FIELD_OUT_OF_RANGE');
    }
    const { secret, errors, slots } = clients[0]!;
    const seals = (over: object) =>
      codeOf(() => engine.seal(parameters, { aSeed, secret, errors, slots, ...over }));
    expect(seals({})).toBeUndefined();
    expect(seals({ secret: secret.subarray(1) })).toBe('VECTOR_LENGTH_MISMATCH');
    expect(seals({ errors: errors.subarray(1) })).toBe('VECTOR_LENGTH_MISMATCH');
    expect(seals({ slots: slots.subarray(1) })).toBe('VECTOR_LENGTH_MISMATCH');
    const unsafe = { ...parameters, sigma256: 256 };
    expect(codeOf(() => engine.seal(unsafe, { aSeed, secret, errors, slots }))).toBe('PARAMETER_UNSAFE');
    expect(codeOf(() => engine.folder(unsafe))).toBe('PARAMETER_UNSAFE');
    expect(codeOf(() => engine.open(unsafe, good))).toBe('PARAMETER_UNSAFE');
  });
});

describe('wire format', () => {
  it('is that of a second implementation: SEAL for the ring, BigInt for the rest', async () => {
    const parameters = customParameters({
      ...{ polyDegree: 4096, primeCount: 3, slotBits: 21, slotsPerCoefficient: 2, clients: 1000 },
      slotCount: 2 * 4096 + 2 * 5 - 1,
    });
    const { polyDegree: n, primes, coefficientCount } = parameters;
    const ring = new RingEngine(await initialize(), n, primes.map(BigInt), 1_073_692_673n, false);
    const slots = testSlots(parameters.slotCount, 2 ** 31, 'wire');
    const errors = Int8Array.from({ length: coefficientCount }, (_, i) => ((i * 37) % 255) - 127);
    const secret = Int8Array.from({ length: n }, (_, i) => (i % 1000 === 3 ? (i % 7) - 4 : 0));
    const packed = engine.seal(parameters, { aSeed, secret, errors, slots });
    const a = new Float64Array(primes.length * n);
    for (let polynomial = 0; polynomial < 2; polynomial++) {
      for (const [r, prime] of primes.entries()) {
        expandA(aSeed, polynomial, r, prime, a.subarray(r * n, (r + 1) * n));
      }
      const coefficients = ring.fromNtt(a);
      for (const [r, prime] of primes.entries()) {
        for (let i = 0; i < Math.min(n, coefficientCount - polynomial * n); i++) {
          const index = polynomial * n + i;
          let expected = BigInt(errors[index]!) << 42n;
          for (const j of [0, 1]) expected += BigInt(slots[2 * index + j] ?? 0) << BigInt(21 * j);
          for (let at = 3; at < n; at += 1000) {
            const from = i - at;
            const term = BigInt(secret[at]!) * BigInt(coefficients[r * n + ((from + n) % n)]!);
            expected += from < 0 ? -term : term;
          }
          const modulus = BigInt(prime);
          const residue = Number(((expected % modulus) + modulus) % modulus);
          if (packedResidue(parameters, packed, r, index) !== residue) expect.unreachable(`${r} ${index}`);
        }
      }
    }
    // 4101 coefficients: three padding residues per prime, zero.
    for (const r of primes.keys()) expect(packedResidue(parameters, packed, r, 4101)).toBe(0);
  });

  it('expands a as the specification says, rejected words included', () => {
    const prime = longPrimes[16384].at(-1)!;
    const out = new Float64Array(16_384);
    expandA(aSeed, 3, 15, prime, out);
    // About 5% of the words are skipped here; all that is kept is below the prime, and near it at times.
    expect(Math.max(...out)).toBeLessThan(prime);
    expect(Math.max(...out)).toBeGreaterThan(prime * 0.999);
    const digest = createHash('sha256').update(new Uint8Array(out.buffer)).digest();
    expandA(aSeed, 3, 14, prime, out);
    expect(createHash('sha256').update(new Uint8Array(out.buffer)).digest()).not.toEqual(digest);
  });

  it('keeps these bytes (crypto/kernels must give the same)', () => {
    const parameters = testParameters({ slotCount: 1003, slotBits: 17 });
    const slots = testSlots(1003, 2 ** 31, 'known answer');
    const { packed } = sealClient(engine, parameters, { aSeed: testSeed('known'), slots, label: 'known' });
    expect(parameters.packedBytes).toBe(packed.length);
    expect(toHex(createHash('sha256').update(packed).digest())).toMatchInlineSnapshot(
      `"abc9750842799cee2b760a782a271c890b5c97e6b411c44123cc399170ca215a"`,
    );
  });
});
