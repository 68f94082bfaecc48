/**
 * What a round leaves when it is over: its ciphertexts have no use left, its signed entries stay.
 *
 * Trusts: its store. May be called by: coordinator/rounds/runner.ts, coordinator/coordinator.ts.
 */
import type { ParsedPlan } from '../../protos/plan.ts';
import { FINAL_PHASES } from './machine-types.ts';
import * as repository from './repository.ts';
import type { RoundServices } from './services.ts';

type Places = Pick<RoundServices, 'store' | 'spool'>;
type PlanName = Pick<ParsedPlan, 'hashHex'>;

/**
 * A crash after the end of a round leaves its ciphertexts. `planEnded`: no round goes on any more, so those that broke off
 * in the middle leave theirs, too.
 */
export function sweepLeftovers(places: Places, parsed: PlanName, planEnded: boolean): void {
  const { store, spool } = places;
  const planHex = parsed.hashHex;
  const ended = store
    .read('rounds', (db) => repository.roundPhases(db, planHex))
    .filter((row) => planEnded || FINAL_PHASES.includes(row.phase));
  for (const { round } of ended) {
    const left = store.read('left', (db) => repository.hasCiphertexts(db, planHex, round));
    if (left) dropCiphertexts(places, parsed, round);
    else spool.drop({ planHex, round });
  }
}

export function dropCiphertexts({ store, spool }: Places, parsed: PlanName, round: number): void {
  const planHex = parsed.hashHex;
  store.transaction('drop-ciphertexts', (db) => repository.dropCiphertexts(db, planHex, round));
  spool.drop({ planHex, round });
}
