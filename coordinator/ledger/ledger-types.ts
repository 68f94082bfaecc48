/**
 * What the budget ledger takes and returns.
 *
 * Trusts: nothing. May be called by: the coordinator's rounds and console.
 */
import type { JsonObject } from '../../crypto/log/canonical-json.ts';
import type { FilterOrder } from './ledger-amounts.ts';

export interface FilterTerms {
  /** What the guarantee protects: a person's whole data, or one record of a hospital. */
  readonly unit: 'person' | 'record';
  /** Numbers, or decimal or rational text. */
  readonly epsilon: number | string;
  readonly delta: number | string;
  /** Rényi order at which every charge of this filter is stated, or 'zcdp'. Never changes. */
  readonly order: FilterOrder;
}
export interface OpenFilter extends FilterTerms {
  readonly pseudonym: string;
}

export interface Refusal {
  readonly pseudonym: string;
  /** A sentence for the person. */
  readonly reason: string;
  /** ε at δ of what is spent or reserved so far; 0 where there is no filter. */
  readonly epsilonSpent: number;
  readonly epsilonAllowed: number;
}

export interface ReserveResult {
  readonly reserved: string[];
  readonly refused: Refusal[];
}

/** A ceiling for what one name (`family:…`, `plan:…`) may use of a filter; fixed once it was used. */
export interface Quota {
  readonly name: string;
  /** At the filter's order, rounded down to the grid. */
  readonly limit: number;
}

export interface CheckOptions {
  /** The order of the charge; a filter of another order refuses. */
  readonly order?: FilterOrder;
  /** Ceilings beneath the filter that the round draws on as well; the same for the whole round. At most 8. */
  readonly quotas?: readonly Quota[];
}

export interface ReserveOptions extends CheckOptions {
  /** Parameters of the mechanism (integers and text), stored in the event. */
  readonly mechanism?: JsonObject;
}

export interface Balance {
  readonly unit: 'person' | 'record';
  readonly order: FilterOrder;
  /** RDP at `order`, or ρ. */
  readonly spent: number;
  readonly reserved: number;
  readonly limit: number;
  /** ε at `delta` of what is spent, and of what is spent or reserved. */
  readonly epsilonSpent: number;
  readonly epsilonHeld: number;
  readonly epsilonAllowed: number;
  readonly delta: number;
  /** Ceilings that this participant's rounds have drawn on, ascending by name. */
  readonly quotas: readonly QuotaBalance[];
  /** What the participant has withdrawn from ('*': everything). */
  readonly withdrawn: readonly string[];
}

export interface QuotaBalance extends Quota {
  readonly spent: number;
  readonly reserved: number;
}

/** Ascending pseudonyms. */
export interface SettleResult {
  readonly charged: string[];
  readonly released: string[];
}

/** A certificate whose quorum of signatures the caller has verified. */
export interface VerifiedCertificate {
  /** Digest of the certificate statement, 32 bytes as lower-case hexadecimal. */
  readonly hash: string;
  readonly included: readonly string[];
}
/** An abort that a quorum of key holders signed, verified by the caller. */
export interface VerifiedAbort {
  readonly hash: string;
}
