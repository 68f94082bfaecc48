/**
 * Goal: only plans that keep their word get in, one plan's failure does not touch the next, and a device learns at
 * check-in why it may or may not take part.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { toHex } from '../crypto/bytes.ts';
import { approvePlan, finishPlan, type ParsedPlan } from '../protos/plan.ts';
import { STATEMENT_SKEW_MS } from '../protos/statement-age.ts';
import {
  codeOf,
  createDevice,
  createDevices,
  createWorld,
  planOf,
  strongPrivacy,
  TestClock,
  type TestDevice,
  type TestWorld,
  until,
} from './testing.ts';
import { Bench, seal } from './testing-bench.ts';
import { createHolders, type FakeHolder } from './testing-holder.ts';
import { digitsOf } from './testing-round.ts';

let world: TestWorld;
let devices: TestDevice[];
let bench: Bench;
beforeAll(async () => {
  world = await createWorld();
  devices = await createDevices(world, 4);
});
afterEach(() => bench.stop());

const start = (holders: readonly FakeHolder[] = createHolders(world), runDirectory?: string): Bench => {
  bench = new Bench(world, holders, runDirectory ? { runDirectory } : {}).start();
  return bench;
};
const runs = (parsed: ParsedPlan) =>
  until('the plan runs', () => bench.coordinator.find(parsed.hash)?.active != null);
const ended = (parsed: ParsedPlan) => until('the plan ends', () => bench.outcomes.has(parsed.hashHex));

async function sendAll(parsed: ParsedPlan, senders: readonly TestDevice[]): Promise<void> {
  await runs(parsed);
  const configs = await Promise.all(senders.map((device) => bench.invited(device, parsed)));
  await Promise.all(
    senders.map((device, i) =>
      bench.put(device, seal(world, device, configs[i]!, digitsOf(parsed, configs[i]!, new Float64Array(3)))),
    ),
  );
  await ended(parsed);
}

describe('a plan is refused', () => {
  const submit = (parsed: ParsedPlan, approvals = [approvePlan(parsed, 'ethics', world.approver)]) =>
    codeOf(() => bench.admin('submitPlan', { plan: parsed.bytes, approvals }));

  test('when its noise does not keep the ε that it states', async () => {
    start();
    const weak = planOf(world, { privacy: { ...strongPrivacy, noiseVariance: '64' } });
    expect(await submit(weak)).toBe('BUDGET_EXCEEDED');
    // The same noise is honest under an ε that says so.
    expect(
      await submit(planOf(world, { privacy: { ...strongPrivacy, noiseVariance: '64', epsilon: '400' } })),
    ).toBe('none');
    // Noise for one round is not noise for five hundred.
    expect(await submit(planOf(world, { privacy: strongPrivacy, rounds: { training: 500 } }))).toBe(
      'BUDGET_EXCEEDED',
    );
  });

  test('without the signature of a pinned approver', async () => {
    start();
    const parsed = planOf(world);
    const stranger = world.suite.generateSigningKey();
    expect(await submit(parsed, [])).toBe('PLAN_NOT_APPROVED');
    expect(await submit(parsed, [approvePlan(parsed, 'ethics', stranger)])).toBe('PLAN_NOT_APPROVED');
    expect(await submit(parsed, [approvePlan(parsed, 'nobody', world.approver)])).toBe('PLAN_NOT_APPROVED');
    const other = planOf(world, { name: 'other' });
    expect(await submit(parsed, [approvePlan(other, 'ethics', world.approver)])).toBe('PLAN_NOT_APPROVED');
    expect(await submit(parsed)).toBe('none');
    expect(await submit(parsed)).toBe('none');
  });

  test('when it is for another deployment, or not in canonical form', async () => {
    start();
    const { plan } = planOf(world);
    const key = toHex(world.suite.generateSigningKey().publicKey);
    const changed: [string, object][] = [
      ['another registrar', { ...plan, registrarSha256: '0'.repeat(64) }],
      ['another coordinator', { ...plan, coordinatorPublicKey: key }],
      [
        'an unknown holder',
        { ...plan, holders: plan.holders.map((holder, i) => (i ? holder : { ...holder, id: 'unknown' })) },
      ],
    ];
    for (const [what, value] of changed)
      expect([what, await submit(finishPlan(value))]).toEqual([what, 'PLAN_INVALID']);
    const bytes = new TextEncoder().encode(` ${new TextDecoder().decode(planOf(world).bytes)}`);
    const approvals = [approvePlan(planOf(world), 'ethics', world.approver)];
    expect(await codeOf(() => bench.admin('submitPlan', { plan: bytes, approvals }))).toBe('PLAN_INVALID');
    expect(await codeOf(() => bench.admin('submitPlan', { plan: new Uint8Array(0), approvals }))).toBe(
      'PLAN_INVALID',
    );
  });
});

test('a plan that fails in its ceremony is exported as far as it got, and the next one runs', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'pulsefold-queue-'));
  const holders = createHolders(world);
  start(holders, directory);
  holders[3]!.lie = 'ceremony';
  const first = planOf(world, { name: 'first' });
  const second = planOf(world, { name: 'second' });
  bench.submit(first);
  await ended(first);
  const why = 'CEREMONY_FAILED: round 1: the signature of university over the committee key does not verify';
  expect(bench.outcomes.get(first.hashHex)).toEqual({ status: 'failed', message: why });
  holders[3]!.lie = 'no';
  bench.submit(second);
  await sendAll(second, devices.slice(0, 3));
  expect(bench.outcomes.get(second.hashHex)).toMatchObject({ status: 'finished' });
  // Devices of the first are told its end, also now.
  const reply = await bench.checkIn(devices[0]!, first);
  expect(reply.finished!.reason).toBe(`failed: ${why}`);
  rmSync(directory, { recursive: true, force: true });
});

test('a restart after the end still answers check-ins and receipts', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'pulsefold-restart-'));
  const { openStore } = await import('./storage/sqlite-store.ts');
  const holders = createHolders(world);
  const boot = () => new Bench(world, holders, { store: openStore(join(directory, 'db')) }).start();
  bench = boot();
  const parsed = planOf(world);
  bench.submit(parsed);
  await sendAll(parsed, devices.slice(0, 3));
  await bench.stop();
  // This process knows none of the plan's holders any more; what is over needs none.
  bench = new Bench(world, [], { store: openStore(join(directory, 'db')) }).start();
  expect(await bench.checkIn(devices[0]!, parsed)).toMatchObject({
    finished: { reason: 'finished: 1 rounds released' },
  });
  const receipt = await bench.call<{ receipt: Uint8Array }>(devices[0]!, 'getReceipt', {
    planHash: parsed.hash,
    round: 1,
  });
  expect(new TextDecoder().decode(receipt.receipt)).toContain('"outcome":"certified"');
  expect(bench.complaints).toEqual([]);
  rmSync(directory, { recursive: true, force: true });
});

test('it stops in the middle of a round without waiting for it', async () => {
  start();
  const parsed = planOf(world);
  bench.submit(parsed);
  await runs(parsed);
  await bench.invited(devices[0]!, parsed);
  const own = bench;
  start();
  await own.stop();
  expect(own.outcomes.size).toBe(0);
});

describe('check-in', () => {
  test('a device whose budget is spent is told so, in words, and not invited; others are', async () => {
    start();
    // One round takes nearly all of this budget, so that a second does not fit.
    const tight = { ...strongPrivacy, epsilon: '4' };
    const first = planOf(world, { name: 'first', privacy: tight });
    const second = planOf(world, { name: 'second', privacy: tight });
    bench.submit(first);
    await sendAll(first, devices.slice(0, 3));
    bench.submit(second);
    await runs(second);
    const refused = await bench.checkIn(devices[0]!, second);
    expect(refused.invitation).toBeUndefined();
    expect(refused.wait).toMatchObject({ retryAfterMs: 5000 });
    expect(refused.wait!.reason).toMatch(
      /^BUDGET_EXCEEDED: The privacy budget is ε = 4 .* so this participant sits it out\.$/,
    );
    expect((await bench.checkIn(devices[3]!, second)).invitation).toBeDefined();
    expect(bench.coordinator.find(second.hash)!.active!.state.invited).toEqual([devices[3]!.deviceId]);
  });

  test('proves the device: signature, time, and a pseudonym that is its own', async () => {
    start();
    const parsed = planOf(world, { privacy: strongPrivacy });
    bench.submit(parsed);
    await runs(parsed);
    const [first, second] = devices;
    await bench.invited(first!, parsed);
    const again = await bench.checkIn(first!, parsed);
    expect(again.invitation).toBeDefined();
    const nowMs = bench.clock.nowMs();
    const stale = (ms: number) => codeOf(() => bench.checkIn(second!, parsed, { timeMs: nowMs + ms }));
    expect(await stale(-STATEMENT_SKEW_MS - 1000)).toBe('BAD_SIGNATURE');
    expect(await stale(STATEMENT_SKEW_MS + 60_000)).toBe('BAD_SIGNATURE');
    // Charging somebody else, or starting a fresh budget under a new name:
    const theirs = { pseudonym: first!.pseudonym('1') };
    expect(await codeOf(() => bench.checkIn(second!, parsed, theirs))).toBe('BUDGET_EXCEEDED');
    await bench.invited(second!, parsed);
    const signing = { publicKey: first!.signing.publicKey, secretKey: second!.signing.secretKey };
    expect(await codeOf(() => bench.checkIn({ ...first!, signing }, parsed))).toBe('BAD_SIGNATURE');
    expect(await codeOf(() => bench.checkIn(second!, planOf(world, { name: 'other' })))).toBe('WRONG_PLAN');
    const { invited } = bench.coordinator.find(parsed.hash)!.active!.state;
    expect(invited).toEqual([first!.deviceId, second!.deviceId]);
  });

  test('a new pseudonym in the same epoch does not give a second budget', async () => {
    start();
    const tight = { ...strongPrivacy, epsilon: '4' };
    const first = planOf(world, { name: 'first', privacy: tight });
    const second = planOf(world, { name: 'second', privacy: tight });
    bench.submit(first);
    await sendAll(first, devices.slice(0, 3));
    bench.submit(second);
    await runs(second);
    const pseudonym = new Uint8Array(32).fill(9);
    expect(await codeOf(() => bench.checkIn(devices[0]!, second, { pseudonym }))).toBe('BUDGET_EXCEEDED');
    expect(bench.coordinator.find(second.hash)!.active!.state.invited).toEqual([]);
  });

  test('waits for a round, for a place, and no longer than asked', async () => {
    start();
    const parsed = planOf(world, { rounds: { cohortMax: 3, checkInWindowMs: 60_000 } });
    bench.submit(parsed);
    await runs(parsed);
    for (const device of devices.slice(0, 3)) await bench.invited(device, parsed);
    expect(await bench.checkIn(devices[3]!, parsed)).toMatchObject({
      wait: { reason: 'the cohort is full', retryAfterMs: 1000 },
    });
    const nothing = await bench.checkIn(await createDevice(world), parsed, { roundAfter: 1, waitMs: 30 });
    expect(nothing).toMatchObject({ wait: { reason: 'no round is open', retryAfterMs: 0 } });
  });
});

test('artefacts by digest are paged; the status speaks of every round', async () => {
  bench = new Bench(world, createHolders(world), { clock: new TestClock() }).start();
  expect(await bench.admin('getStatus', {})).toEqual({ phase: 'idle', message: 'no plan yet' });
  const parsed = planOf(world);
  bench.submit(parsed);
  await sendAll(parsed, devices.slice(0, 3));
  expect(await bench.admin('getStatus', {})).toMatchObject({
    phase: 'finished',
    roundsCompleted: 1,
    rounds: [{ round: 1, phase: 'released', invited: 3, uploaded: 3, certified: 3 }],
  });
  const { keyId, publicKey } = world.committee(1);
  const blob = (offset: number) =>
    bench.call<{ data: Uint8Array; totalBytes: number }>(devices[0]!, 'getBlob', { digest: keyId, offset });
  expect(Buffer.compare((await blob(0)).data, publicKey)).toBe(0);
  expect((await blob(publicKey.length - 3)).data).toHaveLength(3);
  expect(await codeOf(() => blob(publicKey.length + 1))).toBe('FIELD_OUT_OF_RANGE');
  expect(
    await codeOf(() => bench.call(devices[0]!, 'getBlob', { digest: new Uint8Array(32), offset: 0 })),
  ).toBe('NOT_FOUND');
  const abort = { planHash: parsed.hash, round: 1, reason: '' };
  expect(await codeOf(() => bench.admin('abortRound', abort))).toBe('WRONG_ROUND');
});
