/**
 * A population without identities: its devices look for a round, join it and send what they made, in virtual time.
 *
 * No device is an object. Which device looks when is a keyed permutation, whether it may is a pure function of time, what
 * it does is a job of the pool, and its filter is two numbers; so a round costs what its cohort costs, whatever the
 * population. Devices meet the coordinator behind its authentication: by `inviteDevices` and `acknowledgeUploads`.
 * Trusts: the coordinator of the same process. May be called by: experiments/simulation.
 */

import { weightsFromBytes } from '../../coordinator/aggregation/weights.ts';
import type { ActiveRound } from '../../coordinator/rounds/active-round.ts';
import { inviteDevices } from '../../coordinator/rounds/check-in.ts';
import type { RoundState } from '../../coordinator/rounds/machine-types.ts';
import * as repository from '../../coordinator/rounds/repository.ts';
import type { RoundServices } from '../../coordinator/rounds/services.ts';
import { acknowledgeUploads, type WholeUpload } from '../../coordinator/rounds/upload-batch.ts';
import { toHex } from '../../crypto/bytes.ts';
import { ensure, PulsefoldError } from '../../crypto/error.ts';
import type { ParsedPlan } from '../../protos/plan.ts';
import { schemeOf } from '../../protos/plan-scheme.ts';
import type { RoundKind } from '../../protos/round-config.ts';
import { type Availability, Permutation, permutationKey } from './availability.ts';
import type { Crowd, CrowdRound } from './crowd.ts';
import type { DeviceBudgets } from './device-budgets.ts';
import type { DeviceMemories } from './device-memories.ts';
import { type DevicePool, JOB_DEVICES } from './device-pool.ts';
import type { BatchUploads } from './device-work.ts';
import { type DeviceNames, deviceCount, type VirtualPopulation } from './population.ts';
import type { VirtualClock } from './virtual-clock.ts';

/** Devices that look for a round in one event. */
const CHECK_IN_DEVICES = 4096;
/** Without a trace every device looks once within this time, and has sent its update this long after. */
const LOOK_MS = 1000;
const PROMPT_MS = 2000;
/** Uploads that arrive within this time of each other are acknowledged together. */
const ARRIVAL_MS = 1000;
const DIGEST_BYTES = 32;
/** After this long a round that too few devices joined is given up. */
const PATIENCE_MS = 14 * 86_400_000;

export interface FleetParts {
  readonly clock: VirtualClock;
  readonly services: RoundServices;
  readonly parsed: ParsedPlan;
  readonly population: VirtualPopulation;
  readonly names: DeviceNames;
  readonly budgets: DeviceBudgets;
  readonly memories: DeviceMemories | null;
  readonly pool: DevicePool;
  readonly availability: Availability | null;
  readonly seed: string;
  active(): ActiveRound | null;
}

interface FleetRound {
  readonly round: number;
  readonly kind: RoundKind;
  readonly openedAtMs: number;
  /** Indices of those that were invited. */
  readonly invited: number[];
  late: number;
  dropped: number;
  refused: number;
  trainMs: number;
}

/** A batch of invited devices and the place of each in the job that it is in. */
interface Departure {
  readonly atMs: number;
  readonly device: number;
  readonly job: Promise<BatchUploads>;
  readonly slot: number;
}

export class Fleet implements Crowd {
  readonly #parts: FleetParts;
  readonly #devices: number;
  #current: FleetRound | null = null;
  /** Of the round under way, also of devices that will be late. */
  #jobs: Promise<unknown>[] = [];

  constructor(parts: FleetParts) {
    this.#parts = parts;
    this.#devices = deviceCount(parts.population);
  }

  get current(): CrowdRound {
    const { invited, ...round } = this.#current!;
    return { ...round, invited: invited.length };
  }

  /** To be called with every change of a round. */
  onRoundChange(state: RoundState): void {
    if (state.phase !== 'collecting' || this.#current?.round === state.round) return;
    const { clock } = this.#parts;
    this.#current = {
      round: state.round,
      kind: state.kind,
      openedAtMs: clock.nowMs(),
      invited: [],
      late: 0,
      dropped: 0,
      refused: 0,
      trainMs: 0,
    };
    // The coordinator has the round under way only after it has told of it.
    clock.after(0, () => clock.begin(() => this.#open(this.#current!)));
  }

  /** Settles the devices' filters once a round is over. */
  ended(state: RoundState): void {
    const round = this.#current;
    if (round?.round !== state.round) return;
    const { budgets, memories, names } = this.#parts;
    // Whoever is on the way still arrives in virtual time that nobody waits for.
    round.late = round.invited.length - round.dropped - state.uploaded.length;
    if (state.phase === 'aborted') {
      budgets.settle(round.invited, round.kind, null);
      return;
    }
    const cohort = state.cohort ?? [];
    const certified = new Set(cohort.map((deviceId) => names.indexOf(deviceId)));
    budgets.settle(certified, round.kind, cohort.length);
    memories?.certify(certified);
    if (certified.size < round.invited.length)
      budgets.settle(
        round.invited.filter((device) => !certified.has(device)),
        round.kind,
        null,
      );
  }

  /** The round, if devices can still join it. */
  #collecting(round: FleetRound): ActiveRound | null {
    const active = this.#parts.active();
    return active?.state.phase === 'collecting' && active.state.round === round.round ? active : null;
  }

  async #open(round: FleetRound): Promise<void> {
    const { services, parsed, pool, memories } = this.#parts;
    // One job of a device at a time: what it remembers must not depend on which thread is faster.
    if (memories) await Promise.allSettled(this.#jobs);
    this.#jobs = [];
    memories?.forgetOpen();
    const active = this.#collecting(round);
    ensure(active, 'INTERNAL', `round ${round.round} is not under way`);
    const { config } = active.config;
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
    ensure(config.planHash === parsed.hashHex, 'INTERNAL', 'a round of another plan');
    this.#pass(round, 0);
  }

  /** Everybody looks once, in an order of this pass; who could not join looks again in the next one. */
  #pass(round: FleetRound, number: number): void {
    const { clock, availability, parsed, seed } = this.#parts;
    const lookMs = availability?.terms.pollMs ?? LOOK_MS;
    // Who comes first matters only where not everybody can be invited.
    const isSampled = parsed.plan.rounds.cohortMax < this.#devices;
    const order = isSampled
      ? new Permutation(this.#devices, permutationKey(`${seed}/${round.round}/${number}`))
      : { at: (index: number) => index };
    const startMs = clock.nowMs();
    const atMs = (index: number) => startMs + Math.floor((lookMs * index) / this.#devices);
    const joined = new Set(round.invited);
    const look = (from: number): void => {
      if (!this.#collecting(round)) return;
      const to = Math.min(this.#devices, from + CHECK_IN_DEVICES);
      const asking: number[] = [];
      for (let index = from; index < to; index++) {
        const device = order.at(index);
        if (!joined.has(device) && this.#mayJoin(device, atMs(index))) asking.push(device);
      }
      clock.begin(async () => {
        const isFull = await this.#checkIn(round, asking);
        if (isFull) return;
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

  #mayJoin(device: number, timeMs: number): boolean {
    const { availability, parsed, population } = this.#parts;
    const { recordsMin, recordsMax, chargingRequired, unmeteredRequired } = parsed.plan.eligibility;
    const { offsets, evaluation } = population;
    const table = this.#current!.kind === 'training' ? offsets : evaluation?.offsets;
    if (!table) return false;
    const rows = table[device + 1]! - table[device]!;
    const least = this.#current!.kind === 'training' ? recordsMin : 1;
    if (rows < Math.max(1, least) || rows > recordsMax) return false;
    if (!availability || !(chargingRequired || unmeteredRequired)) return true;
    const { charging, unmetered } = availability.conditions(device, timeMs);
    return (charging || !chargingRequired) && (unmetered || !unmeteredRequired);
  }

  /** True once the round takes nobody any more. */
  async #checkIn(round: FleetRound, asking: readonly number[]): Promise<boolean> {
    const { services, names, budgets } = this.#parts;
    const active = this.#collecting(round);
    if (!active || asking.length === 0) return active === null;
    const able = asking.filter((device) => budgets.reserve(device, round.kind));
    round.refused += asking.length - able.length;
    const candidates = able.map((device) => ({
      deviceId: names.deviceId(device),
      pseudonym: names.pseudonym(device),
    }));
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

  /** Gives the devices' work to the pool and has each upload arrive in its time. */
  #sendOff(round: FleetRound, invited: readonly number[]): void {
    const { availability, clock, pool } = this.#parts;
    const staying = availability
      ? invited.filter((device) => !availability.dropsOut(device, round.round))
      : invited;
    round.dropped += invited.length - staying.length;
    const departures: Departure[] = [];
    for (let from = 0; from < staying.length; from += JOB_DEVICES) {
      const devices = Uint32Array.from(staying.slice(from, from + JOB_DEVICES));
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

  #arrivalMs(round: FleetRound, device: number): number {
    const { availability, clock, parsed, population } = this.#parts;
    if (!availability) return clock.nowMs() + PROMPT_MS;
    const { offsets } = population;
    const samples = (offsets[device + 1]! - offsets[device]!) * parsed.plan.training.epochs;
    const { trainMs, uploadMs } = availability.cost(
      device,
      round.kind === 'training' ? samples : 0,
      schemeOf(parsed, round.kind).uploadBytes,
    );
    round.trainMs += trainMs;
    return clock.nowMs() + Math.ceil(trainMs + uploadMs);
  }

  async #arrive(round: FleetRound, departures: readonly Departure[]): Promise<void> {
    const { services, names } = this.#parts;
    const active = this.#collecting(round);
    if (!active) {
      round.late += departures.length;
      return;
    }
    const { body, holderPart } = services.secagg.sizes(active.scheme);
    const length = body + holderPart;
    const bytes = new Uint8Array(departures.length * length);
    const made: BatchUploads[] = [];
    for (const [i, { job, slot }] of departures.entries()) {
      const uploads = await job;
      bytes.set(uploads.bytes.subarray(slot * length, (slot + 1) * length), i * length);
      made.push(uploads);
    }
    const place = await services.spool.append(active.at, bytes);
    const digestOf = (digests: Uint8Array, slot: number) =>
      toHex(digests.subarray(slot * DIGEST_BYTES, (slot + 1) * DIGEST_BYTES));
    const uploads = departures.map(({ device, slot }, i): WholeUpload => {
      const { digests, bodyDigests } = made[i]!;
      return {
        deviceId: names.deviceId(device),
        digest: digestOf(digests, slot),
        bodyDigest: digestOf(bodyDigests, slot),
        place: { segment: place.segment, position: place.position + i * length, length },
      };
    });
    const outcomes = await acknowledgeUploads(services, active, uploads);
    for (const outcome of outcomes) if (outcome !== 'acknowledged') round.late++;
  }
}
