/**
 * When a virtual device could take part, how fast it is, whether it drops out: pure functions of seed, device and time,
 * so that a trace of a million devices takes no memory.
 *
 * A device charges for some hours around its owner's night and is then mostly on a free network; it trains at a speed and
 * talks at a bandwidth of its own (log-normal), and now and then vanishes before it has sent anything.
 * Trusts: nothing. May be called by: experiments.
 */
import { z } from 'zod';
import { utf8 } from '../../crypto/bytes.ts';
import { getSuite } from '../../crypto/identity/suite.ts';

const share = z.number().min(0).max(1);
const hours = z.number().min(0).max(24);

/** As an experiment file states it; everything has a default. */
export const availabilitySchema = z.strictObject({
  /** Charging at night by local time; false: always charging. */
  charging: z.boolean().default(true),
  /** Local hour at which charging begins, and for how long, on average. */
  chargingFromHour: hours.default(22.5),
  chargingHours: hours.default(7.5),
  /** How far devices differ from that, and nights from each other, hours. */
  spreadHours: hours.default(1.5),
  /** Share of nights on a free network, where a device charges. */
  unmeteredShare: share.default(0.9),
  /** Time zones, equally populated: offsets from UTC in hours. */
  zones: z.array(z.number().min(-12).max(14)).min(1).max(40).default([0]),
  /** Of devices that were invited, those that vanish before they have uploaded. */
  dropout: share.default(0.05),
  /** A typical device: time per sample and epoch, bytes per second upwards; and the factor between most devices. */
  sampleMs: z.number().min(0).max(60_000).default(0.5),
  uploadBytesPerSecond: z.number().min(1).max(1e9).default(250_000),
  spreadFactor: z.number().min(1).max(100).default(2),
  /** How often a device that waits looks again, milliseconds. */
  pollMs: z.int().min(1000).max(86_400_000).default(900_000),
  /** Shares of a full battery per hour: of training, of uploading, of lying about unplugged, and on the charger. */
  batteryShareHour: share.default(0.15),
  uploadShareHour: share.default(0.05),
  idleShareHour: share.default(0.04),
  chargeShareHour: z.number().gt(0).max(10).default(0.5),
  /** A device off its charger whose battery is below this share takes no part. */
  batteryFloorShare: share.default(0.15),
});
export type AvailabilityOptions = z.input<typeof availabilitySchema>;
type Terms = z.output<typeof availabilitySchema>;

export const DAY_MS = 86_400_000;
export const HOUR_MS = 3_600_000;
/** Independent draws of a device. */
const DRAW = {
  zone: 1,
  start: 2,
  length: 3,
  night: 4,
  network: 5,
  speed: 6,
  bandwidth: 7,
  dropout: 8,
} as const;

/** 32 bits from four 32-bit words: the finaliser of MurmurHash3 over each (public domain, A. Appleby). */
function mix(a: number, b: number, c: number, d: number): number {
  let hash = a;
  for (const word of [b, c, d]) {
    hash = Math.imul(hash ^ word, 0x85ebca6b);
    hash ^= hash >>> 13;
    hash = Math.imul(hash, 0xc2b2ae35);
    hash = (hash ^ (hash >>> 16)) + 0x9e3779b9;
  }
  hash = Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d);
  return (hash ^ (hash >>> 12)) >>> 0;
}

export interface RoundCost {
  readonly trainMs: number;
  readonly uploadMs: number;
}

/** The night that began last: its number, how long ago its charging began and how long that lasts. */
export interface Night {
  readonly number: number;
  readonly sinceMs: number;
  readonly lengthMs: number;
}

export class Availability {
  readonly terms: Terms;
  readonly #key: number;

  constructor(options: AvailabilityOptions, seed: string) {
    this.terms = availabilitySchema.parse(options);
    const digest = getSuite('intl').digest(utf8(`simulation/availability/${seed}`));
    this.#key = new DataView(digest.buffer, digest.byteOffset).getUint32(0);
  }

  /** Uniform in [0, 1). */
  #uniform(device: number, draw: number, time = 0): number {
    return mix(this.#key, device, draw, time) / 2 ** 32;
  }

  /** Standard normal, Box and Muller. */
  #normal(device: number, draw: number, time = 0): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.#uniform(device, draw, time)));
    return radius * Math.cos(2 * Math.PI * this.#uniform(device, draw + 64, time));
  }

  /** Whether the device lies on its charger, and whether its network is free. */
  conditions(device: number, timeMs: number): { readonly charging: boolean; readonly unmetered: boolean } {
    const night = this.night(device, timeMs);
    const unmetered = this.#uniform(device, DRAW.network, night.number | 0) < this.terms.unmeteredShare;
    return { charging: this.#isCharging(night), unmetered };
  }

  isCharging(device: number, timeMs: number): boolean {
    return !this.terms.charging || this.#isCharging(this.night(device, timeMs));
  }

  #isCharging({ sinceMs, lengthMs }: Night): boolean {
    return !this.terms.charging || sinceMs < lengthMs;
  }

  /** By the device's own hours, whether or not devices charge at night only. */
  night(device: number, timeMs: number): Night {
    const { terms } = this;
    const zone = terms.zones[Math.floor(this.#uniform(device, DRAW.zone) * terms.zones.length)]!;
    const localMs = timeMs + zone * HOUR_MS;
    const fromMs = HOUR_MS * (terms.chargingFromHour + terms.spreadHours * this.#normal(device, DRAW.start));
    const number = Math.floor((localMs - fromMs) / DAY_MS);
    const sinceMs = localMs - fromMs - number * DAY_MS;
    return { number, sinceMs, lengthMs: this.nightLengthMs(device, number) };
  }

  /** How long a device charges in its night of this number. */
  nightLengthMs(device: number, number: number): number {
    const { chargingHours, spreadHours } = this.terms;
    const hours = chargingHours + spreadHours * this.#normal(device, DRAW.length, number | 0);
    return HOUR_MS * Math.max(0, hours);
  }

  /** Whether an invited device vanishes in this round. */
  dropsOut(device: number, round: number): boolean {
    return this.#uniform(device, DRAW.dropout, round) < this.terms.dropout;
  }

  /** Time that a round of `samples` sample-epochs and an upload take this device. */
  cost(device: number, samples: number, uploadBytes: number): RoundCost {
    const { sampleMs, spreadFactor, uploadBytesPerSecond } = this.terms;
    const factor = (draw: number) => spreadFactor ** this.#normal(device, draw);
    return {
      trainMs: samples * sampleMs * factor(DRAW.speed),
      uploadMs: (1000 * uploadBytes) / (uploadBytesPerSecond * factor(DRAW.bandwidth)),
    };
  }
}

/** A permutation of 0 … count − 1 that follows from a key, in no memory: four Feistel rounds, walked into range. */
export class Permutation {
  readonly #count: number;
  readonly #halfBits: number;
  readonly #key: number;

  constructor(count: number, key: number) {
    this.#count = count;
    this.#key = key;
    this.#halfBits = Math.max(1, Math.ceil(Math.log2(Math.max(2, count)) / 2));
  }

  at(index: number): number {
    const mask = 2 ** this.#halfBits - 1;
    let value = index;
    do {
      let left = Math.floor(value / 2 ** this.#halfBits);
      let right = value & mask;
      for (let round = 0; round < 4; round++)
        [left, right] = [right, left ^ (mix(this.#key, right, round, 0x5bd1e995) & mask)];
      value = left * 2 ** this.#halfBits + right;
    } while (value >= this.#count);
    return value;
  }
}

/** A key for `Permutation`. */
export const permutationKey = (seed: string): number => {
  const digest = getSuite('intl').digest(utf8(`simulation/order/${seed}`));
  return new DataView(digest.buffer, digest.byteOffset).getUint32(0);
};
