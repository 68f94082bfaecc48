/**
 * How far a signed statement of a device may be from the clock of the role that takes it: one rule for check-ins,
 * consents, withdrawals, access, erasure (coordinator) and forgetting (registrar); an auditor allows for it.
 *
 * Trusts: the caller's clock. May be called by: coordinator, registrar, auditor.
 */
import { ensure } from '../crypto/error.ts';

/** A device's signature is good for this long, both ways: phones' clocks are off. */
export const STATEMENT_SKEW_MS = 600_000;

/** Throws BAD_SIGNATURE with `message` for a statement from another time. */
export const requireFresh = (nowMs: number, timeMs: number, message: string): void =>
  ensure(Math.abs(nowMs - timeMs) <= STATEMENT_SKEW_MS, 'BAD_SIGNATURE', message);
