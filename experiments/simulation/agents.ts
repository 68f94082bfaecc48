/**
 * A population with identities: one real client agent per device, on the coordinator's real service, in virtual time.
 *
 * For `identity: signed` with `devices: agents`: certificates, check-ins, uploads, receipts and budgets are what they are in
 * production; only gRPC and the vault are left out. Agents are objects with state, so this is for hundreds of devices; the
 * same by the thousand is fleet-identities.ts.
 * Trusts: nothing that production would not. May be called by: experiments/simulation.
 */
import { ClientAgent } from '../../client/agent/agent.ts';
import type { BudgetLimits } from '../../client/agent/budget.ts';
import { isTransient } from '../../client/agent/clock.ts';
import { giveConsent } from '../../client/agent/consent.ts';
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
import type { Identity } from '../../crypto/identity/certificate.ts';
import { getSuite } from '../../crypto/identity/suite.ts';
import { seededRandom, systemRandom } from '../../crypto/random.ts';
import type { ParsedPlan } from '../../protos/plan.ts';
import { lastEndedBefore } from '../../protos/plan-overlap.ts';
import { schemeOf } from '../../protos/plan-scheme.ts';
import { parseRoundConfig, type RoundConfig } from '../../protos/round-config.ts';
import type { IdentityBundle } from '../../protos/transport/identity-bundle.ts';
import type { CallContext } from '../../protos/transport/server.ts';
import type { Availability } from './availability.ts';
import type { Crowd, CrowdRound } from './crowd.ts';
import { type DeviceAccounts, roundFetchBytes } from './device-accounts.ts';
import { deviceIdentity } from './device-identity.ts';
import { type Parties, policyOf } from './parties.ts';
import { deviceCount, rowsOf, type VirtualPopulation } from './population.ts';
import type { VirtualClock } from './virtual-clock.ts';

const CHECK_IN_WAIT_MS = 60_000;
/** A phone waits for its charger as long as it takes. */
const CONDITION_PATIENCE_MS = 604_800_000;

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
  readonly accounts: DeviceAccounts;
  readonly limits: { readonly epsilon: number; readonly delta: number } | undefined;
  readonly seed: string;
  readonly noise: 'seeded' | 'system';
}

interface AgentsRound extends Omit<CrowdRound, 'dropped'> {
  readonly phase: string;
  readonly dropped: ReadonlySet<number>;
}

interface CheckInOutcome {
  readonly wait?: { readonly retryAfterMs: number };
  readonly invitation?: { readonly config: Uint8Array };
}

const NO_COST = { trainMs: 0, uploadMs: 0 };

export class Agents implements Crowd {
  readonly #parts: AgentsParts;
  readonly #handlers: ReturnType<typeof roundsService>['handlers'];
  readonly #waiting = new Set<() => void>();
  /** Those that wait for a round to open, not only for one to move on. */
  readonly #polling = new Set<() => void>();
  /** Rounds under way, and the last that ended. */
  readonly #rounds = new Map<number, AgentsRound>();
  /** By device: the last round that it set out for. */
  readonly #lastRound: Uint32Array;
  readonly #deviceOf = new Map<string, number>();
  /** By device: what it was invited to last. */
  readonly #invitations = new Map<number, RoundConfig>();
  #fetch = { hash: '', bytes: 0 };

  constructor(parts: AgentsParts) {
    this.#parts = parts;
    this.#lastRound = new Uint32Array(deviceCount(parts.population));
    this.#handlers = roundsService(parts.services, parts.plans).handlers;
  }

  round(number: number): CrowdRound {
    const { phase: _, dropped, ...round } = this.#rounds.get(number)!;
    return { ...round, dropped: dropped.size };
  }

  onRoundChange({ round, kind, phase, invited }: RoundState): void {
    const { clock, parsed } = this.#parts;
    const fresh = { round, kind, openedAtMs: clock.nowMs(), late: 0, dropped: new Set<number>(), refused: 0 };
    const known = this.#rounds.get(round);
    this.#rounds.set(round, { ...(known ?? fresh), phase, invited: invited.length });
    for (const earlier of this.#rounds.keys())
      if (earlier < lastEndedBefore(parsed.plan, round)) this.#rounds.delete(earlier);
    if (phase === known?.phase) return;
    clock.after(0, () => wakeAll(this.#waiting));
    if (phase === 'collecting') clock.after(0, () => wakeAll(this.#polling));
  }

  ended({ round, phase, invited, uploaded, cohort }: RoundState): void {
    const known = this.#rounds.get(round);
    if (!known) return;
    // Whoever is on the way still arrives in virtual time that nobody waits for.
    this.#rounds.set(round, { ...known, late: invited.length - known.dropped.size - uploaded.length });
    if (phase === 'aborted') return;
    this.#parts.accounts.certified((cohort ?? []).map((deviceId) => this.#deviceOf.get(deviceId)!));
  }

  /** Lets those who wait for news look again. */
  wake(): void {
    wakeAll(this.#waiting);
    wakeAll(this.#polling);
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
    const identity = bundleOf(parties, seed, device);
    this.#deviceOf.set(identity.subjectId, device);
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
    for (;;) {
      try {
        // Nobody is there to be asked: virtual people agree to whatever plan they are simulated for.
        if (parsed.plan.consent) await giveConsent(await agent.rights());
        await agent.join();
        return;
      } catch (error) {
        // It vanished for longer than it keeps asking: like an app that was closed, it begins anew.
        if (!isTransient(error) || !availability) throw error;
        await clock.sleep(availability.terms.pollMs);
      }
    }
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
    const parts = this.#parts;
    const identity = { subjectId, signingPublicKey: signing.publicKey } as Identity;
    const context = { identity, certificate, signal: new AbortController().signal } as unknown as CallContext;
    const call = async (method: string, message: object): Promise<object> =>
      (await this.#handlers[method]!(message as never, context)) as object;
    return {
      getPlan: () => call('getPlan', {}),
      checkIn: (request) => this.#checkIn(device, request, (message) => call('checkIn', message)),
      getBlob: (request) => call('getBlob', request),
      getUploadState: (request) => call('getUploadState', request),
      putUpload: async (request) => {
        if (request.offset === 0) await this.#travel(device);
        const reply = await call('putUpload', request);
        // Nobody waits for it any more: it looks again at its next poll.
        if ((reply as { late?: boolean }).late) parts.accounts.retiresAt(device, parts.clock.nowMs());
        return reply;
      },
      getReceipt: (request) => call('getReceipt', { logSizeSeen: 0, charged: '', ...request }),
      withdraw: (request) => call('withdraw', request),
      consent: (request) => call('consent', request),
      subjectAccess: (request) => call('subjectAccess', request),
      eraseDevice: (request) => call('eraseDevice', request),
      close: () => {},
    };
  }

  /** A long poll: the call waits here, in virtual time, and not at the coordinator. */
  async #checkIn(
    device: number,
    request: { readonly waitMs: number },
    call: (message: object) => Promise<object>,
  ): Promise<object> {
    const { accounts, availability, clock } = this.#parts;
    if (availability && !accounts.isThere(device, clock.nowMs())) {
      const awayMs = accounts.backAtMs(device) - clock.nowMs();
      await clock.sleep(awayMs > 0 ? awayMs : availability.terms.pollMs);
      // The request has grown old meanwhile; the agent signs another.
      return { wait: { retryAfterMs: 0, reason: '' }, outcome: 'wait' };
    }
    const endsAtMs = clock.nowMs() + request.waitMs;
    for (;;) {
      const reply = (await call({ ...request, waitMs: 0 })) as CheckInOutcome;
      const outcome = Object.keys(reply)[0];
      this.#noteInvitation(device, reply);
      const mayWait = reply.wait?.retryAfterMs === 0 && clock.nowMs() < endsAtMs;
      if (!mayWait) return { ...reply, outcome };
      await clock.park((wake) => {
        this.#polling.add(wake);
        const timer = clock.at(endsAtMs, wake);
        return () => {
          this.#polling.delete(wake);
          timer.stop();
        };
      });
    }
  }

  #noteInvitation(device: number, { invitation }: CheckInOutcome): void {
    if (!invitation) return;
    const { config } = parseRoundConfig(invitation.config, getSuite(this.#parts.parsed.plan.suite));
    this.#invitations.set(device, config);
  }

  /** What training and the network take; a device that drops out comes back when the round is over. */
  async #travel(device: number): Promise<void> {
    const { accounts, availability, clock, parsed, population } = this.#parts;
    const { round, kind } = this.#invitations.get(device)!;
    // Bytes that are sent again were made and paid for before.
    if (this.#lastRound[device] === round) return;
    this.#lastRound[device] = round;
    accounts.fetched(device, round, this.#fetchBytes(round));
    const { offsets } = population;
    const samples = (offsets[device + 1]! - offsets[device]!) * parsed.plan.training.epochs;
    const sentBytes = schemeOf(parsed, kind).uploadBytes;
    if (!availability) return accounts.worked(device, round, clock.nowMs(), { ...NO_COST, sentBytes });
    const cost = availability.cost(device, kind === 'training' ? samples : 0, sentBytes);
    if (!availability.dropsOut(device, round)) {
      accounts.worked(device, round, clock.nowMs(), { ...cost, sentBytes });
      return await clock.sleep(Math.ceil(cost.trainMs + cost.uploadMs));
    }
    const known = this.#rounds.get(round);
    if (known) this.#rounds.set(round, { ...known, dropped: new Set(known.dropped).add(device) });
    accounts.worked(device, round, clock.nowMs(), { ...cost, uploadMs: 0, sentBytes: 0 });
    while (this.#rounds.get(round)?.phase === 'collecting')
      await clock.park((wake) => {
        this.#waiting.add(wake);
        return () => this.#waiting.delete(wake);
      });
    throw new PulsefoldError('UNAVAILABLE', 'this device was away');
  }

  /** Of a round under way, looked up once. */
  #fetchBytes(round: number): number {
    const { plans, services } = this.#parts;
    const config = plans.current()?.runner.round(round)?.config;
    if (!config) return 0;
    if (this.#fetch.hash !== config.hashHex)
      this.#fetch = { hash: config.hashHex, bytes: roundFetchBytes(services.store, config) };
    return this.#fetch.bytes;
  }
}

function wakeAll(waiting: ReadonlySet<() => void>): void {
  for (const wake of [...waiting]) wake();
}

/** As the vault of an enrolled device holds it. */
function bundleOf(parties: Parties, seed: string, device: number): IdentityBundle {
  const { subjectId, serial, signing, sealing, certificate } = deviceIdentity(parties, seed, device);
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
