/**
 * Devices of a fleet with identities: certificates, signed check-ins and uploads, acknowledgements, receipts, as they go
 * between real devices and a real coordinator, by the thousand.
 *
 * The devices' side is client/agent's functions in threads (signed-devices.ts), the coordinator's side its own checks and
 * its own service. Left out, as for agents (agents.ts): gRPC and TLS. A device's certificate is checked when it first
 * comes and its times at every check-in, as on a connection that stays open; whatever is not in order is refused as in
 * production. Trusts: nothing that production would not. May be called by: fleet.ts, simulate.ts.
 */
import { type PlanDirectory, roundsService } from '../../coordinator/grpc/rounds-service.ts';
import type { ActiveRound } from '../../coordinator/rounds/active-round.ts';
import { type Candidate, requireOwnCheckIn } from '../../coordinator/rounds/check-in.ts';
import { requireNotErased } from '../../coordinator/rounds/erased-devices.ts';
import type { RoundState } from '../../coordinator/rounds/machine-types.ts';
import * as repository from '../../coordinator/rounds/repository.ts';
import type { RoundServices } from '../../coordinator/rounds/services.ts';
import {
  type SignedOutcome,
  type SignedUpload,
  takeSignedUploads,
} from '../../coordinator/rounds/signed-uploads.ts';
import { fromHex, utf8 } from '../../crypto/bytes.ts';
import { ensure, isPulsefoldError } from '../../crypto/error.ts';
import { CertificateVerifier, type Identity } from '../../crypto/identity/certificate.ts';
import { parse } from '../../protos/fields.ts';
import type { ParsedPlan } from '../../protos/plan.ts';
import { checkInRequest } from '../../protos/rounds-messages.ts';
import type { CallContext } from '../../protos/transport/server.ts';
import { EFFECTS, SIGNATURE_BYTES } from './signed-devices.ts';
import { SignedNames } from './signed-names.ts';
import type { SignedThreads } from './signed-threads.ts';

/** Devices of a batch: while one is checked here, the next is signed in a thread. */
const BATCH_DEVICES = 512;
const DIGEST_BYTES = 32;

export interface IdentityParts {
  readonly services: RoundServices;
  readonly plans: PlanDirectory;
  readonly parsed: ParsedPlan;
  readonly threads: SignedThreads;
  /** DER of the registrar's certificate. */
  readonly registrarCa: Uint8Array;
}

type Service = ReturnType<typeof roundsService>['handlers'];

/** Uploads of devices, side by side in their order. */
export interface MadeUploads {
  readonly devices: readonly number[];
  readonly digests: Uint8Array;
  readonly bytes: Uint8Array;
}

interface Enrolled {
  readonly identity: Identity;
  readonly certificate: Uint8Array;
}

/** What a round's receipts proved, by device. */
export type Settled = Record<(typeof EFFECTS)[number], number[]>;

export class FleetIdentities {
  readonly names: SignedNames;
  readonly #parts: IdentityParts;
  readonly #registrar: CertificateVerifier;
  readonly #enrolled = new Map<number, Enrolled>();
  /** By round: the acknowledged uploads' digests, by device. */
  readonly #sent = new Map<number, Map<number, Uint8Array>>();
  readonly #signal = new AbortController().signal;

  constructor(parts: IdentityParts) {
    this.#parts = parts;
    this.names = new SignedNames(parts.threads.setup.names);
    this.#registrar = new CertificateVerifier(parts.registrarCa);
  }

  /** Has the devices' side check what a round is about. */
  async openRound(active: ActiveRound): Promise<void> {
    const { services, threads, parsed } = this.#parts;
    const { modelHash, round } = active.config.config;
    const { offered, model } = services.store.read('simulation', (db) => {
      const { keyId, signatures } = repository.getCommitteeKey(db, parsed.hashHex, round)!;
      const committeeKey = repository.getBlob(db, keyId)!;
      const offered = { config: active.config.bytes, committeeKeySignatures: [...signatures], committeeKey };
      return { offered, model: repository.getBlob(db, modelHash)! };
    });
    await Promise.all(threads.all.map((thread) => thread.call('openRound', offered, model)));
  }

  /** Those of `devices` that the coordinator believes, and the names under which it charges them. */
  async admit(devices: readonly number[]): Promise<Map<number, Candidate>> {
    await this.#enrol(devices.filter((device) => !this.#enrolled.has(device)));
    const { threads, services } = this.#parts;
    const timeMs = services.clock.nowMs();
    const admitted = new Map<number, Candidate>();
    const batches = batchesOf(devices.filter((device) => this.#enrolled.has(device)));
    const signing = batches.map((batch) => threads.any().call('checkIns', Uint32Array.from(batch), timeMs));
    for (const [k, batch] of batches.entries()) {
      const signatures = await signing[k]!;
      for (const [i, device] of batch.entries()) {
        const candidate = this.#admitOne(device, timeMs, signatureAt(signatures, i));
        if (candidate) admitted.set(device, candidate);
      }
    }
    return admitted;
  }

  /** As the service's CheckIn before it looks for a round; null for a device that it would refuse. */
  #admitOne(device: number, timeMs: number, signature: Uint8Array): Candidate | null {
    const { services, parsed } = this.#parts;
    const { identity } = this.#enrolled.get(device)!;
    const pseudonym = this.names.pseudonym(device);
    return attempt(() => {
      this.#registrar.requireValid(identity, services.clock.nowMs());
      const message = { planHash: parsed.hash, pseudonym: fromHex(pseudonym), timeMs, signature };
      const request = parse(checkInRequest, { ...message, waitMs: 0, roundAfter: 0 });
      const { subjectId: deviceId, signingPublicKey } = identity;
      requireNotErased(services, deviceId);
      requireOwnCheckIn(services, parsed, { deviceId, signingPublicKey }, request);
      return { deviceId, pseudonym };
    });
  }

  async #enrol(devices: readonly number[]): Promise<void> {
    const { threads } = this.#parts;
    const batches = batchesOf(devices);
    const made = batches.map((batch) => threads.any().call('enrol', Uint32Array.from(batch)));
    for (const [k, batch] of batches.entries())
      for (const [i, certificate] of (await made[k]!).entries()) this.#connect(batch[i]!, certificate);
    if (!this.#parts.parsed.plan.consent) return;
    for (const batch of batches) await this.#consent(batch.filter((device) => this.#enrolled.has(device)));
  }

  /** What the transport does with the certificate of a new connection: a bad one is turned away alone. */
  #connect(device: number, certificate: Uint8Array): void {
    const identity = attempt(() => {
      const own = this.#registrar.verify(certificate, this.#parts.services.clock.nowMs());
      ensure(own.role === 'client', 'WRONG_ROLE', 'a device needs a certificate of role client');
      return own;
    });
    if (!identity) return;
    this.#enrolled.set(device, { identity, certificate });
    this.names.note(device);
  }

  /** Nobody is there to be asked: virtual people agree to whatever plan they are simulated for. */
  async #consent(batch: readonly number[]): Promise<void> {
    const { threads, services } = this.#parts;
    const thread = threads.any();
    const service = this.#service();
    const given = await thread.call('consents', Uint32Array.from(batch), services.clock.nowMs());
    const replies = given.map(({ consent, signature }, i) =>
      this.#call(service, 'consent', batch[i]!, { consent: utf8(consent), signature: fromHex(signature) }),
    );
    await thread.call('consentReceipts', given, replies);
  }

  /** What it keeps of a round, a tree of the whole cohort, goes with it. */
  #service(): Service {
    const { services, plans } = this.#parts;
    return roundsService(services, plans).handlers;
  }

  /** The service's answer to a device that is on a connection of its own. */
  #call(service: Service, method: 'consent' | 'getReceipt', device: number, message: object): object {
    const { identity, certificate } = this.#enrolled.get(device)!;
    const context = { identity, certificate, signal: this.#signal } as unknown as CallContext;
    return service[method]!(message as never, context) as object;
  }

  /** Has the uploads signed, delivers them and has the acknowledgements checked; one outcome per device. */
  async deliver(active: ActiveRound, { devices, digests, bytes }: MadeUploads): Promise<SignedOutcome[]> {
    const { services, threads } = this.#parts;
    const { round } = active.config.config;
    const { body: bodyBytes, holderPart: holderBytes } = services.secagg.sizes(active.scheme);
    const length = bodyBytes + holderBytes;
    const batches = batchesOf(devices);
    const digestsOf = (k: number) => part(digests, k * BATCH_DEVICES, batches[k]!.length, DIGEST_BYTES);
    const signing = batches.map((batch, k) =>
      threads.any().call('uploads', round, Uint32Array.from(batch), digestsOf(k)),
    );
    const outcomes: SignedOutcome[] = [];
    const checking: Promise<void>[] = [];
    for (const [k, batch] of batches.entries()) {
      const signatures = await signing[k]!;
      const uploads = batch.map((device, i): SignedUpload => {
        const { identity, certificate } = this.#enrolled.get(device)!;
        const at = k * BATCH_DEVICES + i;
        return {
          device: { deviceId: identity.subjectId, signingPublicKey: identity.signingPublicKey, certificate },
          header: {
            configHash: active.config.hash,
            digest: part(digests, at, 1, DIGEST_BYTES),
            signature: signatureAt(signatures, i),
            bodyBytes,
            holderBytes,
          },
          bytes: bytes.subarray(at * length, (at + 1) * length),
        };
      });
      const answers = await takeSignedUploads(services, active, uploads);
      outcomes.push(...answers);
      checking.push(this.#noteAnswers(round, batch, uploads, answers));
    }
    await Promise.all(checking);
    return outcomes;
  }

  async #noteAnswers(
    round: number,
    batch: readonly number[],
    uploads: readonly SignedUpload[],
    answers: readonly SignedOutcome[],
  ): Promise<void> {
    const sent = this.#sent.get(round) ?? new Map<number, Uint8Array>();
    this.#sent.set(round, sent);
    const devices: number[] = [];
    const signatures: Uint8Array[] = [];
    for (const [i, answer] of answers.entries()) {
      if (answer.kind !== 'acknowledged') continue;
      devices.push(batch[i]!);
      signatures.push(answer.signature);
      sent.set(batch[i]!, uploads[i]!.header.digest);
    }
    const digests = Buffer.concat(devices.map((device) => sent.get(device)!));
    await this.#parts.threads
      .any()
      .call('answers', round, Uint32Array.from(devices), plain(digests), plain(Buffer.concat(signatures)));
  }

  /** Fetches the receipt of every acknowledged upload of a round that is over, and says what each proves to its device. */
  async settle({ round }: Pick<RoundState, 'round'>): Promise<Settled> {
    const { parsed, threads } = this.#parts;
    const sent = this.#sent.get(round) ?? new Map<number, Uint8Array>();
    this.#sent.delete(round);
    const settled: Settled = { charged: [], released: [], stands: [] };
    const checking: Promise<void>[] = [];
    const service = this.#service();
    for (const batch of batchesOf([...sent.keys()])) {
      const devices: number[] = [];
      const replies: object[] = [];
      for (const device of batch) {
        // Null where the coordinator has none to give: then the charge stands.
        const reply = attempt(() =>
          this.#call(service, 'getReceipt', device, { planHash: parsed.hash, round }),
        );
        if (!reply) settled.stands.push(device);
        else {
          devices.push(device);
          replies.push(reply);
        }
      }
      const digests = plain(Buffer.concat(devices.map((device) => sent.get(device)!)));
      const asked = threads.any().call('receipts', round, Uint32Array.from(devices), digests, replies);
      checking.push(
        asked.then((effects) => {
          for (const [i, effect] of effects.entries()) settled[EFFECTS[effect]!].push(devices[i]!);
        }),
      );
      // The coordinator goes on meanwhile.
      await new Promise((resolve) => setImmediate(resolve));
    }
    await Promise.all(checking);
    return settled;
  }
}

/** Null where it is refused. */
function attempt<T>(work: () => T): T | null {
  try {
    return work();
  } catch (error) {
    if (isPulsefoldError(error)) return null;
    throw error;
  }
}

function batchesOf(devices: readonly number[]): number[][] {
  const batches: number[][] = [];
  for (let from = 0; from < devices.length; from += BATCH_DEVICES)
    batches.push(devices.slice(from, from + BATCH_DEVICES));
  return batches;
}

/** A copy with memory of its own: views would be sent to a thread with all that is around them. */
const part = (values: Uint8Array, from: number, count: number, size: number): Uint8Array =>
  values.slice(from * size, (from + count) * size);
const plain = (bytes: Buffer): Uint8Array => new Uint8Array(bytes);

const signatureAt = (signatures: Uint8Array, i: number): Uint8Array =>
  part(signatures, i, 1, SIGNATURE_BYTES);
