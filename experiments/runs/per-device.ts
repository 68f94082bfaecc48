/**
 * What a run cost each device, as files and pages have it: percentiles over devices, averaged over seeds.
 *
 * Pure. May be called by: experiments/runs, cli.
 */
import { formatBytes, formatDuration } from '../../cli/terminal.ts';
import type { DeviceFigures, Spread } from '../simulation/index.ts';
import { meanOf } from './statistics.ts';

/** In done.json and summary.json. Percentiles by nearest rank over all devices, also those that never took part. */
export interface PerDevice {
  readonly devices: number;
  readonly took_part: number;
  readonly low_battery: number;
  readonly rounds: Spread;
  readonly sent_bytes: Spread;
  readonly fetched_bytes: Spread;
  /** Null without an availability trace. */
  readonly train_ms: Spread | null;
  /** Full batteries. Null without an availability trace. */
  readonly battery_share: Spread | null;
  /** The smallest value, then one at each further twentieth of the devices. */
  readonly curve: { readonly of: 'battery_share' | 'bytes'; readonly values: readonly number[] };
}

export const perDeviceOf = (figures: DeviceFigures): PerDevice => ({
  devices: figures.devices,
  took_part: figures.tookPart,
  low_battery: figures.lowBattery,
  rounds: figures.rounds,
  sent_bytes: figures.sentBytes,
  fetched_bytes: figures.fetchedBytes,
  train_ms: figures.trainMs,
  battery_share: figures.batteryShare,
  curve: {
    of: figures.curve.of === 'bytes' ? 'bytes' : 'battery_share',
    values: figures.curve.values,
  },
});

const SPREAD_FIELDS = ['mean', 'p50', 'p90', 'p99', 'max'] as const;

/** Each figure averaged; null where there is none to average. */
export function meanPerDevice(all: readonly PerDevice[]): PerDevice | null {
  const [first] = all;
  if (!first) return null;
  const mean = (of: (one: PerDevice) => number): number => meanOf(all.map(of));
  const spread = (of: (one: PerDevice) => Spread): Spread =>
    Object.fromEntries(
      SPREAD_FIELDS.map((field) => [field, mean((one) => of(one)[field])]),
    ) as unknown as Spread;
  const isTraced = all.every(({ battery_share, train_ms }) => battery_share !== null && train_ms !== null);
  const curves = all.filter(({ curve }) => curve.of === first.curve.of);
  return {
    devices: mean((one) => one.devices),
    took_part: mean((one) => one.took_part),
    low_battery: mean((one) => one.low_battery),
    rounds: spread((one) => one.rounds),
    sent_bytes: spread((one) => one.sent_bytes),
    fetched_bytes: spread((one) => one.fetched_bytes),
    train_ms: isTraced ? spread((one) => one.train_ms!) : null,
    battery_share: isTraced ? spread((one) => one.battery_share!) : null,
    curve: {
      of: first.curve.of,
      values: first.curve.values.map((_, i) => meanOf(curves.map(({ curve }) => curve.values[i]!))),
    },
  };
}

const count = (value: number): string => (Number.isInteger(value) ? String(value) : value.toFixed(1));
const bytes = (value: number): string => formatBytes(Math.round(value));

export const PER_DEVICE_COLUMNS = ['a device', 'median', '90 %', '99 %', 'most'] as const;

/** One row per quantity, as tables of a terminal or a page show it. */
export function perDeviceRows(figures: PerDevice): string[][] {
  const row = (title: string, spread: Spread | null, text: (value: number) => string): string[][] =>
    spread ? [[title, ...[spread.p50, spread.p90, spread.p99, spread.max].map(text)]] : [];
  return [
    ...row('rounds taken part', figures.rounds, count),
    ...row('sent', figures.sent_bytes, bytes),
    ...row('fetched', figures.fetched_bytes, bytes),
    ...row('training time', figures.train_ms, formatDuration),
    ...row('battery', figures.battery_share, batteryText),
  ];
}

/** Of a full battery: `0.042 %`, `17 %`. */
export function batteryText(share: number): string {
  const percent = 100 * share;
  if (percent === 0) return '0 %';
  if (percent < 0.001) return '< 0.001 %';
  return `${percent < 10 ? Number(percent.toPrecision(2)) : percent.toFixed(0)} %`;
}

/** Who is counted, and what is not. */
export function perDeviceNote({ devices, took_part, low_battery, battery_share }: PerDevice): string {
  const number = (value: number): string => Math.round(value).toLocaleString('en-GB');
  const low = low_battery > 0 ? `; ${number(low_battery)} kept away once or more, their battery low` : '';
  const untraced = battery_share === null ? ' No availability trace: no training time, no battery.' : '';
  return (
    `Over all ${number(devices)} devices, of which ${number(took_part)} were invited${low}. Bytes of plan, round ` +
    `configurations, keys, models and uploads, without frames, check-ins and receipts.${untraced}`
  );
}
