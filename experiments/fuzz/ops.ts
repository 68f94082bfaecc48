/**
 * The language of a fault simulation: a scenario and a list of ops, generated from a seed, kept in reproductions.
 *
 * Trusts: nothing; reproduction files go through the schemas here. May be called by: experiments/fuzz, cli.
 */
import { z } from 'zod';
import { type RandomSource, seededRandom, uniform } from '../../crypto/random.ts';

export const HOLDERS = 4;
export const DEVICES_MAX = 6;

const count = (maximum: number) => z.int().min(0).max(maximum);
const ms = count(2_000_000);

/** `coordinator`, `holder1` to `holder4`, `device0` to `device5`. */
export const partySchema = z.string().regex(/^(coordinator|holder[1-4]|device[0-5])$/);

const NETWORK_FAULTS = [
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
  /** The next `count` calls between this device or holder and the coordinator. `amount`: delay, or where to tamper. */
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
  z.strictObject({ type: z.literal('withdraw'), ...device, extent: z.enum(['plan', 'all']), ...after }),
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

export const scenarioSchema = z.strictObject({
  transport: z.enum(['shares', 'bfv']),
  /** Person-level differential privacy with a budget for exactly the plan's rounds. */
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

class Dice {
  readonly #random: RandomSource;
  constructor(seed: string) {
    this.#random = seededRandom(seed);
  }
  /** A whole number in [0, limit). */
  below(limit: number): number {
    return Math.floor(uniform(this.#random) * limit);
  }
  chance(probability: number): boolean {
    return uniform(this.#random) < probability;
  }
  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }
  weighted<T>(items: readonly (readonly [number, T])[]): T {
    let left = uniform(this.#random) * items.reduce((sum, [weight]) => sum + weight, 0);
    for (const [weight, item] of items) {
      left -= weight;
      if (left < 0) return item;
    }
    return items.at(-1)![1];
  }
}

export interface GenerateOptions {
  readonly ops: number;
  /** Share of runs over threshold BFV, which take some ten times as long. */
  readonly bfvShare?: number;
}

/** The story of a seed. The same seed and options give the same story. */
export function generateStory(seed: string, { ops, bfvShare = 0.01 }: GenerateOptions): Story {
  const dice = new Dice(`fuzz/${seed}`);
  const devices = 3 + dice.below(DEVICES_MAX - 2);
  const cohortMin = 2 + dice.below(2);
  const cohortTarget = cohortMin + dice.below(devices - cohortMin + 1);
  const scenario: Scenario = {
    transport: dice.chance(bfvShare) ? 'bfv' : 'shares',
    privacy: dice.chance(0.7),
    training: 1 + dice.below(4),
    evaluation: dice.chance(0.2) ? 1 : 0,
    spare: dice.pick([0, 1, 1, 2]),
    warm: dice.chance(0.8),
    devices,
    cohortMin,
    cohortTarget,
    cohortMax: Math.max(cohortTarget, devices - dice.below(2)),
    liar: dice.chance(0.5) ? 1 + dice.below(HOLDERS) : 0,
  };
  // Half of the stories keep to what honest parties on a bad network go through.
  const hostile = dice.chance(0.5);
  return { seed, scenario, ops: Array.from({ length: ops }, () => opOf(dice, scenario, hostile)) };
}

/** A round without faults takes some 150 ms: several ops fall into each. */
const AFTER_MS = [0, 0, 1, 2, 4, 7, 12, 20, 30, 50, 80, 150] as const;
const DOWN_MS = [0, 50, 300, 1000, 3000] as const;

type Unfinished = Op extends infer One ? (One extends Op ? Omit<One, 'afterMs'> : never) : never;

function opOf(dice: Dice, scenario: Scenario, hostile: boolean): Op {
  return { ...unfinishedOp(dice, scenario, hostile), afterMs: dice.pick(AFTER_MS) } as Op;
}

function unfinishedOp(dice: Dice, scenario: Scenario, hostile: boolean): Unfinished {
  const deviceIndex = dice.below(scenario.devices);
  const holderIndex = 1 + dice.below(HOLDERS);
  const who = dice.weighted([
    [4, 'coordinator'],
    [3, `holder${holderIndex}`],
    [3, `device${deviceIndex}`],
  ]);
  const make: readonly (readonly [number, () => Unfinished])[] = [
    [20, () => ({ type: 'wait' })],
    [4, () => ({ type: 'crash', who, downMs: dice.pick(DOWN_MS) })],
    [12, () => crashAtWrite(dice, who)],
    [3, () => ({ type: 'disk-full', who, writes: 1 + dice.below(3) })],
    [30, () => networkOp(dice, hostile, dice.chance(0.5) ? `device${deviceIndex}` : `holder${holderIndex}`)],
    [4, () => ({ type: 'clock', who, jumpMs: clockJump(dice, who) })],
    [3, () => ({ type: 'leave', device: deviceIndex })],
    [4, () => ({ type: 'come-back', device: deviceIndex })],
    [
      0.7,
      () => ({ type: 'withdraw', device: deviceIndex, extent: dice.pick(['plan', 'plan', 'all'] as const) }),
    ],
    [4, () => ({ type: 'offline', holder: holderIndex, forMs: dice.pick(DOWN_MS) })],
    [
      scenario.liar > 0 ? 3 : 0,
      () => ({ type: 'lie', how: dice.pick(['honest', 'rejects', 'wrong-answer'] as const) }),
    ],
    [0.4, () => ({ type: 'abort' })],
    [2, () => ({ type: 'submit-again' })],
    [hostile ? 2 : 0, () => ({ type: 'equivocate', how: dice.pick(['abort', 'smaller-cohort'] as const) })],
  ];
  return dice.weighted(make)();
}

/** Writes of the coordinator that a round turns on. */
const TURNING_POINTS = [
  ...[
    'invite',
    'upload-chunk',
    'uploads',
    'verdicts',
    'freeze-cohort',
    'save-round',
    'keep-signature',
    'settle',
  ],
  ...['void', 'keep-partial', 'fold-commit', 'opened-sum', 'release', 'drop-ciphertexts', 'open-round'],
  ...['plan-status', 'committee-key', 'erased', 'withdraw', 'late'],
];

function crashAtWrite(dice: Dice, who: string): Unfinished {
  const named = who === 'coordinator' && dice.chance(0.6);
  return {
    type: 'crash-at-write',
    who,
    writes: named ? dice.pick([0, 0, 0, 1, 2]) : dice.below(who === 'coordinator' ? 12 : 4),
    when: dice.pick(['before', 'after'] as const),
    ...(named ? { named: dice.pick(TURNING_POINTS) } : {}),
    downMs: dice.pick(DOWN_MS),
  };
}

function networkOp(dice: Dice, hostile: boolean, link: string): Unfinished {
  const faults = hostile ? NETWORK_FAULTS : NETWORK_FAULTS.filter((fault) => !TAMPERING.includes(fault));
  return {
    type: 'network',
    link,
    fault: dice.pick(faults),
    count: 1 + dice.below(3),
    amount: dice.pick([1, 30, 150, 700, 2500, 9000]) + dice.below(50),
  };
}

/** Phones' and holders' clocks may be minutes off; a coordinator's is set back by a little, and jumps forward. */
function clockJump(dice: Dice, who: string): number {
  if (who === 'coordinator') return dice.pick([-3000, -200, 200, 1500, 10_000]);
  return dice.pick([-120_000, -3000, -200, 200, 3000, 120_000]);
}
