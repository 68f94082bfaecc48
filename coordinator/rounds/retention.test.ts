/** Goal: after the days that a plan promised, nothing in the store says which devices took part; proofs stay. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fromUtf8, toHex, utf8 } from '../../crypto/bytes.ts';
import { CONSENT_NOTE, retentionInWords } from '../../protos/consent.ts';
import { type ParsedPlan, parsePlanBytes } from '../../protos/plan.ts';
import { openMemoryStore } from '../storage/sqlite-store.ts';
import {
  createDevices,
  createWorld,
  planOf,
  strongPrivacy,
  TestClock,
  type TestDevice,
  until,
} from '../testing.ts';
import { Bench } from '../testing-bench.ts';
import { createHolders } from '../testing-holder.ts';
import { asking, consentOf, consentTo, erase, everythingIn, TERMS } from '../testing-rights.ts';
import { runPlan, sendUpdate } from '../testing-running-plan.ts';
import { ROUNDS_MIGRATIONS } from './repository.ts';
import { forgetEndedPlans } from './retention.ts';

const DAY_MS = 86_400_000;
const directory = mkdtempSync(join(tmpdir(), 'pulsefold-retention-'));
let bench: Bench;
let devices: TestDevice[];
let parsed: ParsedPlan;
beforeAll(async () => {
  const world = await createWorld();
  devices = await createDevices(world, 3);
  parsed = asking(planOf(world, { privacy: { ...strongPrivacy, epsilon: '12' } }));
  bench = await runPlan(world, parsed);
  for (const device of devices) {
    await consentTo(bench, device, consentOf(bench, device, parsed));
    await sendUpdate(bench, device, parsed);
  }
  bench.clock.jump(700_000);
  await until('the plan has ended', () => bench.outcomes.has(parsed.hashHex));
});
afterAll(async () => {
  await bench.stop();
  rmSync(directory, { recursive: true });
});

const exported = () => {
  bench.export(parsed, directory);
  return JSON.parse(readFileSync(join(directory, 'rounds', '1.json'), 'utf8'));
};
const places = (trace: string) =>
  everythingIn(bench)
    .split('\n')
    .filter((line) => line.includes(trace)).length;

describe('retention', () => {
  it('keeps until the day that was promised, then forgets, once', () => {
    const before = exported();
    expect(before.cohortLeafHashes).toHaveLength(3);
    expect(forgetEndedPlans(bench.services)).toEqual([]);
    bench.clock.jump(TERMS.retentionDays * DAY_MS - 60_000);
    expect(forgetEndedPlans(bench.services)).toEqual([]);
    const [device] = devices as [TestDevice];
    expect(places(device.deviceId)).toBeGreaterThan(3);
    expect(places(toHex(device.certificate))).toBe(1);
    bench.clock.jump(120_000);
    expect(forgetEndedPlans(bench.services)).toEqual([parsed.hashHex]);
    expect(forgetEndedPlans(bench.services)).toEqual([]);
    // What is left is the link that enforces the budget of the epoch.
    for (const one of devices) {
      expect(places(one.deviceId)).toBe(1);
      expect(places(toHex(one.certificate))).toBe(0);
    }
    expect(exported()).toEqual(before);
    bench.store.read('t', (db) => bench.ledger.within(db).verify());
  });

  it('takes no consent to a plan that it has forgotten', async () => {
    const [device] = devices as [TestDevice];
    const left = places(device.deviceId);
    await expect(consentTo(bench, device, consentOf(bench, device, parsed))).rejects.toThrow(
      expect.objectContaining({ code: 'WRONG_PLAN', message: expect.stringContaining('retention') }),
    );
    expect(places(device.deviceId)).toBe(left);
  });

  it('keeps what people are told that it keeps, until they are erased', async () => {
    const [device, other] = devices as [TestDevice, TestDevice];
    const roundsOf = ({ deviceId }: TestDevice) =>
      bench.store.read('t', (db) =>
        db.all(
          'SELECT i.round FROM invitations i JOIN pseudonyms p USING (pseudonym) WHERE p.device = ?',
          deviceId,
        ),
      );
    // It can still be told who was in the round: so it must be said, with its end.
    expect(roundsOf(device)).toEqual([{ round: 1 }]);
    const told = retentionInWords(TERMS.retentionDays);
    const link = told.find(({ what }) => what.includes('pseudonym this device has'))!;
    expect(link.what).toMatch(/in which rounds it was charged or invited/);
    expect(link.howLong).toMatch(/^until this device is erased/);
    expect(told[0]).toMatchObject({ howLong: 'until 30 days after the plan ends' });
    expect(CONSENT_NOTE).toMatch(
      /which rounds it was invited to or charged for, stays known .* until the device is erased/,
    );
    await erase(bench, device, parsed);
    expect(roundsOf(device)).toEqual([]);
    expect(places(device.deviceId)).toBe(0);
    expect(roundsOf(other)).toEqual([{ round: 1 }]);
  });

  it('of a plan that cannot be read is logged, and the others are kept to', () => {
    const damaged = { hash: 'damaged', bytes: new Uint8Array([1]), status: 'finished' };
    const due = { hash: 'due', bytes: parsed.bytes, status: 'finished' };
    // A later schema refuses its learning rate; what it promised binds.
    const text = fromUtf8(parsed.bytes).replace('"learningRate":{"real":"0.1"}', '"learningRate":1000');
    const stricter = { hash: 'stricter', bytes: utf8(text), status: 'failed' };
    expect(() => parsePlanBytes(stricter.bytes)).toThrow(/learningRate/);
    const errors: unknown[] = [];
    const store = {
      read: () => [damaged, due, stricter],
      transaction: (name: string) => name === 'plan-end' || undefined,
    };
    const logger = { error: (facts: unknown) => errors.push(facts) };
    const services = { store, clock: bench.clock, logger } as never;
    expect(forgetEndedPlans(services)).toEqual(['due', 'stricter']);
    expect(errors).toMatchObject([{ plan: 'damaged' }]);
  });

  it.each([
    ['finished', 'an ended plan could not be taken up again'],
    ['running', 'this version does not run this plan'],
  ])('a %s plan that cannot be read does not stop the queue at the next start', async (status, complaint) => {
    const { world } = bench;
    const store = openMemoryStore();
    store.migrate('rounds', ROUNDS_MIGRATIONS);
    store.transaction('t', (db) =>
      db.run("INSERT INTO plans VALUES ('damaged', x'01', '[]', 1, ?, '', '', '')", status),
    );
    const restarted = new Bench(world, createHolders(world), { store, clock: new TestClock() }).start();
    restarted.submit(parsed);
    await until('the next plan runs', () => restarted.coordinator.find(parsed.hash) !== null);
    expect(restarted.complaints).toContain(complaint);
    await restarted.stop();
  });

  it('of a plan that promises nothing changes nothing', () => {
    const read = { listPlans: () => [{ hash: 'x', bytes: planOf(bench.world).bytes, status: 'finished' }] };
    const store = {
      read: () => read.listPlans(),
      transaction: () => expect.unreachable('a write'),
    };
    expect(forgetEndedPlans({ ...bench.services, store: store as never })).toEqual([]);
  });
});
