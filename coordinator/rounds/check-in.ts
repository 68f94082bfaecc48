/**
 * Check-in: authenticates the pseudonym, reserves budget, invites to the open round.
 *
 * Trusts: the device id and key that the transport took from the registrar's certificate. May be called by:
 * coordinator/grpc/rounds-service.ts.
 */
import { equalBytes, toHex } from '../../crypto/bytes.ts';
import { ensure } from '../../crypto/error.ts';
import { INVITED_KEY_BYTES_MAX } from '../../protos/fields.ts';
import { checkInStatement } from '../../protos/statements.ts';
import type { StatementSignature } from './holder-port.ts';
import * as repository from './repository.ts';
import type { PlanRunner } from './runner.ts';
import type { RoundServices } from './services.ts';
import { hasWithdrawn } from './withdrawals.ts';

/** A check-in signature is good for this long, both ways: phones' clocks are off. */
export const CHECK_IN_SKEW_MS = 600_000;

export interface CheckIn {
  readonly planHash: Uint8Array;
  readonly pseudonym: Uint8Array;
  readonly timeMs: number;
  readonly signature: Uint8Array;
  readonly waitMs: number;
  readonly roundAfter: number;
}

export type CheckInOutcome =
  | {
      readonly kind: 'invitation';
      readonly config: Uint8Array;
      readonly committeeKeySignatures: readonly StatementSignature[];
      /** Empty where it is too long for an invitation. */
      readonly committeeKey: Uint8Array;
    }
  | { readonly kind: 'wait'; readonly retryAfterMs: number; readonly reason: string }
  | { readonly kind: 'finished'; readonly reason: string; readonly modelHash: string };

export async function checkIn(
  services: RoundServices,
  runner: PlanRunner,
  device: { readonly deviceId: string; readonly signingPublicKey: Uint8Array },
  request: CheckIn,
  signal?: AbortSignal,
): Promise<CheckInOutcome> {
  const { parsed } = runner;
  ensure(
    equalBytes(request.planHash, parsed.hash),
    'WRONG_PLAN',
    'this coordinator runs another plan; fetch it again',
  );
  const nowMs = services.clock.nowMs();
  ensure(
    Math.abs(nowMs - request.timeMs) <= CHECK_IN_SKEW_MS,
    'BAD_SIGNATURE',
    'the check-in is too old; set the clock',
  );
  const statement = checkInStatement({ ...request, deviceId: device.deviceId });
  ensure(
    services.suite.verify(device.signingPublicKey, statement, request.signature),
    'BAD_SIGNATURE',
    'the check-in is not signed by the device key in the certificate',
  );
  const endsAtMs = nowMs + request.waitMs;
  for (;;) {
    // Taken before the look, so that a round that opens in between is not slept through.
    const seen = runner.version;
    const outcome = await tryInvite(services, runner, device.deviceId, request);
    const leftMs = endsAtMs - services.clock.nowMs();
    if (outcome.kind !== 'wait' || leftMs <= 0 || outcome.retryAfterMs > 0) return outcome;
    await runner.changed(leftMs, seen, signal);
    if (signal?.aborted) return outcome;
  }
}

/** `wait` with retryAfterMs 0 means: nothing to join yet, keep the call waiting. */
async function tryInvite(
  services: RoundServices,
  runner: PlanRunner,
  deviceId: string,
  request: CheckIn,
): Promise<CheckInOutcome> {
  const { parsed, active, outcome } = runner;
  const plan = parsed.hashHex;
  if (outcome) {
    const modelHash = services.store.read('plan', (db) => repository.getPlan(db, plan)?.model_hash ?? '');
    return { kind: 'finished', reason: `${outcome.status}: ${outcome.message}`, modelHash };
  }
  if (active?.state.phase !== 'collecting' || active.state.round <= request.roundAfter)
    return { kind: 'wait', retryAfterMs: 0, reason: 'no round is open' };
  const { round } = active.state;
  const pseudonym = toHex(request.pseudonym);
  const invited = await services.store.enqueue('invite', (db) => {
    if (repository.roundPhase(db, plan, round) !== 'collecting') return 'closed' as const;
    if (repository.invitationOf(db, plan, round, deviceId) !== undefined) return null;
    if (repository.countInvitations(db, plan, round) >= parsed.plan.rounds.cohortMax) return 'full' as const;
    const bound = repository.bindPseudonym(db, parsed.plan.epoch, deviceId, pseudonym);
    ensure(
      bound === pseudonym,
      'BUDGET_EXCEEDED',
      'this device, or another one under this name, is already charged under another pseudonym in this epoch',
    );
    if (hasWithdrawn(db, deviceId, parsed)) return 'withdrawn' as const;
    const refusal = services.budget.reserve(db, parsed, active.config, pseudonym);
    if (refusal) return { refusal };
    repository.insertInvitation(db, plan, round, deviceId, pseudonym);
    return null;
  });
  if (invited === 'closed') return { kind: 'wait', retryAfterMs: 0, reason: 'the round has just closed' };
  if (invited === 'withdrawn')
    return { kind: 'finished', reason: 'withdrawn: this device takes no further part', modelHash: '' };
  if (invited === 'full') return { kind: 'wait', retryAfterMs: 1000, reason: 'the cohort is full' };
  // A refused device waits for the end of the plan like any other; the reason is for its person.
  if (invited) return { kind: 'wait', retryAfterMs: 5000, reason: `BUDGET_EXCEEDED: ${invited.refusal}` };
  active.notify({ type: 'device_invited', deviceId });
  return services.store.read('key', (db) => {
    const { keyId, signatures } = repository.getCommitteeKey(db, plan, round)!;
    return {
      kind: 'invitation',
      config: active.config.bytes,
      committeeKeySignatures: signatures,
      committeeKey: repository.getShortBlob(db, keyId, INVITED_KEY_BYTES_MAX) ?? new Uint8Array(0),
    };
  });
}
