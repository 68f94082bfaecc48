/**
 * ε_low ≤ ε ≤ ε_up and δ_low ≤ δ ≤ δ_up of a composition in one direction: chooses tilt, mesh and smoothing so that the
 * bracket is narrow, whatever they are it is a bracket (loss-atoms.ts, loss-composition.ts).
 *
 * Trusts: the laws. May be called by: pld.ts.
 */
import { ensure } from '../error.ts';
import { type Atoms, Discretisation, type LossAtoms } from './loss-atoms.ts';
import { Composition } from './loss-composition.ts';
import type { LossLaw } from './loss-law.ts';
import { logChernoffConstant, moments, type Term } from './loss-tilt.ts';

export interface Part {
  readonly law: LossLaw;
  readonly count: number;
}

export interface Bracket {
  readonly low: number;
  readonly high: number;
}

/** Distance between the bounds in ε that is aimed at: half for the mesh, half for the smoothing. */
const WIDTH_AIM = 5e-4;
/** And where ε is small, in δ, relative. */
const SHARE_AIM = 0.02;
/** A result that is wider by more than this factor is computed again, more finely. */
const PATIENCE = 1.6;
/** Share of δ that cut-off outcomes may take, of all releases together. */
const CUT_SHARE = 1e-7;
/** Rounding of the sum of the largest losses. */
const ABOVE = 1 + 2 ** -48;
const BELOW = 1 - 2 ** -48;
const ATTEMPTS = 7;
const DELTA_FIRST = 1e-6;
const DELTA_LEAST = 1e-100;
const TILT_MIN = 1e-3;
const TILT_MAX = 1e7;

const widthAim = (tilt: number): number => Math.min(WIDTH_AIM, SHARE_AIM / tilt);

/** Which tilt to take, and the ε that is expected there. */
interface Aim {
  readonly tilt: (terms: readonly Term[]) => number;
  readonly epsilon: (terms: readonly Term[], tilt: number) => number;
}

/** Bounds on δ at an ε. */
interface Curve {
  upper(epsilon: number): number;
  lower(epsilon: number): number;
}

interface Stage {
  /** null: too much work. */
  readonly composition: Curve | null;
  /** Saddle-point estimate of ε. */
  readonly guess: number;
  readonly tilt: number;
  /** A bound on ε at δ that needs no inversion. */
  readonly chernoff: number;
}

/** Rounding of a sum of positive terms, relative. */
const SUMMED = 1e-11;

/** Σ mass·(1 − e^(ε − loss)) over the losses above ε. */
function hockeyStick({ masses, losses, count }: Atoms, epsilon: number): number {
  let sum = 0;
  for (let i = 0; i < count; i++)
    if (losses[i]! > epsilon) sum -= masses[i]! * Math.expm1(epsilon - losses[i]!);
  return sum;
}

/** One release needs no composition: a rare large loss, which a transform would drown in rounding, is just a term. */
const single = ({ upper, lower, infiniteMass }: LossAtoms): Curve => ({
  upper: (epsilon) => hockeyStick(upper, epsilon) * (1 + SUMMED) + infiniteMass,
  lower: (epsilon) => hockeyStick(lower, epsilon) * (1 - SUMMED),
});

/** A composition in one direction, to be asked for δ(ε) or ε(δ). */
export class OneDirection {
  readonly #parts: readonly Part[];
  readonly #gaussianVariance: number;
  /** Σ of the largest losses (Infinity: none), and ln of the P-mass that attains it. */
  readonly #lossMax: number;
  readonly #logTopMass: number;

  constructor(parts: readonly Part[], gaussianVariance: number) {
    this.#parts = parts;
    this.#gaussianVariance = gaussianVariance;
    const sum = (of: (law: LossLaw) => number) =>
      parts.reduce((total, { law, count }) => total + count * of(law), 0);
    this.#lossMax = gaussianVariance > 0 ? Infinity : sum((law) => law.lossMax);
    this.#logTopMass = sum((law) => Math.log(law.lossMaxMass));
  }

  get #isTrivial(): boolean {
    return this.#parts.length === 0 && this.#gaussianVariance === 0;
  }

  /** δ at ε ≥ 0. */
  delta(epsilon: number): Bracket {
    if (this.#isTrivial || this.#lossMax * ABOVE <= epsilon) return { low: 0, high: 0 };
    const top = this.#deltaOfTop(epsilon);
    let best: Bracket = { low: top, high: 1 };
    // What may be cut off depends on δ, which is not known yet.
    let scale = Math.max(top, DELTA_FIRST);
    for (let attempt = 0; attempt < ATTEMPTS && scale > DELTA_LEAST; ) {
      const stage = this.#stage(attempt, scale, this.#aimAt(epsilon));
      const { composition, tilt } = stage;
      if (!composition) break;
      best = {
        low: Math.max(best.low, composition.lower(epsilon)),
        high: Math.min(best.high, composition.upper(epsilon)),
      };
      // A relative step of θ·Δε in δ is a step of Δε in ε.
      const width = Math.expm1(tilt * widthAim(tilt) * PATIENCE);
      if (best.high - best.low <= Math.max(1e-300, best.low) * width) break;
      if (best.low >= scale * 1e-3) attempt++;
      scale = best.low > 0 ? best.low : scale * 1e-6;
    }
    return best;
  }

  /** ε ≥ 0 at δ. */
  epsilon(delta: number): Bracket {
    if (this.#isTrivial) return { low: 0, high: 0 };
    let best: Bracket = { low: this.#epsilonOfTop(delta), high: this.#lossMax * ABOVE };
    // A δ below the mass of the largest loss: nothing is left to compute.
    if (best.high - best.low <= Math.min(WIDTH_AIM, best.high * 1e-3)) return best;
    const bySaddle: Aim = {
      tilt: (terms) =>
        Math.max(
          this.#tiltFor((at) => this.#saddleLogDelta(terms, at) <= Math.log(delta)),
          this.#tiltFor((at) => this.#saddleEpsilon(terms, at) >= 0),
        ),
      epsilon: (terms, tilt) => Math.max(0, this.#saddleEpsilon(terms, tilt)),
    };
    let aim = bySaddle;
    for (let attempt = 0, fineness = 0; attempt < ATTEMPTS; attempt++) {
      const stage = this.#stage(fineness, delta, aim);
      best = { low: best.low, high: Math.min(best.high, stage.chernoff) };
      const { composition, guess, tilt } = stage;
      if (!composition) break;
      const high = smallest(guess, 1 / tilt, (at) => composition.upper(at) <= delta);
      const low = largest(guess, 1 / tilt, (at) => composition.lower(at) > delta);
      best = { low: Math.max(best.low, low), high: Math.min(best.high, high) };
      if (best.high - best.low <= widthAim(tilt) * PATIENCE) break;
      // Near one large loss the saddle-point estimate can be far off: aim again before refining.
      if (Math.abs(guess - best.high) <= 1 / tilt) fineness++;
      aim = this.#aimAt(best.high);
    }
    return best;
  }

  #aimAt(epsilon: number): Aim {
    return {
      tilt: (terms) => this.#tiltFor((at) => this.#saddleEpsilon(terms, at) >= epsilon),
      epsilon: () => epsilon,
    };
  }

  /** The atoms of all parts at once: δ(ε) ≥ P(every loss is the largest)·(1 − e^(ε − Σ largest)). */
  #deltaOfTop(epsilon: number): number {
    return this.#lossMax === Infinity
      ? 0
      : Math.exp(this.#logTopMass) * -Math.expm1(Math.min(0, epsilon - this.#lossMax * BELOW)) * (1 - 1e-9);
  }
  #epsilonOfTop(delta: number): number {
    const share = delta / (Math.exp(this.#logTopMass) * (1 - 1e-9));
    return this.#lossMax < Infinity && share < 1
      ? Math.max(0, this.#lossMax * BELOW + Math.log1p(-share))
      : 0;
  }

  #stage(fineness: number, delta: number, aim: Aim): Stage {
    const finer = 6 ** fineness;
    const releases = this.#parts.reduce((sum, { count }) => sum + count, 0);
    const massFree = (CUT_SHARE * delta) / Math.max(1, releases);
    const meshes = this.#parts.map(({ law }) => new Discretisation(law, massFree));
    const termsOf = (atoms: readonly LossAtoms[], side: 'upper' | 'lower') =>
      atoms.map((one, i) => ({ atoms: one[side], count: this.#parts[i]!.count }));
    const coarse = termsOf(
      meshes.map((mesh) => mesh.atoms()),
      'upper',
    );
    const firstTilt = aim.tilt(coarse);
    const tolerance = widthAim(firstTilt) / 2 / finer / Math.max(1, meshes.length);
    meshes.forEach((mesh, i) => {
      const { log } = moments([{ atoms: coarse[i]!.atoms, count: 1 }], 0, firstTilt);
      mesh.refine(this.#parts[i]!.count, firstTilt, log, tolerance);
    });
    const atoms = meshes.map((mesh) => mesh.atoms());
    const upper = termsOf(atoms, 'upper');
    const tilt = aim.tilt(upper);
    const guess = aim.epsilon(upper, tilt);
    let smoothing = widthAim(tilt) / 2 / finer / (tilt + 1);
    if (this.#gaussianVariance > 20 * smoothing) smoothing = 0;
    // P(some loss is infinite): what is left of δ is the finite part.
    const infiniteMass = -Math.expm1(
      atoms.reduce((sum, one, i) => sum + this.#parts[i]!.count * Math.log1p(-one.infiniteMass), 0),
    );
    if (releases === 1 && this.#gaussianVariance === 0)
      return { composition: single(atoms[0]!), guess, tilt, chernoff: Infinity };
    const composition = new Composition({
      upper,
      lower: termsOf(atoms, 'lower'),
      gaussianVariance: this.#gaussianVariance,
      infiniteMass,
      tilt,
      smoothing,
      epsilonMin: Math.max(0, guess - 2 / tilt),
      deltaScale: delta,
    });
    const { log } = moments(upper, this.#gaussianVariance, tilt);
    const logDelta = Math.log(Math.max(0, delta - infiniteMass));
    return {
      composition: composition.feasible ? composition : null,
      guess,
      tilt,
      chernoff: Math.max(0, (log + logChernoffConstant(tilt) - logDelta) / tilt) * (1 + 1e-9),
    };
  }

  /** The ε whose saddle point is at `tilt`. */
  #saddleEpsilon(terms: readonly Term[], tilt: number): number {
    return moments(terms, this.#gaussianVariance, tilt).mean - 1 / tilt - 1 / (tilt + 1);
  }

  /** Saddle-point approximation of ln δ at that ε. */
  #saddleLogDelta(terms: readonly Term[], tilt: number): number {
    const { log, mean, variance } = moments(terms, this.#gaussianVariance, tilt);
    const epsilon = mean - 1 / tilt - 1 / (tilt + 1);
    const curvature = variance + tilt ** -2 + (tilt + 1) ** -2;
    return log - tilt * epsilon - Math.log(tilt * (tilt + 1)) - Math.log(2 * Math.PI * curvature) / 2;
  }

  /** The smallest tilt with `enough`, which holds from some tilt on. */
  #tiltFor(enough: (tilt: number) => boolean): number {
    let low = Math.log(TILT_MIN);
    let high = Math.log(TILT_MAX);
    for (let i = 0; i < 22; i++) {
      const middle = (low + high) / 2;
      if (enough(Math.exp(middle))) high = middle;
      else low = middle;
    }
    return Math.exp(high);
  }
}

const STEPS_MAX = 60;

/** A point ≥ 0 with `holds`, close to the smallest: found by growing steps up from the guess, then bisection. */
function smallest(guess: number, unit: number, holds: (epsilon: number) => boolean): number {
  let low = 0;
  let high = guess;
  let step = Math.max(1e-9, unit / 16);
  if (holds(high)) {
    for (; high > 0; step *= 2) {
      low = Math.max(0, high - step);
      if (!holds(low)) break;
      high = low;
    }
    if (high === 0) return 0;
  } else {
    for (let i = 0; !holds(high); step *= 2, i++) {
      if (i > STEPS_MAX) return Infinity;
      low = high;
      high += step;
    }
  }
  return bisect(low, high, holds)[1];
}

/** A point ≥ 0 with `holds`, close to the largest; 0 where there is none. */
function largest(guess: number, unit: number, holds: (epsilon: number) => boolean): number {
  let low = guess;
  let high = guess;
  let step = Math.max(1e-9, unit / 16);
  if (holds(low)) {
    for (let i = 0; holds(high); step *= 2, i++) {
      if (i > STEPS_MAX) return high;
      low = high;
      high += step;
    }
  } else {
    for (; !holds(low); step *= 2) {
      if (low === 0) return 0;
      high = low;
      low = Math.max(0, low - step);
    }
  }
  return bisect(low, high, (at) => !holds(at))[0];
}

/** [last without, first with]: `holds(high)`, not `holds(low)`. */
function bisect(from: number, to: number, holds: (at: number) => boolean): readonly [number, number] {
  let low = from;
  let high = to;
  for (let i = 0; i < 40 && high - low > 1e-9 * Math.max(high, 1e-6); i++) {
    const middle = (low + high) / 2;
    if (holds(middle)) high = middle;
    else low = middle;
  }
  ensure(high >= low, 'INTERNAL', 'an empty interval');
  return [low, high];
}
