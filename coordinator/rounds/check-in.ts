/**
 * Check-in: authenticates the pseudonym, reserves budget, invites to the open round.
 *
 * Trusts: the device id and key that the transport took from the registrar's certificate. May be called by:
 * coordinator/grpc/rounds-service.ts; `inviteDevices`, which takes authentication for granted, by experiments/simulation.
 */
import { equalBytes, toHex } from '../../crypto/bytes.ts';
import { ensure } from '../../crypto/error.ts';
import { INVITED_KEY_BYTES_MAX } from '../../protos/fields.ts';
import type { ParsedPlan } from '../../protos/plan.ts';
import { requireFresh } from '../../protos/statement-age.ts';
import { checkInStatement } from '../../protos/statements.ts';
import type { Database } from '../storage/store.ts';
import type { ActiveRound } from './active-round.ts';
import { consentLackingAmong, NO_CONSENT } from './consents.ts';
import type { StatementSignature } from './holder-port.ts';
import * as repository from './repository.ts';
import type { PlanRunner } from './runner.ts';
import type { RoundServices } from './services.ts';
import { withdrawnAmong } from './withdrawals.ts';

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

/** The request is of this plan, of now, and signed by the certified key. Throws WRONG_PLAN, BAD_SIGNATURE. */
export function requireOwnCheckIn(
  { suite, clock }: Pick<RoundServices, 'suite' | 'clock'>,
  parsed: ParsedPlan,
  { deviceId, signingPublicKey }: { readonly deviceId: string; readonly signingPublicKey: Uint8Array },
  request: Pick<CheckIn, 'planHash' | 'pseudonym' | 'timeMs' | 'signature'>,
): void {
  ensure(
    equalBytes(request.planHash, parsed.hash),
    'WRONG_PLAN',
    'this coordinator runs another plan; fetch it again',
  );
  requireFresh(clock.nowMs(), request.timeMs, 'the check-in is too old; set the clock');
  ensure(
    suite.verify(signingPublicKey, checkInStatement({ ...request, deviceId }), request.signature),
    'BAD_SIGNATURE',
    'the check-in is not signed by the device key in the certificate',
  );
}

export async function checkIn(
  services: RoundServices,
  runner: PlanRunner,
  device: { readonly deviceId: string; readonly signingPublicKey: Uint8Array },
  request: CheckIn,
  signal?: AbortSignal,
): Promise<CheckInOutcome> {
  requireOwnCheckIn(services, runner.parsed, device, request);
  const endsAtMs = services.clock.nowMs() + request.waitMs;
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

/** A device that the caller has authenticated, and the name under which it is charged. */
export interface Candidate {
  readonly deviceId: string;
  /** Hexadecimal. */
  readonly pseudonym: string;
}

export type InviteOutcome =
  | 'invited'
  /** The round takes nobody any more. */
  | 'closed'
  | 'full'
  | 'withdrawn'
  /** The plan asks for consent, and none of the device covers it. */
  | 'no-consent'
  /** The device, or the pseudonym, is bound to another one in this epoch. */
  | 'other-pseudonym'
  | { readonly refusal: string };

/**
 * Invites devices to the open round, in their order, as one write: all budget is reserved and every invitation durable
 * when this resolves. One outcome per candidate; whoever was invited before is invited again.
 */
export async function inviteDevices(
  services: RoundServices,
  active: ActiveRound,
  candidates: readonly Candidate[],
): Promise<InviteOutcome[]> {
  const outcomes = await services.store.enqueue('invite', (db) => decide(services, db, active, candidates));
  const deviceIds = candidates.filter((_, i) => outcomes[i] === 'invited').map(({ deviceId }) => deviceId);
  if (deviceIds.length > 0) active.notify({ type: 'devices_invited', deviceIds });
  return outcomes;
}

function decide(
  services: RoundServices,
  db: Database,
  active: ActiveRound,
  candidates: readonly Candidate[],
): InviteOutcome[] {
  const { parsed, at } = active;
  const { planHex, round } = at;
  if (repository.roundPhase(db, planHex, round) !== 'collecting') return candidates.map(() => 'closed');
  const known = repository.invitedAmong(
    db,
    planHex,
    round,
    candidates.map(({ deviceId }) => deviceId),
  );
  const outcomes = new Map<Candidate, InviteOutcome>();
  const fresh = candidates.filter(({ deviceId }) => !known.has(deviceId));
  let room = parsed.plan.rounds.cohortMax - repository.countInvitations(db, planHex, round);
  // Whoever is refused leaves room for the next one.
  for (let from = 0; from < fresh.length && room > 0; ) {
    const some = fresh.slice(from, from + room);
    from += some.length;
    room -= inviteSome(services, db, active, some, outcomes);
  }
  return candidates.map((one) => (known.has(one.deviceId) ? 'invited' : (outcomes.get(one) ?? 'full')));
}

/** Notes an outcome for each; returns how many are invited. */
function inviteSome(
  { budget, clock }: RoundServices,
  db: Database,
  { parsed, at, config }: ActiveRound,
  candidates: readonly Candidate[],
  outcomes: Map<Candidate, InviteOutcome>,
): number {
  const foreign = new Set(repository.bindPseudonyms(db, parsed.plan.epoch, candidates));
  const devices = candidates.map(({ deviceId }) => deviceId);
  const withdrawn = withdrawnAmong(db, devices, parsed);
  const lacking = consentLackingAmong(db, devices, parsed, clock.nowMs());
  const willing: Candidate[] = [];
  for (const one of candidates)
    if (foreign.has(one.deviceId)) outcomes.set(one, 'other-pseudonym');
    else if (withdrawn.has(one.deviceId)) outcomes.set(one, 'withdrawn');
    else if (lacking.has(one.deviceId)) outcomes.set(one, 'no-consent');
    else willing.push(one);
  const refusals = budget.reserve(
    db,
    parsed,
    config,
    willing.map(({ pseudonym }) => pseudonym),
  );
  const invited: Candidate[] = [];
  for (const one of willing) {
    const refusal = refusals.get(one.pseudonym);
    outcomes.set(one, refusal === undefined ? 'invited' : { refusal });
    if (refusal === undefined) invited.push(one);
  }
  repository.insertInvitations(db, at.planHex, at.round, invited);
  return invited.length;
}

/** The newest round that collects, or an older one that this device is in and has not sent its update for. */
function roundFor(
  { store }: RoundServices,
  { open, parsed }: PlanRunner,
  deviceId: string,
  roundAfter: number,
): ActiveRound | undefined {
  const collecting = open.filter(({ state }) => state.phase === 'collecting' && state.round > roundAfter);
  if (collecting.length < 2) return collecting[0];
  const unfinished = store.read('unfinished', (db) =>
    collecting.find(
      ({ at: { round } }) =>
        repository.invitationOf(db, parsed.hashHex, round, deviceId) !== undefined &&
        !repository.getUpload(db, parsed.hashHex, round, deviceId)?.acknowledged,
    ),
  );
  return unfinished ?? collecting.at(-1);
}

/** `wait` with retryAfterMs 0 means: nothing to join yet, keep the call waiting. */
async function tryInvite(
  services: RoundServices,
  runner: PlanRunner,
  deviceId: string,
  request: CheckIn,
): Promise<CheckInOutcome> {
  const { parsed, outcome } = runner;
  const plan = parsed.hashHex;
  if (outcome) {
    const modelHash = services.store.read('plan', (db) => repository.getPlan(db, plan)?.model_hash ?? '');
    return { kind: 'finished', reason: `${outcome.status}: ${outcome.message}`, modelHash };
  }
  const active = roundFor(services, runner, deviceId, request.roundAfter);
  if (!active) return { kind: 'wait', retryAfterMs: 0, reason: 'no round is open' };
  const { round } = active.state;
  const candidate = { deviceId, pseudonym: toHex(request.pseudonym) };
  const [invited] = await inviteDevices(services, active, [candidate]);
  ensure(
    invited !== 'other-pseudonym',
    'BUDGET_EXCEEDED',
    'this device, or another one under this name, is already charged under another pseudonym in this epoch',
  );
  ensure(invited !== 'no-consent', 'CONSENT_MISSING', NO_CONSENT);
  if (invited === 'closed') return { kind: 'wait', retryAfterMs: 0, reason: 'the round has just closed' };
  if (invited === 'withdrawn')
    return { kind: 'finished', reason: 'withdrawn: this device takes no further part', modelHash: '' };
  if (invited === 'full') return { kind: 'wait', retryAfterMs: 1000, reason: 'the cohort is full' };
  // A refused device waits for the end of the plan like any other; the reason is for its person.
  if (typeof invited === 'object')
    return { kind: 'wait', retryAfterMs: 5000, reason: `BUDGET_EXCEEDED: ${invited.refusal}` };
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
