/**
 * Error codes on the wire: which gRPC status each code has, and the way back.
 *
 * For: server.ts and channel.ts. Trusts: nothing; `fromServiceError` reads what a hostile server sent. Only code and
 * message of a PulsefoldError leave the process; an unknown error leaves as INTERNAL without its text.
 */
import { Metadata, type ServiceError, status } from '@grpc/grpc-js';
import { type ErrorCode, isPulsefoldError, PulsefoldError } from '../../crypto/error.ts';

/** Trailing metadata that carries the code. */
export const CODE_METADATA = 'pulsefold-code';
const MESSAGE_LENGTH_MAX = 512;

/** One status per code. UNAVAILABLE is the only status that a client may repeat blindly. */
export const statusOf = {
  MALFORMED_MESSAGE: status.INVALID_ARGUMENT,
  FIELD_OUT_OF_RANGE: status.INVALID_ARGUMENT,
  CHUNK_TOO_LARGE: status.RESOURCE_EXHAUSTED,
  UPLOAD_TOO_LARGE: status.RESOURCE_EXHAUSTED,
  UPLOAD_OFFSET_MISMATCH: status.OUT_OF_RANGE,
  VECTOR_LENGTH_MISMATCH: status.INVALID_ARGUMENT,
  WRONG_PLAN: status.FAILED_PRECONDITION,
  WRONG_MODEL: status.FAILED_PRECONDITION,
  WRONG_CONFIG: status.FAILED_PRECONDITION,
  WRONG_ROUND: status.FAILED_PRECONDITION,
  WRONG_COMMITTEE_KEY: status.FAILED_PRECONDITION,
  WRONG_CIPHERTEXT_PARAMETERS: status.INVALID_ARGUMENT,
  DIGEST_MISMATCH: status.INVALID_ARGUMENT,
  SECOND_DIGEST: status.ALREADY_EXISTS,
  ROUND_CLOSED: status.FAILED_PRECONDITION,
  NOT_INVITED: status.PERMISSION_DENIED,
  NOT_FOUND: status.NOT_FOUND,
  UNAUTHENTICATED: status.UNAUTHENTICATED,
  CERTIFICATE_REVOKED: status.UNAUTHENTICATED,
  CERTIFICATE_UNTRUSTED: status.UNAUTHENTICATED,
  CERTIFICATE_EXPIRED: status.UNAUTHENTICATED,
  WRONG_ROLE: status.PERMISSION_DENIED,
  BAD_SIGNATURE: status.UNAUTHENTICATED,
  TOKEN_INVALID: status.UNAUTHENTICATED,
  TOKEN_USED: status.UNAUTHENTICATED,
  PLAN_INVALID: status.INVALID_ARGUMENT,
  PLAN_NOT_APPROVED: status.FAILED_PRECONDITION,
  NOT_ELIGIBLE: status.FAILED_PRECONDITION,
  BUDGET_EXCEEDED: status.FAILED_PRECONDITION,
  BUDGET_DISAGREEMENT: status.FAILED_PRECONDITION,
  WITHDRAWN: status.FAILED_PRECONDITION,
  CONSENT_MISSING: status.FAILED_PRECONDITION,
  ERASED: status.FAILED_PRECONDITION,
  SENSITIVITY_EXCEEDED: status.FAILED_PRECONDITION,
  UNSUPPORTED_EVENT: status.INVALID_ARGUMENT,
  PARAMETER_UNSAFE: status.FAILED_PRECONDITION,
  COHORT_TOO_SMALL: status.FAILED_PRECONDITION,
  QUORUM_NOT_REACHED: status.FAILED_PRECONDITION,
  STATEMENT_CONFLICT: status.ABORTED,
  CEREMONY_FAILED: status.ABORTED,
  SHARE_INCONSISTENT: status.ABORTED,
  KEY_ERASED: status.FAILED_PRECONDITION,
  CERTIFICATE_INVALID: status.INVALID_ARGUMENT,
  OPENING_FAILED: status.ABORTED,
  DATA_INVALID: status.INVALID_ARGUMENT,
  DATA_EMPTY: status.FAILED_PRECONDITION,
  CONFIG_INVALID: status.FAILED_PRECONDITION,
  FILE_SEALED: status.FAILED_PRECONDITION,
  DECRYPTION_FAILED: status.INVALID_ARGUMENT,
  CHECKSUM_MISMATCH: status.DATA_LOSS,
  LOG_INCONSISTENT: status.DATA_LOSS,
  PROOF_INVALID: status.INVALID_ARGUMENT,
  UNAVAILABLE: status.UNAVAILABLE,
  DEADLINE_EXCEEDED: status.DEADLINE_EXCEEDED,
  INTERNAL: status.INTERNAL,
} as const satisfies Record<ErrorCode, status>;

const isErrorCode = (value: unknown): value is ErrorCode =>
  typeof value === 'string' && Object.hasOwn(statusOf, value);

// What a status means when no code came with it: grpc-js itself, a proxy, or another implementation answered.
const codeOfStatus: Partial<Record<status, ErrorCode>> = {
  [status.CANCELLED]: 'UNAVAILABLE',
  [status.INVALID_ARGUMENT]: 'MALFORMED_MESSAGE',
  [status.DEADLINE_EXCEEDED]: 'DEADLINE_EXCEEDED',
  [status.NOT_FOUND]: 'NOT_FOUND',
  [status.PERMISSION_DENIED]: 'WRONG_ROLE',
  [status.RESOURCE_EXHAUSTED]: 'CHUNK_TOO_LARGE',
  [status.UNAVAILABLE]: 'UNAVAILABLE',
  [status.UNAUTHENTICATED]: 'UNAUTHENTICATED',
};

/** One line of printable text; peers and logs see nothing else. */
function plainText(text: string): string {
  return text
    .replace(/[^\x20-\x7e]+/g, ' ')
    .trim()
    .slice(0, MESSAGE_LENGTH_MAX);
}

export interface WireError {
  readonly code: status;
  readonly details: string;
  readonly metadata: Metadata;
}

/** What a handler's failure looks like to the caller. Causes and unknown errors stay here. */
export function toServiceError(error: unknown): WireError {
  const code: ErrorCode = isPulsefoldError(error) && isErrorCode(error.code) ? error.code : 'INTERNAL';
  const details = isPulsefoldError(error)
    ? plainText(error.message)
    : 'internal error: see the log of the server';
  const metadata = new Metadata();
  metadata.set(CODE_METADATA, code);
  return { code: statusOf[code], details, metadata };
}

/** The caller's side. A code counts only when it fits the status that came with it. */
export function fromServiceError(error: unknown): PulsefoldError {
  if (isPulsefoldError(error)) return error;
  const service = error as Partial<ServiceError> | null | undefined;
  const received = typeof service?.code === 'number' ? service.code : status.INTERNAL;
  const sent = service?.metadata instanceof Metadata ? service.metadata.get(CODE_METADATA)[0] : undefined;
  const code =
    isErrorCode(sent) && statusOf[sent] === received
      ? sent
      : (codeOfStatus[received as status] ?? 'INTERNAL');
  const details = typeof service?.details === 'string' ? plainText(service.details) : '';
  return new PulsefoldError(
    code,
    details || `the server answered ${status[received] ?? 'an unknown status'}`,
    {
      cause: error,
    },
  );
}
