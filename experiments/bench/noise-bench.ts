/**
 * `pulsefold bench noise`: the exact samplers, on one thread.
 *
 * Each row is checked before it is timed: a G-test of its draws against the law (crypto/dp/goodness-of-fit.ts); a
 * sampler that fails it is not timed. Then samples per second, of the wall clock and of the thread's own processor time
 * (a busy machine halves only the first). Last, whether drawing time tells something of what was drawn: the correlation
 * of |value| with the time of one value, and of the summed magnitudes with the time of a vector, in deviations from 0.
 * The samplers are not constant-time; noise pools (crypto/dp/noise-pool.ts) keep draw time off the network.
 * Trusts: nothing. May be called by: cli/commands/bench-noise.ts.
 */
import {
  sampleDiscreteGaussian,
  sampleDiscreteGaussianRejection,
} from '../../crypto/dp/discrete-gaussian.ts';
import { sampleDiscreteLaplace } from '../../crypto/dp/discrete-laplace.ts';
import { gaussianTable } from '../../crypto/dp/gaussian-table.ts';
import {
  discreteGaussianLaw,
  discreteLaplaceLaw,
  FitTest,
  type SymmetricLaw,
} from '../../crypto/dp/goodness-of-fit.ts';
import { formatRational, type Rational, rational, rationalToNumber } from '../../crypto/dp/rational.ts';
import { ensure } from '../../crypto/error.ts';
import { type RandomSource, systemRandom } from '../../crypto/random.ts';
import { median } from './measuring.ts';

export interface NoiseBenchOptions {
  /** Draws of each goodness-of-fit test. */
  readonly draws: number;
  /** Timed vectors of each sampler. */
  readonly turns: number;
  readonly onRow?: (row: NoiseBenchRow) => void;
  readonly onProgress?: (done: number, total: number, what: string) => void;
}

export interface NoiseBenchRow {
  readonly bench: 'noise';
  readonly law: 'discrete-gaussian' | 'discrete-laplace';
  /** σ of the Gaussian, scale of the Laplace; exact. */
  readonly parameter: string;
  readonly method: 'table' | 'rejection';
  readonly samples_per_second: number;
  readonly samples_per_cpu_second: number;
  readonly draws: number;
  readonly g_statistic: number;
  readonly degrees: number;
  readonly p_value: number;
  /** Pearson's r of |value| and the time of that value alone. */
  readonly value_correlation: number;
  readonly value_correlation_deviations: number;
  /** Pearson's r of Σ|value| and the time of a vector of `vector_length`. */
  readonly vector_length: number;
  readonly vector_correlation: number;
  readonly vector_correlation_deviations: number;
}

interface Contender {
  readonly law: NoiseBenchRow['law'];
  readonly parameter: Rational;
  readonly method: NoiseBenchRow['method'];
  readonly expected: SymmetricLaw;
  readonly draw: (count: number, random: RandomSource) => Int32Array;
}

const VECTOR = 1 << 17;
/** The smallest vectors that use the table at σ = 100. */
const SHORT_VECTOR = 512;
const SINGLE_DRAWS = 200_000;
const VECTOR_DRAWS = 4000;
/** A right sampler fails one in a million times; nothing that fails is timed. */
const P_MIN = 1e-6;
/** Times beyond this quantile are interruptions. */
const TIME_QUANTILE = 0.98;

function contenders(): Contender[] {
  const gaussian = (sigma: number, method: Contender['method']): Contender => {
    const parameter = rational(sigma);
    const variance = rational(BigInt(sigma) ** 2n);
    const table = method === 'table' ? gaussianTable(variance) : undefined;
    return {
      law: 'discrete-gaussian',
      parameter,
      method,
      expected: discreteGaussianLaw(sigma ** 2),
      draw: (count, random) => {
        if (!table) return sampleDiscreteGaussianRejection(variance, count, random);
        const out = new Int32Array(count);
        table.fill(out, random);
        return out;
      },
    };
  };
  const laplace = (scale: Rational): Contender => ({
    law: 'discrete-laplace',
    parameter: scale,
    method: 'rejection',
    expected: discreteLaplaceLaw(rationalToNumber(scale)),
    draw: (count, random) => sampleDiscreteLaplace(scale, count, random),
  });
  return [
    ...[2, 10, 100].flatMap((sigma) => [gaussian(sigma, 'table'), gaussian(sigma, 'rejection')]),
    gaussian(1_000_000, 'rejection'),
    ...[rational(2n), rational(25n, 2n), rational(100n), rational(1_000_000n)].map(laplace),
  ];
}

/** Long vectors of σ = 10 come from the table: what clients call is what the rows measure. */
function checkChoice(): void {
  const variance = rational(100n);
  const fixed = () => scripted(Uint8Array.from({ length: 4 * VECTOR }, (_, i) => (i * 131) & 0xff));
  const table = new Int32Array(VECTOR);
  gaussianTable(variance).fill(table, fixed());
  const chosen = sampleDiscreteGaussian(variance, VECTOR, fixed());
  ensure(
    chosen.every((value, i) => value === table[i]),
    'INTERNAL',
    'long vectors no longer come from the table',
  );
}

/** Bytes that are there already: their making is no part of a draw's time. */
function scripted(bytes: Uint8Array): RandomSource {
  let at = 0;
  return {
    seeded: true,
    fill<T extends Uint8Array>(target: T): T {
      if (at + target.length > bytes.length) at = 0;
      target.set(bytes.subarray(at, at + target.length));
      at += target.length;
      return target;
    },
  };
}

function testFit({ draw, expected }: Contender, draws: number) {
  const test = new FitTest(expected, draws);
  for (let done = 0; done < draws; done += VECTOR)
    test.add(draw(Math.min(VECTOR, draws - done), systemRandom));
  return test.result();
}

function timeDraws({ draw }: Contender, turns: number) {
  const wallMs: number[] = [];
  const cpu = process.threadCpuUsage();
  for (let turn = 0; turn < turns; turn++) {
    const start = performance.now();
    draw(VECTOR, systemRandom);
    wallMs.push(performance.now() - start);
  }
  // Its clock is too coarse for one vector.
  const used = process.threadCpuUsage(cpu);
  return {
    samples_per_second: Math.round((VECTOR * 1000) / median(wallMs)),
    samples_per_cpu_second: Math.round((VECTOR * turns * 1e6) / (used.user + used.system)),
  };
}

/** Correlation of the summed magnitudes of `length` values with the time that they took. */
function timeCorrelation({ draw }: Contender, length: number, draws: number) {
  const random = scripted(systemRandom.fill(new Uint8Array(1 << 22)));
  const times = new Float64Array(draws);
  const magnitudes = new Float64Array(draws);
  for (let i = 0; i < draws; i++) {
    const start = performance.now();
    const values = draw(length, random);
    times[i] = performance.now() - start;
    let sum = 0;
    for (const value of values) sum += Math.abs(value);
    magnitudes[i] = sum;
  }
  const limit = times.toSorted()[Math.floor(TIME_QUANTILE * draws)]!;
  const kept = Array.from({ length: draws }, (_, i) => i).filter((i) => times[i]! <= limit);
  const r = pearson(
    kept.map((i) => magnitudes[i]!),
    kept.map((i) => times[i]!),
  );
  return { correlation: Number(r.toFixed(4)), deviations: Number((r * Math.sqrt(kept.length)).toFixed(1)) };
}

function pearson(a: readonly number[], b: readonly number[]): number {
  const mean = (values: readonly number[]) => values.reduce((sum, v) => sum + v, 0) / values.length;
  const [meanA, meanB] = [mean(a), mean(b)];
  let [ab, aa, bb] = [0, 0, 0];
  a.forEach((value, i) => {
    ab += (value - meanA) * (b[i]! - meanB);
    aa += (value - meanA) ** 2;
    bb += (b[i]! - meanB) ** 2;
  });
  return aa === 0 || bb === 0 ? 0 : ab / Math.sqrt(aa * bb);
}

function measure(contender: Contender, { draws, turns }: NoiseBenchOptions): NoiseBenchRow {
  const { law, parameter, method } = contender;
  const fit = testFit(contender, draws);
  ensure(
    fit.pValue > P_MIN,
    'INTERNAL',
    `${law} ${formatRational(parameter)} (${method}) does not fit: p = ${fit.pValue}; nothing was timed`,
  );
  const speed = timeDraws(contender, turns);
  const value = timeCorrelation(contender, 1, SINGLE_DRAWS);
  const vector = timeCorrelation(contender, SHORT_VECTOR, VECTOR_DRAWS);
  return {
    bench: 'noise',
    law,
    parameter: formatRational(parameter),
    method,
    ...speed,
    draws,
    g_statistic: Number(fit.statistic.toFixed(2)),
    degrees: fit.degrees,
    p_value: Number(fit.pValue.toPrecision(4)),
    value_correlation: value.correlation,
    value_correlation_deviations: value.deviations,
    vector_length: SHORT_VECTOR,
    vector_correlation: vector.correlation,
    vector_correlation_deviations: vector.deviations,
  };
}

export function runNoiseBench(options: NoiseBenchOptions): NoiseBenchRow[] {
  checkChoice();
  const all = contenders();
  return all.map((contender, i) => {
    options.onProgress?.(i, all.length, `${contender.law} ${formatRational(contender.parameter)}`);
    const row = measure(contender, options);
    options.onRow?.(row);
    return row;
  });
}
