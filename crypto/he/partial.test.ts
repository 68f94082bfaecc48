import { beforeAll, describe, expect, it } from 'vitest';
import { utf8 } from '../bytes.ts';
import { createModulus, residueOf } from '../ring/modulus.ts';
import { pack, unpack } from '../ring/packing.ts';
import { type LocalCommittee, runCeremony } from '../secagg/local-ceremony.ts';
import { loadBfv, loadedCipher } from './bfv.ts';
import { bfv4096 } from './parameters.ts';
import { addMask, lagrangeAtZero } from './partial.ts';
import { decodeShare } from './share.ts';

const [q1, q2] = bfv4096.dataPrimes as [bigint, bigint];
const q = q1 * q2;
const t = BigInt(bfv4096.plainModulus);
const modulo = (x: bigint, m: bigint): bigint => ((x % m) + m) % m;
const centred = (x: bigint): bigint => (modulo(x, q) > q / 2n ? modulo(x, q) - q : modulo(x, q));

function inverse(a: bigint, m: bigint): bigint {
  return BigInt(residueOf(1n, createModulus(m))) * power(modulo(a, m), m - 2n, m);
}
function power(base: bigint, exponent: bigint, m: bigint): bigint {
  if (exponent === 0n) return 1n;
  const half = power((base * base) % m, exponent >> 1n, m);
  return exponent & 1n ? (half * base) % m : half;
}
/** The integer in [0, q) with these residues, by a second route than the decoder's. */
const crt = (x1: number, x2: number): bigint =>
  modulo(BigInt(x1) * q2 * inverse(q2, q1) + BigInt(x2) * q1 * inverse(q1, q2), q);

let committee: LocalCommittee;
beforeAll(async () => {
  await loadBfv();
  committee = runCeremony({ ceremonyId: utf8('partial.test') });
});

describe('Lagrange coefficients at zero', () => {
  it.each([[[1, 2]], [[2, 4]], [[1, 3, 4]], [[1, 2, 3, 4]]])('interpolate for %j', (activeSet) => {
    for (const prime of [q1, q2]) {
      const modulus = createModulus(prime);
      const polynomial = (x: number) => 123_456_789n + 987n * BigInt(x);
      const value = activeSet.reduce(
        (sum, j) => sum + BigInt(lagrangeAtZero(j, activeSet, modulus)) * polynomial(j),
        0n,
      );
      expect(modulo(value, prime)).toBe(123_456_789n);
    }
  });
});

describe('zero-sum masks', () => {
  const digitCount = 64;
  const activeSet = [1, 3];

  /**
   * Holder 4, outside the active set {1, 3}, looks at holder 1's partial. With s_1 = (3·s + s_4)/4 and λ_1 = 3/2,
   * 8·partial_1 − 3·s_4·c1 − 9·(Δm − c0) = 9·noise + 8·flooding, whose residue modulo 8 is that of the noise.
   * Returns on how many of the 64 coefficients the guess is right.
   */
  function guessNoiseModulo8(maskKeyLeaked: boolean): number {
    const { layouts, engines } = loadedCipher();
    const cipher = loadedCipher();
    const digits = Int32Array.from({ length: digitCount }, (_, i) => 100 * i - 3000);
    const { c0, c1 } = cipher.encrypt(committee.publicKey, digits);
    const share = committee.shares[0]!;
    const input = { share, c1Sum: c1, digitCount, holderIndex: 1, activeSet };
    const layout = layouts.opened(digitCount);
    const partial = unpack(cipher.partialDecrypt(input), layout, 'INTERNAL', 'partial');
    // Holder 3 subtracts what holder 1 added.
    if (maskKeyLeaked) addMask(partial, layout, decodeShare(committee.shares[2]!, layouts), input, activeSet);

    const c0Residues = unpack(c0, layout, 'INTERNAL', 'c0');
    const c1Residues = unpack(c1, layouts.dataElement, 'INTERNAL', 'c1');
    const timesShare = (holder: number) => {
      using multiplier = engines.data.multiplier(decodeShare(committee.shares[holder - 1]!, layouts).element);
      return multiplier.multiplyPolynomial(c1Residues);
    };
    const [p1, p4] = [timesShare(1), timesShare(4)];
    let right = 0;
    for (let i = 0; i < digitCount; i++) {
      const opened = (x: Float64Array) => crt(x[i]!, x[digitCount + i]!);
      const whole = (x: Float64Array) => crt(x[i]!, x[4096 + i]!);
      const scaled = (q * modulo(BigInt(digits[i]!), t) + t / 2n) / t;
      const seen = centred(8n * opened(partial) - 3n * whole(p4) - 9n * (scaled - opened(c0Residues)));
      const three = modulo(
        inverse(3n, q1) * q2 * inverse(q2, q1) + inverse(3n, q2) * q1 * inverse(q1, q2),
        q,
      );
      const noise = centred(opened(c0Residues) + (4n * whole(p1) - whole(p4)) * three - scaled);
      expect(noise < 1000n && noise > -1000n).toBe(true);
      if (modulo(seen, 8n) === modulo(noise, 8n)) right++;
    }
    return right;
  }

  it('keep the noise from a corrupt holder outside the active set, which flooding alone does not', () => {
    expect(guessNoiseModulo8(true)).toBe(digitCount); // weakened build: every coefficient, despite 2^59 of flooding
    expect(guessNoiseModulo8(false)).toBeLessThan(24); // 8 of 64 expected from guessing; more than 23: 1e-6
  });

  it('make a single partial uniform and depend on the c1 sum and the active set', () => {
    const cipher = loadedCipher();
    const { c1 } = cipher.encrypt(committee.publicKey, new Int32Array(2));
    const share = decodeShare(committee.shares[0]!, cipher.layouts);
    const layout = cipher.layouts.opened(2);
    const mask = (set: number[], sum: Uint8Array) => {
      const out = new Float64Array(128);
      addMask(
        out,
        layout,
        share,
        { share: c1, c1Sum: sum, digitCount: 2, holderIndex: 1, activeSet: set },
        set,
      );
      return Buffer.from(pack(out, layout)).toString('hex');
    };
    const otherSum = c1.map((byte, i) => (i === 0 ? byte ^ 1 : byte));
    const masks = [mask([1, 3], c1), mask([1, 2], c1), mask([1, 2, 3], c1), mask([1, 3], otherSum)];
    expect(new Set(masks).size).toBe(4);
    expect(mask([1, 3], c1)).toBe(masks[0]);
  });
});
