import { beforeAll, describe, expect, it } from 'vitest';
import { seededRandom } from '../random.ts';
import { signedResidues, ternary, uniformResidues } from '../ring/sampling.ts';
import { loadBfv, loadedCipher } from './bfv.ts';

beforeAll(async () => {
  await loadBfv();
});

const n = 4096;

/** Second implementation: schoolbook product in Z[X]/(X^n + 1) with BigInt, `sparse` given as [degree, value]. */
function negacyclic(
  dense: Float64Array,
  sparse: readonly (readonly [number, bigint])[],
  prime: bigint,
): number[] {
  const out = new Array<bigint>(n).fill(0n);
  for (const [degree, value] of sparse) {
    for (let i = 0; i < n; i++) {
      const at = i + degree;
      const term = value * BigInt(dense[i]!);
      if (at < n) out[at]! += term;
      else out[at - n]! -= term;
    }
  }
  return out.map((x) => Number(((x % prime) + prime) % prime));
}

describe('SEAL as a ring engine', () => {
  it.each(['data', 'key'] as const)('multiplies as the schoolbook does (%s primes)', (which) => {
    const { layouts, engines } = loadedCipher();
    const ring = engines[which];
    const moduli = which === 'data' ? layouts.dataModuli : layouts.keyModuli;
    const dense = uniformResidues(moduli, n, seededRandom('dense'));
    const sparse = [
      [0, 5n],
      [1, -1n],
      [2047, 16_000_000n],
      [4095, -3n],
    ] as const;
    const factor = new Float64Array(ring.size);
    for (const [block, { prime }] of moduli.entries()) {
      for (const [degree, value] of sparse) {
        factor[block * n + degree] = Number((value + BigInt(prime)) % BigInt(prime));
      }
    }
    using multiplier = ring.multiplier(ring.toNtt(factor));
    const product = multiplier.multiplyPolynomial(dense);
    for (const [block, { prime }] of moduli.entries()) {
      const expected = negacyclic(dense.subarray(block * n, (block + 1) * n), sparse, BigInt(prime));
      expect([...product.subarray(block * n, (block + 1) * n)]).toEqual(expected);
    }
  });

  it('adds in the NTT domain, and transforms pairs like singles', () => {
    const { layouts, engines } = loadedCipher();
    const { data: ring } = engines;
    const random = seededRandom('pair');
    const moduli = layouts.dataModuli;
    const [x, y] = [uniformResidues(moduli, n, random), signedResidues(ternary(n, random), moduli)];
    const [xNtt, yNtt] = ring.pairToNtt(x, y);
    expect(xNtt).toEqual(ring.toNtt(x));
    expect(yNtt).toEqual(ring.toNtt(y));
    expect(ring.fromNtt(xNtt)).toEqual(x);
    using multiplier = ring.multiplier(yNtt);
    const product = multiplier.multiplyPolynomial(x);
    const sum = ring.fromNtt(multiplier.multiplyAdd(xNtt, xNtt));
    for (let i = 0; i < sum.length; i++) {
      expect((x[i]! + product[i]! - sum[i]!) % moduli[Math.floor(i / n)]!.prime).toBe(0);
    }
  });

  it('turns what SEAL throws into a coded error without data', () => {
    const { engines } = loadedCipher();
    const zero = new Float64Array(engines.data.size);
    expect(() => engines.data.pairToNtt(zero, zero)).toThrow(
      expect.objectContaining({ code: 'INTERNAL', message: 'SEAL refused the operation' }),
    );
  });

  it('draws encryption randomness afresh every time', async () => {
    const { runCeremony } = await import('../secagg/local-ceremony.ts');
    const { publicKey } = runCeremony({ ceremonyId: Uint8Array.of(1) });
    const digits = new Int32Array(10);
    const parts = Array.from({ length: 3 }, () => loadedCipher().encrypt(publicKey, digits));
    expect(new Set(parts.map(({ c0 }) => Buffer.from(c0).toString('hex'))).size).toBe(3);
    expect(new Set(parts.map(({ c1 }) => Buffer.from(c1).toString('hex'))).size).toBe(3);
  });
});
