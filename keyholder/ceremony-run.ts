/**
 * One step of a ceremony as the phases of both transports see it: its checked inputs, what it leaves behind, and who is
 * to blame when an input is bad.
 *
 * For: ceremonies.ts, ceremony-steps.ts (bfv), ceremony-shares.ts. Trusts: `Run.payloads` to be the signed payloads of
 * all holders, in plan order; what stands inside them is hostile. May be called by: those.
 */
import { ensure, isPulsefoldError, PulsefoldError } from '../crypto/error.ts';
import type { CeremonyPhase, SealedShare } from '../protos/keyholder-messages.ts';
import type { Plan } from '../protos/plan.ts';
import type { HolderContext } from './context.ts';
import { unpack } from './packed.ts';
import type { RoundRef } from './store.ts';

export interface Run {
  readonly context: HolderContext;
  readonly plan: Plan;
  readonly at: RoundRef;
  readonly ownIndex: number;
  readonly ceremony: Uint8Array;
  /** Payloads of the phase before, in plan order; empty at BEGIN. */
  readonly payloads: readonly Uint8Array[];
  readonly shares: readonly SealedShare[];
}

export interface Outcome {
  /** Kept sealed until the next phase. */
  readonly state: object | undefined;
  readonly payload: Uint8Array;
  readonly shares?: readonly SealedShare[];
  readonly finished?: { readonly publicKey: Uint8Array; readonly share: Uint8Array };
}

/** The phases that a transport has. */
export type CeremonySteps = Readonly<Partial<Record<CeremonyPhase, (run: Run) => Outcome>>>;

/** Runs `read` on what a holder sent; a failure is that holder's. */
export function blaming<T>(holderId: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!isPulsefoldError(error)) throw error;
    throw new PulsefoldError('CEREMONY_FAILED', `holder ${holderId}: ${error.message}`, { cause: error });
  }
}

/** The payload of every holder, read; in plan order. */
export const fromEach = <T>(run: Run, read: (payload: Uint8Array, index: number) => T): T[] =>
  run.payloads.map((payload, index) => blaming(run.plan.holders[index]!.id, () => read(payload, index)));

/** What the phase before left for this one. Throws CEREMONY_FAILED. */
export function loadCeremonyState<State>(run: Run): State {
  const sealed = run.context.store.ceremonyState(run.at);
  ensure(sealed, 'CEREMONY_FAILED', 'this holder has no open ceremony for the round');
  return unpack<State>(run.context.custody.open('ceremony-state', run.at, sealed));
}

/** crypto/secagg names holders by index; operators know them by id. */
export function namingHolders<T>(plan: Plan, step: () => T): T {
  try {
    return step();
  } catch (error) {
    if (!isPulsefoldError(error)) throw error;
    const idOf = (index: string): string => plan.holders[Number(index) - 1]?.id ?? index;
    const message = error.message
      .replace(/\bholder (\d{1,2})\b/g, (_text, index) => `holder ${idOf(index)}`)
      .replace(/\bholders (\d{1,2}) and (\d{1,2})\b/g, (_text, a, b) => `holders ${idOf(a)} and ${idOf(b)}`);
    throw new PulsefoldError(error.code, message, { cause: error });
  }
}
