/**
 * What an audit found: coded, so that a script can react, and worded, so that a person can.
 *
 * Trusts: nothing. May be called by: auditor/, cli/.
 */

/** Each code is one way in which a run can contradict itself. */
export type FindingCode =
  // the log as such
  | 'FILE_MISSING'
  | 'FILE_MALFORMED'
  | 'LEAF_MALFORMED'
  | 'ROOT_MISMATCH'
  | 'SIZE_MISMATCH'
  | 'CHECKPOINT_SIGNATURE'
  | 'CHECKPOINT_FORKED'
  | 'TILE_MISMATCH'
  | 'WITNESS_QUORUM'
  | 'TRUST_NOT_PINNED'
  | 'NOT_CHECKED'
  | 'BUDGET_DISAGREEMENT'
  // plan and rounds
  | 'PLAN_NOT_APPROVED'
  | 'KEY_NOT_SIGNED'
  | 'ROUND_INCONSISTENT'
  | 'CERTIFICATE_CONFLICT'
  | 'QUORUM_MISSING'
  | 'COHORT_TOO_SMALL'
  | 'COHORT_MISMATCH'
  | 'SUM_MISSING'
  | 'SUM_MISMATCH'
  | 'SUM_UNCERTIFIED'
  | 'GROUPS_MISMATCH'
  | 'DRAWS_MISMATCH'
  | 'MODEL_MISMATCH'
  | 'STALENESS_MISMATCH'
  | 'CLIP_MISMATCH'
  // budget
  | 'RESERVATION_MISMATCH'
  | 'SETTLEMENT_MISMATCH'
  | 'MECHANISM_MISMATCH'
  | 'CHARGE_MISMATCH'
  | 'EPSILON_MISMATCH'
  | 'BUDGET_EXCEEDED'
  | 'LEDGER_MISMATCH'
  // people's rights
  | 'CONSENT_MISSING';

export interface Finding {
  /** An error means the run must not be believed; a warning, that something could not be checked. */
  readonly severity: 'error' | 'warning';
  readonly code: FindingCode;
  readonly message: string;
  /** Number of the leaf concerned. */
  readonly leaf?: number;
  readonly round?: number;
}

type Where = { readonly leaf?: number | undefined; readonly round?: number | undefined };

/** Findings listed at most; a broken log of a million leaves needs no million lines. */
export const FINDINGS_MAX = 1_000;

export class Findings {
  readonly list: Finding[] = [];
  #errors = 0;

  error(code: FindingCode, message: string, where: Where = {}): void {
    this.#errors++;
    this.#add('error', code, message, where);
  }
  warn(code: FindingCode, message: string, where: Where = {}): void {
    this.#add('warning', code, message, where);
  }
  /** Records an error unless `condition` holds; returns the condition. */
  require(condition: boolean, code: FindingCode, message: string, where: Where = {}): boolean {
    if (!condition) this.error(code, message, where);
    return condition;
  }
  get errors(): number {
    return this.#errors;
  }

  #add(severity: Finding['severity'], code: FindingCode, message: string, { leaf, round }: Where): void {
    if (this.list.length >= FINDINGS_MAX) return;
    this.list.push({
      severity,
      code,
      message,
      ...(leaf === undefined ? {} : { leaf }),
      ...(round === undefined ? {} : { round }),
    });
  }
}
