/**
 * What `pulsefold demo` hands to `runDemo`: the command line, parsed and checked, nothing else.
 *
 * For: cli/commands/demo.ts (makes it), experiments/demo/demo.ts (obeys it). Trusts: nothing to trust; types only.
 */

export const demoDatasets = ['uci-heart', 'cardio', 'nhanes', 'pima', 'synthetic-band'] as const;
export const demoCombineRules = ['mean', 'median', 'trimmed-mean', 'norm-filter'] as const;
export const demoStrategies = ['fedavg', 'fedprox', 'fedavgm', 'fedadam'] as const;

export interface DemoOptions {
  /** One of `demoDatasets`; absent: the demo picks one it finds, or the synthetic population. */
  readonly dataset?: string;
  /** Directory of the data files, as given; absent: found through PULSEFOLD_DATA and the usual places. */
  readonly dataDirectory?: string;
  /** False with --no-dp: encrypted sums, no noise, no budget. */
  readonly dp: boolean;
  /** Decimal text such as "3" or "0.5", more than 0; absent: the data set's default. */
  readonly epsilon?: string;
  /** 1 to 1,000. */
  readonly repeats: number;
  /** 2 to 10,000. */
  readonly clients?: number;
  /** 1 to 500. */
  readonly rounds?: number;
  readonly model?: 'lr' | 'mlp';
  readonly strategy?: (typeof demoStrategies)[number];
  readonly suite: 'intl' | 'gm';
  /** How sums stay secret: seeds shared by the key holders, or threshold BFV. */
  readonly transport: 'shares' | 'bfv';
  /** Phones only: sums open in this many disjoint groups, 3 to 64, against poisoning. */
  readonly groups?: number;
  /** How the groups' means become one update; absent: norm-filter. */
  readonly combine?: (typeof demoCombineRules)[number];
  /** Public: splits, initial weights and batches. Never noise. 1 to 64 characters. */
  readonly seed: string;
  readonly evaluation: 'none' | 'federated';
  /** SIGKILL the coordinator at a random point of each round and start it again. */
  readonly killCoordinator: boolean;
  /** SIGKILL one client host in the middle of a round, so that a quarter of its phones vanish (person unit). */
  readonly vanish: boolean;
  /**
   * Compare every opened sum with what the clients sealed. Set by the crash and phones runs, by no command-line flag:
   * it uses the observed client host of experiments/e2e.
   */
  readonly observe?: boolean;
  /** Key holders stopped for the whole run, 0 to 2. */
  readonly stopHolders: number;
  /** Run directory; absent: the demo makes one. */
  readonly outDirectory?: string;
  /** Keep keys, databases and configuration of the roles, too. */
  readonly keep: boolean;
  /** One final JSON line on stdout and no progress. */
  readonly json: boolean;
}
