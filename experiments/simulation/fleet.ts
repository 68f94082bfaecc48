/**
 * A population of seeds: its devices look for a round, join it and send what they made, in virtual time.
 *
 * No device is an object. Which device looks when is a keyed permutation, whether it may is a pure function of time, what
 * it does is a job of the pool, and its filter is two numbers; so a round costs what its cohort costs, whatever the
 * population. Devices without identities meet the coordinator behind its authentication, by `inviteDevices` and
 * `acknowledgeUploads`; those with identities prove themselves and are given proofs (fleet-identities.ts).
 * Trusts: the coordinator of the same process. May be called by: experiments/simulation.
 */

import { weightsFromBytes } from '../../coordinator/aggregation/weights.ts';
import type { ActiveRound } from '../../coordinator/rounds/active-round.ts';
import { inviteDevices } from '../../coordinator/rounds/check-in.ts';
import type { RoundState } from '../../coordinator/rounds/machine-types.ts';
import * as repository from '../../coordinator/rounds/repository.ts';
import type { RoundServices } from '../../coordinator/rounds/services.ts';
import { acknowledgeUploads } from '../../coordinator/rounds/upload-batch.ts';
import { ensure, PulsefoldError } from '../../crypto/error.ts';
import type { ParsedPlan } from '../../protos/plan.ts';
import { lastEndedBefore, overlapOf } from '../../protos/plan-overlap.ts';
import { schemeOf } from '../../protos/plan-scheme.ts';
import type { RoundKind } from '../../protos/round-config.ts';
import { gatherUploads, type Made } from './arrivals.ts';
import { type Availability, Permutation, permutationKey, type RoundCost } from './availability.ts';
import type { Crowd, CrowdRound } from './crowd.ts';
import { type DeviceAccounts, roundFetchBytes } from './device-accounts.ts';
import type { DeviceBudgets } from './device-budgets.ts';
import type { DeviceMemories } from './device-memories.ts';
import { type DevicePool, JOB_DEVICES } from './device-pool.ts';
import type { FleetIdentities, MadeUploads } from './fleet-identities.ts';
import { deviceCount, type Names, type VirtualPopulation } from './population.ts';
import type { VirtualClock } from './virtual-clock.ts';

/** Devices that look for a round in one event. */
const CHECK_IN_DEVICES = 4096;
/** Without a trace every device looks once within this time, and has sent its update this long after. */
const LOOK_MS = 1000;
const PROMPT_MS = 2000;
/** Uploads that arrive within this time of each other are acknowledged together. */
const ARRIVAL_MS = 1000;
/** After this long a round that too few devices joined is given up. */
const PATIENCE_MS = 14 * 86_400_000;

export interface FleetParts {
  readonly clock: VirtualClock;
  readonly services: RoundServices;
  readonly parsed: ParsedPlan;
  readonly population: VirtualPopulation;
  readonly names: Names;
  /** Null: devices are believed. */
  readonly identities: FleetIdentities | null;
  readonly budgets: DeviceBudgets;
  readonly memories: DeviceMemories | null;
  readonly pool: DevicePool;
  readonly availability: Availability | null;
  readonly accounts: DeviceAccounts;
  readonly seed: string;
  /** A round under way. */
  active(round: number): ActiveRound | null;
}

interface FleetRound {
  readonly round: number;
  readonly kind: RoundKind;
  readonly openedAtMs: number;
  /** Indices of those that were invited. */
  readonly invited: number[];
  readonly ids: Map<number, string>;
  late: number;
  dropped: number;
  refused: number;
  /** What each device fetches and sends. */
  fetchBytes: number;
  readonly uploadBytes: number;
}

/** A batch of invited devices and the place of each in the job that it is in. */
interface Departure extends Made {
  readonly atMs: number;
  readonly device: number;
}

export class Fleet implements Crowd {
  readonly #parts: FleetParts;
  readonly #devices: number;
  /** Rounds under way, and the last that ended. */
  readonly #rounds = new Map<number, FleetRound>();
  /** Where rounds overlap: devices at work for one, which look for no other. */
  readonly #atWork = new Set<number>();
  readonly #overlaps: boolean;
  /** Of the round under way, also of devices that will be late. */
  #jobs: Promise<unknown>[] = [];

  constructor(parts: FleetParts) {
    this.#parts = parts;
    this.#devices = deviceCount(parts.population);
    this.#overlaps = overlapOf(parts.parsed.plan) > 0;
  }

  round(number: number): CrowdRound {
    const { invited, ids: ___, fetchBytes: _, uploadBytes: __, ...round } = this.#rounds.get(number)!;
    return { ...round, invited: invited.length };
  }

  /** To be called with every change of a round. */
  onRoundChange(state: RoundState): void {
    if (state.phase !== 'collecting' || this.#rounds.has(state.round)) return;
    const { clock, parsed } = this.#parts;
    const round: FleetRound = {
      round: state.round,
      kind: state.kind,
      openedAtMs: clock.nowMs(),
      invited: [],
      ids: new Map(),
      late: 0,
      dropped: 0,
      refused: 0,
      fetchBytes: 0,
      uploadBytes: schemeOf(parsed, state.kind).uploadBytes,
    };
    this.#rounds.set(state.round, round);
    for (const earlier of this.#rounds.keys())
      if (earlier < lastEndedBefore(parsed.plan, state.round)) this.#rounds.delete(earlier);
    // The coordinator has the round under way only after it has told of it.
    clock.after(0, () => clock.begin(() => this.#open(round)));
  }

  /** Settles the devices' filters once a round is over. */
  ended(state: RoundState): void {
    const round = this.#rounds.get(state.round);
    if (!round) return;
    const { accounts, budgets, clock, identities, memories, names } = this.#parts;
    // Whoever is on the way still arrives in virtual time that nobody waits for.
    round.late = round.invited.length - round.dropped - state.uploaded.length;
    if (identities) {
      clock.begin(() => this.#settleByReceipts(identities, round, state));
      return;
    }
    if (state.phase === 'aborted') {
      budgets.settle(round.invited, round.kind, null);
      return;
    }
    const cohort = state.cohort ?? [];
    const certified = new Set(cohort.map((deviceId) => names.indexOf(deviceId)));
    budgets.settle(certified, round.kind, cohort.length);
    memories?.certify(certified);
    accounts.certified(certified);
    if (certified.size < round.invited.length)
      budgets.settle(
        round.invited.filter((device) => !certified.has(device)),
        round.kind,
        null,
      );
  }

  /** As an agent does (client/agent/receipts.ts): what no receipt decides stays set aside. */
  async #settleByReceipts(identities: FleetIdentities, round: FleetRound, state: RoundState): Promise<void> {
    const { accounts, budgets, memories } = this.#parts;
    const { charged, released } = await identities.settle(state);
    budgets.settle(charged, round.kind, state.cohort?.length ?? 0);
    budgets.settle(released, round.kind, null);
    memories?.certify(charged);
    accounts.certified(charged);
  }

  /** The round, if devices can still join it. */
  #collecting(round: FleetRound): ActiveRound | null {
    const active = this.#parts.active(round.round);
    return active?.state.phase === 'collecting' ? active : null;
  }

  async #open(round: FleetRound): Promise<void> {
    const { identities, services, parsed, pool, memories } = this.#parts;
    // One job of a device at a time: what it remembers must not depend on which thread is faster.
    if (memories) await Promise.allSettled(this.#jobs);
    this.#jobs = [];
    memories?.forgetOpen();
    const active = this.#collecting(round);
    ensure(active, 'INTERNAL', `round ${round.round} is not under way`);
    const { config } = active.config;
    round.fetchBytes = roundFetchBytes(services.store, active.config);
    const { blob, key } = services.store.read('simulation', (db) => ({
      blob: repository.getBlob(db, config.modelHash)!,
      key: repository.getBlob(db, config.committeeKeyId)!,
    }));
    await pool.openRound({
      config,
      configHash: active.config.hash,
      weights: weightsFromBytes(blob),
      committeeKey: key,
    });
    await identities?.openRound(active);
    ensure(config.planHash === parsed.hashHex, 'INTERNAL', 'a round of another plan');
    this.#pass(round, 0);
  }

  /** Everybody looks once, in an order of this pass; who could not join looks again in the next one. */
  #pass(round: FleetRound, number: number): void {
    const { clock, availability, parsed, seed } = this.#parts;
    const lookMs = availability?.terms.pollMs ?? LOOK_MS;
    // Who comes first matters only where not everybody can be invited.
    const { cohortMax } = parsed.plan.rounds;
    const isSampled = cohortMax < this.#devices;
    const order = isSampled
      ? new Permutation(this.#devices, permutationKey(`${seed}/${round.round}/${number}`))
      : { at: (index: number) => index };
    const startMs = clock.nowMs();
    const atMs = (index: number) => startMs + Math.floor((lookMs * index) / this.#devices);
    const joined = new Set(round.invited);
    const look = (from: number): void => {
      if (!this.#collecting(round)) return;
      const to = Math.min(this.#devices, from + CHECK_IN_DEVICES);
      const mayJoin = (index: number) => {
        const device = order.at(index);
        return !joined.has(device) && this.#mayJoin(round, device, atMs(index)) ? [device] : [];
      };
      clock.begin(async () => {
        for (let index = from; index < to; ) {
          // Nobody is asked for whom there is no room.
          const room = cohortMax - round.invited.length;
          const asking: number[] = [];
          for (; index < to && asking.length < room; index++) asking.push(...mayJoin(index));
          if (room <= 0 || (await this.#checkIn(round, asking))) return;
        }
        if (to < this.#devices) clock.at(atMs(to), () => look(to));
        else this.#lookAgain(round, number + 1, startMs + lookMs);
      });
    };
    look(0);
  }

  /** Whoever could not join looks again, while that may change something. */
  #lookAgain(round: FleetRound, number: number, atMs: number): void {
    const { availability, clock, parsed } = this.#parts;
    const { cohortMin } = parsed.plan.rounds;
    const isHopeless = !availability || atMs - round.openedAtMs > PATIENCE_MS;
    if (!isHopeless) clock.at(atMs, () => this.#pass(round, number));
    // A coordinator would wait for ever.
    else if (round.invited.length < cohortMin)
      clock.fail(
        new PulsefoldError(
          round.refused > 0 ? 'BUDGET_EXCEEDED' : 'COHORT_TOO_SMALL',
          `round ${round.round}: only ${round.invited.length} of at least ${cohortMin} devices can take part; ` +
            `the budget of ${round.refused} refuses`,
        ),
      );
  }

  #mayJoin({ kind }: FleetRound, device: number, timeMs: number): boolean {
    if (this.#atWork.has(device)) return false;
    const { accounts, availability, parsed, population } = this.#parts;
    const { recordsMin, recordsMax, chargingRequired, unmeteredRequired } = parsed.plan.eligibility;
    const { offsets, evaluation } = population;
    const table = kind === 'training' ? offsets : evaluation?.offsets;
    if (!table) return false;
    const rows = table[device + 1]! - table[device]!;
    const least = kind === 'training' ? recordsMin : 1;
    if (rows < Math.max(1, least) || rows > recordsMax) return false;
    if (!availability) return true;
    if (!accounts.isThere(device, timeMs)) return false;
    if (!(chargingRequired || unmeteredRequired)) return true;
    const { charging, unmetered } = availability.conditions(device, timeMs);
    return (charging || !chargingRequired) && (unmetered || !unmeteredRequired);
  }

  /** True once the round takes nobody any more. */
  async #checkIn(round: FleetRound, asking: readonly number[]): Promise<boolean> {
    const { services, names, budgets } = this.#parts;
    const active = this.#collecting(round);
    if (!active || asking.length === 0) return active === null;
    const willing = asking.filter((device) => budgets.reserve(device, round.kind));
    const able = await this.#admitted(round, willing);
    round.refused += asking.length - able.length;
    const candidates = able.map((device) => ({
      deviceId: names.deviceId(device),
      pseudonym: names.pseudonym(device),
    }));
    // The coordinator goes by these very strings, so that comparing them costs nothing.
    for (const [i, device] of able.entries()) round.ids.set(device, candidates[i]!.deviceId);
    const outcomes = await inviteDevices(services, active, candidates);
    const invited = able.filter((_, i) => outcomes[i] === 'invited');
    if (invited.length < able.length) {
      const turnedAway = able.filter((_, i) => outcomes[i] !== 'invited');
      budgets.settle(turnedAway, round.kind, null);
      round.refused += outcomes.filter((outcome) => typeof outcome === 'object').length;
    }
    for (const device of invited) round.invited.push(device);
    this.#sendOff(round, invited);
    return outcomes.some((outcome) => outcome === 'full' || outcome === 'closed');
  }

  /** Those whose check-in the coordinator believes. */
  async #admitted(round: FleetRound, devices: readonly number[]): Promise<readonly number[]> {
    const { budgets, identities } = this.#parts;
    if (!identities) return devices;
    const admitted = await identities.admit(devices);
    const refused = devices.filter((device) => !admitted.has(device));
    budgets.settle(refused, round.kind, null);
    return refused.length === 0 ? devices : devices.filter((device) => admitted.has(device));
  }

  /** Gives the devices' work to the pool and has each upload arrive in its time. */
  #sendOff(round: FleetRound, invited: readonly number[]): void {
    const { accounts, availability, clock, pool } = this.#parts;
    for (const device of invited) accounts.fetched(device, round.round, round.fetchBytes);
    const staying = availability ? invited.filter((device) => !this.#vanishes(round, device)) : invited;
    round.dropped += invited.length - staying.length;
    if (this.#overlaps) for (const device of staying) this.#atWork.add(device);
    const departures: Departure[] = [];
    // A small cohort is shared out as well.
    const jobDevices = Math.min(JOB_DEVICES, Math.ceil(staying.length / Math.max(1, pool.workers)));
    for (let from = 0; from < staying.length; from += jobDevices) {
      const devices = Uint32Array.from(staying.slice(from, from + jobDevices));
      const job = pool.work(round.round, devices);
      // Whoever waits for it hears of it.
      job.catch(() => {});
      this.#jobs.push(job);
      for (const [slot, device] of devices.entries())
        departures.push({ atMs: this.#arrivalMs(round, device), device, job, slot });
    }
    if (availability) departures.sort((a, b) => a.atMs - b.atMs);
    for (let from = 0; from < departures.length; ) {
      const endMs = departures[from]!.atMs + ARRIVAL_MS;
      let to = from + 1;
      while (to < departures.length && to - from < CHECK_IN_DEVICES && departures[to]!.atMs < endMs) to++;
      const together = departures.slice(from, to);
      clock.at(together.at(-1)!.atMs, () => clock.begin(() => this.#arrive(round, together)));
      from = to;
    }
  }

  /** A device that vanishes has trained for nothing, and looks again a poll after it would have been done. */
  #vanishes(round: FleetRound, device: number): boolean {
    const { accounts, availability, clock } = this.#parts;
    if (!availability!.dropsOut(device, round.round)) return false;
    const { trainMs, uploadMs } = this.#costOf(round, device);
    const nowMs = clock.nowMs();
    accounts.worked(device, round.round, nowMs, { trainMs, uploadMs: 0, sentBytes: 0 });
    accounts.retiresAt(device, nowMs + Math.ceil(trainMs + uploadMs));
    return true;
  }

  /** When the upload of a device that sets out now arrives; books what it costs. */
  #arrivalMs(round: FleetRound, device: number): number {
    const { accounts, availability, clock } = this.#parts;
    const nowMs = clock.nowMs();
    const cost = availability ? this.#costOf(round, device) : { trainMs: 0, uploadMs: 0 };
    accounts.worked(device, round.round, nowMs, { ...cost, sentBytes: round.uploadBytes });
    if (!availability) return nowMs + PROMPT_MS;
    const doneMs = nowMs + Math.ceil(cost.trainMs + cost.uploadMs);
    accounts.awayUntil(device, doneMs);
    return doneMs;
  }

  #costOf(round: FleetRound, device: number): RoundCost {
    const { availability, parsed, population } = this.#parts;
    const { offsets } = population;
    const samples = (offsets[device + 1]! - offsets[device]!) * parsed.plan.training.epochs;
    return availability!.cost(device, round.kind === 'training' ? samples : 0, round.uploadBytes);
  }

  async #arrive(round: FleetRound, departures: readonly Departure[]): Promise<void> {
    const { accounts, clock, services } = this.#parts;
    for (const { device } of departures) this.#atWork.delete(device);
    const active = this.#collecting(round);
    if (!active) {
      round.late += departures.length;
      for (const { device } of departures) accounts.retiresAt(device, clock.nowMs());
      return;
    }
    const { body, holderPart } = services.secagg.sizes(active.scheme);
    const made = await gatherUploads(departures, body + holderPart);
    const devices = departures.map(({ device }) => device);
    const taken = await this.#deliver(round, active, { devices, ...made });
    for (const [i, isTaken] of taken.entries()) {
      if (isTaken) continue;
      round.late++;
      accounts.retiresAt(departures[i]!.device, clock.nowMs());
    }
  }
  /** Whether each upload counts. */
  async #deliver(
    round: FleetRound,
    active: ActiveRound,
    { bytes, devices, ...hashes }: MadeUploads & Awaited<ReturnType<typeof gatherUploads>>,
  ): Promise<boolean[]> {
    const { identities, services } = this.#parts;
    if (identities) {
      const answers = await identities.deliver(active, { bytes, devices, digests: hashes.digests });
      return answers.map(({ kind }) => kind === 'acknowledged');
    }
    const place = await services.spool.append(active.at, bytes);
    const deviceIds = devices.map((device) => round.ids.get(device)!);
    const outcomes = await acknowledgeUploads(services, active, { deviceIds, ...hashes, place });
    return outcomes.map((outcome) => outcome === 'acknowledged');
  }
}
