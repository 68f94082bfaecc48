/**
 * Goal: a whole round, from check-in to release, gives exactly what the same numbers give in plain arithmetic, charges
 * exactly the certified, and leaves what it promises for readers; one faulty holder changes none of it.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { toHex } from '../crypto/bytes.ts';
import { metricsFromHistogram } from '../protos/histogram-metrics.ts';
import { type ParsedPlan, parsePlanBytes } from '../protos/plan.ts';
import { accountPlan, epsilonOfAmount, realisedCharge } from '../protos/plan-mechanism.ts';
import { weightsDigest } from '../protos/statements.ts';
import { weightsFromBytes } from './aggregation/weights.ts';
import { type LedgerEvent, replay } from './ledger/ledger-events.ts';
import * as repository from './rounds/repository.ts';
import {
  createDevices,
  createWorld,
  planOf,
  strongPrivacy,
  TestClock,
  type TestDevice,
  type TestWorld,
  until,
} from './testing.ts';
import { type Bench, bindingOf, signUpload } from './testing-bench.ts';
import { createHolders, type FakeHolder, type HolderCall } from './testing-holder.ts';
import { digitsOf, Host, type Participation, participate } from './testing-round.ts';

let world: TestWorld;
let devices: TestDevice[];
let directory: string;
beforeAll(async () => {
  world = await createWorld();
  devices = await createDevices(world, 4);
});
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'pulsefold-round-'));
  return () => rmSync(directory, { recursive: true, force: true });
});

let host: Host;
function open(parsed: ParsedPlan, holders: readonly FakeHolder[] = createHolders(world)): Host {
  const options = { clock: new TestClock(), runDirectory: join(directory, 'run') };
  host = new Host(world, holders, join(directory, 'coordinator.db'), options);
  host.bench.submit(parsed);
  return host;
}
const finished = (parsed: ParsedPlan) =>
  until('the plan ends', () => host.bench.outcomes.has(parsed.hashHex));
afterAll(() => host?.bench.stop().catch(() => {}));

const sumOf = (parts: readonly Participation[]): number[] =>
  parts.reduce(
    (sum, { sealed }) => sum.map((value, i) => value + sealed.digits[i]!),
    new Array<number>(parts[0]!.sealed.digits.length).fill(0),
  );

function openedSum(bench: Bench, parsed: ParsedPlan, round: number): number[] {
  const sum = bench.store.read('test', (db) => repository.getSum(db, parsed.hashHex, round))!;
  return [...new Int32Array(sum.digits.slice().buffer)];
}

function modelOf(bench: Bench, parsed: ParsedPlan): { hash: string; weights: number[] } {
  return bench.store.read('test', (db) => {
    const hash = repository.getPlan(db, parsed.hashHex)!.model_hash;
    const bytes = repository.getBlob(db, hash)!;
    expect(toHex(weightsDigest(world.suite, bytes))).toBe(hash);
    return { hash, weights: [...weightsFromBytes(bytes)] };
  });
}

/** Updates inside the clip of 1, so that their plain mean is what the model must move by. */
const UPDATES = [
  [0.5, -0.25, 0.125],
  [-0.5, 0.5, 0.25],
  [0.75, 0, -0.5],
].map((update) => Float64Array.from(update));

const sendUpdates = (parsed: ParsedPlan, roundAfter = 0): Promise<Participation[]> =>
  Promise.all(
    UPDATES.map((update, i) => participate(host, world, devices[i]!, parsed, () => update, roundAfter)),
  );

test('two rounds: the opened sums are exact, the model moves by the plain mean, and everything is exported', async () => {
  const parsed = planOf(world, { rounds: { training: 2 } });
  const { bench } = open(parsed);
  const first = await sendUpdates(parsed);
  const second = await sendUpdates(parsed, 1);
  await finished(parsed);
  expect(bench.outcomes.get(parsed.hashHex)).toEqual({ status: 'finished', message: '2 rounds released' });
  expect(openedSum(bench, parsed, 1)).toEqual(sumOf(first));
  expect(openedSum(bench, parsed, 2)).toEqual(sumOf(second));
  const { hash, weights } = modelOf(bench, parsed);
  // Twice the mean; the fixed point has 64 steps per clip, stochastic rounding moves a coordinate by less than one.
  for (const [i, weight] of weights.entries()) {
    const mean = UPDATES.reduce((sum, update) => sum + update[i]!, 0) / UPDATES.length;
    expect(Math.abs(weight - 2 * mean)).toBeLessThan(2 * (Math.sqrt(3) / 64));
  }
  // The second round started from the model of the first.
  expect(toHex(second[0]!.sealed.header.modelHash)).not.toBe(toHex(first[0]!.sealed.header.modelHash));
  checkRunDirectory(parsed, hash, weights);
  const reply = await bench.checkIn(devices[0]!, parsed);
  expect(toHex(reply.finished!.modelHash)).toBe(hash);
  const kinds = bench.log.leaves().map((leaf) => leaf.kind);
  const perRound = ['round_opened', 'round_certificate', 'opened_sum', 'release'];
  expect(kinds).toEqual(['plan_approved', 'ceremony', 'ceremony', ...perRound, ...perRound]);
  await bench.stop();
});

/** Layout and content that coordinator/export.ts promises. */
function checkRunDirectory(parsed: ParsedPlan, modelHash: string, weights: readonly number[]): void {
  const run = join(directory, 'run');
  const read = (name: string) => readFileSync(join(run, name), 'utf8');
  const json = (name: string) => JSON.parse(read(name));
  expect(parsePlanBytes(new TextEncoder().encode(read('plan.json').trimEnd())).hashHex).toBe(parsed.hashHex);
  expect(json('approvals.json')).toMatchObject([{ approverId: 'ethics' }]);
  expect(json('model.json')).toMatchObject({ planHash: parsed.hashHex, modelHash, weights });
  expect(readdirSync(join(run, 'rounds')).sort()).toEqual(['1.json', '2.json']);
  const round = json('rounds/2.json');
  expect(round).toMatchObject({
    phase: 'released',
    invited: 3,
    uploaded: 3,
    cohortCount: 3,
    summary: { modelHash },
  });
  expect(round.certificate.signatures.length).toBeGreaterThanOrEqual(3);
  expect(round.sum.digits).toEqual(openedSum(host.bench, parsed, 2));
  expect(json('ledger.json')).toEqual({ events: [] });
  expect(readdirSync(join(run, 'log')).sort()).toEqual(expect.arrayContaining(['checkpoint', 'key']));
  // Nothing in it names a device.
  const everything = readdirSync(run, { recursive: true, withFileTypes: true })
    .filter((file) => file.isFile())
    .map((file) => readFileSync(join(file.parentPath, file.name), 'utf8'))
    .join('\n');
  for (const { deviceId } of devices) expect(everything).not.toContain(deviceId);
}

test('under DP the ledger charges exactly the certified, by the certified count, and frees the rest', async () => {
  const parsed = planOf(world, { privacy: strongPrivacy, rounds: { cohortTarget: 4 } });
  const holders = createHolders(world);
  const [outcast] = devices;
  for (const holder of holders) holder.rejects = new Set([outcast!.deviceId]);
  const { bench } = open(parsed, holders);
  const parts = await Promise.all(
    devices.map((device) => participate(host, world, device, parsed, () => UPDATES[0]!)),
  );
  await finished(parsed);
  // `devices` are in the order of their ids: the outcast is the first.
  expect(openedSum(bench, parsed, 1)).toEqual(sumOf(parts.slice(1)));
  const account = accountPlan(parsed)!;
  const paid = realisedCharge(parsed, 'training', 3, account.order);
  const balance = (device: TestDevice) =>
    bench.store.read('test', (db) => bench.ledger.within(db).balance(toHex(device.pseudonym('1'))));
  expect(balance(outcast!)).toMatchObject({ spent: 0, reserved: 0 });
  for (const device of devices.slice(1)) {
    expect(balance(device).spent).toBeCloseTo(paid, 9);
    expect(balance(device).reserved).toBe(0);
  }
  bench.store.read('test', (db) => bench.ledger.within(db).verify());
  const { events } = JSON.parse(readFileSync(join(directory, 'run', 'ledger.json'), 'utf8')) as {
    events: LedgerEvent[];
  };
  expect(replay(events).get(toHex(devices[1]!.pseudonym('1')))!.spent).toBe(balance(devices[1]!).spent);
  const release = bench.log.leaves().find((leaf) => leaf.kind === 'release')!;
  const epsilon = epsilonOfAmount(account.order, balance(devices[1]!).spent, account.delta);
  expect(Number((release as { epsilon?: string }).epsilon)).toBeCloseTo(epsilon, 6);
  expect(epsilon).toBeLessThanOrEqual(Number(strongPrivacy.epsilon));
  await bench.stop();
});

test('an evaluation round releases the metrics of the summed histograms', async () => {
  const evaluation = { path: 'federated', bins: 20 };
  const parsed = planOf(world, { rounds: { training: 1, evaluation: 1 }, evaluation });
  const { bench } = open(parsed);
  await sendUpdates(parsed);
  const histogram = (seed: number) =>
    Float64Array.from({ length: 40 }, (_, i) => ((i + seed) % 3 === 0 ? 2 : 0));
  const parts = await Promise.all(
    [0, 1, 2].map((i) => participate(host, world, devices[i]!, parsed, () => histogram(i), 1)),
  );
  await finished(parsed);
  const sum = Array.from({ length: 40 }, (_, i) =>
    [0, 1, 2].reduce((total, seed) => total + histogram(seed)[i]!, 0),
  );
  const summary = JSON.parse(
    bench.store.read('test', (db) => repository.getRound(db, parsed.hashHex, 2)!.summary),
  );
  expect(summary.histogram).toEqual(sum);
  expect(summary.metrics.rows).toBe(metricsFromHistogram(sum).rows);
  expect(Number(summary.metrics.auc.real)).toBe(metricsFromHistogram(sum).auc);
  // An evaluation moves nothing.
  expect(modelOf(bench, parsed).hash).toBe(toHex(parts[0]!.sealed.header.modelHash));
  await bench.stop();
});

describe('one faulty holder', () => {
  const working: readonly HolderCall[] = ['accept', 'certify', 'open', 'erase'];
  const faults: [string, (holder: FakeHolder) => void][] = [
    [
      'away after the ceremony',
      (holder) => {
        for (const call of working) holder.away.add(call);
      },
    ],
    [
      'rejects everybody',
      (holder) => {
        holder.rejects = 'everybody';
      },
    ],
    [
      'claims to accept twice whom it likes',
      (holder) => {
        holder.claims = new Array<string>(3).fill(devices[0]!.deviceId);
      },
    ],
    [
      'gives a wrong partial decryption',
      (holder) => {
        holder.lie = 'wrong';
      },
    ],
    [
      'gives a malformed partial decryption',
      (holder) => {
        holder.lie = 'malformed';
      },
    ],
  ];
  for (const [name, spoil] of faults)
    test(`${name}: the sum is the same`, async () => {
      const parsed = planOf(world, { name: 'faulty' });
      const holders = createHolders(world);
      // The first in every order, so that it is in the first active set.
      spoil(holders[0]!);
      const { bench } = open(parsed, holders);
      const parts = await sendUpdates(parsed);
      await finished(parsed);
      expect(bench.outcomes.get(parsed.hashHex)).toMatchObject({ status: 'finished' });
      expect(openedSum(bench, parsed, 1)).toEqual(sumOf(parts));
      await bench.stop();
    });
});

test('an upload that is no encryption under the key costs its round, never the plan: charged, and the next one runs', async () => {
  const parsed = planOf(world, { name: 'garbage', privacy: strongPrivacy, rounds: { spare: 1 } });
  const { bench } = open(parsed);
  // Well-formed residues under another committee's key: nobody can tell before the sum is opened (DESIGN §1, `bfv`).
  await Promise.all(
    devices.slice(0, 3).map(async (device, i) => {
      await until('the round is open', () => bench.coordinator.find(parsed.hash)?.active != null);
      const config = await bench.invited(device, parsed);
      const { publicKey } = world.committee(i === 0 ? 2 : 1);
      const parts = world.bfv.encrypt(publicKey, digitsOf(parsed, config, UPDATES[i]!));
      await bench.put(device, signUpload(world, device, bindingOf(config), parts));
    }),
  );
  await until('the round is given up', () => bench.coordinator.find(parsed.hash)?.active?.state.round === 2);
  const phase = bench.store.read('test', (db) => repository.getRound(db, parsed.hashHex, 1)!.phase);
  expect(phase).toBe('unopened');
  const pseudonym = toHex(devices[1]!.pseudonym('1'));
  const balance = () => bench.store.read('test', (db) => bench.ledger.within(db).balance(pseudonym));
  const spent = realisedCharge(parsed, 'training', 3, 'zcdp');
  expect(balance().spent).toBeCloseTo(spent, 9);
  expect(bench.store.read('test', (db) => repository.getSum(db, parsed.hashHex, 1))).toBeUndefined();
  const parts = await sendUpdates(parsed, 1);
  await finished(parsed);
  expect(openedSum(bench, parsed, 2)).toEqual(sumOf(parts));
  expect(balance().spent).toBeCloseTo(2 * spent, 9);
  await bench.stop();
});

test('two holders away: nothing is signed, nothing opened; an abort waits for its quorum, then frees the budget', async () => {
  const parsed = planOf(world, { privacy: strongPrivacy, rounds: { spare: 1, holderDeadlineMs: 1000 } });
  const holders = createHolders(world);
  const { bench } = open(parsed, holders);
  const away = ['accept', 'certify', 'abort', 'open'] as const;
  for (const holder of holders.slice(0, 2)) for (const call of away) holder.away.add(call);
  await sendUpdates(parsed);
  const { clock } = bench;
  const active = () => bench.coordinator.find(parsed.hash)!.active!;
  await until(
    'two failed',
    () => Object.values(active().state.holders).filter(({ failures }) => failures > 0).length === 2,
  );
  clock.jump(1500);
  await until('the round says that it is stuck', () => active().state.stuck);
  expect(active().state.message).toMatch(/2 of 4 key holders answer, 3 to sign; the reservation stays held/);
  expect(await bench.admin('getStatus', {})).toMatchObject({
    phase: 'stuck',
    rounds: [{ invited: 3, uploaded: 3 }],
  });
  const abort = { planHash: parsed.hash, round: 1, reason: 'two holders are gone' };
  expect(await bench.admin('abortRound', abort)).toMatchObject({ aborted: true });
  await until('two have signed', () => active().state.abortSigners.length === 2);
  const held = () =>
    bench.store.read('test', (db) => bench.ledger.within(db).balance(toHex(devices[0]!.pseudonym('1'))));
  expect(held().reserved).toBeGreaterThan(0);
  holders[0]!.away.clear();
  clock.jump(10_000);
  await until('the next round', () => bench.coordinator.find(parsed.hash)?.active?.state.round === 2);
  expect(held()).toMatchObject({ reserved: 0, spent: 0 });
  expect(holders.every((holder) => !holder.calls.includes('open'))).toBe(true);
  // The spare key serves the round that takes its place.
  await sendUpdates(parsed, 1);
  await finished(parsed);
  await bench.stop();
});
