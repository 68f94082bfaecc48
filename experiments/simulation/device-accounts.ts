/**
 * What a simulation costs each device: bytes, time, battery, rounds; and when a device is at work or away.
 *
 * Flat arrays, some 60 bytes a device. Bytes are those of payloads as a deployment would send them: fetched are the plan
 * once and each round's configuration, committee key and model; sent are uploads, sealed as the plan says, whether or not
 * they came in time. Frames, check-ins and receipts are not counted. Time and battery need a trace (availability.ts).
 * Trusts: its caller. May be called by: experiments/simulation.
 */

import * as repository from '../../coordinator/rounds/repository.ts';
import type { Store } from '../../coordinator/storage/store.ts';
import type { EncodedRoundConfig } from '../../protos/round-config.ts';
import { type Availability, HOUR_MS, type RoundCost } from './availability.ts';
import { Batteries } from './batteries.ts';

/** Over all devices, also those that never took part; percentiles by nearest rank. */
export interface Spread {
  readonly mean: number;
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
  readonly max: number;
}

export interface DeviceFigures {
  readonly devices: number;
  /** Devices that were invited at least once. */
  readonly tookPart: number;
  /** Devices that at least once kept away because their battery was below the floor. */
  readonly lowBattery: number;
  /** Rounds whose certificate names the device. */
  readonly rounds: Spread;
  readonly sentBytes: Spread;
  readonly fetchedBytes: Spread;
  /** Null without a trace: nothing says how fast devices are. */
  readonly trainMs: Spread | null;
  /** Shares of a full battery, training and uploading, on the charger and off it. Null without a trace. */
  readonly batteryShare: Spread | null;
  /** What a plot draws: the smallest value, then one at each further twentieth of the devices, up to the largest. */
  readonly curve: { readonly of: 'batteryShare' | 'bytes'; readonly values: readonly number[] };
}

/** What one round cost its devices together. */
export interface RoundAccount {
  readonly sentBytes: number;
  readonly fetchedBytes: number;
  readonly trainMs: number;
  readonly batteryShare: number;
}

const CURVE_STEPS = 20;

export class DeviceAccounts {
  readonly #trace: Availability | null;
  readonly #batteries: Batteries | null;
  readonly #planBytes: number;
  readonly #sentBytes: Float64Array;
  readonly #fetchedBytes: Float64Array;
  readonly #rounds: Uint32Array;
  readonly #trainMs: Float64Array;
  readonly #batteryShare: Float64Array;
  readonly #awayUntilMs: Float64Array;
  readonly #isLow: Uint8Array;
  readonly #byRound = new Map<number, { -readonly [Field in keyof RoundAccount]: number }>();

  constructor(devices: number, planBytes: number, trace: Availability | null) {
    this.#trace = trace;
    this.#planBytes = planBytes;
    this.#batteries = trace && new Batteries(trace, devices);
    const traced = trace ? devices : 0;
    this.#sentBytes = new Float64Array(devices);
    this.#fetchedBytes = new Float64Array(devices);
    this.#rounds = new Uint32Array(devices);
    this.#trainMs = new Float64Array(traced);
    this.#batteryShare = new Float64Array(traced);
    this.#awayUntilMs = new Float64Array(traced);
    this.#isLow = new Uint8Array(traced);
  }

  /** Whether the device is there to look for a round: not at work, not away, its battery not low. */
  isThere(device: number, timeMs: number): boolean {
    if (this.#trace === null) return true;
    if (timeMs < this.#awayUntilMs[device]!) return false;
    if (!this.#trace.terms.charging || this.#trace.isCharging(device, timeMs)) return true;
    const isLow = this.#batteries!.level(device, timeMs) < this.#trace.terms.batteryFloorShare;
    if (isLow) this.#isLow[device] = 1;
    return !isLow;
  }

  /** Until then the device joins no round: it trains, or looks again only later. */
  awayUntil(device: number, timeMs: number): void {
    if (this.#trace) this.#awayUntilMs[device] = Math.max(this.#awayUntilMs[device]!, timeMs);
  }

  /** When a device looks again whose update came to nothing at `timeMs`. */
  retiresAt(device: number, timeMs: number): void {
    if (this.#trace) this.awayUntil(device, timeMs + this.#trace.terms.pollMs);
  }

  /** When a device may look again, the earliest. */
  backAtMs(device: number): number {
    return this.#awayUntilMs[device] ?? 0;
  }

  /** An invited device fetches what the round is about. */
  fetched(device: number, round: number, bytes: number): void {
    const total = bytes + (this.#fetchedBytes[device] === 0 ? this.#planBytes : 0);
    this.#fetchedBytes[device] = this.#fetchedBytes[device]! + total;
    this.#account(round).fetchedBytes += total;
  }

  /** A device trains, and uploads where it does not vanish before; begun at `timeMs`. */
  worked(
    device: number,
    round: number,
    timeMs: number,
    { trainMs, uploadMs, sentBytes }: RoundCost & { readonly sentBytes: number },
  ): void {
    const account = this.#account(round);
    this.#sentBytes[device] = this.#sentBytes[device]! + sentBytes;
    account.sentBytes += sentBytes;
    if (this.#trace === null) return;
    const { batteryShareHour, uploadShareHour } = this.#trace.terms;
    const share = (batteryShareHour * trainMs + uploadShareHour * uploadMs) / HOUR_MS;
    this.#trainMs[device] = this.#trainMs[device]! + trainMs;
    this.#batteryShare[device] = this.#batteryShare[device]! + share;
    this.#batteries!.draw(device, timeMs, share);
    account.trainMs += trainMs;
    account.batteryShare += share;
  }

  certified(devices: Iterable<number>): void {
    for (const device of devices) this.#rounds[device] = this.#rounds[device]! + 1;
  }

  /** What the round has cost so far. Late devices go on; what they cost is booked when they set out. */
  ofRound(round: number): RoundAccount {
    return this.#account(round);
  }

  #account(round: number) {
    const known = this.#byRound.get(round) ?? { sentBytes: 0, fetchedBytes: 0, trainMs: 0, batteryShare: 0 };
    this.#byRound.set(round, known);
    return known;
  }

  figures(): DeviceFigures {
    const isTraced = this.#trace !== null;
    const bytes = this.#sentBytes.map((sent, device) => sent + this.#fetchedBytes[device]!);
    const drawn = isTraced ? this.#batteryShare : bytes;
    return {
      devices: this.#rounds.length,
      tookPart: count(this.#fetchedBytes),
      lowBattery: count(this.#isLow),
      rounds: spreadOf(this.#rounds),
      sentBytes: spreadOf(this.#sentBytes),
      fetchedBytes: spreadOf(this.#fetchedBytes),
      trainMs: isTraced ? spreadOf(this.#trainMs) : null,
      batteryShare: isTraced ? spreadOf(this.#batteryShare) : null,
      curve: { of: isTraced ? 'batteryShare' : 'bytes', values: curveOf(drawn) },
    };
  }
}

/** Bytes that every device of a round fetches. */
export function roundFetchBytes(store: Store, { config, bytes }: EncodedRoundConfig): number {
  const blobs = store.read('simulation', (db) =>
    [config.modelHash, config.committeeKeyId].map((hash) => repository.getBlob(db, hash)?.length ?? 0),
  );
  return bytes.length + blobs.reduce((sum, length) => sum + length, 0);
}

const count = (values: Float64Array | Uint8Array): number =>
  (values as Uint8Array).reduce((sum, value) => sum + (value > 0 ? 1 : 0), 0);

/** @param values not empty */
export function spreadOf(values: Float64Array | Uint32Array): Spread {
  const sorted = Float64Array.from(values).sort();
  const rank = (level: number): number => sorted[Math.max(0, Math.ceil(level * sorted.length) - 1)]!;
  const mean = sorted.reduce((sum, value) => sum + value, 0) / sorted.length;
  return { mean, p50: rank(0.5), p90: rank(0.9), p99: rank(0.99), max: sorted.at(-1)! };
}

function curveOf(values: Float64Array): number[] {
  const sorted = Float64Array.from(values).sort();
  return Array.from(
    { length: CURVE_STEPS + 1 },
    (_, i) => sorted[Math.max(0, Math.ceil((i / CURVE_STEPS) * sorted.length) - 1)]!,
  );
}
