/**
 * The language of a fault simulation: a scenario and a list of ops, generated from a seed, kept in reproductions.
 *
 * Trusts: nothing; reproduction files go through the schemas here. May be called by: experiments/fuzz, cli.
 */
import { z } from 'zod';

export const HOLDERS = 4;
export const DEVICES_MAX = 8;
export const WITNESSES_MAX = 2;

const count = (maximum: number) => z.int().min(0).max(maximum);
const ms = count(2_000_000);

/** `coordinator`, `holder1` to `holder4`, `witness1`, `witness2`, `device0` to `device7`. */
export const partySchema = z.string().regex(/^(coordinator|holder[1-4]|witness[12]|device[0-7])$/);

export const NETWORK_FAULTS = [
  'lose-request',
  'lose-response',
  'duplicate',
  'delay-request',
  'delay-response',
  'flip-request',
  'flip-response',
  'truncate-request',
  'truncate-response',
] as const;
export type NetworkFault = (typeof NETWORK_FAULTS)[number];
/** Faults that only a hostile peer or a broken TLS makes. */
export const TAMPERING: readonly NetworkFault[] = [
  'flip-request',
  'flip-response',
  'truncate-request',
  'truncate-response',
];

/** `afterMs`: time that passes before the next op. */
const after = { afterMs: ms };
const device = { device: count(DEVICES_MAX - 1) };
const holder = { holder: z.int().min(1).max(HOLDERS) };

export const opSchema = z.discriminatedUnion('type', [
  z.strictObject({ type: z.literal('wait'), ...after }),
  /** The process dies where it stands and starts again after `downMs`. */
  z.strictObject({ type: z.literal('crash'), who: partySchema, downMs: ms, ...after }),
  /**
   * The same at its (writes + 1)-th write from now, before or after that write is durable; `named`: only writes of this
   * name count (coordinator).
   */
  z.strictObject({
    type: z.literal('crash-at-write'),
    who: partySchema,
    writes: count(1000),
    when: z.enum(['before', 'after']),
    named: z
      .string()
      .regex(/^[a-z0-9.-]{1,40}$/)
      .optional(),
    downMs: ms,
    ...after,
  }),
  /** The next `writes` writes fail: no space left. */
  z.strictObject({ type: z.literal('disk-full'), who: partySchema, writes: count(1000), ...after }),
  /** The next `count` calls between this device, holder or witness and the coordinator. `amount`: delay, or where to tamper. */
  z.strictObject({
    type: z.literal('network'),
    link: partySchema,
    fault: z.enum(NETWORK_FAULTS),
    count: count(1000),
    amount: ms,
    ...after,
  }),
  z.strictObject({
    type: z.literal('clock'),
    who: partySchema,
    jumpMs: z.int().min(-100_000_000).max(100_000_000),
    ...after,
  }),
  /** Told to stop: ends what it does in good order. */
  z.strictObject({ type: z.literal('leave'), ...device, ...after }),
  z.strictObject({ type: z.literal('come-back'), ...device, ...after }),
  z.strictObject({
    type: z.literal('withdraw'),
    ...device,
    extent: z.enum(['plan', 'family', 'all']),
    ...after,
  }),
  /** The person consents to the present plan; `expiresInMs` 0: until they withdraw. */
  z.strictObject({ type: z.literal('consent'), ...device, expiresInMs: ms, ...after }),
  /** The person has everything forgotten; a later `come-back` is a copy of its keys on an empty disk. */
  z.strictObject({ type: z.literal('erase'), ...device, ...after }),
  /** The person asks what the coordinator holds about them. */
  z.strictObject({ type: z.literal('ask-report'), ...device, ...after }),
  z.strictObject({ type: z.literal('offline'), ...holder, forMs: ms, ...after }),
  /** The scenario's liar: what it does from now on. */
  z.strictObject({ type: z.literal('lie'), how: z.enum(['honest', 'rejects', 'wrong-answer']), ...after }),
  z.strictObject({ type: z.literal('abort'), ...after }),
  z.strictObject({ type: z.literal('submit-again'), ...after }),
  /** Whoever has the coordinator's key asks holders for another statement about the present round. */
  z.strictObject({ type: z.literal('equivocate'), how: z.enum(['abort', 'smaller-cohort']), ...after }),
]);
export type Op = z.output<typeof opSchema>;
export type OpType = Op['type'];

export const COMBINES = ['none', 'mean', 'median', 'trimmed-mean', 'norm-filter', 'krum'] as const;
/** Of every story with groups; three is the least there is. */
export const GROUP_COUNT = 3;

export const scenarioSchema = z.strictObject({
  transport: z.enum(['shares', 'bfv']),
  suite: z.enum(['intl', 'gm']).default('intl'),
  /** A model whose update travels under the long cipher. */
  long: z.boolean().default(false),
  /** How three groups of a training round are combined; `none`: one sum. Wants cohortMin ≥ 6. */
  groups: z.enum(COMBINES).default('none'),
  /**
   * `apart`: a second plan in the same epoch, each with half of a person's budget. `clash`: both draw on the same share,
   * which is not enough for both.
   */
  plans: z.enum(['one', 'apart', 'clash']).default('one'),
  /** `given`: each person consents when the device first sees a plan. `asked`: only where an op says so. */
  consent: z.enum(['none', 'given', 'asked']).default('none'),
  witnesses: count(WITNESSES_MAX).default(0),
  /** Rounds open beside the oldest one, under strategy fedbuff. */
  overlap: count(2).default(0),
  /** Person-level differential privacy; a plan by itself has a budget for exactly its rounds. */
  privacy: z.boolean(),
  training: z.int().min(1).max(5),
  evaluation: count(2),
  spare: count(5),
  devices: z.int().min(2).max(DEVICES_MAX),
  cohortMin: z.int().min(2).max(DEVICES_MAX),
  cohortTarget: z.int().min(2).max(DEVICES_MAX),
  cohortMax: z.int().min(2).max(DEVICES_MAX),
  /** Faults begin once the first round is open; else with the ceremonies, which any error of a holder ends. */
  warm: z.boolean(),
  /** Index of the holder that may lie; 0: none. At most f = 1 lies. */
  liar: count(HOLDERS),
});
export type Scenario = z.output<typeof scenarioSchema>;

export const storySchema = z.strictObject({
  /** Drives retries' jitter and noise of the devices. */
  seed: z.string().min(1).max(128),
  scenario: scenarioSchema,
  ops: z.array(opSchema).max(10_000),
});
/** One run: everything that decides what happens in it. */
export type Story = z.output<typeof storySchema>;
