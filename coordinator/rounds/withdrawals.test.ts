/** Goal: from a withdrawal on nothing more is charged, except a round that has the upload already; said and logged. */
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { toHex } from '../../crypto/bytes.ts';
import type { ParsedPlan } from '../../protos/plan.ts';
import { PAST_SPEND_NOTE } from '../../protos/withdrawal.ts';
import {
  createDevices,
  createWorld,
  planOf,
  strongPrivacy,
  type TestDevice,
  type TestWorld,
} from '../testing.ts';
import { type Bench, bindingOf, signUpload } from '../testing-bench.ts';
import { withdraw as withdrawFrom } from '../testing-rights.ts';
import { digitsOf } from '../testing-round.ts';
import { roundReleased, runPlan, sendUpdate, UPDATE } from '../testing-running-plan.ts';
import { budgetAlarms, compareAccounts } from './reconcile.ts';

let world: TestWorld;
let devices: TestDevice[];
let bench: Bench;
let parsed: ParsedPlan;
beforeAll(async () => {
  world = await createWorld();
  devices = await createDevices(world, 4);
});
beforeEach(async () => {
  parsed = planOf(world, {
    privacy: { ...strongPrivacy, epsilon: '12' },
    rounds: { training: 2, cohortTarget: 8 },
  });
  bench = await runPlan(world, parsed);
});
afterEach(() => bench.stop());

const pseudonymOf = (device: TestDevice) => device.pseudonym('1');
const coded = (code: string) => expect.objectContaining({ code });

const withdraw = (device: TestDevice, scope: string, changes: object = {}) =>
  withdrawFrom(bench, device, parsed, scope, changes);

const upload = (device: TestDevice, round = 1) => sendUpdate(bench, device, parsed, round);
const balance = (device: TestDevice) =>
  bench.store.read('test', (db) => bench.ledger.within(db).balance(toHex(pseudonymOf(device))));
const leavesOf = (kind: string) => bench.log.leaves().filter((leaf) => leaf.kind === kind);
const released = (round: number) => roundReleased(bench, round);

describe('a withdrawal', () => {
  it('before the upload: nothing is taken, the reservation is freed, no invitation comes any more', async () => {
    const [first, ...others] = devices;
    const config = await bench.invited(first!, parsed);
    expect(balance(first!).reserved).toBeGreaterThan(0);
    const receipt = await withdraw(first!, `plan:${parsed.hashHex}`);
    expect(receipt).toMatchObject({ standingRound: 0, spent: '0', note: PAST_SPEND_NOTE });
    const { publicKey } = world.committee(1);
    const parts = world.bfv.encrypt(publicKey, digitsOf(parsed, config, UPDATE));
    await expect(bench.put(first!, signUpload(world, first!, bindingOf(config), parts))).rejects.toThrow(
      coded('WITHDRAWN'),
    );
    for (const device of others) await upload(device);
    bench.clock.jump(700_000);
    await released(1);
    expect(balance(first!)).toMatchObject({ spent: 0, reserved: 0, withdrawn: [`plan:${parsed.hashHex}`] });
    expect((await bench.checkIn(first!, parsed)).finished!.reason).toMatch(/withdrawn/);
    bench.store.read('test', (db) => bench.ledger.within(db).verify());
  });

  it('after the upload: that round ends as it would have, the receipt says so, the next one is without it', async () => {
    for (const device of devices) await upload(device);
    const [first] = devices;
    const receipt = await withdraw(first!, '*');
    expect(receipt.standingRound).toBe(1);
    bench.clock.jump(700_000);
    await released(1);
    const { spent } = balance(first!);
    expect(spent).toBeGreaterThan(0);
    for (const device of devices.slice(1)) await upload(device, 2);
    expect((await bench.checkIn(first!, parsed)).finished!.reason).toMatch(/withdrawn/);
    bench.clock.jump(700_000);
    await released(2);
    expect(balance(first!)).toMatchObject({ spent, reserved: 0 });
    expect(balance(devices[1]!).spent).toBeGreaterThan(spent);
  });

  it('is logged once under the pseudonym and without identifier; repeating gives the same receipt', async () => {
    const [first] = devices;
    await upload(first!);
    const receipt = await withdraw(first!, '*');
    bench.clock.jump(1000);
    expect(await withdraw(first!, '*')).toEqual(receipt);
    const leaves = leavesOf('withdrawal');
    expect(leaves).toMatchObject([
      { planHash: parsed.hashHex, pseudonym: toHex(pseudonymOf(first!)), scope: '*', afterRound: 1 },
    ]);
    expect(JSON.stringify(leaves)).not.toContain(first!.deviceId);
  });

  it.each<[string, (device: TestDevice, other: TestDevice) => Promise<unknown>, string]>([
    [
      'another scope than signed',
      (d) => withdraw(d, '*', { scope: `plan:${'0'.repeat(64)}` }),
      'BAD_SIGNATURE',
    ],
    ['an old statement', (d) => withdraw(d, '*', { timeMs: 1 }), 'BAD_SIGNATURE'],
    ['somebody else’s pseudonym', (d, o) => withdraw(d, '*', { pseudonym: pseudonymOf(o) }), 'BAD_SIGNATURE'],
    ['an unknown scope', (d) => withdraw(d, 'all'), 'FIELD_OUT_OF_RANGE'],
    ['another plan', (d) => withdraw(d, '*', { planHash: new Uint8Array(32) }), 'WRONG_PLAN'],
  ])('with %s is refused and changes nothing', async (_name, attempt, code) => {
    await upload(devices[0]!);
    await expect(attempt(devices[0]!, devices[1]!)).rejects.toThrow(coded(code));
    expect(leavesOf('withdrawal')).toEqual([]);
    expect(balance(devices[0]!).withdrawn).toEqual([]);
  });
});

describe('reconciliation at the coordinator', () => {
  it('keeps an alarm where a device has receipts for more than the ledger charged', async () => {
    for (const device of devices) await upload(device);
    bench.clock.jump(700_000);
    await released(1);
    const { spent } = balance(devices[0]!);
    const alarms = () => bench.store.read('test', budgetAlarms);
    const say = (charged: string) =>
      compareAccounts(bench.services, parsed, devices[0]!.deviceId, { round: 1, charged });
    say('');
    say('0');
    say(spent.toFixed(45));
    expect(alarms()).toEqual([]);
    say((spent * 1.01).toFixed(45));
    say((spent * 1.02).toFixed(45));
    expect(alarms()).toMatchObject([{ device: devices[0]!.deviceId, plan: parsed.hashHex, round: 1 }]);
  });
});
