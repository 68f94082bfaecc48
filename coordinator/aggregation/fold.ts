/**
 * Opens a folded sum, or the sums of groups, with the holders' answers.
 *
 * Trusts: the caller that the sums are those of the certificate. May be called by: coordinator/rounds.
 */
import { isPulsefoldError } from '../../crypto/error.ts';
import type { OpenGroupsInput, OpenInput, Secagg, SumScheme } from '../../crypto/secagg/scheme.ts';

/** Exact slot sums, or the reason why these answers do not open it (OPENING_FAILED). */
export const openSum = (secagg: Secagg, scheme: SumScheme, input: OpenInput): Int32Array | string =>
  orReason(() => secagg.open(scheme, input));

export interface OpenedGroups {
  /** Slot sums of each group in turn; zeros for one that is dropped. */
  readonly slots: Int32Array;
  /** Whether each group opened and its checksum held. */
  readonly valid: readonly boolean[];
}

/** A statistic over groups needs most of them. */
const groupsNeeded = (count: number): number => Math.floor(count / 2) + 1;

/** The same by groups: also a reason where fewer than a majority of the groups is of use. */
export function openGroups(secagg: Secagg, scheme: SumScheme, input: OpenGroupsInput): OpenedGroups | string {
  const sums = orReason(() => secagg.openGroups(scheme, input));
  if (typeof sums === 'string') return sums;
  const valid = sums.map((sum) => sum !== null);
  const count = valid.filter((one) => one).length;
  if (count < groupsNeeded(sums.length))
    return `only ${count} of ${sums.length} groups open, and ${groupsNeeded(sums.length)} are needed`;
  const slots = new Int32Array(sums.length * scheme.slotCount);
  for (const [i, sum] of sums.entries()) if (sum) slots.set(sum, i * scheme.slotCount);
  return { slots, valid };
}

function orReason<T>(open: () => T): T | string {
  try {
    return open();
  } catch (error) {
    if (isPulsefoldError(error) && error.code === 'OPENING_FAILED') return error.message;
    throw error;
  }
}
