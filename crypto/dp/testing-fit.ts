/**
 * Goodness of fit of integer samples to the discrete Gaussian.
 *
 * For: tests of the samplers. Trusts: nothing. May be called by: tests only.
 */

/** Probabilities of N_Z(0, σ²) on [−radius, radius]. */
export function discreteGaussianProbabilities(variance: number, radius: number): Float64Array {
  const mass = Float64Array.from({ length: 2 * radius + 1 }, (_, i) =>
    Math.exp(-((i - radius) ** 2) / (2 * variance)),
  );
  const total = mass.reduce((a, b) => a + b, 0);
  return mass.map((m) => m / total);
}

/**
 * G-test of samples against probabilities on [−radius, radius], as a standard normal deviate (Wilson–Hilferty).
 * Neighbouring values are pooled until a cell expects ≥ 50 samples.
 */
export function goodnessOfFit(samples: ArrayLike<number>, probabilities: Float64Array): number {
  const radius = (probabilities.length - 1) / 2;
  const counts = new Float64Array(probabilities.length);
  for (let i = 0; i < samples.length; i++) counts[Math.max(0, Math.min(2 * radius, samples[i]! + radius))]!++;
  let g = 0;
  let cells = 0;
  let expected = 0;
  let observed = 0;
  let restExpected = samples.length;
  for (let i = 0; i < counts.length; i++) {
    expected += probabilities[i]! * samples.length;
    observed += counts[i]!;
    restExpected -= probabilities[i]! * samples.length;
    if ((expected >= 50 && restExpected >= 50) || i === counts.length - 1) {
      if (observed > 0) g += 2 * observed * Math.log(observed / expected);
      cells++;
      expected = 0;
      observed = 0;
    }
  }
  const k = cells - 1;
  return (Math.cbrt(g / k) - (1 - 2 / (9 * k))) / Math.sqrt(2 / (9 * k));
}

/** Chance of a false alarm per test below 1e-7 (one-sided). */
export const FIT_LIMIT = 5.2;
