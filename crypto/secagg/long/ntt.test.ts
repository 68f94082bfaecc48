import fc from 'fast-check';
import initialize from 'node-seal';
import { describe, expect, it } from 'vitest';
import { RingEngine } from '../../he/seal.ts';
import { seededRandom } from '../../random.ts';
import { centre, NegacyclicTransform, power, smallestPrimitiveRoot, transformFor } from './ntt.ts';
import { longPrimes } from './parameters.ts';

function uniformResidues(count: number, prime: number, label: string): Float64Array {
  const words = new Uint32Array(count);
  seededRandom(label).fill(new Uint8Array(words.buffer));
  return Float64Array.from(words, (word) => word % prime);
}

const positive = (values: Float64Array, prime: number): number[] =>
  Array.from(values, (value) => (value < 0 ? value + prime : value));

const centred = (values: Float64Array, prime: number): Float64Array =>
  values.map((value) => centre(value, prime, 1 / prime));

describe('arithmetic', () => {
  it('centres every integer below 2^53 − 2^26, and raises to powers, as BigInt does', () => {
    const max = 2n ** 53n - 2n ** 26n;
    const primes = fc.constantFrom(...longPrimes[4096], ...longPrimes[16384]);
    fc.assert(
      fc.property(primes, fc.bigInt({ min: -max, max }), (prime, value) => {
        const result = centre(Number(value), prime, 1 / prime);
        expect(Math.abs(result)).toBeLessThanOrEqual(prime / 2 + 64);
        expect((BigInt(result) - value) % BigInt(prime)).toBe(0n);
      }),
      { numRuns: 500 },
    );
    expect(power(3, 1_000_003, 67_084_289)).toBe(Number(modularPower(3n, 1_000_003n, 67_084_289n)));
  });

  it('finds the smallest primitive root', () => {
    const degree = 64;
    const prime = 257;
    const roots: number[] = [];
    for (let x = 1; x < prime; x++) if (modularPower(BigInt(x), 64n, 257n) === 256n) roots.push(x);
    expect(smallestPrimitiveRoot(degree, prime)).toBe(Math.min(...roots));
    expect(() => smallestPrimitiveRoot(256, 257)).toThrow();
  });
});

function modularPower(base: bigint, exponent: bigint, modulus: bigint): bigint {
  let result = 1n;
  for (let rest = exponent, square = base; rest > 0n; rest >>= 1n, square = (square * square) % modulus) {
    if (rest & 1n) result = (result * square) % modulus;
  }
  return result;
}

describe('against SEAL', () => {
  it.each([
    [4096, 1_073_692_673n],
    [8192, 1_073_692_673n],
    [16384, 1_073_643_521n],
  ] as const)('transforms to the same residues in the same order, n = %i', async (degree, spare) => {
    // The largest and the smallest primes; SEAL takes long to set up all 16 of n = 16384.
    const primes = [...longPrimes[degree].slice(0, 2), longPrimes[degree].at(-1)!];
    const ring = new RingEngine(await initialize(), degree, primes.map(BigInt), spare, false);
    const input = new Float64Array(degree * primes.length);
    for (const [r, prime] of primes.entries()) {
      const block = uniformResidues(degree, prime, `ntt ${prime}`);
      // The extremes of the centred range in the first places: the lazy bounds must hold for them too.
      if (r === 0) block.fill((prime - 1) / 2);
      if (r === 1) block.set(block.map((_, i) => (i % 2 === 0 ? (prime - 1) / 2 : (prime + 1) / 2)));
      input.set(block, r * degree);
    }
    const expected = ring.toNtt(input);
    for (const [r, prime] of primes.entries()) {
      const transform = transformFor(degree, prime);
      const block = input.slice(r * degree, (r + 1) * degree);
      const values = centred(block, prime);
      transform.forward(values);
      expect(positive(values, prime)).toEqual([...expected.subarray(r * degree, (r + 1) * degree)]);
      transform.inverseTimesDegree(values);
      const scale = centre(transform.degreeInverse, prime, 1 / prime);
      const back = values.map((value) => centre(value * scale, prime, 1 / prime));
      expect(positive(back, prime)).toEqual([...block]);
    }
  });
});

describe('against the schoolbook', () => {
  it('multiplies in Z_p[X]/(X^n + 1)', () => {
    const degree = 64;
    for (const prime of [longPrimes[4096][0]!, longPrimes[16384].at(-1)!]) {
      const transform = new NegacyclicTransform(degree, prime);
      const a = uniformResidues(degree, prime, `a ${prime}`);
      const b = uniformResidues(degree, prime, `b ${prime}`);
      const expected = new Array<bigint>(degree).fill(0n);
      for (let i = 0; i < degree; i++) {
        for (let j = 0; j < degree; j++) {
          const sign = i + j < degree ? 1n : -1n;
          expected[(i + j) % degree]! += sign * BigInt(a[i]!) * BigInt(b[j]!);
        }
      }
      const left = centred(a, prime);
      const right = centred(b, prime);
      transform.forward(left);
      transform.forward(right);
      const product = left.map((value, i) => centre(value * right[i]!, prime, 1 / prime));
      transform.inverseTimesDegree(product);
      const modulus = BigInt(prime);
      const scaled = product.map((value) =>
        centre(value * centre(transform.degreeInverse, prime, 1 / prime), prime, 1 / prime),
      );
      expect(positive(scaled, prime)).toEqual(
        expected.map((value) => Number(((value % modulus) + modulus) % modulus)),
      );
    }
  });
});

describe('worst cases of the lazy bounds', () => {
  const degree = 4096;

  /** By definition: the value at ψ^(2·rev(j) + 1), for a few non-zero coefficients. */
  function evaluate(coefficients: ReadonlyMap<number, number>, prime: number): number[] {
    const inverse = 1 / prime;
    const powers = new Float64Array(2 * degree);
    const root = smallestPrimitiveRoot(degree, prime);
    for (let i = 0, current = 1; i < powers.length; i++, current = centre(current * root, prime, inverse)) {
      powers[i] = current;
    }
    return Array.from({ length: degree }, (_, j) => {
      const reversed = Number.parseInt(j.toString(2).padStart(12, '0').split('').reverse().join(''), 2);
      let sum = 0;
      for (const [at, value] of coefficients) {
        sum = centre(sum + value * powers[(at * (2 * reversed + 1)) % powers.length]!, prime, inverse);
      }
      return sum < 0 ? sum + prime : sum;
    });
  }

  it.each(longPrimes[4096])(
    'forward: a value that every layer adds p/2 to is still exact (p = %i)',
    (prime) => {
      const inverse = 1 / prime;
      const root = smallestPrimitiveRoot(degree, prime);
      for (let layer = 1; layer < 12; layer++) {
        // Entry `target` is added to in each layer before `layer`, by a partner whose product is (p − 1)/2 there.
        const target = degree >>> (layer + 1);
        const coefficients = new Map([[target, (prime - 1) / 2]]);
        for (let earlier = 0; earlier < layer; earlier++) {
          const step = degree >>> (earlier + 1);
          const twiddle = power(root, 2 * degree - step, prime);
          coefficients.set(
            target + step,
            centre(((prime - 1) / 2) * centre(twiddle, prime, inverse), prime, inverse),
          );
        }
        const values = new Float64Array(degree);
        for (const [at, value] of coefficients) values[at] = value;
        transformFor(degree, prime).forward(values);
        expect(positive(values, prime)).toEqual(evaluate(coefficients, prime));
      }
    },
  );

  it.each(longPrimes[4096])('inverse: sums and differences of equals, up to any layer (p = %i)', (prime) => {
    const transform = transformFor(degree, prime);
    const scale = centre(transform.degreeInverse, prime, 1 / prime);
    for (let run = 1; run <= degree; run *= 2) {
      const input = Float64Array.from({ length: degree }, (_, i) =>
        Math.floor(i / run) % 2 === 0 ? (prime - 1) / 2 : -(prime - 1) / 2,
      );
      const values = input.slice();
      transform.inverseTimesDegree(values);
      transform.forward(values);
      expect(values.map((value) => centre(value * scale, prime, 1 / prime))).toEqual(input);
    }
  });
});
