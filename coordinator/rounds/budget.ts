/**
 * Ties rounds to the ledger and the log: reservations, settlements, mechanism records, releases.
 *
 * Every method writes state, ledger rows and log leaves in one transaction, and is idempotent, so that a crash in
 * between only repeats it. No leaf names a device. Trusts: signatures were verified by active-round.ts.
 * May be called by: coordinator/rounds.
 */
import { toHex, utf8 } from '../../crypto/bytes.ts';
import { ensure } from '../../crypto/error.ts';
import type { Suite } from '../../crypto/identity/suite.ts';
import { type Leaf, type LeafOf, pseudonymParts } from '../../crypto/log/leaves.ts';
import { groupsOf, type ParsedPlan, type PlanApproval } from '../../protos/plan.ts';
import { accountPlan, epsilonOfAmount, realisedCharge } from '../../protos/plan-mechanism.ts';
import { planBudgetTerms, planQuotaName } from '../../protos/plan-quota.ts';
import type { EncodedRoundConfig } from '../../protos/round-config.ts';
import {
  abortStatement,
  type CohortCertificate,
  ceremonyId,
  certificateStatement,
} from '../../protos/statements.ts';
import type { BudgetLedger, LedgerTransaction } from '../ledger/budget-ledger.ts';
import type { AppendLog } from '../storage/append-log.ts';
import type { Database, Store } from '../storage/store.ts';
import { type AccountText, accountText, decimal, mechanismRecord } from './account-texts.ts';
import type { CommitteeKey } from './ceremonies.ts';
import { CONSENT_MIGRATIONS } from './consents.ts';
import { ERASURE_MIGRATIONS } from './erased-devices.ts';
import { hexSignatures, type StatementSignature } from './holder-port.ts';
import type { RoundState } from './machine.ts';
import { RECONCILE_MIGRATIONS } from './reconcile.ts';
import * as repository from './repository.ts';
import type { RoundView } from './round-view.ts';
import { SUBJECT_ACCESS_MIGRATIONS } from './subject-access.ts';
import { hasWithdrawn, WITHDRAWAL_MIGRATIONS } from './withdrawals.ts';

/** A leaf without the fields that every leaf has; distributes over the union. */
type LeafBody = Leaf extends infer L ? (L extends Leaf ? Omit<L, 'version' | 'timeMs'> : never) : never;

const NOBODY: ReadonlyMap<string, string> = new Map();

export class RoundBudget {
  readonly #store: Store;
  readonly #ledger: BudgetLedger;
  readonly #log: AppendLog;
  readonly #suite: Suite;
  readonly #nowMs: () => number;

  constructor(parts: {
    store: Store;
    ledger: BudgetLedger;
    log: AppendLog;
    suite: Suite;
    nowMs: () => number;
  }) {
    this.#store = parts.store;
    this.#ledger = parts.ledger;
    this.#log = parts.log;
    this.#suite = parts.suite;
    this.#nowMs = parts.nowMs;
    this.#store.migrate('withdrawals', WITHDRAWAL_MIGRATIONS);
    this.#store.migrate('reconciliation', RECONCILE_MIGRATIONS);
    this.#store.migrate('consents', CONSENT_MIGRATIONS);
    this.#store.migrate('subject-access', SUBJECT_ACCESS_MIGRATIONS);
    this.#store.migrate('device-erasure', ERASURE_MIGRATIONS);
  }

  /** By which the ledger and other leaves name a certificate. */
  #certificateHash(certificate: CohortCertificate): string {
    return toHex(this.#suite.digest(certificateStatement(certificate)));
  }

  /** Returns the number of the leaf. */
  append(db: Database, body: LeafBody): number {
    return this.#log.append(db, { version: 1, timeMs: this.#nowMs(), ...body } as Leaf);
  }

  #ledgerIn(db: Database): LedgerTransaction {
    return this.#ledger.within(db);
  }

  /** Logs the approvals of a plan, once. Throws BUDGET_EXCEEDED for a plan whose noise does not keep its ε. */
  approvePlan(parsed: ParsedPlan, approvals: readonly PlanApproval[]): void {
    accountPlan(parsed);
    this.#store.transaction('approve-plan', (db) => {
      if (repository.markOnce(db, `approved/${parsed.hashHex}`))
        this.append(db, {
          kind: 'plan_approved',
          planHash: parsed.hashHex,
          approvals: approvals.map((a) => ({
            approverId: a.approverId,
            publicKey: toHex(a.publicKey),
            signature: toHex(a.signature),
          })),
        });
    });
  }

  recordKey(parsed: ParsedPlan, key: CommitteeKey): void {
    this.#store.transaction('committee-key', (db) => {
      repository.putCommitteeKey(db, parsed.hashHex, key);
      if (repository.markOnce(db, `ceremony/${parsed.hashHex}/${key.round}`))
        this.append(db, {
          kind: 'ceremony',
          planHash: parsed.hashHex,
          round: key.round,
          ceremonyId: toHex(ceremonyId(this.#suite, parsed.hash, key.round)),
          committeeKeyId: toHex(key.keyId),
          signatures: hexSignatures(key.signatures),
        });
    });
  }

  logRoundOpened(db: Database, parsed: ParsedPlan, config: EncodedRoundConfig): void {
    const { round, modelHash, committeeKeyId, kind } = config.config;
    this.append(db, {
      kind: 'round_opened',
      planHash: parsed.hashHex,
      round,
      modelHash,
      configHash: config.hashHex,
      committeeKeyId,
      purpose: kind,
    });
  }

  /** Sets each participant's worst-case charge aside; says of those that cannot afford it why not, in a sentence. */
  reserve(
    db: Database,
    parsed: ParsedPlan,
    config: EncodedRoundConfig,
    pseudonyms: readonly string[],
  ): ReadonlyMap<string, string> {
    const account = accountPlan(parsed);
    const { privacy } = parsed.plan;
    if (!account || !privacy || pseudonyms.length === 0) return NOBODY;
    const { round, kind } = config.config;
    const ledger = this.#ledgerIn(db);
    const { order } = account;
    const { filter, quotas } = planBudgetTerms(parsed, account);
    if (!this.#hasPartitions(db, parsed)) {
      const reason =
        `another plan with aggregation.groups charges epoch ${parsed.plan.epoch}: its partitions use up the share of ` +
        'delta that is set aside for them (state another epoch, or no groups)';
      return new Map(pseudonyms.map((pseudonym) => [pseudonym, reason]));
    }
    const otherTerms =
      `an earlier plan opened this participant's budget of epoch ${parsed.plan.epoch} under other terms; this plan ` +
      'cannot charge it (plans that share an epoch state the same privacy.quota.total)';
    const foreign = ledger.openFilters({ unit: privacy.unit, ...filter }, pseudonyms);
    const refusals = new Map(foreign.map((pseudonym) => [pseudonym, otherTerms]));
    const able =
      foreign.length === 0 ? pseudonyms : pseudonyms.filter((pseudonym) => !refusals.has(pseudonym));
    const charge = account.charge[kind];
    const mechanism = mechanismRecord(parsed, kind, parsed.plan.rounds.cohortMin);
    const result = ledger.reserve({ planHash: parsed.hashHex, round }, able, charge, {
      order,
      mechanism,
      quotas,
    });
    for (const { pseudonym, reason } of result.refused) refusals.set(pseudonym, reason);
    return refusals;
  }

  /**
   * Whether the hundredth of δ that pays for unlucky partitions is this plan's: one plan with groups has it in each
   * epoch, because two would need two (protos/plan-groups.ts, `partitionFailure`).
   */
  #hasPartitions(db: Database, { plan, hashHex }: ParsedPlan): boolean {
    if (groupsOf(plan, 'training') === 1) return true;
    const epoch = `partitions/${toHex(utf8(plan.epoch))}/`;
    const owner = repository.oldestMarkUnder(db, epoch);
    if (owner === undefined) repository.markOnce(db, `${epoch}${hashHex}`);
    return owner === undefined || owner === `${epoch}${hashHex}`;
  }

  /** Throws WITHDRAWN. */
  requireTakingPart(db: Database, deviceId: string, parsed: ParsedPlan): void {
    ensure(!hasWithdrawn(db, deviceId, parsed), 'WITHDRAWN', 'this device has withdrawn from this plan');
  }

  /** Ends charges in the ledger, where the pseudonym has a filter, and says how it stands. */
  withdraw(db: Database, pseudonym: string, scope: string): Record<'order' | 'spent' | 'reserved', string> {
    const ledger = this.#ledgerIn(db);
    if (!ledger.has(pseudonym)) return { order: '', spent: '', reserved: '' };
    ledger.withdraw(pseudonym, scope);
    const { order, spent, reserved } = ledger.balance(pseudonym);
    return { order: String(order), spent: decimal(spent), reserved: decimal(reserved) };
  }

  /** The ledger's account of a pseudonym, in decimals; null without one. */
  accountOf(db: Database, pseudonym: string): AccountText | null {
    const ledger = this.#ledgerIn(db);
    return ledger.has(pseudonym) ? accountText(pseudonym, ledger.balance(pseudonym)) : null;
  }

  /** What a round that is not decided holds of each participant; 0 without DP. */
  promised(parsed: ParsedPlan, { kind }: Pick<RoundState, 'kind'>): string {
    const account = accountPlan(parsed);
    return account ? decimal(account.charge[kind]) : '0';
  }

  /** What the ledger has charged a pseudonym so far, at its filter's order; null without DP. */
  ledgerOf(db: Database, parsed: ParsedPlan, pseudonym: string): { order: string; spent: string } | null {
    const account = accountPlan(parsed);
    if (!account) return null;
    return { order: String(account.order), spent: decimal(this.#ledgerIn(db).spent(pseudonym)) };
  }

  /** A quorum certificate exists: charge who is in it, free who is not, log both. */
  settle(
    parsed: ParsedPlan,
    config: EncodedRoundConfig,
    certificate: CohortCertificate,
    state: RoundState,
    signatures: readonly StatementSignature[],
  ): void {
    const { round, kind } = config.config;
    const plan = parsed.hashHex;
    const hash = this.#certificateHash(certificate);
    this.#store.transaction('settle', (db) => {
      if (!repository.markOnce(db, `settled/${plan}/${round}`)) return;
      const included = repository.pseudonymsOf(db, plan, round, new Set(state.cohort));
      this.logReservations(db, parsed, { round, kind });
      this.append(db, {
        kind: 'round_certificate',
        planHash: plan,
        round,
        modelHash: toHex(certificate.modelHash),
        configHash: toHex(certificate.configHash),
        committeeKeyId: toHex(certificate.committeeKeyId),
        cohortRoot: toHex(certificate.cohortRoot),
        cohortCount: certificate.cohortCount,
        signatures: hexSignatures(signatures),
      });
      const account = accountPlan(parsed);
      if (!account) return;
      const amount = realisedCharge(parsed, kind, certificate.cohortCount, account.order);
      const key = { planHash: plan, round };
      const result = this.#ledgerIn(db).settle(key, { hash, included }, amount);
      const charge = { order: String(account.order), charge: decimal(amount) };
      const event = mechanismRecord(parsed, kind, certificate.cohortCount);
      this.append(db, { kind: 'mechanism', ...key, certificateHash: hash, ...charge, event });
      for (const part of pseudonymParts(result.charged))
        this.append(db, {
          kind: 'settlement',
          ...key,
          ...part,
          ...charge,
          statementHash: hash,
          outcome: 'charged',
        });
      this.#logReleased(db, key, hash, charge, result.released);
    });
  }

  /** A quorum signed the abort: free everything the round had reserved. */
  void(parsed: ParsedPlan, state: RoundState, signatures: readonly StatementSignature[]): void {
    const reason = state.abortReason ?? 'aborted';
    const key = { planHash: parsed.hashHex, round: state.round };
    const hash = toHex(
      this.#suite.digest(abortStatement({ planHash: parsed.hash, round: state.round, reason })),
    );
    this.#store.transaction('void', (db) => {
      if (!repository.markOnce(db, `voided/${parsed.hashHex}/${state.round}`)) return;
      this.logReservations(db, parsed, state);
      this.append(db, {
        kind: 'abort',
        ...key,
        reason: reason.slice(0, 500),
        signatures: hexSignatures(signatures),
      });
      const account = accountPlan(parsed);
      if (!account) return;
      const result = this.#ledgerIn(db).releaseByAbort(key, { hash });
      const charge = { order: String(account.order), charge: decimal(account.charge[state.kind]) };
      this.#logReleased(db, key, hash, charge, result.released);
    });
  }

  /** One batch per round, at the freeze (or the abort before it): the log's size stays O(rounds). */
  logReservations(
    db: Database,
    parsed: ParsedPlan,
    { round, kind }: Pick<RoundState, 'round' | 'kind'>,
  ): void {
    const account = accountPlan(parsed);
    if (!account || !repository.markOnce(db, `reservations/${parsed.hashHex}/${round}`)) return;
    const all = repository.invitedPseudonyms(db, parsed.hashHex, round);
    const charge = { order: String(account.order), charge: decimal(account.charge[kind]) };
    for (const part of pseudonymParts(all))
      this.append(db, { kind: 'reservation', planHash: parsed.hashHex, round, ...part, ...charge });
  }

  #logReleased(
    db: Database,
    key: { planHash: string; round: number },
    statementHash: string,
    charge: { order: string; charge: string },
    released: readonly string[],
  ): void {
    if (released.length === 0) return;
    for (const part of pseudonymParts(released))
      this.append(db, { kind: 'settlement', ...key, ...part, ...charge, statementHash, outcome: 'released' });
  }

  recordSum(
    parsed: ParsedPlan,
    round: RoundView,
    sum: Pick<repository.StoredSum, 'digits' | 'hash' | 'groups'> & { readonly activeSet: readonly number[] },
  ): void {
    const plan = parsed.hashHex;
    const { round: number } = round.state;
    const certificateHash = this.#certificateHash(round.certificate());
    this.#store.transaction('opened-sum', (db) => {
      if (!repository.markOnce(db, `sum/${plan}/${number}`)) return;
      repository.putSum(db, plan, number, { ...sum, activeSet: sum.activeSet.join(',') });
      this.append(db, {
        kind: 'opened_sum',
        planHash: plan,
        round: number,
        certificateHash,
        sumHash: sum.hash,
        length: sum.digits.length / 4,
        activeSet: sum.activeSet.map((index) => parsed.plan.holders[index - 1]!.id),
        ...(sum.groups ? { groups: sum.groups } : {}),
      });
    });
  }

  /** The budget is charged, and the log says that nothing came of it. */
  logUnopened(parsed: ParsedPlan, round: RoundView): void {
    const { round: number, message: reason } = round.state;
    const planHash = parsed.hashHex;
    const certificateHash = this.#certificateHash(round.certificate());
    this.#store.transaction('unopened', (db) => {
      if (!repository.markOnce(db, `unopened/${planHash}/${number}`)) return;
      this.append(db, { kind: 'unopened', planHash, round: number, certificateHash, reason });
    });
  }

  logRelease(
    db: Database,
    parsed: ParsedPlan,
    release: Pick<LeafOf<'release'>, 'round' | 'what' | 'contentHash' | 'staleness'>,
  ): void {
    const { privacy } = parsed.plan;
    this.append(db, {
      kind: 'release',
      planHash: parsed.hashHex,
      ...release,
      epsilon: privacy ? decimal(this.epsilonSpent(db, parsed)) : 'Infinity',
      delta: privacy?.delta ?? '0',
      gamma: privacy?.gamma ?? '0',
      epsilonBudget: privacy?.epsilon ?? 'Infinity',
    });
  }

  /** ε of the most-charged participant of this plan, from the ledger. */
  epsilonSpent(db: Database, parsed: ParsedPlan): number {
    const account = accountPlan(parsed);
    if (!account) return Number.POSITIVE_INFINITY;
    const ledger = this.#ledgerIn(db);
    // Of what other plans of the epoch have spent, a plan with a quota states nothing: it keeps its own ε.
    const quota = parsed.plan.privacy?.quota && planQuotaName(parsed.hashHex);
    const most = ledger.mostSpent(parsed.hashHex, quota || undefined);
    return epsilonOfAmount(account.order, most, account.delta);
  }

  /** What a round charged each certified participant; null without DP. */
  chargeOfRound(
    parsed: ParsedPlan,
    { kind, cohort }: Pick<RoundState, 'kind' | 'cohort'>,
  ): { order: string; amount: string } | null {
    const account = accountPlan(parsed);
    if (!account) return null;
    const amount = realisedCharge(parsed, kind, cohort?.length ?? 0, account.order);
    return { order: String(account.order), amount: decimal(amount) };
  }
}
