import { describe, expect, it } from 'vitest';
import { isPulsefoldError } from '../../error.ts';
import { assertLatticeSecurity, bfv4096 } from '../../he/parameters.ts';
import {
  assertLongMargins,
  assertLongSecurity,
  assertSecretSum,
  chooseLong,
  clientsMax,
  defineLongParameters,
  describeLong,
  ensureLongParameters,
  errorLimit,
  type LongDegree,
  type LongRequest,
  logModulus,
  logModulusMax,
  longModulus,
  longPrimes,
  openingErrorMax,
  sigma256For,
  slotCountMax,
  undetectedBits,
} from './parameters.ts';

const base: LongRequest = {
  slotCount: 100_000,
  slotBits: 16,
  clients: 10_000,
  honestClients: 9000,
  shortSum: 'shares',
  shortBytesPerSlot: 2,
};

const degrees: LongDegree[] = [4096, 8192, 16384];

/** Second implementation of primality, by trial division. */
function isPrime(value: number): boolean {
  for (let divisor = 2; divisor * divisor <= value; divisor++) if (value % divisor === 0) return false;
  return value > 1;
}

const refused = (run: () => unknown, numbers: RegExp): void => {
  let caught: unknown;
  try {
    run();
  } catch (error) {
    caught = error;
  }
  expect(isPulsefoldError(caught) && caught.code).toBe('PARAMETER_UNSAFE');
  expect((caught as Error).message).toMatch(numbers);
};

describe('primes', () => {
  it.each(degrees)('are the largest below 2^26 that are 1 modulo 2n, without a gap (n = %i)', (degree) => {
    const expected: number[] = [];
    for (let candidate = 2 ** 26 - 2 * degree + 1; expected.length < longPrimes[degree].length; ) {
      if (isPrime(candidate)) expected.push(candidate);
      candidate -= 2 * degree;
    }
    expect(longPrimes[degree]).toEqual(expected);
    // One more prime would not fit under the limit, so the list is complete.
    expect(logModulus({ primes: expected }) + Math.log2(expected.at(-1)!)).toBeGreaterThan(
      logModulusMax[degree],
    );
    expect(logModulus({ primes: expected })).toBeLessThan(logModulusMax[degree]);
  });

  it('meets the same guideline limits as the BFV cipher', () => {
    for (const polyDegree of degrees) {
      const limit = BigInt(logModulusMax[polyDegree]);
      const at = (specialPrime: bigint) => () =>
        assertLatticeSecurity({ ...bfv4096, polyDegree, dataPrimes: [], specialPrime });
      expect(at((1n << limit) - 1n)).not.toThrow();
      expect(at(1n << limit)).toThrow();
    }
  });
});

describe('chooseLong', () => {
  it.each([
    [10_000, 0.9],
    [100_000, 0.6],
    [1_000_000, 0.55],
  ])('%i slots of 16 bits for 10,000 clients cost at most %f of float32', (slotCount, ratioMax) => {
    const parameters = chooseLong({ ...base, slotCount });
    const description = describeLong(parameters);
    expect(description.ratioToFloat32).toBeLessThanOrEqual(ratioMax);
    expect(description.uploadBytes).toBe(parameters.bodyBytes + 480);
    expect(parameters.bodyBytes).toBe(parameters.packedBytes + 2 * parameters.polyDegree);
    expect(description.logModulus).toBeLessThanOrEqual(description.logModulusLimit);
    expect(description.noiseMarginSigmas).toBeGreaterThanOrEqual(11);
    expect(description.failureBits).toBeGreaterThan(60);
    expect(description.undetectedBits).toBeGreaterThanOrEqual(64);
  });

  it('picks the smallest upload: no other ring, prime count or packing is smaller', () => {
    for (const [slotCount, slotBits] of [
      [1, 32],
      [700, 16],
      [10_000, 16],
      [60_000, 18],
      [300_000, 24],
    ] as const) {
      const chosen = describeLong(chooseLong({ ...base, slotCount, slotBits })).uploadBytes;
      let smallest = Number.POSITIVE_INFINITY;
      for (const polyDegree of degrees) {
        for (let k = 1; k <= longPrimes[polyDegree].length; k++) {
          for (let p = 1; p * slotBits < 26 * k; p++) {
            const coefficientCount = Math.ceil(slotCount / p);
            const shape = {
              ...{ polyDegree, primes: longPrimes[polyDegree].slice(0, k), slotBits, slotCount },
              ...{ slotsPerCoefficient: p, coefficientCount, clients: base.clients },
              polynomialCount: Math.ceil(coefficientCount / polyDegree),
              sigma256: sigma256For(base.honestClients),
            };
            try {
              assertLongMargins(shape);
            } catch {
              continue;
            }
            const bytes = Math.ceil(coefficientCount / 4) * 13 * k + 2 * polyDegree + 480;
            smallest = Math.min(smallest, bytes);
          }
        }
      }
      expect(chosen).toBe(smallest);
    }
  });

  it('lets the short sum decide: an expensive one per slot keeps the ring small', () => {
    const cheap = chooseLong({ ...base, slotCount: 1_000_000 });
    const dear = chooseLong({
      ...base,
      ...{ slotCount: 1_000_000, shortSum: 'bfv' },
      shortBytesPerSlot: (slots) => 40 * slots,
      holderPartBytes: (slots) => 40 * slots,
    });
    expect(dear.polyDegree).toBeLessThan(cheap.polyDegree);
    expect(dear.bodyBytes - dear.packedBytes).toBe(40 * dear.polyDegree);
  });

  it('holds every margin over the whole range of requests', () => {
    for (const slotBits of [2, 3, 7, 16, 17, 25, 32]) {
      for (const slotCount of [1, 2, 65, 4097, 1_000_003]) {
        for (const [clients, honestClients] of [
          [2, 2],
          [500, 51],
          [clientsMax, 2],
          [clientsMax, 90_000],
        ] as const) {
          const parameters = chooseLong({ ...base, slotBits, slotCount, clients, honestClients });
          // By integers, not by the logarithms the choice was made with.
          const q = longModulus(parameters);
          const { slotsPerCoefficient: p, coefficientCount, polyDegree } = parameters;
          expect(q < 1n << BigInt(logModulusMax[polyDegree])).toBe(true);
          const deviation = (parameters.sigma256 / 256) * Math.sqrt(clients);
          const errorSum = BigInt(Math.ceil(11 * deviation));
          expect(errorSum << BigInt(p * slotBits + 1)).toBeLessThan(q);
          expect(undetectedBits(parameters)).toBeGreaterThanOrEqual(64);
          expect(coefficientCount * p).toBeGreaterThanOrEqual(slotCount);
          expect((coefficientCount - 1) * p).toBeLessThan(slotCount);
          expect(parameters.sigma256 / 256).toBeGreaterThanOrEqual(
            3.2 * Math.sqrt(2 * (1 + 1 / (honestClients - 1))),
          );
        }
      }
    }
  });
});

describe('what is refused', () => {
  const shapeOf = (over: Partial<ReturnType<typeof chooseLong>>) => {
    const chosen = chooseLong(base);
    const shape = { ...chosen, ...over };
    const coefficientCount = Math.ceil(shape.slotCount / shape.slotsPerCoefficient);
    return { ...shape, coefficientCount, polynomialCount: Math.ceil(coefficientCount / shape.polyDegree) };
  };

  it('fewer than two honest clients, or more honest ones than there are', () => {
    refused(() => chooseLong({ ...base, honestClients: 1 }), /at least 2 honest/);
    refused(() => chooseLong({ ...base, honestClients: 1.5 }), /at least 2 honest/);
    refused(() => chooseLong({ ...base, clients: 10, honestClients: 11 }), /11 honest of only 10/);
    expect(() => chooseLong({ ...base, clients: 2, honestClients: 2 })).not.toThrow();
  });

  it('requests out of range', () => {
    refused(() => chooseLong({ ...base, slotBits: 33 }), /33/);
    refused(() => chooseLong({ ...base, slotBits: 1 }), /got 1/);
    refused(() => chooseLong({ ...base, slotCount: 0 }), /slot count/);
    refused(() => chooseLong({ ...base, slotCount: slotCountMax + 1 }), /slot count/);
    refused(() => chooseLong({ ...base, clients: clientsMax + 1 }), /100001/);
    refused(() => chooseLong({ ...base, slotCount: Number.NaN }), /NaN/);
  });

  it('a sum of keys that the short sum cannot carry', () => {
    const large = { ...base, clients: 100_000, honestClients: 2 };
    expect(() => chooseLong(large)).not.toThrow();
    refused(() => chooseLong({ ...large, shortSum: 'bfv' }), /16384/);
    expect(() => chooseLong({ ...large, shortSum: 'bfv', clients: 50_000 })).not.toThrow();
    // The bound itself: 11 · 8 · √N = 2^15 at N = 138,655.
    expect(() => assertSecretSum(2048, 138_654, 'shares')).not.toThrow();
    refused(() => assertSecretSum(2048, 138_655, 'shares'), /32768/);
  });

  it('log2 q over the guideline, other primes, a narrow sigma', () => {
    const { sigma256 } = chooseLong(base);
    expect(() => assertLongSecurity(4096, longPrimes[4096], sigma256)).not.toThrow();
    const fifth = [...longPrimes[4096], 66_584_577];
    refused(() => assertLongSecurity(4096, fifth, sigma256), /130\.0 exceeds the 128-bit limit 107/);
    refused(() => assertLongSecurity(4096, longPrimes[8192], sigma256), /207\.9 exceeds/);
    refused(() => assertLongSecurity(2048, longPrimes[4096].slice(0, 2), sigma256), /2048/);
    refused(() => assertLongSecurity(4096, longPrimes[4096].slice(1), sigma256), /not the largest/);
    refused(() => assertLongSecurity(4096, [], sigma256), /not the largest/);
    // σ = 3.2·√2 is the least for any number of honest clients.
    expect(() => assertLongSecurity(4096, longPrimes[4096], 1159)).not.toThrow();
    refused(() => assertLongSecurity(4096, longPrimes[4096], 1158), /1158/);
    refused(() => assertLongSecurity(4096, longPrimes[4096], 2049), /2049/);
  });

  it('one slot too many per coefficient, one client too many', () => {
    const chosen = shapeOf({});
    expect(() => defineLongParameters(chosen, 1)).not.toThrow();
    const wide = shapeOf({ slotsPerCoefficient: chosen.slotsPerCoefficient + 1 });
    refused(() => defineLongParameters(wide, 1), /11 sigma of the summed error of 10000 clients is \d+/);
    // n = 4096, three primes, 16 × 4: room for 2^13 or so, so not for 100,000 clients.
    const tight = chooseLong({ ...base, slotCount: 10_000 });
    expect(openingErrorMax(tight, tight.clients)).toBeLessThan(errorLimit(tight));
    refused(() => defineLongParameters({ ...tight, clients: 100_000 }, 1), /100000 clients/);
  });

  it('a wrong opening that would not be noticed', () => {
    const one = { ...shapeOf({ slotCount: 1, polyDegree: 4096, primes: longPrimes[4096] }), slotBits: 32 };
    refused(
      () => assertLongMargins({ ...one, slotsPerCoefficient: 1 }),
      /would pass with probability 2\^-5\d/,
    );
    expect(() => assertLongMargins({ ...one, slotsPerCoefficient: 1, slotBits: 20 })).not.toThrow();
  });

  it('copies that were tampered with; honest copies pass', () => {
    const parameters = chooseLong(base);
    expect(() => ensureLongParameters(structuredClone(parameters))).not.toThrow();
    for (const change of [
      { slotsPerCoefficient: parameters.slotsPerCoefficient + 1 },
      { sigma256: 1000 },
      { clients: 10_000_000 },
      { coefficientCount: parameters.coefficientCount - 1 },
      { packedBytes: parameters.packedBytes - 13 },
      { bodyBytes: parameters.packedBytes },
      { primes: [...parameters.primes].reverse() },
      { slotBits: 17 },
    ]) {
      refused(() => ensureLongParameters({ ...parameters, ...change }), /./);
    }
  });
});
