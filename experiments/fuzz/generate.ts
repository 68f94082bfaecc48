/**
 * Stories from seeds: which deployments and which ops are played, and how often.
 *
 * Trusts: nothing. May be called by: experiments/fuzz.
 */
import { type RandomSource, seededRandom, uniform } from '../../crypto/random.ts';
import {
  COMBINES,
  GROUP_COUNT,
  HOLDERS,
  NETWORK_FAULTS,
  type Op,
  type Scenario,
  type Story,
  TAMPERING,
  WITNESSES_MAX,
} from './ops.ts';

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

/** Of a hundred stories so many have it; what costs much is rare. */
const SHARES = {
  /** Some ten times as long as others. */
  bfv: 0.01,
  /** SM2 in JavaScript: a signature takes milliseconds. */
  gm: 0.006,
  long: 0.02,
  groups: 0.1,
  plans: 0.22,
  consent: 0.35,
  witnesses: 0.3,
  overlap: 0.15,
};
export type Shares = typeof SHARES;

export interface GenerateOptions {
  readonly ops: number;
  /** Fractions of stories that are not the usual ones. */
  readonly shares?: Partial<Shares>;
}

/** The story of a seed. The same seed and options give the same story. */
export function generateStory(seed: string, { ops, shares }: GenerateOptions): Story {
  const dice = new Dice(`fuzz/${seed}`);
  const scenario = scenarioOf(dice, { ...SHARES, ...shares });
  // Half of the stories keep to what honest parties on a bad network go through.
  const hostile = dice.chance(0.5);
  return { seed, scenario, ops: Array.from({ length: ops }, () => opOf(dice, scenario, hostile)) };
}

function scenarioOf(dice: Dice, shares: Shares): Scenario {
  const has = (feature: keyof Shares): boolean => dice.chance(shares[feature]);
  const transport = has('bfv') ? 'bfv' : 'shares';
  const inGroups = has('groups') && transport === 'shares';
  const [groups, long, gm] = [inGroups ? dice.pick(COMBINES.slice(1)) : 'none', has('long'), has('gm')];
  // Groups of two: a cohort of six.
  const devices = inGroups ? 2 * GROUP_COUNT + dice.below(3) : 3 + dice.below(4);
  const cohortMin = inGroups ? 2 * GROUP_COUNT : 2 + dice.below(2);
  const cohortTarget = cohortMin + dice.below(devices - cohortMin + 1);
  const twoPlans = has('plans') && !inGroups;
  return {
    transport,
    suite: gm ? 'gm' : 'intl',
    long,
    groups,
    plans: twoPlans ? dice.pick(['apart', 'clash'] as const) : 'one',
    consent: has('consent') ? dice.pick(['given', 'given', 'asked'] as const) : 'none',
    witnesses: has('witnesses') ? 1 + dice.below(WITNESSES_MAX) : 0,
    overlap: has('overlap') ? 1 + dice.below(2) : 0,
    privacy: dice.chance(0.7),
    training: 1 + dice.below(twoPlans ? 2 : 4),
    evaluation: dice.chance(0.2) ? 1 : 0,
    spare: dice.pick([0, 1, 1, 2]),
    warm: dice.chance(0.8),
    devices,
    cohortMin,
    cohortTarget,
    cohortMax: Math.max(cohortTarget, devices - dice.below(2)),
    liar: dice.chance(0.5) ? 1 + dice.below(HOLDERS) : 0,
  };
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
  const witness = `witness${1 + dice.below(Math.max(1, scenario.witnesses))}`;
  const who = dice.weighted([
    [4, 'coordinator'],
    [3, `holder${holderIndex}`],
    [3, `device${deviceIndex}`],
    [scenario.witnesses, witness],
  ]);
  const link = dice.weighted([
    [5, `device${deviceIndex}`],
    [5, `holder${holderIndex}`],
    [scenario.witnesses, witness],
  ]);
  const make: readonly (readonly [number, () => Unfinished])[] = [
    [20, () => ({ type: 'wait' })],
    [4, () => ({ type: 'crash', who, downMs: dice.pick(DOWN_MS) })],
    [12, () => crashAtWrite(dice, who)],
    [3, () => ({ type: 'disk-full', who, writes: 1 + dice.below(3) })],
    [30, () => networkOp(dice, hostile, link)],
    [4, () => ({ type: 'clock', who, jumpMs: clockJump(dice, who) })],
    [3, () => ({ type: 'leave', device: deviceIndex })],
    [4, () => ({ type: 'come-back', device: deviceIndex })],
    ...personOps(dice, scenario, deviceIndex),
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

/** What people ask for. */
function personOps(
  dice: Dice,
  { consent, plans }: Scenario,
  device: number,
): readonly (readonly [number, () => Unfinished])[] {
  const extents = ['plan', 'plan', 'all', ...(plans === 'one' ? [] : ['family' as const])] as const;
  return [
    [0.7, () => ({ type: 'withdraw', device, extent: dice.pick(extents) })],
    [0.4, () => ({ type: 'erase', device })],
    [0.8, () => ({ type: 'ask-report', device })],
    [
      { none: 0, given: 0.7, asked: 8 }[consent],
      () => ({ type: 'consent', device, expiresInMs: dice.pick([0, 0, 0, 200, 2000]) }),
    ],
  ];
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
  ...['plan-status', 'committee-key', 'erased', 'withdraw', 'late', 'keep-draw', 'log.cosigned'],
  ...[
    'consent',
    'subject-access',
    'erase-device',
    'erase-round',
    'finish-erasure',
    'forget-plan',
    'plan-end',
  ],
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
