/**
 * Devices with identities that exist as seeds: what each says and checks under its own key, batch by batch.
 *
 * Every statement is made and every answer checked by the functions of client/agent. What is the same for all devices of a
 * round, the invitation, is checked once per thread instead of once per device; nothing else is left out but what an agent
 * does beyond a round: keeping state on disk, watching the log, comparing its account with the ledger's.
 * Trusts: the seed. May be called by: signed-threads.ts, signed-worker.ts.
 */
import type { StoredConsent } from '../../client/agent/consent.ts';
import { signConsent, verifyConsentReceipt } from '../../client/agent/consent.ts';
import {
  acceptCommitteeKey,
  acceptInvitation,
  acceptPlan,
  acceptWeights,
  type PlanSession,
} from '../../client/agent/invitation.ts';
import {
  ownPseudonym,
  requireAnswerSigned,
  signCheckIn,
  signUpload,
} from '../../client/agent/own-statements.ts';
import { verifyReceipt } from '../../client/agent/receipts.ts';
import { getPlanReply, getReceiptReply, type Invitation, invitation } from '../../client/agent/replies.ts';
import { fromHex } from '../../crypto/bytes.ts';
import { ensure } from '../../crypto/error.ts';
import type { SuiteName } from '../../crypto/identity/suite.ts';
import { parse } from '../../protos/fields.ts';
import type { PlanApproval } from '../../protos/plan.ts';
import type { RoundBinding, UploadStatement } from '../../protos/statements.ts';
import { deviceIdentity } from './device-identity.ts';
import { type Parties, policyOf, simulationParties } from './parties.ts';
import { type NameArrays, SignedNames } from './signed-names.ts';

export const SIGNATURE_BYTES = 64;
const DIGEST_BYTES = 32;
/** Rounds whose binding is remembered: receipts come after the next round has opened; rounds may overlap. */
const ROUNDS_KEPT = 16;
/** Imported keys are kept of so many devices; of others they are imported anew for every signature. */
const KEYS_KEPT = 131_072;

export interface SignedSetup {
  readonly suite: SuiteName;
  readonly partiesSeed: string;
  readonly seed: string;
  readonly plan: Uint8Array;
  readonly approvals: readonly PlanApproval[];
  readonly names: NameArrays;
}

/** What a receipt proved to a device; see client/agent/receipts.ts. */
export const EFFECTS = ['charged', 'released', 'stands'] as const;

export class SignedDevices {
  readonly #setup: SignedSetup;
  readonly #parties: Parties;
  readonly #session: PlanSession;
  readonly #coordinatorKey: Uint8Array;
  readonly #names: SignedNames;
  readonly #keys = new Map<number, Uint8Array>();
  readonly #bindings = new Map<number, RoundBinding>();

  constructor(setup: SignedSetup) {
    this.#setup = setup;
    this.#parties = simulationParties(setup.suite, setup.partiesSeed);
    this.#names = new SignedNames(setup.names);
    const { plan, approvals, suite } = setup;
    const coordinatorPublicKey = this.#parties.coordinatorKey.publicKey;
    this.#session = acceptPlan(parse(getPlanReply, { plan, approvals, coordinatorPublicKey }), {
      policy: policyOf(this.#parties),
      pins: { registrarCa: this.#parties.registrar.caDer },
      suite,
    });
    this.#coordinatorKey = fromHex(this.#session.parsed.plan.coordinatorPublicKey);
  }

  /** Makes the devices' keys and names; their certificates, DER. */
  enrol(devices: Uint32Array): Uint8Array[] {
    const { suite, parsed } = this.#session;
    return Array.from(devices, (device) => {
      const { subjectId, signing, certificate } = deviceIdentity(this.#parties, this.#setup.seed, device);
      const pseudonym = ownPseudonym(suite, signing.secretKey, parsed.plan.epoch);
      this.#names.enrol(device, { subjectId, pseudonym, secretKey: signing.secretKey });
      return certificate;
    });
  }

  /** Checks what the devices of a round are told, as each of them would. Throws what client/agent/invitation.ts does. */
  openRound(offered: Invitation, model: Uint8Array): void {
    const accepted = acceptInvitation(this.#session, parse(invitation, offered));
    acceptCommitteeKey(this.#session, accepted.binding, accepted.committeeKey);
    acceptWeights(this.#session, accepted.binding, model);
    this.#bindings.set(accepted.binding.round, accepted.binding);
    if (this.#bindings.size > ROUNDS_KEPT) this.#bindings.delete(this.#bindings.keys().next().value!);
  }

  #secretKey(device: number): Uint8Array {
    const known = this.#keys.get(device);
    if (known) return known;
    // A suite keeps the imported key with the array that holds it.
    const key = this.#names.secretKey(device);
    if (this.#keys.size < KEYS_KEPT) this.#keys.set(device, key);
    return key;
  }

  #signatures(devices: Uint32Array, sign: (device: number, i: number) => Uint8Array): Uint8Array {
    const signatures = new Uint8Array(devices.length * SIGNATURE_BYTES);
    devices.forEach((device, i) => {
      signatures.set(sign(device, i), i * SIGNATURE_BYTES);
    });
    return signatures;
  }

  /** Signatures of check-ins of this moment, side by side. */
  checkIns(devices: Uint32Array, timeMs: number): Uint8Array {
    const { suite, parsed } = this.#session;
    return this.#signatures(devices, (device) =>
      signCheckIn(suite, this.#secretKey(device), {
        planHash: parsed.hash,
        deviceId: this.#names.deviceId(device),
        pseudonym: fromHex(this.#names.pseudonym(device)),
        timeMs,
      }),
    );
  }

  #statement(round: number, device: number, digests: Uint8Array, i: number): UploadStatement {
    const binding = this.#bindings.get(round);
    ensure(binding, 'INTERNAL', `round ${round} is not open`);
    const digest = digests.subarray(i * DIGEST_BYTES, (i + 1) * DIGEST_BYTES);
    return { ...binding, deviceId: this.#names.deviceId(device), digest };
  }

  /** Signatures of uploads with these digests, both side by side. */
  uploads(round: number, devices: Uint32Array, digests: Uint8Array): Uint8Array {
    const { suite } = this.#session;
    return this.#signatures(devices, (device, i) =>
      signUpload(suite, this.#secretKey(device), this.#statement(round, device, digests, i)),
    );
  }

  /** Checks the coordinator's acknowledgements. Throws BAD_SIGNATURE. */
  answers(round: number, devices: Uint32Array, digests: Uint8Array, signatures: Uint8Array): void {
    const { suite } = this.#session;
    devices.forEach((device, i) => {
      const signature = signatures.subarray(i * SIGNATURE_BYTES, (i + 1) * SIGNATURE_BYTES);
      const statement = this.#statement(round, device, digests, i);
      requireAnswerSigned(suite, this.#coordinatorKey, statement, { late: false, signature });
    });
  }

  /**
   * What each device's receipt proves to it, as an index of EFFECTS. Throws what client/agent/receipts.ts does: in a
   * simulation no coordinator lies, so a receipt that proves nothing is a mistake.
   */
  receipts(round: number, devices: Uint32Array, digests: Uint8Array, replies: readonly object[]): Uint8Array {
    return Uint8Array.from(devices, (device, i) => {
      const { receipt, signature } = parse(getReceiptReply, replies[i]);
      const pseudonym = fromHex(this.#names.pseudonym(device));
      const entry = { statement: this.#statement(round, device, digests, i), pseudonym };
      return EFFECTS.indexOf(verifyReceipt(this.#session, entry, receipt, signature).effect);
    });
  }

  /** Signed consents of devices that agree to the plan as it is. */
  consents(devices: Uint32Array, timeMs: number): StoredConsent[] {
    return Array.from(devices, (device) => {
      const secretKey = this.#secretKey(device);
      const identity = {
        subjectId: this.#names.deviceId(device),
        signing: { secretKey, publicKey: new Uint8Array(0) },
      };
      const pseudonym = fromHex(this.#names.pseudonym(device));
      return signConsent({ session: this.#session, identity, pseudonym }, timeMs);
    });
  }

  /** Checks the receipts of consents. Throws BAD_SIGNATURE or MALFORMED_MESSAGE. */
  consentReceipts(given: readonly StoredConsent[], replies: readonly object[]): void {
    for (const [i, stored] of given.entries()) verifyConsentReceipt(this.#session, stored, replies[i]);
  }
}
