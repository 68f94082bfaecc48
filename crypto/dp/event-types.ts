/**
 * The shapes of privacy events; events.ts checks, reads and writes them. Trusts: nothing. May be called by: events.ts,
 * which hands them on to everyone.
 */
import type { Rational } from './rational.ts';

export interface Adjacency {
  readonly unit: 'person' | 'record';
  /** 'zero_out': one contribution becomes the zero vector, the public cohort stays. */
  readonly neighbouring: 'add_or_remove' | 'zero_out' | 'replace_one';
}

/** Continuous N(0, variance·I): reference values and cross-checks only, no production mechanism draws it. */
export interface GaussianEvent extends Adjacency {
  readonly type: 'gaussian';
  readonly sensitivitySquared: Rational;
  readonly variance: Rational;
}

/** One party adds N_Z(0, variance) to every coordinate of an integer vector. */
export interface DiscreteGaussianEvent extends Adjacency {
  readonly type: 'discrete_gaussian';
  readonly sensitivitySquared: bigint;
  readonly variance: Rational;
  /** 1: the sum is one integer, so that the PLD accountant knows the law for every sensitivity. Else unknown. */
  readonly dimension?: number;
}

/** noiseShares honest parties each add N_Z(0, varianceLocal) to every coordinate (arXiv 2102.06387). */
export interface DistributedDiscreteGaussianEvent extends Adjacency {
  readonly type: 'distributed_discrete_gaussian';
  readonly sensitivitySquared: bigint;
  readonly varianceLocal: Rational;
  readonly noiseShares: number;
  readonly dimension: number;
}

/** Density ∝ e^(−|x|/scale) on every coordinate; sensitivity is the L1 distance between neighbours. */
export interface LaplaceEvent extends Adjacency {
  readonly type: 'laplace';
  readonly sensitivity: Rational;
  readonly scale: Rational;
}

/** P(x) ∝ e^(−|x|/scale) on the integers; sensitivity is the L1 distance. */
export interface DiscreteLaplaceEvent extends Adjacency {
  readonly type: 'discrete_laplace';
  readonly sensitivity: bigint;
  readonly scale: Rational;
}

/** One of `categories` answers: the true one with truthProbability, each other one equally often. */
export interface RandomisedResponseEvent extends Adjacency {
  readonly type: 'randomised_response';
  readonly truthProbability: Rational;
  readonly categories: number;
}

/** N(0, variance·I), and the distance between neighbours is itself random (arXiv 2310.15526). */
export interface MixtureOfGaussiansEvent extends Adjacency {
  readonly type: 'mixture_of_gaussians';
  readonly variance: Rational;
  /** Distances ≥ 0 with their probabilities, which sum to 1. */
  readonly components: readonly { readonly sensitivity: Rational; readonly probability: Rational }[];
}

/** How often one unit may take part in a sequence of correlated releases. */
export interface Participation {
  readonly steps: number;
  readonly participationsMax: number;
  /** Smallest difference between the step numbers of two participations of one unit. */
  readonly separationMin: number;
}

/**
 * DP-FTRL (arXiv 2103.00039): every node of the complete binary trees over `steps` leaves is released once with
 * N(0, variance·I); the steps are cut into trees of the largest powers of two. sensitivitySquared: of one step.
 */
export interface TreeAggregationEvent extends Adjacency, Participation {
  readonly type: 'tree_aggregation';
  readonly sensitivitySquared: Rational;
  readonly variance: Rational;
}

/**
 * Banded Toeplitz matrix factorisation (arXiv 2306.08153, 2505.12128): releases C·x + N(0, variance·I) with the first
 * column of C given by `coefficients`, zero after them. sensitivitySquared: of one step.
 */
export interface BandedMatrixEvent extends Adjacency, Participation {
  readonly type: 'banded_matrix_factorisation';
  readonly coefficients: readonly Rational[];
  readonly sensitivitySquared: Rational;
  readonly variance: Rational;
}

/** Adaptive clipping (arXiv 1905.03871): the sum of bits in {−1/2, +1/2} with N(0, variance). */
export interface ClipQuantileEvent extends Adjacency {
  readonly type: 'clip_quantile';
  readonly variance: Rational;
}

export type MechanismEvent =
  | GaussianEvent
  | DiscreteGaussianEvent
  | DistributedDiscreteGaussianEvent
  | LaplaceEvent
  | DiscreteLaplaceEvent
  | RandomisedResponseEvent
  | MixtureOfGaussiansEvent
  | TreeAggregationEvent
  | BandedMatrixEvent
  | ClipQuantileEvent;

/** Each unit takes part independently with probability samplingRate, and which ones did stays secret. */
export interface PoissonSampledEvent {
  readonly type: 'poisson_sampled';
  readonly samplingRate: Rational;
  readonly event: MechanismEvent;
}

/** A secret batch of exactly batchSize of populationSize records, drawn without replacement. */
export interface FixedSizeSampledEvent {
  readonly type: 'fixed_size_sampled';
  readonly populationSize: number;
  readonly batchSize: number;
  readonly event: MechanismEvent;
}

export interface ComposedEvent {
  readonly type: 'composed';
  readonly events: readonly DpEvent[];
}

export interface SelfComposedEvent {
  readonly type: 'self_composed';
  readonly event: DpEvent;
  readonly count: number;
}

/** What happened once; everything else only repeats and lists. */
export type LeafEvent = MechanismEvent | PoissonSampledEvent | FixedSizeSampledEvent;

export type DpEvent = LeafEvent | ComposedEvent | SelfComposedEvent;

/** A leaf of the tree and how often it happened. */
export interface CountedEvent {
  readonly event: LeafEvent;
  readonly count: number;
}
