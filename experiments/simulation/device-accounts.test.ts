/**
 * Goal: what devices spend is booked once and to whom it belongs, batteries follow the day, and a device that came late or
 * vanished is not back in the same moment; with identities and without.
 */
import { describe, expect, it, test } from 'vitest';
import { schemeOf } from '../../protos/plan-scheme.ts';
import { Availability, type AvailabilityOptions, HOUR_MS } from './availability.ts';
import { Batteries } from './batteries.ts';
import { DeviceAccounts, spreadOf } from './device-accounts.ts';
import { type SimulationOptions, simulate } from './simulate.ts';
import { parties, testPlan, testPopulation } from './testing-plans.ts';

const plainly: SimulationOptions = {
  seal: 'none',
  identity: 'none',
  store: 'memory',
  noise: 'seeded',
  seed: 'accounts',
  workers: 0,
};

/** Everybody plugs in at midnight for six hours. */
const clockwork: AvailabilityOptions = { chargingFromHour: 0, chargingHours: 6, spreadHours: 0 };

describe('a battery', () => {
  const trace = new Availability(clockwork, 's');
  const at = (day: number, hour: number) => (24 * (20_000 + day) + hour) * HOUR_MS;

  test('is full after the night, falls through the day, and rises on the charger', () => {
    const batteries = new Batteries(trace, 1);
    const level = (day: number, hour: number) => batteries.level(0, at(day, hour));
    expect(level(0, 6)).toBe(1);
    expect(level(0, 16)).toBeCloseTo(1 - 10 * 0.04, 9);
    // 18 hours of .04 by midnight, half an hour of .5 after it.
    expect(level(1, 0.5)).toBeCloseTo(1 - 18 * 0.04 + 0.25, 9);
    expect(level(1, 5)).toBe(1);
  });

  test('gives what a round draws, off the charger only, and has it back after a night', () => {
    const batteries = new Batteries(trace, 2);
    batteries.draw(0, at(0, 10), 0.3);
    expect(batteries.level(0, at(0, 12))).toBeCloseTo(1 - 6 * 0.04 - 0.3, 6);
    expect(batteries.level(1, at(0, 12))).toBeCloseTo(1 - 6 * 0.04, 9);
    expect(batteries.level(0, at(1, 12))).toBeCloseTo(1 - 6 * 0.04, 9);
    batteries.draw(1, at(0, 3), 0.9);
    expect(batteries.level(1, at(0, 12))).toBeCloseTo(1 - 6 * 0.04, 9);
    // More than there is: empty, not less.
    batteries.draw(0, at(1, 12), 5);
    expect(batteries.level(0, at(1, 13))).toBe(0);
  });

  test('that charges slowly carries a debt over the night', () => {
    // Of six hours at .15, .72 makes good the idle day, .18 is left over.
    const slow = new Batteries(new Availability({ ...clockwork, chargeShareHour: 0.15 }, 's'), 1);
    slow.draw(0, at(0, 12), 0.25);
    expect(slow.level(0, at(1, 8))).toBeCloseTo(1 - 2 * 0.04 - 0.07, 6);
    expect(slow.level(0, at(2, 8))).toBeCloseTo(1 - 2 * 0.04, 6);
  });

  test('below the floor keeps its device away, unless it is on the charger', () => {
    const floored = (batteryFloorShare: number) =>
      new DeviceAccounts(1, 0, new Availability({ ...clockwork, batteryFloorShare }, 's'));
    const accounts = floored(0.15);
    expect(accounts.isThere(0, at(0, 20))).toBe(true);
    accounts.worked(0, 1, at(0, 20), { trainMs: 3 * HOUR_MS, uploadMs: 0, sentBytes: 1 });
    expect(accounts.isThere(0, at(0, 23))).toBe(false);
    expect(accounts.figures().lowBattery).toBe(1);
    expect(accounts.isThere(0, at(1, 0.1))).toBe(true);
    const heedless = floored(0);
    heedless.worked(0, 1, at(0, 20), { trainMs: 3 * HOUR_MS, uploadMs: 0, sentBytes: 1 });
    expect(heedless.isThere(0, at(0, 23))).toBe(true);
    expect(heedless.figures().lowBattery).toBe(0);
  });
});

test('a device whose update came to nothing looks again one poll later', () => {
  const accounts = new DeviceAccounts(2, 0, new Availability({ charging: false, pollMs: 60_000 }, 's'));
  accounts.retiresAt(0, 1000);
  expect([60_999, 61_000].map((timeMs) => accounts.isThere(0, timeMs))).toEqual([false, true]);
  expect(accounts.isThere(1, 1000)).toBe(true);
  // Without a trace nothing says when anybody is there.
  const untraced = new DeviceAccounts(1, 0, null);
  untraced.retiresAt(0, 1000);
  expect(untraced.isThere(0, 1000)).toBe(true);
});

test('percentiles are nearest ranks', () => {
  const hundred = Float64Array.from({ length: 100 }, (_, i) => 100 - i);
  expect(spreadOf(hundred)).toEqual({ mean: 50.5, p50: 50, p90: 90, p99: 99, max: 100 });
  expect(spreadOf(Float64Array.of(7))).toEqual({ mean: 7, p50: 7, p90: 7, p99: 7, max: 7 });
});

describe('the account of a run', () => {
  const devices = 3;
  const plan = testPlan({ devices, privacy: null });

  it('without a trace: bytes and rounds, the same with identities and without; no time, no battery', async () => {
    const run = (more: Partial<SimulationOptions>) =>
      simulate(plan, parties, testPopulation(devices), { ...plainly, ...more });
    const plain = await run({});
    const { uploadBytes } = schemeOf(plan, 'training');
    expect(plain.perDevice).toMatchObject({ devices, tookPart: devices, trainMs: null, batteryShare: null });
    expect(plain.perDevice.rounds).toEqual({ mean: 2, p50: 2, p90: 2, p99: 2, max: 2 });
    expect(plain.perDevice.sentBytes.max).toBe(2 * uploadBytes);
    expect(plain.perDevice.fetchedBytes.p50).toBeGreaterThan(plan.bytes.length);
    expect(plain.totals).toMatchObject({ trainMs: null, batteries: null });
    expect(plain.totals.fetchedBytes).toBe(devices * plain.perDevice.fetchedBytes.max);
    for (const kind of ['agents', 'seeds'] as const)
      expect((await run({ identity: 'signed', devices: kind })).perDevice).toEqual(plain.perDevice);
  });

  it('with one: time and battery of everybody who set out, late or not', async () => {
    const availability = { charging: false, dropout: 0, spreadFactor: 1, sampleMs: 1000, pollMs: 60_000 };
    const { perDevice, totals, rounds } = await simulate(plan, parties, testPopulation(devices), {
      ...plainly,
      availability,
    });
    // One to three rows a device and an epoch a round, at a second each; six rows in all.
    expect(perDevice.trainMs).toMatchObject({ p50: 4000, max: 6000 });
    expect(totals.trainMs).toBe(2 * 6 * 1000);
    expect(rounds.map(({ trainMs }) => trainMs)).toEqual([6000, 6000]);
    const uploadMs = (1000 * schemeOf(plan, 'training').uploadBytes) / 250_000;
    const share = (0.15 * 6000 + 0.05 * 2 * uploadMs) / HOUR_MS;
    expect(perDevice.batteryShare!.max).toBeCloseTo(share, 12);
    expect(perDevice.curve.of).toBe('batteryShare');
    expect(perDevice.curve.values).toHaveLength(21);
    expect(perDevice.curve.values.at(-1)).toBe(perDevice.batteryShare!.max);
  });
});

describe('a device that comes late or vanishes', () => {
  const devices = 20;
  const availability: AvailabilityOptions = {
    charging: false,
    dropout: 0.1,
    // Most take seconds or days: whoever misses the first round still trains when the second one ends.
    sampleMs: 60_000,
    spreadFactor: 100,
    pollMs: 3_600_000,
  };
  const plan = testPlan({
    devices,
    privacy: null,
    rounds: { cohortMin: 2, cohortTarget: 8, cohortMax: devices, checkInWindowMs: 7_200_000 },
  });

  it.each([
    ['none', 'seeds'],
    ['signed', 'agents'],
    ['signed', 'seeds'],
  ] as const)('is not invited in the meantime: identity %s, devices as %s', async (identity, kind) => {
    const { rounds } = await simulate(plan, parties, testPopulation(devices), {
      ...plainly,
      identity,
      devices: kind,
      availability,
    });
    const [first, second] = rounds;
    expect(first!.phase).toBe('released');
    const missing = first!.invited - first!.uploaded;
    expect(missing).toBeGreaterThan(2);
    expect(missing).toBe(first!.late + first!.dropped);
    // Some of those that vanished are back by then.
    expect(second!.invited).toBeLessThanOrEqual(devices - first!.late);
  });
});
