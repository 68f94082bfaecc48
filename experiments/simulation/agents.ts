/**
 * A population with identities: one real client agent per device, on the coordinator's real service, in virtual time.
 *
 * For `identity: signed`: certificates, check-ins, uploads, receipts and budgets are what they are in production; only
 * gRPC and the vault are left out. Agents are objects with state, so this is for thousands of devices, not millions.
 * Trusts: nothing that production would not. May be called by: experiments/simulation.
 */
import { ClientAgent } from '../../client/agent/agent.ts';
import type { BudgetLimits } from '../../client/agent/budget.ts';
import type { Sealer } from '../../client/agent/seal.ts';
import { MemoryClientStore } from '../../client/agent/store.ts';
import type { RoundsTransport } from '../../client/agent/transport.ts';
import type { TrainEngine } from '../../client/training/engine.ts';
import type { PlanDirectory } from '../../coordinator/grpc/rounds-service.ts';
import { roundsService } from '../../coordinator/grpc/rounds-service.ts';
import type { RoundState } from '../../coordinator/rounds/machine-types.ts';
import type { RoundServices } from '../../coordinator/rounds/services.ts';
import { toBase64 } from '../../crypto/bytes.ts';
import { parseRational, rationalToNumber } from '../../crypto/dp/rational.ts';
import { PulsefoldError } from '../../crypto/error.ts';
import { type Identity, subjectIdOf } from '../../crypto/identity/certificate.ts';
import { getSuite } from '../../crypto/identity/suite.ts';
import { seededRandom, systemRandom } from '../../crypto/random.ts';
import type { ParsedPlan } from '../../protos/plan.ts';
import { schemeOf } from '../../protos/plan-scheme.ts';
import type { IdentityBundle } from '../../protos/transport/identity-bundle.ts';
import type { CallContext } from '../../protos/transport/server.ts';
import type { Availability } from './availability.ts';
import type { Crowd, CrowdRound } from './crowd.ts';
import { type Parties, policyOf } from './parties.ts';
import { deviceCount, rowsOf, type VirtualPopulation } from './population.ts';
import type { VirtualClock } from './virtual-clock.ts';

const CHECK_IN_WAIT_MS = 60_000;
/** A phone waits for its charger as long as it takes. */
const CONDITION_PATIENCE_MS = 604_800_000;
const SERIAL_BYTES = 15;

export interface AgentsParts {
  readonly clock: VirtualClock;
  readonly services: RoundServices;
  readonly plans: PlanDirectory;
  readonly parsed: ParsedPlan;
  readonly parties: Parties;
  readonly population: VirtualPopulation;
  readonly engine: TrainEngine;
  readonly sealer: Sealer;
  readonly availability: Availability | null;
  readonly limits: { readonly epsilon: number; readonly delta: number } | undefined;
  readonly seed: string;
  readonly noise: 'seeded' | 'system';
}

const NO_ROUND: CrowdRound = {
  round: 0,
  kind: 'training',
  openedAtMs: 0,
  invited: 0,
  late: 0,
  dropped: 0,
  refused: 0,
  trainMs: 0,
};

export class Agents implements Crowd {
  readonly #parts: AgentsParts;
  readonly #handlers: ReturnType<typeof roundsService>['handlers'];
  readonly #waiting = new Set<() => void>();
  #current = NO_ROUND;
  #phase = '';
  #dropped = new Set<number>();
  #late = 0;
  #trainMs = 0;

  constructor(parts: AgentsParts) {
    this.#parts = parts;
    this.#handlers = roundsService(parts.services, parts.plans).handlers;
  }

  get current(): CrowdRound {
    return { ...this.#current, dropped: this.#dropped.size, late: this.#late, trainMs: this.#trainMs };
  }

  onRoundChange({ round, kind, phase, invited }: RoundState): void {
    const { clock } = this.#parts;
    this.#phase = phase;
    if (round !== this.#current.round) {
      this.#current = { ...NO_ROUND, round, kind, openedAtMs: clock.nowMs() };
      this.#dropped = new Set();
      this.#late = 0;
      this.#trainMs = 0;
    }
    this.#current = { ...this.#current, invited: invited.length };
    if (phase !== 'accepting') clock.after(0, () => this.wake());
  }

  ended(): void {}

  /** Lets those who wait for news look again. */
  wake(): void {
    for (const wake of [...this.#waiting]) wake();
  }

  /** Resolves when every agent has seen the end of the plan. */
  async run(): Promise<void> {
    const { clock, population } = this.#parts;
    const devices = Array.from({ length: deviceCount(population) }, (_, device) => device);
    await Promise.all(devices.map((device) => clock.hold(() => this.#join(device))));
  }

  async #join(device: number): Promise<void> {
    const { clock, parsed, parties, population, engine, sealer, availability, seed, noise } = this.#parts;
    // Keys are made one device after the other, so that none has to exist before its time.
    await clock.turn();
    const identity = identityOf(parties, seed, device);
    const { evaluation, inputs } = population;
    const agent = new ClientAgent({
      identity,
      policy: policyOf(parties),
      pins: { registrarCa: parties.registrar.caDer },
      limits: this.#limits(),
      data: {
        train: rowsOf(population, inputs, device),
        ...(evaluation ? { evaluation: rowsOf(evaluation, inputs, device) } : {}),
      },
      engine,
      sealer,
      rounds: this.#transport(device, identity),
      store: new MemoryClientStore(),
      conditions: () => ({
        ...(availability?.conditions(device, clock.nowMs()) ?? { charging: true, unmetered: true }),
        worn: true,
      }),
      clock,
      random:
        noise === 'seeded'
          ? seededRandom(`simulation/agent/${seed}/${parsed.hashHex}/${device}`)
          : systemRandom,
      timing: { checkInWaitMs: CHECK_IN_WAIT_MS, conditionPatienceMs: CONDITION_PATIENCE_MS },
    });
    await agent.join();
  }

  #limits(): BudgetLimits {
    const { privacy } = this.#parts.parsed.plan;
    if (!privacy) return { epsilon: 0, delta: 1e-9, allowWithoutPrivacy: true };
    const own = this.#parts.limits;
    const number = (text: string) => rationalToNumber(parseRational(text));
    return {
      epsilon: own?.epsilon ?? number(privacy.epsilon),
      delta: own?.delta ?? number(privacy.delta),
      units: [privacy.unit],
    };
  }

  #transport(device: number, { subjectId, signing, certificate }: IdentityBundle): RoundsTransport {
    const identity = { subjectId, signingPublicKey: signing.publicKey } as Identity;
    const context = { identity, certificate, signal: new AbortController().signal } as unknown as CallContext;
    const call = async (method: string, message: object): Promise<object> =>
      (await this.#handlers[method]!(message as never, context)) as object;
    return {
      getPlan: () => call('getPlan', {}),
      checkIn: (request) => this.#checkIn(request, (message) => call('checkIn', message)),
      getBlob: (request) => call('getBlob', request),
      getUploadState: (request) => call('getUploadState', request),
      putUpload: async (request) => {
        if (request.offset === 0) await this.#travel(device);
        const reply = await call('putUpload', request);
        if ((reply as { late?: boolean }).late) this.#late++;
        return reply;
      },
      getReceipt: (request) => call('getReceipt', { logSizeSeen: 0, charged: '', ...request }),
      withdraw: (request) => call('withdraw', request),
      close: () => {},
    };
  }

  /** A long poll: the call waits here, in virtual time, and not at the coordinator. */
  async #checkIn(
    request: { readonly waitMs: number },
    call: (message: object) => Promise<object>,
  ): Promise<object> {
    const { clock } = this.#parts;
    const endsAtMs = clock.nowMs() + request.waitMs;
    for (;;) {
      const reply = (await call({ ...request, waitMs: 0 })) as { wait?: { retryAfterMs: number } };
      const outcome = Object.keys(reply)[0];
      const mayWait = reply.wait?.retryAfterMs === 0 && clock.nowMs() < endsAtMs;
      if (!mayWait) return { ...reply, outcome };
      await clock.park((wake) => {
        this.#waiting.add(wake);
        const timer = clock.at(endsAtMs, wake);
        return () => {
          this.#waiting.delete(wake);
          timer.stop();
        };
      });
    }
  }

  /** What training and the network take; a device that drops out comes back when the round is over. */
  async #travel(device: number): Promise<void> {
    const { availability, clock, parsed, population } = this.#parts;
    if (!availability) return;
    const { round, kind } = this.#current;
    if (availability.dropsOut(device, round)) {
      this.#dropped.add(device);
      while (this.#current.round === round && this.#phase === 'collecting')
        await clock.park((wake) => {
          this.#waiting.add(wake);
          return () => this.#waiting.delete(wake);
        });
      throw new PulsefoldError('UNAVAILABLE', 'this device was away');
    }
    const { offsets } = population;
    const samples = (offsets[device + 1]! - offsets[device]!) * parsed.plan.training.epochs;
    const { trainMs, uploadMs } = availability.cost(
      device,
      kind === 'training' ? samples : 0,
      schemeOf(parsed, kind).uploadBytes,
    );
    this.#trainMs += trainMs;
    await clock.sleep(trainMs + uploadMs);
  }
}

/** A device's keys, and the certificate that the registrar of these parties gives it. */
function identityOf(parties: Parties, seed: string, device: number): IdentityBundle {
  const suite = getSuite(parties.suite);
  const random = seededRandom(`simulation/device/${parties.suite}/${seed}/${device}`);
  const signing = suite.generateSigningKey(random);
  const sealing = suite.generateSealingKey(random);
  const subjectId = subjectIdOf('client', parties.suite, signing.publicKey);
  const serial = random.fill(new Uint8Array(SERIAL_BYTES));
  const certificate = parties.registrar.issue(
    {
      role: 'client',
      suite: parties.suite,
      subjectId,
      signingPublicKey: signing.publicKey,
      sealingPublicKey: sealing.publicKey,
    },
    serial,
  );
  return {
    role: 'client',
    suite: parties.suite,
    subjectId,
    serial: Buffer.from(serial).toString('hex'),
    notAfterMs: Number.MAX_SAFE_INTEGER,
    caPem: pem(parties.registrar.caDer),
    certPem: pem(certificate),
    certificate,
    // No connection is made.
    tlsKeyPem: '',
    signing,
    sealing,
  };
}

const pem = (der: Uint8Array): string =>
  `-----BEGIN CERTIFICATE-----\n${toBase64(der).replace(/(.{64})/g, '$1\n')}\n-----END CERTIFICATE-----\n`;
