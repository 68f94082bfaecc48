/**
 * Goal: rounds under transport shares: the sum is exact whatever one holder does, a lying holder is named, no holder is
 * asked twice; uploads are judged and folded while the round collects, and none of that is lost or done twice in a crash.
 */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { ParsedPlan } from '../protos/plan.ts';
import { schemeOf } from '../protos/plan-scheme.ts';
import { FoldPool } from './aggregation/fold-pool.ts';
import * as repository from './rounds/repository.ts';
import {
  createDevices,
  createWorld,
  planOf,
  TestClock,
  type TestDevice,
  type TestWorld,
  until,
} from './testing.ts';
import { createHolders, type FakeHolder } from './testing-holder.ts';
import { Host, type Participation, participate } from './testing-round.ts';

let world: TestWorld;
let devices: TestDevice[];
let directory: string;
beforeAll(async () => {
  world = await createWorld();
  devices = await createDevices(world, 6);
});
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'pulsefold-shares-'));
  return () => rmSync(directory, { recursive: true, force: true });
});

const aggregation = { transport: 'shares', kem: 'x25519' };
const plan = (name: string, rounds = {}, more = {}) => planOf(world, { name, aggregation, rounds, ...more });

const sumOf = (parts: readonly Participation[]): number[] =>
  [...parts[0]!.sealed.digits].map((_, i) => parts.reduce((sum, { sealed }) => sum + sealed.digits[i]!, 0));

function openedSum(host: Host, parsed: ParsedPlan): number[] {
  const sum = host.bench.store.read('test', (db) => repository.getSum(db, parsed.hashHex, 1))!;
  return [...new Int32Array(sum.digits.slice().buffer)];
}

const messageOf = (host: Host, parsed: ParsedPlan): string =>
  host.bench.store.read(
    'test',
    (db) => JSON.parse(repository.getRound(db, parsed.hashHex, 1)!.state).message,
  );

function open(
  parsed: ParsedPlan,
  holders: readonly FakeHolder[],
  dieBefore?: (name: string, n: number) => boolean,
  foldPool?: FoldPool,
): Host {
  const options = { clock: new TestClock(50), ...(foldPool ? { foldPool } : {}) };
  const host = new Host(world, holders, join(directory, 'db'), options, dieBefore);
  void host.persist(async (bench) => bench.submit(parsed));
  return host;
}

const send = (host: Host, parsed: ParsedPlan, some: readonly TestDevice[]): Promise<Participation[]> =>
  Promise.all(
    some.map((device, i) =>
      participate(host, world, device, parsed, () => new Float64Array(3).fill(0.1 * i)),
    ),
  );

const finished = (host: Host, parsed: ParsedPlan) =>
  until('the plan ends', () => host.bench.outcomes.has(parsed.hashHex), 20_000);

describe('one faulty holder of four', () => {
  const faults: [string, (holder: FakeHolder) => void, RegExp][] = [
    ['none', () => {}, /^released$/],
    ['lies', (holder) => (holder.lie = 'wrong'), /^released; the answer of platform contradicts/],
    ['answers nonsense', (holder) => (holder.lie = 'malformed'), /^released$/],
    ['does not open', (holder) => holder.away.add('open'), /^released$/],
    [
      'is away',
      (holder) => ['accept', 'certify', 'open'].map((c) => holder.away.add(c as 'open')),
      /^released$/,
    ],
    ['rejects everybody', (holder) => (holder.rejects = 'everybody'), /^released$/],
  ];
  for (const [name, spoil, message] of faults)
    test(`${name}: the sum is the same, nobody opens twice`, async () => {
      const parsed = plan('faulty');
      const holders = createHolders(world);
      const host = open(parsed, holders);
      spoil(holders[2]!);
      const parts = await send(host, parsed, devices.slice(0, 3));
      await finished(host, parsed);
      expect(openedSum(host, parsed)).toEqual(sumOf(parts));
      expect(messageOf(host, parsed)).toMatch(message);
      const named = host.bench.complaints.filter((line) => line.includes('contradict'));
      expect(named.length).toBe(message.source.includes('contradicts') ? 1 : 0);
      if (holders[2]!.lie !== 'malformed' && !holders[2]!.away.has('open'))
        for (const { calls } of holders) expect(calls.filter((c) => c === 'open').length).toBeLessThan(2);
      await host.bench.stop();
    });

  test('a liar and one away: nothing opens until the fourth is back', async () => {
    const parsed = plan('both');
    const holders = createHolders(world);
    const host = open(parsed, holders);
    holders[0]!.lie = 'wrong';
    holders[3]!.away.add('open');
    const parts = await send(host, parsed, devices.slice(0, 3));
    await until('the set failed', () => host.bench.complaints.some((line) => line.includes('does not open')));
    await until('the fourth was asked', () => holders[3]!.calls.includes('open'));
    expect(host.bench.outcomes.size).toBe(0);
    holders[3]!.away.clear();
    host.bench.clock.jump(10_000);
    await finished(host, parsed);
    expect(openedSum(host, parsed)).toEqual(sumOf(parts));
    expect(messageOf(host, parsed)).toContain('hospital contradicts');
    await host.bench.stop();
  });
});

describe('early acceptance', () => {
  /** Three uploads are judged and folded while the round waits for six. */
  async function early(host: Host, parsed: ParsedPlan, holders: readonly FakeHolder[]) {
    const first = await send(host, parsed, devices.slice(0, 3));
    host.bench.clock.jump(500);
    await until('all have judged', () => holders.every(({ offered }) => offered.length >= 3));
    return first;
  }
  const six = { cohortTarget: 6 };
  const folded = (host: Host, parsed: ParsedPlan): number =>
    host.bench.store
      .read('test', (db) => repository.foldDevices(db, parsed.hashHex, 1))
      .reduce((sum, { devices: some }) => sum + some.length, 0);

  /**
   * A sum is committed some seconds of the clock after the one before, and which body comes last is not ours to know: the
   * clock goes on while this waits, but not so far that the round would end.
   */
  async function threeAreFolded(host: Host, parsed: ParsedPlan): Promise<void> {
    let jumpsLeft = 200;
    await until('three are folded durably', () => {
      if (jumpsLeft-- > 0) host.bench.clock.jump(100);
      return host.writes.length > 0 || folded(host, parsed) === 3;
    });
  }

  test('everyone is asked about every upload once, and sums are durable before the freeze', async () => {
    const parsed = plan('early', six);
    const holders = createHolders(world);
    const host = open(parsed, holders);
    const first = await early(host, parsed, holders);
    await threeAreFolded(host, parsed);
    expect(host.bench.coordinator.find(parsed.hash)!.active!.state.phase).toBe('collecting');
    const rest = await send(host, parsed, devices.slice(3));
    await finished(host, parsed);
    expect(openedSum(host, parsed)).toEqual(sumOf([...first, ...rest]));
    for (const { offered } of holders)
      expect([...offered].sort()).toEqual(devices.map(({ deviceId }) => deviceId));
    await host.bench.stop();
  });

  test('a restart keeps verdicts and sums', async () => {
    const parsed = plan('restart', six);
    const holders = createHolders(world);
    const host = open(parsed, holders);
    const first = await early(host, parsed, holders);
    await threeAreFolded(host, parsed);
    host.restart();
    await host.ready;
    const rest = await send(host, parsed, devices.slice(3));
    await finished(host, parsed);
    expect(openedSum(host, parsed)).toEqual(sumOf([...first, ...rest]));
    for (const { offered } of holders) expect(offered.length).toBe(6);
    await host.bench.stop();
  });

  test('a holder that was away is asked about what it missed', async () => {
    const parsed = plan('missed', six);
    const holders = createHolders(world);
    const host = open(parsed, holders);
    holders[1]!.away.add('accept');
    const first = await send(host, parsed, devices.slice(0, 3));
    host.bench.clock.jump(500);
    await until('three have judged', () => holders.filter((h) => h.offered.length === 3).length === 3);
    const rest = await send(host, parsed, devices.slice(3));
    holders[1]!.away.clear();
    await finished(host, parsed);
    expect(openedSum(host, parsed)).toEqual(sumOf([...first, ...rest]));
    await host.bench.stop();
  });

  test('what was folded and is not in the cohort is taken out again', async () => {
    const parsed = plan('foreign', six);
    const holders = createHolders(world);
    const host = open(parsed, holders);
    // Device 0 has a quorum without the university, the others one without the hospital: together they have none.
    const [outcast, ...others] = devices.map(({ deviceId }) => deviceId);
    holders[3]!.rejects = new Set([outcast!]);
    holders[0]!.rejects = new Set(others);
    const parts = await send(host, parsed, devices.slice(0, 3));
    host.bench.clock.jump(500);
    await until('all have judged', () => holders.every(({ offered }) => offered.length >= 3));
    await threeAreFolded(host, parsed);
    const rest = await send(host, parsed, devices.slice(3));
    await finished(host, parsed);
    expect(openedSum(host, parsed)).toEqual(sumOf([...parts, ...rest].slice(1)));
    expect(host.bench.complaints.some((line) => line.includes('not in the cohort'))).toBe(true);
    await host.bench.stop();
  });

  const deaths: [string, number][] = [
    ['verdicts', 1],
    ['verdicts', 3],
    ['verdicts', 6],
    ['fold-commit', 1],
    ['fold-commit', 2],
    ['freeze-cohort', 1],
    ['save-round', 3],
    ['settle', 1],
    ['keep-partial', 2],
    ['opened-sum', 1],
    ['drop-ciphertexts', 1],
  ];
  for (const [write, occurrence] of deaths)
    test(`killed before ${write} number ${occurrence}: each body is in the sum once`, async () => {
      const parsed = plan('death', six);
      const holders = createHolders(world);
      const host = open(parsed, holders, (name, n) => name === write && n === occurrence);
      const first = await early(host, parsed, holders);
      await threeAreFolded(host, parsed);
      await host.ready;
      const rest = await send(host, parsed, devices.slice(3));
      await until('it was killed', () => host.restarts === 1, 20_000);
      await finished(host, parsed);
      expect(openedSum(host, parsed)).toEqual(sumOf([...first, ...rest]));
      const left = readdirSync(join(directory, 'db.spool'), { recursive: true });
      expect(left.filter((name) => String(name).endsWith('.seg'))).toEqual([]);
      await host.bench.stop();
    });
});

test('a long sum, folded by worker threads', async () => {
  const model = { kind: 'mlp', inputs: 2, hidden: [64, 200], activation: 'relu' };
  const parsed = plan('long', {}, { model });
  expect(schemeOf(parsed, 'training').scheme.long).not.toBeNull();
  const pool = new FoldPool(2);
  const holders = createHolders(world);
  const host = open(parsed, holders, undefined, pool);
  const parts = await Promise.all(
    devices
      .slice(0, 3)
      .map((device, i) =>
        participate(host, world, device, parsed, (config) =>
          new Float64Array(config.config.digitCount).map((_, j) => 0.001 * ((i + j) % 7)),
        ),
      ),
  );
  await finished(host, parsed);
  expect(openedSum(host, parsed)).toEqual(sumOf(parts));
  expect(host.bench.complaints).toEqual([]);
  await host.bench.stop();
  await pool.close();
});
