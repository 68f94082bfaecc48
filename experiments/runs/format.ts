/**
 * The experiment file: what a researcher writes instead of a plan, and what `pulsefold run` and `simulate` read.
 *
 * An experiment says data, split, model and budget; the plan follows from it (plan-of.ts), with the noise calibrated.
 * Strict: an unknown field is an error. Trusts: nothing. May be called by: experiments, cli. Format: docs/experiments.md.
 */
import { z } from 'zod';
import { LEARNING_RATE_MAX } from '../../protos/model.ts';
import { groupsSchema, trainingSchema } from '../../protos/plan.ts';
import { OVERLAP_MAX } from '../../protos/plan-overlap.ts';
import { availabilitySchema } from '../simulation/availability.ts';

/** Longest experiment file, in characters. */
export const EXPERIMENT_CHARACTERS_MAX = 64 * 1024;
export const SEEDS_MAX = 1000;
export const SWEEP_POINTS_MAX = 1000;
/** Units of work of one run folder: sweep points × seeds. */
export const UNITS_MAX = 10_000;

/** Plain decimal text of a positive number: plans hold rationals, and no two languages print 1e-7 alike. */
function decimalText(value: number): string {
  const [mantissa = '', exponent] = String(value).split('e');
  if (exponent === undefined) return mantissa;
  const [whole = '', fraction = ''] = mantissa.split('.');
  const shift = Number(exponent);
  if (shift >= 0) return `${whole}${fraction.padEnd(shift, '0')}`;
  return `0.${'0'.repeat(-shift - whole.length)}${whole}${fraction}`;
}

const RATIONAL_TEXT = 'expected a number or a text such as "1/3"';

/** A number, or a text such as "1/3"; kept as the text that plans use. */
const rational = z
  .union(
    [z.number().nonnegative(), z.string().regex(/^\d{1,24}(\.\d{1,18}|\/[1-9]\d{0,23})?$/, RATIONAL_TEXT)],
    {
      error: RATIONAL_TEXT,
    },
  )
  .transform((value) => (typeof value === 'number' ? decimalText(value) : value));

const slug = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'expected lower-case letters, digits and dashes, at most 63');
const seedText = z
  .string()
  .regex(/^[\x21-\x7e]{1,48}$/, 'expected 1 to 48 printable characters without a space');
const devices = z.int().min(2).max(1_000_000);
const milliseconds = z.int().min(100).max(604_800_000);

const datasetSchema = z.union(
  [
    slug.transform((name) => ({ name })),
    z.strictObject({
      name: slug,
      /** synthetic-band only: people that are made up, and the seed they come from. */
      rows: z.int().min(100).max(1_000_000).optional(),
      seed: seedText.optional(),
    }),
    z.strictObject({
      /** A schema file for a CSV of one's own (docs/datasets.md); relative to the experiment file. */
      schema: z.string().min(1).max(512),
      csv: z.string().min(1).max(512).optional(),
    }),
  ],
  { error: 'expected the name of a data set, or {name: …} or {schema: FILE, csv: FILE}' },
);

/** A rule without settings may be given by its name alone. */
const named = (field: string) => (value: unknown) => (typeof value === 'string' ? { [field]: value } : value);

const clientsSchema = z.preprocess(
  named('by'),
  z.discriminatedUnion('by', [
    z.strictObject({ by: z.literal('site') }),
    /** `count`: so many of them, drawn by the seed; all where absent. */
    z.strictObject({ by: z.literal('person'), count: devices.optional() }),
    z.strictObject({ by: z.literal('row'), count: devices.optional() }),
    /** Shares of each label per client drawn from Dirichlet(alpha) (Hsu et al. 1909.06335). */
    z.strictObject({
      by: z.literal('dirichlet'),
      alpha: z.number().min(0.01).max(1000),
      count: devices.max(10_000),
    }),
  ]),
);

const splitSchema = z.preprocess(
  named('rule'),
  z.discriminatedUnion('rule', [
    /** `share` of each (site, label) trains, the rest tests. */
    z.strictObject({ rule: z.literal('per-site'), share: z.number().gt(0).lt(1).optional() }),
    /** Row index modulo 5 = 4 tests: the same for every seed. */
    z.strictObject({ rule: z.literal('index-mod-5') }),
    /** One of `folds` folds of people tests; absent: each seed takes the next fold. */
    z.strictObject({
      rule: z.literal('by-person'),
      folds: z.int().min(2).max(100).default(5),
      fold: z.int().min(0).max(99).optional(),
    }),
    z.strictObject({ rule: z.literal('leave-site-out'), site: z.string().min(1).max(64) }),
    z.strictObject({ rule: z.literal('next-cycle') }),
    /** Any row on either side: refused where people have several rows. */
    z.strictObject({ rule: z.literal('random'), share: z.number().gt(0).lt(1).optional() }),
  ]),
);

/** Inputs and outputs come from the data set; what else a kind takes is checked with the plan (protos/model.ts). */
const modelSchema = z.looseObject({ kind: slug }).superRefine((model, context) => {
  for (const field of ['inputs', 'output'] as const)
    if (field in model)
      context.addIssue({
        code: 'custom',
        path: [field],
        message: 'follows from the data set: leave it out',
      });
});

const roundsSchema = z
  .union(
    [
      z.int().min(1).max(500),
      z.strictObject({
        training: z.int().min(1).max(500),
        /** Committee keys for rounds that end in an abort. */
        spare: z.int().min(0).max(100).optional(),
        /** Rounds open beside the oldest, for strategy fedbuff (protos/plan-overlap.ts). */
        overlap: z.int().min(0).max(OVERLAP_MAX).optional(),
        checkInWindowMs: milliseconds.max(86_400_000).optional(),
        deadlineMs: milliseconds.min(1000).optional(),
        stragglerMs: milliseconds.optional(),
        holderDeadlineMs: milliseconds.min(1000).optional(),
      }),
    ],
    { error: 'expected a number of rounds from 1 to 500, or {training: …}' },
  )
  .transform((rounds) => (typeof rounds === 'number' ? { training: rounds } : rounds));

const cohortSize = z.union([devices, z.literal('all')], {
  error: 'expected a number of devices from 2 to 1000000, or "all"',
});
const cohortSchema = z.strictObject({
  /** Devices invited to a round. */
  target: cohortSize.default('all'),
  /** Fewer make no round; the noise is calibrated to it. Absent: two thirds of the target; of hospitals, three. */
  minimum: cohortSize.optional(),
  maximum: cohortSize.optional(),
});

const privacySchema = z.strictObject({
  unit: z.enum(['person', 'record']),
  epsilon: rational,
  delta: rational.default('0.00001'),
  /** Fraction of a cohort that may be corrupt while ε still holds. */
  gamma: rational,
  /** Record unit: Poisson rate inside a client. */
  samplingRate: rational.default('1'),
});

const mechanismSchema = z.strictObject({
  clip: rational,
  /** Absent: under privacy the finest grid that fits, without it 2^20. */
  unitsPerClip: z
    .int()
    .min(1)
    .max(2 ** 24)
    .optional(),
  /** Record unit; absent: the sampling rate times the training rows, rounded to ten. */
  expectedBatch: rational.optional(),
});

const adaptiveClipSchema = z.strictObject({
  quantile: rational,
  learningRate: z.number().positive().max(2),
  /** Absent: an eighth of unitsPerClip. */
  bitUnits: z
    .int()
    .min(1)
    .max(2 ** 24)
    .optional(),
  clipMin: rational,
  clipMax: rational,
});

const evaluationSchema = z.strictObject({
  /** Harness metrics on the test rows every so many rounds, and after the last. */
  every: z.int().min(1).max(500).default(1),
  /** New people adapt the released model to their first rows, on their own device; their later rows test it. */
  personal: z
    .strictObject({
      /** Of each label a share of the rows (half where neither is said), or so many of them. */
      share: z.number().gt(0).lt(1).optional(),
      rows: z.int().min(1).max(100_000).optional(),
      epochs: z.int().min(1).max(1000),
      batchSize: z.int().min(1).max(100_000),
      learningRate: z.number().positive().max(LEARNING_RATE_MAX),
      /** Pulls towards the released model. */
      proximalMu: z.number().min(0).max(1000).default(0),
    })
    .refine(({ share, rows }) => share === undefined || rows === undefined, 'say share or rows, not both')
    .optional(),
  /** Rounds inside the guarantee besides: sealed score histograms, charged like any update. */
  federated: z
    .strictObject({
      rounds: z.int().min(1).max(20),
      bins: z.int().min(20).max(200).multipleOf(20).default(20),
    })
    .optional(),
});

const simulationSchema = z.strictObject({
  seal: z.enum(['none', 'bfv', 'shares']).default('none'),
  identity: z.enum(['none', 'signed']).default('none'),
  /** Of identity signed: whole client agents, or seeds that sign in batches; absent: agents where there are few. */
  devices: z.enum(['agents', 'seeds']).optional(),
  store: z.enum(['memory', 'sqlite']).default('memory'),
  /** `seeded`: the same figures for the same seed, and no privacy; `system`: the real thing. */
  noise: z.enum(['seeded', 'system']).default('seeded'),
  engine: z.enum(['kernel', 'tfjs-wasm', 'tfjs-cpu']).default('kernel'),
  /** Threads; changes no figure. Absent: cores less one. 0: the main thread. */
  workers: z.int().min(0).max(256).optional(),
  /** Traces of when devices can take part (experiments/simulation/availability.ts); absent: always. */
  availability: availabilitySchema.optional(),
});

const seedsSchema = z
  .union(
    [
      z.int().min(1).max(SEEDS_MAX),
      z
        .array(z.union([seedText, z.int().min(0)]))
        .min(1)
        .max(SEEDS_MAX),
    ],
    {
      error: `expected how many seeds, 1 to ${SEEDS_MAX}, or a list of them`,
    },
  )
  .transform((seeds) =>
    typeof seeds === 'number' ? Array.from({ length: seeds }, (_, seed) => String(seed)) : seeds.map(String),
  )
  .refine((seeds) => new Set(seeds).size === seeds.length, 'a seed is listed twice');

const path = z
  .string()
  .regex(/^[a-zA-Z]+(\.[a-zA-Z0-9]+){0,5}$/, 'expected a dotted path such as privacy.epsilon');

export const experimentSchema = z.strictObject({
  name: slug,
  description: z.string().max(2000).optional(),
  dataset: datasetSchema,
  clients: clientsSchema.optional(),
  split: splitSchema.optional(),
  suite: z.enum(['intl', 'gm']).default('intl'),
  /** How a deployment would keep sums secret; absent: what simulation.seal says, or shares. */
  transport: z.enum(['shares', 'bfv']).optional(),
  model: modelSchema,
  training: trainingSchema,
  rounds: roundsSchema,
  cohort: cohortSchema.prefault({}),
  eligibility: z
    .strictObject({
      recordsMin: z.int().min(1).max(1_000_000).optional(),
      recordsMax: z.int().min(1).max(1_000_000).optional(),
      chargingRequired: z.boolean().optional(),
      unmeteredRequired: z.boolean().optional(),
      wornRequired: z.boolean().optional(),
    })
    .prefault({}),
  mechanism: mechanismSchema.optional(),
  adaptiveClip: adaptiveClipSchema.optional(),
  groups: groupsSchema.extend({ trim: rational.optional(), normFactor: rational.optional() }).optional(),
  privacy: privacySchema.nullable(),
  evaluation: evaluationSchema.prefault({}),
  /** Same model, split and features: all training rows in one place; one client's rows alone. */
  baselines: z
    .array(z.enum(['central', 'local']))
    .max(2)
    .default([]),
  simulation: simulationSchema.prefault({}),
  seeds: seedsSchema.default(['0']),
  /** Grid over dotted paths: every combination of the values. */
  sweep: z.record(path, z.array(z.unknown()).min(1).max(100)).optional(),
});

export type Experiment = z.output<typeof experimentSchema>;
