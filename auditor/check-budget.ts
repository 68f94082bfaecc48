/**
 * Budget: settlements equal certificates, charges follow from the plan by the second accountant, nobody
 * passes the plan's ε, the stated ε is the recomputed one, the ledger file tells the same story.
 *
 * Trusts: the plan. May be called by: auditor/.
 */
import type { Leaf } from '../crypto/log/leaves.ts';
import { type AccountOrder, epsilonOf } from './accountant.ts';
import { type Account, checkQuota, ownPart, wholeOf } from './check-quota.ts';
import { abortHash, certificateHash, type RoundContext } from './check-rounds.ts';
import { amountAt, costOf } from './costs.ts';
import { conversionDelta } from './group-terms.ts';
import { real } from './numbers.ts';
import { termsOf, termsOfEvent } from './plan-terms.ts';
import type { PlanBook, RoundLeaves } from './round-book.ts';
import type { LedgerFile, NumberedLeaf } from './run-directory.ts';

/** Charges stand on a grid of 2^-40 (rounded up); two accountants agree to this relative error. */
const GRID = 2 ** -40;
const RELATIVE = 1e-7;
/** Allowed difference of a stated and a recomputed ε. */
const EPSILON_TOLERANCE = 1e-6;

const orderOf = (text: string): AccountOrder => (text === 'zcdp' ? text : Number(text));

export interface BudgetSummary {
  /** ε of the most-charged participant, recomputed. */
  readonly epsilon: number;
  readonly delta: number;
  readonly gamma: number;
  readonly epsilonBudget: number;
  readonly participantsCharged: number;
}

/** Per round: is the stated charge what the plan's mechanism costs with the certified cohort? */
export function checkMechanisms(context: RoundContext, book: PlanBook): void {
  const { parsed, findings } = context;
  if (parsed.plan.privacy === null) return;
  for (const round of book.rounds) {
    const certificate = round.round_certificate[0];
    if (certificate === undefined) {
      findings.require(
        round.mechanism.length === 0,
        'MECHANISM_MISMATCH',
        `round ${round.round} has a mechanism but no certificate`,
        { round: round.round },
      );
      continue;
    }
    const [mechanism, ...more] = round.mechanism;
    const where = { leaf: mechanism?.number, round: round.round };
    if (
      !findings.require(
        mechanism !== undefined && more.length === 0,
        'MECHANISM_MISMATCH',
        `round ${round.round} is certified and has ${round.mechanism.length} mechanism records`,
        where,
      )
    )
      continue;
    findings.require(
      mechanism!.leaf.certificateHash === certificateHash(context, certificate),
      'MECHANISM_MISMATCH',
      `the mechanism of round ${round.round} names another certificate`,
      where,
    );
    checkTerms(context, round, certificate.leaf.cohortCount);
  }
}

function checkTerms({ parsed, findings }: RoundContext, round: RoundLeaves, cohortCount: number): void {
  const { number, leaf } = round.mechanism[0]!;
  const where = { leaf: number, round: round.round };
  const purpose = round.round_opened[0]?.leaf.purpose ?? 'training';
  const expected = termsOf(parsed.plan, purpose, cohortCount)!;
  const stated = termsOfEvent(leaf.event);
  const unit = parsed.plan.privacy!.unit;
  const same =
    stated !== undefined &&
    stated.unit === unit &&
    stated.neighbouring === 'zero_out' &&
    (Object.keys(expected) as (keyof typeof expected)[]).every((name) => stated[name] === expected[name]);
  findings.require(
    same,
    'MECHANISM_MISMATCH',
    `the mechanism of round ${round.round} is not the plan's with ${cohortCount} clients`,
    where,
  );
  const cost = amountAt(costOf(parsed.plan, purpose, cohortCount)!, orderOf(leaf.order));
  const charged = real(leaf.charge);
  findings.require(
    charged >= cost * (1 - RELATIVE) - Number.EPSILON && charged <= cost * (1 + RELATIVE) + 2 * GRID,
    'CHARGE_MISMATCH',
    `round ${round.round} charges ${charged} at order ${leaf.order}; the second accountant finds ${cost}`,
    where,
  );
}

/** Reservations and settlements of one round against its certificate or abort. */
export function checkSettlements(context: RoundContext, book: PlanBook): void {
  const { parsed, findings } = context;
  for (const round of book.rounds) {
    const { round: number, reservation, settlement } = round;
    if (parsed.plan.privacy === null) {
      findings.require(
        settlement.length === 0,
        'SETTLEMENT_MISMATCH',
        `round ${number} charges under a plan without DP`,
        { round: number },
      );
      continue;
    }
    const reserved = uniquePseudonyms(reservation, context, number, 'RESERVATION_MISMATCH');
    const settled = uniquePseudonyms(settlement, context, number, 'SETTLEMENT_MISMATCH');
    const certificate = round.round_certificate[0];
    const abort = round.abort[0];
    if (certificate === undefined && abort === undefined) {
      findings.require(
        settlement.length === 0,
        'SETTLEMENT_MISMATCH',
        `round ${number} was settled without a statement of the holders`,
        { round: number },
      );
      continue;
    }
    const hash = certificate ? certificateHash(context, certificate) : abortHash(context, abort!);
    const charged = settlement
      .filter(({ leaf }) => leaf.outcome === 'charged')
      .flatMap(({ leaf }) => leaf.pseudonyms);
    for (const { leaf, number: at } of settlement)
      findings.require(
        leaf.statementHash === hash,
        'SETTLEMENT_MISMATCH',
        `round ${number} is settled by another statement than its own`,
        { leaf: at, round: number },
      );
    findings.require(
      charged.length === (certificate?.leaf.cohortCount ?? 0),
      'SETTLEMENT_MISMATCH',
      `round ${number} charges ${charged.length} people, certified are ${certificate?.leaf.cohortCount ?? 0}`,
      { round: number },
    );
    findings.require(
      settled.size === reserved.size && [...settled].every((pseudonym) => reserved.has(pseudonym)),
      'RESERVATION_MISMATCH',
      `round ${number} settles ${settled.size} of ${reserved.size} reservations, or others`,
      { round: number },
    );
    checkCharges(context, round);
  }
}

function checkCharges(
  { findings }: RoundContext,
  { round, reservation, settlement, mechanism }: RoundLeaves,
): void {
  const stated = mechanism[0]?.leaf;
  for (const { leaf, number } of settlement) {
    if (leaf.outcome !== 'charged') continue;
    const where = { leaf: number, round };
    findings.require(
      leaf.charge === stated?.charge && leaf.order === stated.order,
      'CHARGE_MISMATCH',
      `round ${round} is settled at another charge than its mechanism costs`,
      where,
    );
    findings.require(
      reservation.every(
        (held) => held.leaf.order === leaf.order && real(held.leaf.charge) >= real(leaf.charge),
      ),
      'CHARGE_MISMATCH',
      `round ${round} charges more than was reserved`,
      where,
    );
  }
}

/** All pseudonyms of numbered parts; a missing part or a repeated pseudonym is a finding. */
function uniquePseudonyms(
  leaves: readonly {
    number: number;
    leaf: { part: number; parts: number; outcome?: string; pseudonyms: readonly string[] };
  }[],
  { findings }: RoundContext,
  round: number,
  code: 'RESERVATION_MISMATCH' | 'SETTLEMENT_MISMATCH',
): Set<string> {
  const seen = new Set<string>();
  const parts = new Map<string, number[]>();
  for (const { leaf, number } of leaves) {
    const list = `${leaf.outcome ?? ''}/${leaf.parts}`;
    parts.set(list, [...(parts.get(list) ?? []), leaf.part]);
    for (const pseudonym of leaf.pseudonyms) {
      findings.require(!seen.has(pseudonym), code, `round ${round} lists a participant twice`, {
        leaf: number,
        round,
      });
      seen.add(pseudonym);
    }
  }
  const complete = [...parts].every(([list, numbers]) => {
    const wanted = Number(list.split('/')[1]);
    return numbers.length === wanted && new Set(numbers).size === wanted;
  });
  const outcomes = new Set([...parts.keys()].map((list) => list.split('/')[0]));
  findings.require(
    complete && outcomes.size === parts.size,
    code,
    `round ${round} lacks a part of its list or repeats one`,
    { round },
  );
  return seen;
}

/**
 * Walks the whole log in order (also other plans: one filter per participant) and recomputes every balance;
 * compares with the plan's budget at every step and with the ε that releases state.
 */
export function checkEpsilon(
  context: RoundContext,
  leaves: readonly NumberedLeaf[],
): BudgetSummary | undefined {
  const { parsed, findings } = context;
  const { privacy } = parsed.plan;
  if (privacy === null) return undefined;
  const delta = conversionDelta(parsed.plan);
  const budget = real(privacy.epsilon);
  const { quota } = privacy;
  const accounts = new Map<string, Account>();
  const mine = new Set<string>();
  const memo = new Map<string, number>();
  const epsilon = (order: string, amount: number): number => {
    const key = `${order} ${amount}`;
    const known = memo.get(key) ?? epsilonOf(amount, orderOf(order), delta);
    memo.set(key, known);
    return known;
  };
  const worst = (): number => {
    let most = 0;
    for (const pseudonym of mine) {
      const account = accounts.get(pseudonym)!;
      most = Math.max(most, epsilon(account.order, quota ? account.ownSpent : account.spent));
    }
    return most;
  };
  for (const { number, leaf } of leaves) {
    if (leaf.kind === 'reservation' || leaf.kind === 'settlement') {
      for (const pseudonym of leaf.pseudonyms) {
        if (leaf.planHash === parsed.hashHex) mine.add(pseudonym);
        const account = accounts.get(pseudonym) ?? {
          order: leaf.order,
          spent: 0,
          ownSpent: 0,
          held: new Map(),
        };
        accounts.set(pseudonym, account);
        if (!post(account, leaf, parsed.hashHex))
          findings.error('CHARGE_MISMATCH', 'a participant is charged at two orders', { leaf: number });
        if (!mine.has(pseudonym)) continue;
        const where = { leaf: number, round: leaf.round };
        const own = quota ? ownPart(account, parsed.hashHex) : wholeOf(account);
        if (epsilon(account.order, own) > budget + EPSILON_TOLERANCE)
          findings.error('BUDGET_EXCEEDED', `a participant is brought past ε = ${budget}`, where);
        if (quota) checkQuota(context, account, quota, where);
      }
    }
    if (leaf.kind === 'release' && leaf.planHash === parsed.hashHex)
      checkRelease(context, leaf, number, worst());
  }
  const charged = [...mine].filter((pseudonym) => accounts.get(pseudonym)!.spent > 0).length;
  return {
    epsilon: worst(),
    // The whole: what unlucky partitions may take is part of it.
    delta: real(privacy.delta),
    gamma: real(privacy.gamma),
    epsilonBudget: budget,
    participantsCharged: charged,
  };
}

/** Books one leaf on one account; false if it counts at another order. */
function post(
  account: Account,
  leaf: Leaf & { kind: 'reservation' | 'settlement' },
  planHash: string,
): boolean {
  const key = `${leaf.planHash}/${leaf.round}`;
  if (leaf.kind === 'reservation') account.held.set(key, real(leaf.charge));
  else {
    account.held.delete(key);
    const paid = leaf.outcome === 'charged' ? real(leaf.charge) : 0;
    account.spent += paid;
    if (leaf.planHash === planHash) account.ownSpent += paid;
  }
  return account.order === leaf.order;
}

function checkRelease(
  { parsed, findings }: RoundContext,
  leaf: Leaf & { kind: 'release' },
  number: number,
  recomputed: number,
): void {
  const privacy = parsed.plan.privacy!;
  const where = { leaf: number, round: leaf.round };
  findings.require(
    Math.abs(real(leaf.epsilon) - recomputed) <= EPSILON_TOLERANCE * Math.max(1, recomputed),
    'EPSILON_MISMATCH',
    `the release of round ${leaf.round} states ε = ${leaf.epsilon}; recomputed: ${recomputed}`,
    where,
  );
  findings.require(
    real(leaf.epsilonBudget) === real(privacy.epsilon) &&
      real(leaf.delta) === real(privacy.delta) &&
      real(leaf.gamma) === real(privacy.gamma),
    'EPSILON_MISMATCH',
    `the release of round ${leaf.round} states another budget, δ or γ than the plan`,
    where,
  );
}

/** The exported ledger against the log: the same charges and releases, round by round. */
export function checkLedger(
  { parsed, findings }: RoundContext,
  book: PlanBook,
  ledger: LedgerFile | undefined,
): void {
  if (ledger === undefined) return;
  const fromLog = book.rounds.flatMap(({ round, settlement }) =>
    settlement.flatMap(({ leaf }) =>
      leaf.pseudonyms.map((pseudonym) =>
        entry(round, pseudonym, leaf.outcome, leaf.outcome === 'charged' ? real(leaf.charge) : 0),
      ),
    ),
  );
  const fromLedger = ledger.events.flatMap((event) => {
    if (event.kind !== 'settle' && event.kind !== 'abort') return [];
    if (event.planHash !== parsed.hashHex) return [];
    const charged = event.kind === 'settle' ? event.charged : [];
    const amount = event.kind === 'settle' ? event.chargeSteps * GRID : 0;
    return [
      ...charged.map((pseudonym) => entry(event.round, pseudonym, 'charged', amount)),
      ...event.released.map((pseudonym) => entry(event.round, pseudonym, 'released', 0)),
    ];
  });
  const [a, b] = [fromLog.sort(), fromLedger.sort()];
  findings.require(
    a.length === b.length && a.every((line, i) => line === b[i]),
    'LEDGER_MISMATCH',
    'ledger.json and the settlements in the log differ',
  );
}

/** On the ledger's grid, so that a decimal and a count of steps compare equal. */
const entry = (round: number, pseudonym: string, outcome: string, charge: number): string =>
  `${round} ${pseudonym} ${outcome} ${Math.ceil(charge / GRID)}`;
