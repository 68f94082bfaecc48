/**
 * Random plans for epsilon-peers.ts: of every kind that epsilon_oracle.py knows exactly, and of any mechanisms for
 * Google's dp_accounting.
 *
 * Trusts: nothing; benchmarks only. May be called by: epsilon-peers.ts.
 */
import { seededRandom, uniform } from '../../../crypto/random.ts';

type Listed = Readonly<Record<string, string | number>>;

/** Kinds of epsilon_oracle.py, and 'any' for dp_accounting. */
export type PlanKind = 'gaussian' | 'sampled_once' | 'discrete' | 'responses' | 'vector' | 'composed' | 'any';

export interface Plan {
  readonly kind: PlanKind;
  readonly delta: number;
  readonly events: readonly Listed[];
}

/** Shares of 10,000 plans: many closed forms, fewer that take seconds. */
export const MIX: Readonly<Record<PlanKind, number>> = {
  gaussian: 2500,
  sampled_once: 2500,
  discrete: 1300,
  responses: 1500,
  vector: 400,
  composed: 1600,
  any: 200,
};

export class RandomPlans {
  readonly #uniform: () => number;

  constructor(seed: string) {
    const source = seededRandom(seed);
    this.#uniform = () => uniform(source);
  }

  #between(low: number, high: number): number {
    return Number((low * (high / low) ** this.#uniform()).toPrecision(4));
  }
  #whole(low: number, high: number): number {
    return Math.round(this.#between(low, high));
  }
  #pick<T>(choices: readonly T[]): T {
    return choices[Math.floor(this.#uniform() * choices.length)]!;
  }
  #list(lengths: readonly number[], make: () => Listed): Listed[] {
    return Array.from({ length: this.#pick(lengths) }, make);
  }

  #sampledGaussian(countMax: number): Listed {
    return {
      mechanism: 'poisson_sampled_gaussian',
      q: this.#between(1e-3, 0.3),
      sigma: this.#between(0.6, 6),
      count: this.#whole(1, countMax),
    };
  }
  #plainGaussian(): Listed {
    return { mechanism: 'gaussian', sigma: this.#between(1, 30), count: this.#whole(1, 50) };
  }
  #tree(): Listed {
    return {
      mechanism: 'tree_aggregation',
      sigma: this.#between(2, 20),
      steps: this.#whole(1, 24),
      participations: this.#pick([1, 1, 2, 3]),
      separation: this.#pick([1, 2, 5, 8]),
      count: this.#pick([1, 2, 4]),
    };
  }

  /** One to three mechanisms that dp_accounting has too, log-uniform in their parameters. */
  #any(): Listed {
    const makers: readonly (() => Listed)[] = [
      () => this.#sampledGaussian(5000),
      () => this.#plainGaussian(),
      () => ({ mechanism: 'laplace', scale: this.#between(1, 60), count: this.#whole(1, 200) }),
      () => ({
        mechanism: 'poisson_sampled_laplace',
        q: this.#between(0.01, 0.5),
        scale: this.#between(0.7, 10),
        count: this.#whole(1, 200),
      }),
      () => ({
        mechanism: 'discrete_gaussian',
        sigma2: String(this.#between(1, 400)),
        count: this.#whole(1, 20),
      }),
      () => ({ mechanism: 'discrete_laplace', scale: this.#between(1, 40), count: this.#whole(1, 50) }),
    ];
    return this.#pick(makers)();
  }

  #discrete(): Listed {
    const noise = { sigma2: String(this.#between(1, 120)), sensitivity: this.#whole(1, 12) };
    return this.#pick<() => Listed>([
      () => ({ mechanism: 'discrete_gaussian', ...noise, count: 1 }),
      () => ({
        mechanism: 'poisson_sampled_discrete_gaussian',
        q: this.#between(0.01, 0.9),
        ...noise,
        count: 1,
      }),
      () => ({
        mechanism: 'distributed_discrete_gaussian',
        ...noise,
        shares: this.#whole(1, 12),
        dimension: 1,
        count: 1,
      }),
    ])();
  }

  #responses(): Listed {
    if (this.#uniform() < 0.5)
      return { mechanism: 'discrete_laplace', scale: this.#between(1, 40), count: this.#whole(1, 40) };
    const categories = this.#pick([2, 2, 3, 10]);
    const least = 1 / categories + 0.02;
    return {
      mechanism: 'randomised_response',
      p: Number((least + (0.98 - least) * this.#uniform()).toFixed(4)),
      categories,
      count: this.#whole(1, 40),
    };
  }

  next(kind: PlanKind): Plan {
    const delta = this.#between(1e-9, 1e-3);
    const makers: Readonly<Record<PlanKind, () => Listed[]>> = {
      gaussian: () =>
        this.#list([1, 2, 3], () => (this.#uniform() < 0.4 ? this.#tree() : this.#plainGaussian())),
      sampled_once: () => [
        this.#uniform() < 0.6
          ? this.#sampledGaussian(1)
          : {
              mechanism: 'poisson_sampled_laplace',
              q: this.#between(0.01, 1),
              scale: this.#between(0.3, 10),
              count: 1,
            },
      ],
      discrete: () => [this.#discrete()],
      responses: () => [this.#responses()],
      vector: () => [
        {
          mechanism: 'distributed_discrete_gaussian',
          sigma2: String(this.#between(1, 20)),
          sensitivity: this.#whole(1, 8),
          shares: this.#whole(1, 8),
          dimension: 2,
          count: 1,
        },
      ],
      composed: () => {
        const sampled = this.#list([1, 1, 2], () => this.#sampledGaussian(3000));
        return this.#uniform() < 0.4 ? [...sampled, this.#plainGaussian()] : sampled;
      },
      any: () => this.#list([1, 1, 2, 3], () => this.#any()),
    };
    return { kind, delta, events: makers[kind]() };
  }
}
