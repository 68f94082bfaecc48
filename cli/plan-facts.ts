/**
 * What a plan means in figures, for the people who have to approve it.
 *
 * For: `plan check` and `plan approve`. Trusts: a validated plan; everything here is derived by the code that the
 * roles use.
 */
import type { DpEvent } from '../crypto/dp/events.ts';
import { roundEvent } from '../crypto/dp/plan-accounting.ts';
import type { Bracket } from '../crypto/dp/pld.ts';
import { rationalToNumber } from '../crypto/dp/rational.ts';
import { isPulsefoldError } from '../crypto/error.ts';
import { parameterCount } from '../protos/model.ts';
import {
  faultsOf,
  type GroupTerms,
  groupSizeMin,
  groupTermsOf,
  openersOf,
  type ParsedPlan,
  type Plan,
  quorumOf,
} from '../protos/plan.ts';
import { faultyMaxOf, partitionDelta, sumNoiseShares, trimOf } from '../protos/plan-groups.ts';
import { accountPlan, mechanismOf, roundMechanismOf } from '../protos/plan-mechanism.ts';
import { overlapOf, stalenessDiscount } from '../protos/plan-overlap.ts';
import { digitCountOf, schemeOf, schemeText } from '../protos/plan-scheme.ts';
import { strategyOf, updateLength } from '../protos/strategies/index.ts';
import { type Cell, formatBytes } from './terminal.ts';

/** Throws BUDGET_EXCEEDED when the plan's noise does not keep its stated ε. */
export async function planFacts(parsed: ParsedPlan) {
  const { plan, hashHex } = parsed;
  const { rounds, privacy, holders, mechanism } = plan;
  const account = accountPlan(parsed);
  const noise = roundMechanismOf(parsed, 'training', rounds.cohortMin);
  return {
    planHash: hashHex,
    name: plan.name,
    purpose: plan.purpose,
    suite: plan.suite,
    modelParameters: parameterCount(plan.model),
    strategy: plan.training.strategy,
    summed: updateLength(plan),
    keeps: strategyOf(plan).memory ?? null,
    rounds: { training: rounds.training, evaluation: rounds.evaluation, spare: rounds.spare },
    overlap: overlapOf(plan),
    cohort: { min: rounds.cohortMin, target: rounds.cohortTarget, max: rounds.cohortMax },
    holders: {
      count: holders.length,
      faulty: faultsOf(plan),
      quorum: quorumOf(plan),
      threshold: openersOf(plan),
    },
    clip: mechanism.clip,
    adaptiveClip: mechanism.adaptiveClip ?? null,
    unitsPerClip: mechanism.unitsPerClip,
    privacy:
      account && privacy && noise
        ? {
            unit: privacy.unit,
            epsilon: account.epsilon,
            epsilonStated: privacy.epsilon,
            epsilonPld: await pldOf(parsed, account.delta),
            delta: privacy.delta,
            gamma: privacy.gamma,
            samplingRate: privacy.samplingRate,
            order: account.order,
            noiseVariance: privacy.noiseVariance,
            noiseSharesMin: Number(noise.noiseShares),
            sensitivity: Math.sqrt(Number(noise.sensitivitySquared)),
            chargePerRound: account.charge,
          }
        : null,
    digits: digitCountOf(parsed, 'training'),
    sumNoiseSigma: noise
      ? Math.sqrt(
          rationalToNumber(mechanismOf(parsed, 'training', 1).noiseVariance) * Number(noise.noiseShares),
        )
      : 0,
    groups: groupFacts(plan),
    cipher: schemeText(parsed),
    uploadBytes: schemeOf(parsed, 'training').uploadBytes,
  };
}

/**
 * ε of the same rounds by their privacy loss distribution: reported, it gates nothing. null where none is known, which
 * the accountant says of events that it does not take.
 */
async function pldOf(parsed: ParsedPlan, delta: number): Promise<Bracket | null> {
  const { rounds } = parsed.plan;
  const { accountEpsilon } = await import('../crypto/dp/accountants.ts');
  const events = (['training', 'evaluation'] as const)
    .filter((kind) => rounds[kind] > 0)
    .map(
      (kind): DpEvent => ({
        type: 'self_composed',
        event: roundEvent(roundMechanismOf(parsed, kind, rounds.cohortMin)!),
        count: rounds[kind],
      }),
    );
  try {
    return accountEpsilon('pld', { type: 'composed', events }, delta);
  } catch (error) {
    if (isPulsefoldError(error) && error.code === 'UNSUPPORTED_EVENT') return null;
    throw error;
  }
}

/** Groups that may be anybody's before the rule's result is: its breakdown point. One client spoils one group. */
function spoiledGroupsBorne(terms: GroupTerms): number {
  if (terms.combine === 'mean') return 0;
  if (terms.combine === 'trimmed-mean') return Math.floor(rationalToNumber(trimOf(terms)) * terms.count);
  return terms.combine === 'krum' ? faultyMaxOf(terms) : Math.ceil(terms.count / 2) - 1;
}

/** Share of malicious clients for which lone ones are counted. */
const SYBIL_SHARE = 0.1;

/** Honest clients of the smallest cohort that stand alone in their group when one in ten clients is malicious. */
function loneClients({ rounds }: Plan, size: number): number {
  const malicious = Math.floor(SYBIL_SHARE * rounds.cohortMin);
  let alone = 1;
  for (let i = 0; i < size - 1; i++) alone *= Math.max(0, malicious - i) / (rounds.cohortMin - 1 - i);
  return (rounds.cohortMin - malicious) * alone;
}

/** What groups against poisoning mean: how many malicious clients they bear, and what they cost in noise. */
function groupFacts(plan: Plan) {
  const terms = groupTermsOf(plan);
  if (!terms) return null;
  const size = groupSizeMin(plan);
  return {
    count: terms.count,
    combine: terms.combine,
    sizeMin: size,
    maliciousClientsBorne: spoiledGroupsBorne(terms),
    loneClientsExpected: loneClients(plan, size),
    corruptAssumedPerGroup: plan.privacy
      ? size - sumNoiseShares(plan, 'training', plan.rounds.cohortMin)
      : null,
    partitionDelta: plan.privacy ? partitionDelta({ plan }) : null,
  };
}

/** Four digits, rounded up. */
const upTo = (value: number): string => (Math.ceil(value * 1e4) / 1e4).toFixed(4);

/** What the strategy makes of a device beyond an update as long as the model. */
function strategyText({ strategy, summed, keeps, modelParameters }: PlanFacts): string {
  const more = [
    ...(summed === modelParameters ? [] : [`${summed} numbers are summed`]),
    ...(keeps === 'control' ? ['a correction stays on the device'] : []),
    ...(keeps === 'personal' ? ['personal weights stay on the device'] : []),
  ];
  return more.length > 0 ? `${strategy}: ${more.join(', ')}` : strategy;
}

type PlanFacts = Awaited<ReturnType<typeof planFacts>>;

export function planFields(facts: PlanFacts): (readonly [string, Cell])[] {
  const { rounds, cohort, holders, privacy } = facts;
  return [
    ['plan', facts.name],
    ['hash', facts.planHash],
    ['purpose', facts.purpose],
    ['suite', facts.suite],
    ['model', `${facts.modelParameters} parameters, ${strategyText(facts)}`],
    ['rounds', `${rounds.training} training, ${rounds.evaluation} evaluation, ${rounds.spare} spare keys`],
    ...overlapFields(facts.overlap),
    ['cohort', `${cohort.min} to ${cohort.max} clients, ${cohort.target} wanted`],
    [
      'key holders',
      `${holders.count}: ${holders.quorum} certify, ${holders.threshold} open, ${holders.faulty} may fail`,
    ],
    ...privacyFields(privacy),
    ...groupFields(facts.groups),
    ['clip', `${facts.clip} on a grid of ${facts.unitsPerClip} units`],
    ...clipFields(facts),
    ['sums', facts.cipher],
    ['upload', `${formatBytes(facts.uploadBytes)} (${facts.digits} slots)`],
  ];

  function overlapFields(overlap: number): (readonly [string, Cell])[] {
    if (overlap === 0) return [];
    const least = stalenessDiscount(overlap).toFixed(2);
    return [
      [
        'overlap',
        `up to ${overlap + 1} rounds open; a sum comes at most ${overlap} releases late and then counts ${least}; as many ` +
          'committee keys are in use at a time, and devices in several rounds hold budget for each',
      ],
    ];
  }

  function clipFields({ clip, adaptiveClip }: PlanFacts): (readonly [string, Cell])[] {
    if (!adaptiveClip) return [];
    const { quantile, clipMin, clipMax, learningRate, bitUnits } = adaptiveClip;
    return [
      [
        'clip adapts',
        `from ${clip}, always within ${clipMin} to ${clipMax}, towards the ${quantile} quantile of the norms ` +
          `(rate ${learningRate}, a bit of ${bitUnits} units); what each round released stands in its summary`,
      ],
    ];
  }

  function groupFields(groups: PlanFacts['groups']): (readonly [string, Cell])[] {
    if (!groups) return [];
    const { count, combine, sizeMin, maliciousClientsBorne, corruptAssumedPerGroup, partitionDelta } = groups;
    const borne = `holds at least up to ${maliciousClientsBorne} malicious clients`;
    // Without noise of the others, whoever sent the rest of a group's sum has the one update left.
    const noise =
      corruptAssumedPerGroup === null
        ? `; with 1 in 10 malicious, ${groups.loneClientsExpected.toPrecision(2)} honest updates a round stand alone`
        : `; ${corruptAssumedPerGroup} of a group assumed corrupt, but for ${partitionDelta?.toExponential(1)} of delta`;
    return [['groups', `${count} of at least ${sizeMin} clients; ${combine} ${borne}${noise}`]];
  }

  function privacyFields(terms: PlanFacts['privacy']): (readonly [string, Cell])[] {
    if (!terms) return [['privacy', 'NONE: this plan runs without differential privacy']];
    const { unit, epsilon, epsilonStated, delta, gamma, order, noiseVariance, noiseSharesMin, samplingRate } =
      terms;
    return [
      ['unit', unit === 'record' ? `record, Poisson rate ${samplingRate} inside a client` : unit],
      ['epsilon', `${epsilon.toFixed(4)} of ${epsilonStated} stated, if every round has the smallest cohort`],
      [
        'epsilon by PLD',
        terms.epsilonPld
          ? `${upTo(terms.epsilonPld.high)} for the same rounds; reported, decides nothing`
          : 'not known for these rounds',
      ],
      ['delta', delta],
      ['gamma', `${gamma} of a cohort may be corrupt (${noiseSharesMin} noise shares count)`],
      ['order', order === 'zcdp' ? 'zCDP' : `Rényi order ${order}`],
      [
        'noise',
        `variance ${noiseVariance} per client and coordinate, sigma ${facts.sumNoiseSigma.toFixed(2)} in the sum`,
      ],
    ];
  }
}
