/** Goal: reports about many devices do not stop the rounds of all: one desk, few a minute, turns in between, nothing left. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { ParsedPlan } from '../../protos/plan.ts';
import {
  createDevices,
  createWorld,
  planOf,
  strongPrivacy,
  type TestDevice,
  type TestWorld,
  until,
} from '../testing.ts';
import type { Bench } from '../testing-bench.ts';
import { accessOf, asking, leavesOf } from '../testing-rights.ts';
import { runPlan } from '../testing-running-plan.ts';
import { rowsOfDevice } from './device-report.ts';
import { keepPromises } from './promises.ts';
import { dropReports } from './subject-access.ts';

let world: TestWorld;
let device: TestDevice;
let bench: Bench;
let parsed: ParsedPlan;

describe('the desk for reports', () => {
  beforeAll(async () => {
    world = await createWorld();
    device = (await createDevices(world, 1))[0]!;
    parsed = asking(planOf(world, { privacy: { ...strongPrivacy, epsilon: '12' } }));
    bench = await runPlan(world, parsed);
  });
  afterAll(() => bench.stop());
  const ask = (one: TestDevice) => accessOf(bench, one, parsed).then(({ report }) => report.deviceId);

  it('makes one at a time, a device’s once, and refuses the crowd with a code to come back', async () => {
    const order: string[] = [];
    const crowd = await createDevices(world, 10);
    const all = [device, device, ...crowd].map((one) =>
      ask(one).then(
        (id) => order.push(id),
        (error) => order.push(error.code),
      ),
    );
    await Promise.all(all);
    // Eight wait; the ninth and later are told to come back.
    expect(order.filter((id) => id === 'UNAVAILABLE')).toHaveLength(3);
    expect(order.filter((id) => id === device.deviceId)).toHaveLength(2);
    expect(leavesOf(bench, 'subject_access')).toHaveLength(8);
    const more = await createDevices(world, 24);
    const codes: string[] = [];
    for (const one of more) codes.push(await ask(one).catch((error) => error.code));
    // Thirty a minute of all devices together.
    expect(codes.filter((code) => code !== 'UNAVAILABLE')).toHaveLength(22);
    bench.clock.jump(61_000);
    expect(await ask(more[23]!)).toBe(more[23]!.deviceId);
  });

  it('keeps no report that was fetched, nor one that nobody fetches', async () => {
    const stored = () =>
      bench.store.read('t', (db) =>
        db.all<{ n: number }>('SELECT length(report) AS n FROM subject_access').filter(({ n }) => n > 0),
      );
    const [one, two] = await createDevices(world, 2);
    bench.clock.jump(3_600_000);
    await ask(one!);
    bench.clock.jump(61_000);
    await ask(two!);
    // The first was fetched to its end and its minute is over.
    expect(stored()).toHaveLength(1);
    bench.store.transaction('t', (db) => db.run('UPDATE subject_access SET fetched = 0'));
    const look = () => bench.store.transaction('t', (db) => dropReports(db, bench.clock.nowMs()));
    bench.clock.jump(500_000);
    look();
    expect(stored()).toHaveLength(1);
    bench.clock.jump(200_000);
    const promises = keepPromises(bench.services);
    await until('it is gone', () => stored().length === 0);
    promises.stop();
  });

  it('lets others have their turn between two rounds', async () => {
    const many = Array.from({ length: 60 }, (_, i) => i);
    const turns: string[] = [];
    const { clock } = bench.services;
    const services = {
      ...bench.services,
      clock: { ...clock, turn: async () => void turns.push('turn') },
      store: {
        read: (name: string) =>
          name === 'subject-rounds' ? many.map((round) => ({ plan: 'p', round })) : void turns.push(name),
      },
    } as never;
    await rowsOfDevice(services, device.deviceId, () => parsed);
    expect(turns).toEqual([...many.flatMap(() => ['subject-round', 'turn']), 'subject-rows']);
  });
});
