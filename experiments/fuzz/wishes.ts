/**
 * What the person of a simulated device asks for beside taking part: consent, withdrawal, a report, erasure. Each is the
 * real client's own way to it (client/agent/rights.ts), on an agent that has started.
 *
 * Trusts: nothing. May be called by: experiments/fuzz.
 */
import type { ClientAgent } from '../../client/agent/agent.ts';
import { giveConsent } from '../../client/agent/consent.ts';
import { eraseAtCoordinator } from '../../client/agent/erase.ts';
import { askSubjectAccess, type VerifiedReport } from '../../client/agent/subject-access.ts';
import type { WithdrawalExtent } from '../../client/agent/withdraw.ts';
import { type ErrorCode, isPulsefoldError } from '../../crypto/error.ts';

export type Wish =
  /** 0: until it is withdrawn. */
  | { readonly type: 'consent'; readonly expiresInMs: number }
  | { readonly type: 'withdraw'; readonly extent: WithdrawalExtent }
  | { readonly type: 'report' }
  | { readonly type: 'erase' };

export interface WishSetting {
  /** By the clock of the device. */
  readonly nowMs: number;
  readonly onReport: (report: VerifiedReport) => void;
}

export async function carryOutWish(agent: ClientAgent, wish: Wish, setting: WishSetting): Promise<void> {
  const parts = await agent.rights();
  switch (wish.type) {
    case 'consent': {
      if (parts.session.parsed.plan.consent === undefined) return;
      const { expiresInMs } = wish;
      await giveConsent(parts, expiresInMs === 0 ? {} : { expiresMs: setting.nowMs + expiresInMs });
      return;
    }
    case 'withdraw':
      await agent.withdraw(wish.extent);
      return;
    case 'report':
      setting.onReport(await askSubjectAccess(parts));
      return;
    case 'erase':
      await eraseAtCoordinator(parts);
  }
}

/** Refusals that a person may get and can do nothing about. */
const ANSWERS: Readonly<Record<Wish['type'], readonly ErrorCode[]>> = {
  // Expired on the way, by another clock; a later one is recorded; sixteen were given; withdrawn before.
  consent: ['WRONG_PLAN', 'STATEMENT_CONFLICT', 'FIELD_OUT_OF_RANGE', 'WITHDRAWN', 'ERASED'],
  withdraw: ['ERASED'],
  // The coordinator died between two pages.
  report: ['NOT_FOUND', 'ERASED'],
  erase: [],
};

/** The coordinator has said no, and asking again changes nothing. */
export const isAnswered = ({ type }: Wish, error: unknown): boolean =>
  isPulsefoldError(error) && ANSWERS[type].includes(error.code);
