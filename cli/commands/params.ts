/**
 * `pulsefold params`: the BFV parameter set with the margins that crypto/he/parameters.ts asserts.
 *
 * For: program.ts. Trusts: nothing; the figures are computed by the functions that guard the cipher.
 */
import type { Command } from 'commander';
import { type CommonOptions, leaf, printResult } from '../command.ts';

const HOLDERS = 4;
const THRESHOLD = 2;

export function command(): Command {
  return leaf('params', {
    description:
      'Print the parameters of the threshold cipher and their safety margins for 2 of 4 key holders.',
    examples: ['params', 'params --json'],
  }).action(async (options: CommonOptions) => {
    const figures = await parameterFigures();
    printResult(options, figures, [
      ['scheme', `threshold BFV, ${THRESHOLD} of ${HOLDERS} holders open`],
      ['ring degree n', figures.polyDegree],
      ['data primes', figures.dataPrimes.join(', ')],
      ['special prime', figures.specialPrime],
      [
        'log2 of all primes',
        `${figures.modulusBits.toFixed(2)}, within the 128-bit limit of ePrint 2024/463`,
      ],
      ['plain modulus t', `${figures.plainModulus} (2^${Math.log2(figures.plainModulus)})`],
      ['flooding sigma', `2^${figures.floodSigmaBits} per holder`],
      ['contributions', `at most ${figures.contributionsMax} per sum`],
      ['fresh noise sigma', figures.freshNoiseSigma.toFixed(1)],
      [
        'opening noise',
        `2^${figures.openingNoiseBits.toFixed(2)} at most, below q/2t = 2^${figures.openingLimitBits.toFixed(2)}`,
      ],
      [
        'smudging',
        `${figures.smudgingBits.toFixed(1)} bits (${figures.contributionsMax} contributions, 2 polynomials)`,
      ],
      ['upload', `${figures.bytes.upload300} B for 300 digits, ${figures.bytes.upload4096} B for 4096`],
    ]);
  });
}

export async function parameterFigures() {
  const he = await import('../../crypto/he/parameters.ts');
  const { loadBfv } = await import('../../crypto/secagg/bfv.ts');
  const { bfv4096: p, contributionsMax } = he;
  // Loading the module asserted it; asked again so that the sentence below is never printed untested.
  he.assertLatticeSecurity(p);
  const bfv = await loadBfv();
  const uploadBytes = (digits: number): number => {
    const { c0, c1 } = bfv.ciphertextBytes(digits);
    return c0 + c1;
  };
  const dataBits = p.dataPrimes.reduce((bits, prime) => bits + Math.log2(Number(prime)), 0);
  const smudgingCase = {
    contributions: contributionsMax,
    holderCount: HOLDERS,
    threshold: THRESHOLD,
    polynomials: 2,
  };
  return {
    scheme: 'threshold-bfv',
    polyDegree: p.polyDegree,
    dataPrimes: p.dataPrimes.map(String),
    specialPrime: String(p.specialPrime),
    modulusBits: dataBits + Math.log2(Number(p.specialPrime)),
    plainModulus: p.plainModulus,
    floodSigmaBits: p.floodSigmaBits,
    contributionsMax,
    freshNoiseSigma: he.freshNoiseSigma(p, HOLDERS),
    openingNoiseBits: Math.log2(he.openingNoiseMax(p, THRESHOLD, HOLDERS)),
    openingLimitBits: dataBits - Math.log2(2 * p.plainModulus),
    smudgingBits: he.smudgingBits(p, smudgingCase),
    bytes: { publicKey: bfv.publicKeyBytes, upload300: uploadBytes(300), upload4096: uploadBytes(4096) },
  };
}
