/**
 * One client of `pulsefold bench round`: the real agent with its own certificate, keys, budget, store and mutual-TLS
 * connection. Replaced are only local training (generated weights) and the vault (state in memory).
 *
 * It goes away once its upload is acknowledged and asks for its receipt when told, as a phone would. An observer keeps
 * the integers it sealed, so that the opened sum can be compared: that breaks every promise to a client, which is why it
 * is here and not in client/. May be called by: round-host.ts.
 */
import { ClientAgent, type RoundReport } from '../../../client/agent/agent.ts';
import type { BudgetLimits } from '../../../client/agent/budget.ts';
import type { DeviceData } from '../../../client/agent/eligibility.ts';
import { openRounds } from '../../../client/agent/grpc-rounds.ts';
import type { Sealer } from '../../../client/agent/seal.ts';
import { MemoryClientStore } from '../../../client/agent/store.ts';
import type { RoundsTransport } from '../../../client/agent/transport.ts';
import type { EngineName, TrainEngine } from '../../../client/training/engine.ts';
import { PulsefoldError } from '../../../crypto/error.ts';
import {
  type CertificateAuthority,
  certificateDer,
  generateTlsKey,
  issueCertificate,
  subjectIdOf,
} from '../../../crypto/identity/certificate.ts';
import { getSuite } from '../../../crypto/identity/suite.ts';
import { randomBytes } from '../../../crypto/random.ts';
import type { Approver } from '../../../protos/approval-policy.ts';

import { assembleBundle, type IdentityBundle } from '../../../protos/transport/identity-bundle.ts';

const DAY_MS = 86_400_000;

/** A client certificate straight from the CA's key, as the registrar would issue it. */
export async function issueClient(authority: CertificateAuthority): Promise<IdentityBundle> {
  const suite = getSuite('intl');
  const signing = suite.generateSigningKey();
  const sealing = suite.generateSealingKey();
  const { tlsKeyPem, tlsPublicKey } = await generateTlsKey();
  const nowMs = Date.now();
  const { pem } = await issueCertificate(authority, {
    claims: {
      role: 'client',
      suite: 'intl',
      subjectId: subjectIdOf('client', 'intl', signing.publicKey),
      signingPublicKey: signing.publicKey,
      sealingPublicKey: sealing.publicKey,
    },
    tlsPublicKey,
    notBeforeMs: nowMs - DAY_MS,
    notAfterMs: nowMs + DAY_MS,
  });
  return assembleBundle({ caPem: authority.caPem, certPem: pem, tlsKeyPem, signing, sealing });
}

/** What the clients of one host share. */
export interface ClientWorld {
  readonly coordinatorAddress: string;
  readonly caPem: string;
  readonly approver: Approver;
  readonly planHash: string;
  /** The one record that stands for everybody's. */
  readonly data: DeviceData;
  readonly limits: BudgetLimits;
  readonly sealer: Sealer;
  readonly engine: TrainEngine;
  /** Keeps the connection open between upload and receipt. */
  readonly keepOpen: boolean;
  /** Called with what was sealed, once it is acknowledged. */
  readonly onAcknowledged: (digits: Int32Array) => void;
  readonly onCheckIn: () => void;
}

export class BenchClient {
  readonly #world: ClientWorld;
  readonly #identity: IdentityBundle;
  readonly #store = new MemoryClientStore();
  #open: { readonly agent: ClientAgent; readonly rounds: RoundsTransport } | null = null;
  #digits: Int32Array | null = null;
  /** Set when the upload is acknowledged; the agent then stops where it is. */
  readonly #away = new AbortController();
  #returned = false;

  constructor(world: ClientWorld, identity: IdentityBundle) {
    this.#world = world;
    this.#identity = identity;
  }

  /** From the first connection to the acknowledgement. Throws what the agent throws, or UNAVAILABLE with the refusal. */
  async upload(): Promise<RoundReport> {
    const { agent } = this.#connect(this.#away.signal);
    try {
      const { rounds, reason } = await agent.join();
      const report = rounds[0];
      if (this.#away.signal.aborted && report) return report;
      throw new PulsefoldError('UNAVAILABLE', `no upload was acknowledged: ${report?.reason ?? reason}`);
    } finally {
      if (!this.#world.keepOpen) this.close();
    }
  }

  /** Fetches and checks the receipt, on a new connection unless the old one was kept. */
  async receipt(): Promise<number> {
    this.#returned = true;
    const { agent } = this.#open ?? this.#connect();
    try {
      await agent.settle();
      const { undecided } = await this.#store.loadState();
      if (undecided.length > 0 || this.#store.receipts.size === 0)
        throw new PulsefoldError('PROOF_INVALID', 'no receipt that proves anything');
      return this.#store.receipts.size;
    } finally {
      this.close();
    }
  }

  close(): void {
    this.#open?.rounds.close();
    this.#open = null;
  }

  #connect(signal?: AbortSignal) {
    const { coordinatorAddress, caPem, approver, planHash, limits, engine } = this.#world;
    const rounds = this.#watched(openRounds(coordinatorAddress, this.#identity));
    const agent = new ClientAgent({
      identity: this.#identity,
      policy: { approvers: [approver], required: 1 },
      pins: { registrarCa: certificateDer(caPem), planHash },
      limits,
      data: this.#world.data,
      engine,
      sealer: this.#sealer(),
      rounds,
      store: this.#store,
      conditions: () => ({ charging: true, unmetered: true, worn: true }),
      timing: { receiptPatienceMs: 0 },
      ...(signal ? { signal } : {}),
    });
    this.#open = { agent, rounds };
    return this.#open;
  }

  /** The transport as it is, but told when it checks in and when its upload is acknowledged. */
  #watched(rounds: RoundsTransport): RoundsTransport {
    return {
      ...rounds,
      checkIn: (request) => {
        this.#world.onCheckIn();
        return rounds.checkIn(request);
      },
      putUpload: async (request) => {
        const reply = (await rounds.putUpload(request)) as { readonly acknowledged?: boolean };
        if (reply.acknowledged) {
          if (this.#digits) this.#world.onAcknowledged(this.#digits);
          this.#digits = null;
          this.#away.abort();
        }
        return reply;
      },
      getReceipt: (request) =>
        // The agent looks for a receipt on its way out; this device is away by then.
        this.#away.signal.aborted && !this.#returned
          ? Promise.reject(new PulsefoldError('UNAVAILABLE', 'this device has gone'))
          : rounds.getReceipt(request),
    };
  }

  #sealer(): Sealer {
    return {
      seal: (request) => {
        const sealed = this.#world.sealer.seal(request);
        this.#digits = request.digits.slice();
        return sealed;
      },
    };
  }
}

export function oneRecord(inputs: number): DeviceData {
  const features = Float32Array.from({ length: inputs }, (_, i) => Math.sin(i));
  return { train: { features, labels: Uint8Array.of(1), count: 1 } };
}

/** Norm of what all clients' updates have in common: within the plan's coherence. */
const COMMON_NORM = 0.03;
/** Norm of the rest: clipped for some, not for most. */
const OWN_NORM = 0.9;

/** Weights as training would change them: a small common step and much of one's own. Costs next to nothing. */
export function generatedTraining(): TrainEngine {
  const never = (): never => {
    throw new PulsefoldError('UNSUPPORTED_EVENT', 'the generator only stands in for local epochs');
  };
  return {
    name: 'generated' as string as EngineName,
    skipped: [],
    async train(_spec, weights) {
      const count = weights.length;
      const common = COMMON_NORM / Math.sqrt(count);
      const scale = (OWN_NORM * Math.sqrt(3 / count)) / 2 ** 31;
      let state = new DataView(randomBytes(4).buffer).getInt32(0) | 1;
      const trained = new Float32Array(count);
      for (let i = 0; i < count; i++) {
        // Marsaglia's xorshift32: these numbers protect nobody.
        state ^= state << 13;
        state ^= state >>> 17;
        state ^= state << 5;
        trained[i] = weights[i]! + common + scale * state;
      }
      return trained;
    },
    recordGradients: never,
    predict: never,
  };
}
