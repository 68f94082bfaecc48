/**
 * Which residues each message of the threshold BFV cipher holds, in which order; the one place that knows lengths.
 *
 * May be called by: crypto/he, crypto/secagg.
 */
import { createModulus, type Modulus } from '../ring/modulus.ts';
import type { PackedLayout } from '../ring/packing.ts';
import { type BfvParameters, openedCoefficients, polynomialCount } from './parameters.ts';

export interface BfvLayouts {
  readonly dataModuli: readonly Modulus[];
  readonly keyModuli: readonly Modulus[];
  /** One ring element modulo the data primes (share, Shamir coefficient), NTT form. */
  readonly dataElement: PackedLayout;
  /** One ring element modulo all primes (b_j, a), NTT form. */
  readonly keyElement: PackedLayout;
  /** b then a, NTT form. */
  readonly publicKey: PackedLayout;
  /** c0 and partial decryptions: opened coefficients only, coefficient form. */
  opened(digitCount: number): PackedLayout;
  /** c1: whole polynomials, coefficient form. */
  whole(digitCount: number): PackedLayout;
}

export function createLayouts(parameters: BfvParameters): BfvLayouts {
  const dataModuli = parameters.dataPrimes.map(createModulus);
  const keyModuli = [...dataModuli, createModulus(parameters.specialPrime)];
  const n = parameters.polyDegree;
  return {
    dataModuli,
    keyModuli,
    dataElement: { moduli: dataModuli, segments: [n] },
    keyElement: { moduli: keyModuli, segments: [n] },
    publicKey: { moduli: keyModuli, segments: [n, n] },
    opened: (digitCount) => ({ moduli: dataModuli, segments: openedCoefficients(parameters, digitCount) }),
    whole: (digitCount) => ({
      moduli: dataModuli,
      segments: new Array<number>(polynomialCount(parameters, digitCount)).fill(n),
    }),
  };
}
