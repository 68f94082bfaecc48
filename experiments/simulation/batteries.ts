/**
 * How full the batteries of virtual devices are: a day's course that follows from the trace, less what rounds drew.
 *
 * Off the charger a battery loses `idleShareHour`, on it gains `chargeShareHour`; both are pure functions of device and
 * time, taking a battery for full when it was unplugged the day before. What training and uploading drew off the charger
 * is one number per device, which later nights charge back with what they have left over. On the charger the wall pays.
 * Trusts: nothing. May be called by: experiments/simulation.
 */
import { type Availability, DAY_MS, HOUR_MS } from './availability.ts';

export class Batteries {
  readonly #trace: Availability;
  /** Shares drawn off the charger and not charged back, as of the night of that number. */
  readonly #drawn: Float32Array;
  readonly #night: Int32Array;

  constructor(trace: Availability, devices: number) {
    this.#trace = trace;
    this.#drawn = new Float32Array(devices);
    this.#night = new Int32Array(devices);
  }

  /** Share of a full battery, 0 to 1. */
  level(device: number, timeMs: number): number {
    const { charging, idleShareHour, chargeShareHour } = this.#trace.terms;
    if (!charging) return 1;
    const { number, sinceMs, lengthMs } = this.#trace.night(device, timeMs);
    const chargedMs = Math.min(sinceMs, lengthMs);
    const idleMs = Math.max(0, sinceMs - lengthMs);
    const charged = this.#atPlugIn(device, number) + (chargeShareHour * chargedMs) / HOUR_MS;
    const full = Math.min(1, charged);
    const level = full - (idleShareHour * idleMs) / HOUR_MS - this.#drawnAt(device, number, charged - full);
    return Math.min(1, Math.max(0, level));
  }

  /** Takes `share` out of the battery, unless the device is on its charger. */
  draw(device: number, timeMs: number, share: number): void {
    if (this.#trace.isCharging(device, timeMs)) return;
    const { chargeShareHour } = this.#trace.terms;
    const { number, lengthMs } = this.#trace.night(device, timeMs);
    const charged = this.#atPlugIn(device, number) + (chargeShareHour * lengthMs) / HOUR_MS;
    this.#drawn[device] = this.#drawnAt(device, number, charged - 1) + share;
    this.#night[device] = number;
  }

  /** Without what rounds drew: the battery when its charger is plugged in on that night. */
  #atPlugIn(device: number, night: number): number {
    const idleMs = Math.max(0, DAY_MS - this.#trace.nightLengthMs(device, night - 1));
    return Math.max(0, 1 - (this.#trace.terms.idleShareHour * idleMs) / HOUR_MS);
  }

  /** @param spare what this night has charged beyond a full battery so far */
  #drawnAt(device: number, night: number, spare: number): number {
    const drawn = this.#drawn[device]!;
    const since = this.#night[device]!;
    if (drawn === 0 || night <= since) return drawn;
    // Nights in between: whole ones. Two of them charge any battery that a night can charge.
    const between = night - since - 1;
    if (between > 7) return 0;
    let left = drawn - Math.max(0, spare);
    for (let number = since + 1; number < night; number++) left -= this.#spareOf(device, number);
    return Math.max(0, left);
  }

  #spareOf(device: number, night: number): number {
    const hours = this.#trace.nightLengthMs(device, night) / HOUR_MS;
    return Math.max(0, this.#atPlugIn(device, night) + this.#trace.terms.chargeShareHour * hours - 1);
  }
}
