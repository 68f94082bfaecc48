/**
 * Erasure: the coordinator forgets a device, as far as others' proofs and budgets allow (docs/adr/0037).
 *
 * At once: no invitation, no unacknowledged upload, all rows of ended rounds, consents, alarms, the link to the pseudonym.
 * A round under way that has the device's upload ends as it would have; `finishErasures` forgets its rows then. Kept: what
 * was charged, under the pseudonym; the log; a keyed mark. Trusts: the device id and key that the transport took from the
 * certificate. May be called by: coordinator/rounds, coordinator/grpc.
 */
import { toHex } from '../../crypto/bytes.ts';
import { ensure } from '../../crypto/error.ts';
import { statementCommitment } from '../../protos/consent.ts';
import {
  type EraseDeviceRequest,
  type ErasureReceipt,
  erasureReceiptRecord,
  erasureReceiptStatement,
  erasureStatement,
} from '../../protos/erasure.ts';
import type { ParsedPlan } from '../../protos/plan.ts';
import { requireFresh } from '../../protos/statement-age.ts';
import type { Database } from '../storage/store.ts';
import { requireOwnPseudonym } from './consents.ts';
import { type DeviceRound, Erased, eraseFromRecords, eraseFromRound, roundsOfDevice } from './device-rows.ts';
import { markErased, wasErased } from './erased-devices.ts';
import type { RoundServices } from './services.ts';

const STANDING_MAX = 16;

/** What is kept, and why: in every receipt. */
export const KEPT: ErasureReceipt['kept'] = [
  {
    what: 'what was charged, in ledger and log, under the pseudonym of each budget epoch',
    why: 'The sums that others took part in, and their stated epsilon, are proven with it. This coordinator keeps nothing that leads from the device to the pseudonym. Who has kept lists of devices by round (key holders, backups, log files) could match them with the rounds in the log. No one can be charged under it again.',
  },
  {
    what: 'commitments in the log: hashes of signed consents, withdrawals, reports and of this erasure',
    why: 'The log is append-only, so that nobody can rewrite what was done to people. A hash of a signed statement shows nothing of it.',
  },
  {
    what: 'a keyed mark of the device id',
    why: 'So that an erased device cannot come back with a fresh budget. Whoever learns the id again and has the key of this coordinator can see that it was erased, no more.',
  },
  {
    what: 'leaf hashes in the Merkle trees of certified cohorts',
    why: 'Receipts of the other devices of those rounds are proven with them.',
  },
  {
    what: 'models and metrics that were released',
    why: 'They were made from noisy sums over many devices and are not unlearned; epsilon bounds what they show.',
  },
  {
    what: 'at each key holder: device id and upload digest of each upload that it accepted',
    why: 'Key holders are operators of their own, named in the plan, and answer for what they hold; ask them.',
  },
  {
    what: "the operator's own log files, for as long as they are kept",
    why: 'They lie outside of this program; ask the contact in the plan.',
  },
];

export interface ErasureReply {
  readonly receipt: Uint8Array;
  readonly signature: Uint8Array;
}

type Facts = Pick<ErasureReceipt, 'repeated' | 'erased' | 'standing'>;

const BEFORE: Facts = { repeated: true, erased: [], standing: [] };

/**
 * Erases the device once; asking again gets a receipt that says so and no more. One write for each round that it was in, so that others are
 * served in between. Throws BAD_SIGNATURE, or BUDGET_EXCEEDED for a pseudonym that is not this device's.
 */
export async function eraseDevice(
  services: RoundServices,
  parsed: ParsedPlan,
  device: { readonly deviceId: string; readonly signingPublicKey: Uint8Array },
  request: EraseDeviceRequest,
): Promise<ErasureReply> {
  const { suite, clock, store, signingKey } = services;
  const { deviceId } = device;
  const statement = erasureStatement({ ...request, deviceId });
  requireFresh(clock.nowMs(), request.timeMs, 'the request is too old; set the clock');
  ensure(
    suite.verify(device.signingPublicKey, statement, request.signature),
    'BAD_SIGNATURE',
    'the request is not signed by the device key in the certificate',
  );
  const commitment = statementCommitment(suite, statement, request.signature);
  const known = store.read('erased', (db) => wasErased(services, db, deviceId));
  const facts = known
    ? BEFORE
    : await erase(services, parsed, deviceId, toHex(request.pseudonym), commitment);
  const receipt = erasureReceiptRecord.encode({
    version: 1,
    kind: 'erasure',
    planHash: parsed.hashHex,
    deviceId,
    timeMs: request.timeMs,
    erasedMs: clock.nowMs(),
    commitment,
    ...facts,
    kept: KEPT,
  });
  return { receipt, signature: suite.sign(signingKey.secretKey, erasureReceiptStatement(receipt)) };
}

async function erase(
  services: RoundServices,
  parsed: ParsedPlan,
  deviceId: string,
  pseudonym: string,
  commitment: string,
): Promise<Facts> {
  const { store, clock } = services;
  const ended = store.transaction('erase-device', (db) => {
    requireOwnPseudonym(db, parsed, deviceId, pseudonym);
    return roundsOfDevice(db, deviceId).filter((round) => round.ended);
  });
  let erased = new Erased();
  for (const round of ended) {
    const ofRound = store.transaction('erase-round', (db) => {
      const counts = new Erased();
      eraseFromRound(db, deviceId, round, counts);
      return counts;
    });
    erased = erased.plus(ofRound);
    await clock.turn();
  }
  return store.transaction('erase-device', (db) => {
    // The same request may have been here in between.
    if (wasErased(services, db, deviceId)) return BEFORE;
    markErased(services, db, deviceId);
    const counts = new Erased().plus(erased);
    return record(services, db, parsed, deviceId, { commitment, pseudonym, erased: counts });
  });
}

function record(
  { budget }: RoundServices,
  db: Database,
  parsed: ParsedPlan,
  deviceId: string,
  {
    commitment,
    pseudonym,
    erased,
  }: { readonly commitment: string; readonly pseudonym: string; readonly erased: Erased },
): Facts {
  // Those that ended while this was under way, and those under way.
  const rounds = roundsOfDevice(db, deviceId);
  for (const round of rounds) if (round.ended) eraseFromRound(db, deviceId, round, erased);
  const running = rounds.filter(({ ended }) => !ended);
  const standing = running.filter(({ uploaded }) => uploaded).slice(0, STANDING_MAX);
  const afterRound = Math.max(
    0,
    ...standing.filter(({ plan }) => plan === parsed.hashHex).map(({ round }) => round),
  );
  budget.withdraw(db, pseudonym, '*');
  budget.append(db, { kind: 'erasure', commitment, planHash: parsed.hashHex, pseudonym, afterRound });
  eraseFromRecords(db, deviceId, erased);
  if (running.length > 0) postpone(db, deviceId, parsed);
  return {
    erased: erased.list(),
    standing: standing.map(({ plan, round }: DeviceRound) => ({ planHash: plan, round })),
  };
}

/** Until its running rounds end the device id is needed in them, and to refuse its uploads; without any statement. */
function postpone(db: Database, deviceId: string, { hashHex }: ParsedPlan): void {
  db.run('INSERT INTO erasures_pending VALUES (?) ON CONFLICT DO NOTHING', deviceId);
  const none = new Uint8Array(0);
  db.run(
    "INSERT INTO withdrawals VALUES (?, '*', ?, ?, ?, ?, NULL) ON CONFLICT DO NOTHING",
    deviceId,
    hashHex,
    none,
    none,
    none,
  );
}

/** After a round has ended: forgets its rows of devices that were erased while it ran. */
export async function finishErasures({
  store,
  clock,
}: Pick<RoundServices, 'store' | 'clock'>): Promise<void> {
  const devices = store.read('erasures', (db) =>
    db.all<{ device: string }>('SELECT device FROM erasures_pending'),
  );
  for (const { device } of devices) {
    store.transaction('finish-erasure', (db) => finish(db, device));
    await clock.turn();
  }
}

function finish(db: Database, device: string): void {
  const rounds = roundsOfDevice(db, device);
  const erased = new Erased();
  for (const round of rounds) if (round.ended) eraseFromRound(db, device, round, erased);
  if (rounds.some(({ ended }) => !ended)) return;
  eraseFromRecords(db, device, erased);
  db.run('DELETE FROM erasures_pending WHERE device = ?', device);
}
