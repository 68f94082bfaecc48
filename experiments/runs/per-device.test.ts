/** Goal: tables say what the account says, and nothing where there is no trace. */
import { expect, test } from 'vitest';
import { batteryText, meanPerDevice, type PerDevice, perDeviceNote, perDeviceRows } from './per-device.ts';

const flat = (value: number) => ({ mean: value, p50: value, p90: value, p99: value, max: value });
const account = (value: number, battery: number | null): PerDevice => ({
  devices: 10,
  took_part: 8,
  low_battery: 0,
  rounds: flat(value),
  sent_bytes: { ...flat(value), max: 2048 },
  fetched_bytes: flat(value),
  train_ms: battery === null ? null : flat(1500),
  battery_share: battery === null ? null : flat(battery),
  curve: { of: battery === null ? 'bytes' : 'battery_share', values: [0, value] },
});

test.each([
  [0, '0 %'],
  [0.000_000_1, '< 0.001 %'],
  [0.000_123_4, '0.012 %'],
  [0.0834, '8.3 %'],
  [0.5, '50 %'],
  [12.4, '1240 %'],
])('a battery share of %f reads %s', (share, expected) => {
  expect(batteryText(share)).toBe(expected);
});

test('means over seeds; rows with a trace and without', () => {
  const mean = meanPerDevice([account(2, 0.1), account(4, 0.3)])!;
  expect(mean.rounds.p90).toBe(3);
  expect(mean.battery_share!.p99).toBeCloseTo(0.2, 12);
  expect(mean.curve.values).toEqual([0, 3]);
  expect(meanPerDevice([])).toBeNull();
  expect(meanPerDevice([account(2, null), account(4, 0.3)])!.battery_share).toBeNull();
  expect(perDeviceRows(mean).map(([title]) => title)).toEqual([
    'rounds taken part',
    'sent',
    'fetched',
    'training time',
    'battery',
  ]);
  expect(perDeviceRows(account(2, null))).toHaveLength(3);
  expect(perDeviceNote(account(2, null))).toContain('No availability trace');
  expect(perDeviceNote(account(2, 0.1))).not.toContain('trace');
});
