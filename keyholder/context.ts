/**
 * What every handler of a key holder works with, and the holder's book of approved plans.
 *
 * For: the handlers of this directory. Trusts: what the operator pinned (registrar CA, approvers, own keys);
 * plans come from outside and count only with pinned approvals. May be called by: keyholder/ only.
 */
import { createHash } from 'node:crypto';
import { equalBytes, fromHex, toHex } from '../crypto/bytes.ts';
import { ensure } from '../crypto/error.ts';
import type { KeyPair, Suite } from '../crypto/identity/suite.ts';
import type { RandomSource } from '../crypto/random.ts';
import type { Bfv } from '../crypto/secagg/bfv.ts';
import type { ApprovalPolicy } from '../protos/approval-policy.ts';
import { committeeKeyCount, type ParsedPlan, type PlanApproval, parsePlanBytes } from '../protos/plan.ts';
import { accountPlan } from '../protos/plan-mechanism.ts';
import type { Revocations } from '../protos/transport/revocation-cache.ts';
import type { Custody } from './custody.ts';
import type { HolderRules } from './rules.ts';
import type { HolderStore, RoundRef } from './store.ts';
import { requireDistinctSums } from './sums.ts';

export interface HolderIdentity {
  /** The id under which the holder stands in plans. */
  readonly id: string;
  readonly suite: Suite;
  readonly signing: KeyPair;
  readonly sealing: KeyPair;
}

export type { Revocations } from '../protos/transport/revocation-cache.ts';

/** Where tests may kill the process. */
export type HolderPoint =
  | 'entries:checked'
  | 'entries:stored'
  | 'statement:before-sign'
  | 'statement:signed'
  | 'statement:stored'
  | 'partial:before'
  | 'partial:computed'
  | 'partial:stored'
  | 'ceremony:answered'
  | 'ceremony:stored';
export interface HolderHooks {
  reached(point: HolderPoint): void;
}
export const noHooks: HolderHooks = { reached: () => {} };

export interface HolderLimits {
  readonly plansMax: number;
  /** Openings worked on at once; each holds one upload and one sum in memory. */
  readonly openingsMax: number;
}

export interface HolderContext {
  readonly identity: HolderIdentity;
  readonly store: HolderStore;
  readonly custody: Custody;
  readonly plans: PlanBook;
  readonly registrarCaDer: Uint8Array;
  readonly revocations: Revocations;
  readonly bfv: Bfv;
  readonly random: RandomSource;
  readonly nowMs: () => number;
  readonly rules: HolderRules;
  readonly hooks: HolderHooks;
  readonly limits: HolderLimits;
}

/** A registered plan and this holder's 1-based index in it. */
export interface RegisteredPlan {
  readonly parsed: ParsedPlan;
  readonly ownIndex: number;
}

export class PlanBook {
  readonly #known = new Map<string, RegisteredPlan>();
  readonly #options: {
    readonly identity: HolderIdentity;
    readonly store: HolderStore;
    readonly registrarCaDer: Uint8Array;
    readonly approvals: ApprovalPolicy;
    readonly rules: HolderRules;
    readonly plansMax: number;
  };

  constructor(options: {
    readonly identity: HolderIdentity;
    readonly store: HolderStore;
    readonly registrarCaDer: Uint8Array;
    readonly approvals: ApprovalPolicy;
    readonly rules: HolderRules;
    readonly plansMax: number;
  }) {
    this.#options = options;
  }

  /**
   * Checks approvals, that this holder stands in the plan with its own keys, and the registrar. Idempotent.
   */
  register(planBytes: Uint8Array, approvals: readonly PlanApproval[]): RegisteredPlan {
    const { rules, store } = this.#options;
    const parsed = parsePlanBytes(planBytes);
    rules.planApproved(parsed, approvals, this.#options.approvals);
    requireDistinctSums(parsed);
    // A plan whose noise does not keep its stated ε gets no key.
    accountPlan(parsed);
    const registered = this.#place(parsed);
    const isNew = store.plan(parsed.hash) === undefined;
    const room = !isNew || store.planCount() < this.#options.plansMax;
    ensure(room, 'FIELD_OUT_OF_RANGE', `this holder keeps at most ${this.#options.plansMax} plans`);
    store.putPlan(parsed.hash, parsed.bytes);
    this.#known.set(parsed.hashHex, registered);
    return registered;
  }

  /** Throws NOT_FOUND for a plan that was never registered. */
  get(planHash: Uint8Array): RegisteredPlan {
    const hashHex = toHex(planHash);
    const known = this.#known.get(hashHex);
    if (known) return known;
    const bytes = this.#options.store.plan(planHash);
    ensure(
      bytes,
      'NOT_FOUND',
      `plan ${hashHex.slice(0, 12)} is not registered here: send it with its approvals first`,
    );
    // It was approved when it was stored; what stands in it is checked again.
    const registered = this.#place(parsePlanBytes(bytes));
    this.#known.set(hashHex, registered);
    return registered;
  }

  /** The plan, once the round is one that it has a committee key for. */
  round(at: RoundRef): RegisteredPlan {
    const registered = this.get(at.planHash);
    const count = committeeKeyCount(registered.parsed.plan);
    ensure(
      at.round >= 1 && at.round <= count,
      'WRONG_ROUND',
      `the plan has rounds 1 to ${count}, spares included`,
    );
    return registered;
  }

  #place(parsed: ParsedPlan): RegisteredPlan {
    const { identity, registrarCaDer } = this.#options;
    const { plan } = parsed;
    ensure(
      plan.suite === identity.suite.name,
      'WRONG_PLAN',
      `this holder works in suite ${identity.suite.name}`,
    );
    const index = plan.holders.findIndex((holder) => holder.id === identity.id);
    const own = plan.holders[index];
    ensure(own, 'WRONG_PLAN', `holder ${identity.id} does not stand in the plan`);
    const ownKeys =
      equalBytes(fromHex(own.signingPublicKey), identity.signing.publicKey) &&
      equalBytes(fromHex(own.sealingPublicKey), identity.sealing.publicKey);
    ensure(ownKeys, 'WRONG_PLAN', `the plan names other keys for holder ${identity.id}`);
    const pinned = createHash('sha256').update(registrarCaDer).digest('hex');
    ensure(
      plan.registrarSha256 === pinned,
      'WRONG_PLAN',
      'the plan names another registrar than the pinned one',
    );
    return { parsed, ownIndex: index + 1 };
  }
}
