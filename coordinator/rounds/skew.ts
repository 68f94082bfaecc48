/**
 * How far a signed statement of a device may be from the coordinator's clock.
 *
 * May be called by: coordinator/rounds.
 */
import { ensure } from '../../crypto/error.ts';

/** A device's signature is good for this long, both ways: phones' clocks are off. */
export const STATEMENT_SKEW_MS = 600_000;

/** Throws BAD_SIGNATURE with `message` for a statement from another time. */
export const requireFresh = (nowMs: number, timeMs: number, message: string): void =>
  ensure(Math.abs(nowMs - timeMs) <= STATEMENT_SKEW_MS, 'BAD_SIGNATURE', message);
