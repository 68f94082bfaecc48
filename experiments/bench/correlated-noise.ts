/**
 * `node experiments/bench/correlated-noise.ts [--json]`: what noise correlated over rounds would buy with public cohorts
 * (q = 1) at equal ρ. The numbers of docs/adr/0035.
 *
 * A person takes part every `separation` rounds of `rounds`. Compared is the mean over all rounds of the noise variance
 * in the model (a prefix sum of mean updates), relative to independent noise:
 * - tree: every node of the binary trees released once (arXiv 2103.00039), sums read from the fewest nodes;
 * - banded: releases C·x + noise, C Toeplitz with the first b coefficients of (1 − x)^(−1/2) (arXiv 2306.08153);
 *   clients can do this themselves: each sends c_0·x, …, c_(b−1)·x in b consecutive rounds;
 * - fresh: the same uploads of the same people, but b fresh updates with independent noise instead of b copies. Cohorts
 *   are b times as large, everybody takes part b times as often.
 * Sensitivities are those of crypto/dp/sensitivity.ts, with which charges would be computed.
 * Trusts: nothing. May be called by: people.
 */
import { rational, rationalToNumber } from '../../crypto/dp/rational.ts';
import { bandedSensitivitySquared, treeSensitivitySquared } from '../../crypto/dp/sensitivity.ts';

interface Setting {
  readonly rounds: number;
  readonly separation: number;
}

const SETTINGS: readonly Setting[] = [
  { rounds: 20, separation: 1 },
  { rounds: 100, separation: 1 },
  { rounds: 20, separation: 4 },
  { rounds: 100, separation: 4 },
  { rounds: 500, separation: 4 },
  { rounds: 20, separation: 10 },
  { rounds: 100, separation: 10 },
  { rounds: 500, separation: 10 },
  { rounds: 100, separation: 50 },
  { rounds: 500, separation: 50 },
];

/** Coefficients of (1 − x)^(−1/2): c_0 = 1, c_k = c_(k−1)·(2k − 1)/(2k). */
function rootCoefficients(count: number): number[] {
  const coefficients = [1];
  for (let k = 1; k < count; k++) coefficients.push((coefficients[k - 1]! * (2 * k - 1)) / (2 * k));
  return coefficients;
}

const participations = ({ rounds, separation }: Setting): number => Math.floor((rounds - 1) / separation) + 1;

/** Mean over prefixes of the squared row norms of B = A·C⁻¹, both lower triangular and Toeplitz. */
function meanDecodingSquared(coefficients: readonly number[], rounds: number): number {
  const inverse = [1];
  for (let k = 1; k < rounds; k++) {
    let value = 0;
    for (let j = 1; j < coefficients.length && j <= k; j++) value -= coefficients[j]! * inverse[k - j]!;
    inverse.push(value);
  }
  let prefix = 0; // first column of A·C⁻¹
  let row = 0;
  let sum = 0;
  for (const value of inverse) {
    prefix += value;
    row += prefix * prefix;
    sum += row;
  }
  return sum / rounds;
}

function bandedVariance(setting: Setting, bands: number): number {
  const exact = rootCoefficients(bands).map((value) =>
    rational(BigInt(Math.round(value * 2 ** 40)), 2n ** 40n),
  );
  const sensitivity = bandedSensitivitySquared({
    coefficients: exact,
    steps: setting.rounds,
    participationsMax: participations(setting),
    separationMin: setting.separation,
  });
  return rationalToNumber(sensitivity) * meanDecodingSquared(exact.map(rationalToNumber), setting.rounds);
}

function treeVariance({ rounds, separation }: Setting): number {
  const sensitivity = treeSensitivitySquared({
    steps: rounds,
    participationsMax: participations({ rounds, separation }),
    separationMin: separation,
  });
  let nodes = 0;
  for (let t = 1; t <= rounds; t++) nodes += t.toString(2).replaceAll('0', '').length;
  return (sensitivity * nodes) / rounds;
}

const ratio = (value: number): number => Number(value.toPrecision(3));

/**
 * Rows for every useful number of bands: with more than `separation` copies of two updates of one person would overlap,
 * which only those cannot avoid who are in every round, and who have no room for further updates either.
 */
function rowsOf(setting: Setting) {
  const independent = bandedVariance(setting, 1);
  const tree = ratio(treeVariance(setting) / independent);
  const widths = [2, 4, 10, 50].filter((bands) => setting.separation === 1 || bands <= setting.separation);
  return widths.map((bands) => ({
    bench: 'correlated-noise',
    rounds: setting.rounds,
    separation: setting.separation,
    participations: participations(setting),
    tree,
    bands,
    banded: ratio(bandedVariance(setting, bands) / independent),
    fresh: setting.separation === 1 ? null : ratio(1 / bands),
  }));
}

for (const row of SETTINGS.flatMap(rowsOf)) {
  if (process.argv.includes('--json')) console.log(JSON.stringify(row));
  else {
    const { rounds, separation, participations: times, tree, bands, banded, fresh } = row;
    console.log(
      `T = ${rounds}, every ${separation} rounds (${times} times): tree ${tree}; ` +
        `${bands} bands ${banded}; ${bands} fresh updates ${fresh ?? 'do not fit'}`,
    );
  }
}
