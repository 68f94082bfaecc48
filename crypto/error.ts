/**
 * The one error class of the project.
 *
 * For: every failure that another party, a log or a person may see. A code is stable and machine-readable; the
 * message says what to do. `cause` stays on this side of the wire: adapters copy only `code` and `message`.
 * Trusts: nothing. May be called by: everyone.
 */

/** Closed set of codes. Each maps to exactly one gRPC status in protos/transport/status.ts. */
export type ErrorCode =
  // input from outside
  | 'MALFORMED_MESSAGE'
  | 'FIELD_OUT_OF_RANGE'
  | 'CHUNK_TOO_LARGE'
  | 'UPLOAD_TOO_LARGE'
  | 'UPLOAD_OFFSET_MISMATCH'
  | 'VECTOR_LENGTH_MISMATCH'
  | 'WRONG_PLAN'
  | 'WRONG_MODEL'
  | 'WRONG_CONFIG'
  | 'WRONG_ROUND'
  | 'WRONG_COMMITTEE_KEY'
  | 'WRONG_CIPHERTEXT_PARAMETERS'
  | 'DIGEST_MISMATCH'
  | 'SECOND_DIGEST'
  | 'ROUND_CLOSED'
  | 'NOT_INVITED'
  | 'NOT_FOUND'
  // identity
  | 'UNAUTHENTICATED'
  | 'CERTIFICATE_REVOKED'
  | 'CERTIFICATE_UNTRUSTED'
  | 'CERTIFICATE_EXPIRED'
  | 'WRONG_ROLE'
  | 'BAD_SIGNATURE'
  | 'TOKEN_INVALID'
  | 'TOKEN_USED'
  // plan, approvals, eligibility
  | 'PLAN_INVALID'
  | 'PLAN_NOT_APPROVED'
  | 'NOT_ELIGIBLE'
  // privacy
  | 'BUDGET_EXCEEDED'
  | 'BUDGET_DISAGREEMENT'
  | 'WITHDRAWN'
  | 'CONSENT_MISSING'
  | 'ERASED'
  | 'SENSITIVITY_EXCEEDED'
  | 'UNSUPPORTED_EVENT'
  | 'PARAMETER_UNSAFE'
  // quorum and ceremony
  | 'COHORT_TOO_SMALL'
  | 'QUORUM_NOT_REACHED'
  | 'STATEMENT_CONFLICT'
  | 'CEREMONY_FAILED'
  | 'SHARE_INCONSISTENT'
  | 'KEY_ERASED'
  | 'CERTIFICATE_INVALID'
  | 'OPENING_FAILED'
  // files and data
  | 'DATA_INVALID'
  | 'DATA_EMPTY'
  | 'CONFIG_INVALID'
  | 'FILE_SEALED'
  | 'DECRYPTION_FAILED'
  | 'CHECKSUM_MISMATCH'
  // audit
  | 'LOG_INCONSISTENT'
  | 'PROOF_INVALID'
  // the rest
  | 'UNAVAILABLE'
  | 'DEADLINE_EXCEEDED'
  | 'INTERNAL';

export class PulsefoldError extends Error {
  readonly code: ErrorCode;
  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'PulsefoldError';
    this.code = code;
  }
}

/** Throws a coded error unless `condition` holds. */
export function ensure(condition: unknown, code: ErrorCode, message: string): asserts condition {
  if (!condition) throw new PulsefoldError(code, message);
}

export function isPulsefoldError(value: unknown): value is PulsefoldError {
  return value instanceof PulsefoldError;
}
