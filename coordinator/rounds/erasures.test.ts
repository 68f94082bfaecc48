/**
 * Goal: a person gets all that is held about their device, and after an erasure nothing of it is left but what others'
 * proofs rest on; budgets stay spent, rounds under way end as they would have.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { fromHex, toHex } from '../../crypto/bytes.ts';
import { MerkleTree, verifyInclusion } from '../../crypto/log/merkle.ts';
import type { ParsedPlan } from '../../protos/plan.ts';
import { parseReceipt, type Receipt } from '../../protos/receipt.ts';
import {
  createDevices,
  createWorld,
  planOf,
  strongPrivacy,
  type TestDevice,
  type TestWorld,
  until,
} from '../testing.ts';
import { Bench, bindingOf, signUpload } from '../testing-bench.ts';
import { createHolders } from '../testing-holder.ts';
import {
  accessOf,
  asking,
  consentOf,
  consentTo,
  erase,
  everythingIn,
  leavesOf,
  withdraw,
} from '../testing-rights.ts';
import { digitsOf } from '../testing-round.ts';
import { roundReleased, runPlan, sendUpdate, UPDATE } from '../testing-running-plan.ts';
import { keepPromises } from './promises.ts';
import { compareAccounts } from './reconcile.ts';

const coded = (code: string) => expect.objectContaining({ code });

let world: TestWorld;
let devices: TestDevice[];
let device: TestDevice;
let others: TestDevice[];
let bench: Bench;
let parsed: ParsedPlan;
let directory: string;
beforeAll(async () => {
  world = await createWorld();
  devices = await createDevices(world, 4);
  // In the middle of the cohort's order.
  device = devices[1]!;
  others = devices.filter((one) => one !== device);
});
async function begin(): Promise<void> {
  directory = mkdtempSync(join(tmpdir(), 'pulsefold-erasure-'));
  parsed = asking(
    planOf(world, {
      privacy: { ...strongPrivacy, epsilon: '12' },
      rounds: { training: 2, cohortTarget: 8 },
    }),
  );
  bench = await runPlan(world, parsed);
  for (const one of devices) await consentTo(bench, one, consentOf(bench, one, parsed));
}
async function finish(): Promise<void> {
  await bench.stop();
  rmSync(directory, { recursive: true });
}
const fresh = (): void => {
  beforeEach(begin);
  afterEach(finish);
};
/** One coordinator for many attempts that change nothing. */
const shared = (): void => {
  beforeAll(begin);
  afterAll(finish);
};

const upload = (one: TestDevice, round = 1) => sendUpdate(bench, one, parsed, round);

async function releasedRound(participants: readonly TestDevice[], round = 1): Promise<void> {
  for (const one of participants) await upload(one, round);
  await endOf(round);
}

async function endOf(round: number): Promise<void> {
  bench.clock.jump(700_000);
  await roundReleased(bench, round);
  const runner = bench.coordinator.find(parsed.hash)!;
  await until('the runner goes on', () => runner.active?.state.round !== round);
}

async function receiptOf(one: TestDevice, round = 1): Promise<Receipt> {
  const request = { planHash: parsed.hash, round };
  return parseReceipt((await bench.call<{ receipt: Uint8Array }>(one, 'getReceipt', request)).receipt);
}

const exported = (name: string) => {
  bench.export(parsed, directory);
  return JSON.parse(readFileSync(join(directory, name), 'utf8'));
};
const spentOf = (one: TestDevice) =>
  bench.store.read('t', (db) => bench.ledger.within(db).balance(toHex(one.pseudonym('1'))));

/** Where the device id or what belongs to it stands. */
function tracesOf(one: TestDevice, digests: readonly string[]): string[] {
  const traces = [one.deviceId, toHex(one.certificate), toHex(one.signing.publicKey), ...digests];
  const all = everythingIn(bench);
  return traces.filter((trace) => all.includes(trace));
}

describe('erasure', () => {
  fresh();

  it('leaves no trace of the device, and everybody else’s proofs and budgets as they were', async () => {
    await releasedRound(devices);
    const before = exported('rounds/1.json');
    const receipt = await receiptOf(device);
    const neighbour = await receiptOf(others[0]!);
    const { spent } = spentOf(device);
    expect(tracesOf(device, [receipt.digest])).toHaveLength(4);

    const erasure = await erase(bench, device, parsed);
    expect(erasure.standing).toEqual([]);
    expect(erasure.erased.map(({ what }) => what).join()).toMatch(/certificate.*consents.*link/s);
    expect(erasure.kept.length).toBeGreaterThan(3);
    expect(tracesOf(device, [receipt.digest])).toEqual([]);

    const after = exported('rounds/1.json');
    expect(after).toEqual(before);
    const { certificate } = neighbour;
    expect(toHex(MerkleTree.fromLeafHashes(after.cohortLeafHashes.map(fromHex)).root())).toBe(
      certificate!.cohortRoot,
    );
    // Receipts that are asked for afterwards, by a process that has nothing of the round in memory.
    const restarted = new Bench(world, createHolders(world), { store: bench.store, clock: bench.clock });
    await restarted.start();
    await until('the plan is back', () => restarted.coordinator.find(parsed.hash) !== null);
    const again = parseReceipt(
      (
        await restarted.call<{ receipt: Uint8Array }>(others[0]!, 'getReceipt', {
          planHash: parsed.hash,
          round: 1,
        })
      ).receipt,
    );
    expect({ ...again, ledger: undefined }).toEqual({ ...neighbour, ledger: undefined });
    const { index, size, proof } = again.inclusion!;
    const leafHash = fromHex(after.cohortLeafHashes[index]);
    const root = fromHex(certificate!.cohortRoot);
    expect(verifyInclusion({ leafHash, index, size, proof: proof.map(fromHex), root })).toBe(true);
    restarted.coordinator.stop();

    expect(spentOf(device)).toMatchObject({ spent, reserved: 0, withdrawn: ['*'] });
    bench.store.read('t', (db) => bench.ledger.within(db).verify());
  });

  it('while a round has the update: that round ends as it would have, then its rows go, too', async () => {
    for (const one of devices) await upload(one);
    const { charges, accounts, uploads } = (await accessOf(bench, device, parsed)).report;
    expect(charges).toMatchObject([{ round: 1, state: 'reserved', amount: accounts[0]!.reserved }]);
    expect(uploads).toMatchObject([{ acknowledged: true, stored: true }]);
    const erasure = await erase(bench, device, parsed);
    expect(erasure.standing).toEqual([{ planHash: parsed.hashHex, round: 1 }]);
    expect(tracesOf(device, [])).toContain(device.deviceId);
    await endOf(1);
    expect(exported('rounds/1.json').cohortLeafHashes).toHaveLength(4);
    expect(spentOf(device).spent).toBeGreaterThan(0);
    await until('its rows are gone', () => tracesOf(device, []).length === 0);
    expect(leavesOf(bench, 'erasure')).toMatchObject([
      { afterRound: 1, pseudonym: toHex(device.pseudonym('1')) },
    ]);
    // The next round goes on without it, and its receipts are built from the same tables.
    await releasedRound(others, 2);
    expect((await receiptOf(others[1]!, 2)).certificate?.cohortCount).toBe(3);
  });

  it('before the upload: the update is refused, the reservation freed, the rows go with the round', async () => {
    const config = await bench.invited(device, parsed);
    await erase(bench, device, parsed);
    const parts = world.bfv.encrypt(world.committee(1).publicKey, digitsOf(parsed, config, UPDATE));
    await expect(bench.put(device, signUpload(world, device, bindingOf(config), parts))).rejects.toThrow(
      coded('WITHDRAWN'),
    );
    await releasedRound(others);
    expect(spentOf(device)).toMatchObject({ spent: 0, reserved: 0 });
    await until('its rows are gone', () => tracesOf(device, []).length === 0);
  });

  it('is for good: no way back under the key, the pseudonym or another pseudonym', async () => {
    await releasedRound(devices);
    const receipt = await erase(bench, device, parsed);
    const forged = { pseudonym: others[0]!.pseudonym('another epoch') };
    await expect(bench.checkIn(device, parsed)).rejects.toThrow(coded('ERASED'));
    await expect(bench.checkIn(device, parsed, forged)).rejects.toThrow(coded('ERASED'));
    await expect(consentTo(bench, device, consentOf(bench, device, parsed))).rejects.toThrow(coded('ERASED'));
    await expect(accessOf(bench, device, parsed)).rejects.toThrow(coded('ERASED'));
    const thief = (await createDevices(world, 1))[0]!;
    const stolen = consentOf(bench, thief, parsed, { pseudonym: toHex(device.pseudonym('1')) });
    await expect(consentTo(bench, thief, stolen)).rejects.toThrow(coded('BUDGET_EXCEEDED'));
    bench.clock.jump(86_400_000);
    const again = await erase(bench, device, parsed);
    expect(again).toMatchObject({ repeated: true, erased: [], standing: [], kept: receipt.kept });
    expect(leavesOf(bench, 'erasure')).toHaveLength(1);
  });

  it('keeps nothing that leads from the device id to its pseudonym, even with the coordinator’s key', async () => {
    await releasedRound(devices);
    const receipt = await erase(bench, device, parsed);
    // Whoever has the id and the key finds the row of the mark. All that is in it, and in what is said again:
    const rows = bench.store.read('t', (db) => db.all('SELECT * FROM erased_devices'));
    expect(rows.map((row) => Object.keys(row))).toEqual([['mark']]);
    const again = JSON.stringify([rows, await erase(bench, device, parsed)]);
    // ... is in no leaf, so it finds no pseudonym.
    const [leaf] = leavesOf(bench, 'erasure') as unknown as [{ commitment: string; pseudonym: string }];
    const { commitment, pseudonym } = leaf;
    expect(receipt.commitment).toBe(commitment);
    for (const trace of [commitment, pseudonym]) expect(again).not.toContain(trace);
    const [charged] = receipt.kept as unknown as [{ why: string }];
    expect(charged.why).toMatch(/coordinator keeps nothing that leads from the device to the pseudonym/);
    expect(charged.why).toMatch(/key holders.*could match/);
    expect(JSON.stringify(receipt.kept)).not.toMatch(/nobody can tell/);
  });

  it('interrupted by a crash is finished by the next look, without a further round', async () => {
    for (const one of devices) await upload(one);
    await erase(bench, device, parsed);
    // As a crash right after the round's end leaves it: everything there, nobody to call finishErasures.
    const pending = (sql: string) => bench.store.transaction('t', (db) => db.run(sql, device.deviceId));
    pending('DELETE FROM erasures_pending WHERE device = ?');
    await endOf(1);
    expect(tracesOf(device, [])).toContain(toHex(device.certificate));
    pending('INSERT INTO erasures_pending VALUES (?)');
    const promises = keepPromises(bench.services);
    await until('its rows are gone again', () => tracesOf(device, []).length === 0);
    promises.stop();
  });

  it('two of one cohort: both are gone, the tree stands; asked twice at a time, one erasure', async () => {
    await releasedRound(devices);
    const before = exported('rounds/1.json');
    const [one, two] = await Promise.all([erase(bench, device, parsed), erase(bench, device, parsed)]);
    expect([one, two].filter(({ repeated }) => repeated)).toHaveLength(1);
    expect(leavesOf(bench, 'erasure')).toHaveLength(1);
    await erase(bench, others[2]!, parsed);
    expect([...tracesOf(device, []), ...tracesOf(others[2]!, [])]).toEqual([]);
    expect(exported('rounds/1.json')).toEqual(before);
    expect((await receiptOf(others[0]!)).inclusion?.size).toBe(4);
  });
});

describe('subject access', () => {
  fresh();

  it('names every row about the device, its charges and statements, and nothing about another', async () => {
    await releasedRound(devices);
    const { spent } = spentOf(device);
    compareAccounts(bench.services, parsed, device.deviceId, { round: 1, charged: (spent * 2).toFixed(40) });
    await withdraw(bench, device, parsed, '*');
    const { report, receipt, text } = await accessOf(bench, device, parsed);
    expect(report).toMatchObject({
      deviceId: device.deviceId,
      plans: [{ planHash: parsed.hashHex, controller: 'Heart Institute' }],
      pseudonyms: [{ epoch: '1', pseudonym: toHex(device.pseudonym('1')) }],
      invitations: [{ round: 1 }],
      uploads: [{ round: 1, acknowledged: true, stored: false, digest: (await receiptOf(device)).digest }],
      charges: [{ round: 1, state: 'charged', amount: String((await receiptOf(device)).charge?.amount) }],
      consents: [{ signature: expect.any(String) }],
      withdrawals: [{ receipt: expect.stringContaining('"scope":"*"') }],
      alarms: [{ round: 1 }],
      certificate: toHex(device.certificate),
      omitted: [],
    });
    expect(report.verdicts).toHaveLength(4);
    expect(Number(report.accounts[0]?.spent)).toBe(spent);
    for (const one of others) {
      expect(text).not.toContain(one.deviceId);
      expect(text).not.toContain(toHex(one.pseudonym('1')));
    }
    expect(leavesOf(bench, 'subject_access')).toMatchObject([{ commitment: receipt.commitment }]);
    expect(Object.keys(leavesOf(bench, 'subject_access')[0]!)).toHaveLength(4);
  });

  it('covers every table that names a device', () => {
    const tables = bench.store.read('t', (db) =>
      db.all<{ name: string }>(
        `SELECT DISTINCT t.name FROM sqlite_schema t, pragma_table_info(t.name) c
         WHERE t.type = 'table' AND c.name IN ('device', 'devices', 'device_id', 'candidates') ORDER BY t.name`,
      ),
    );
    // A new one must be read by device-report.ts and erased by device-rows.ts; then it belongs here.
    expect(tables.map(({ name }) => name)).toEqual([
      'budget_alarms',
      'cohort_leaves',
      'consents',
      'erasures_pending',
      'fold_state',
      'invitations',
      'lates',
      'pseudonyms',
      'rejections',
      'subject_access',
      'upload_chunks',
      'uploads',
      'verdict_lists',
      'withdrawals',
    ]);
  });

  it('is the same within a minute, another afterwards, and has an end each day', async () => {
    const first = await accessOf(bench, device, parsed);
    bench.clock.jump(50_000);
    expect((await accessOf(bench, device, parsed)).receipt).toEqual(first.receipt);
    bench.clock.jump(20_000);
    const second = await accessOf(bench, device, parsed);
    expect(second.receipt.reportDigest).not.toBe(first.receipt.reportDigest);
    for (let i = 0; i < 22; i++) {
      bench.clock.jump(61_000);
      await accessOf(bench, device, parsed);
    }
    bench.clock.jump(61_000);
    await expect(accessOf(bench, device, parsed)).rejects.toThrow(coded('UNAVAILABLE'));
    expect((await accessOf(bench, others[0]!, parsed)).report.deviceId).toBe(others[0]!.deviceId);
    bench.clock.jump(86_400_000);
    expect((await accessOf(bench, device, parsed)).report.consents).toHaveLength(1);
  });
});

describe('a request that ought not to count', () => {
  shared();

  it.each<[string, () => Promise<unknown>, string]>([
    [
      'a forged signature',
      () => erase(bench, device, parsed, { signature: new Uint8Array(64) }),
      'BAD_SIGNATURE',
    ],
    ['an old time', () => erase(bench, device, parsed, { timeMs: 1 }), 'BAD_SIGNATURE'],
    [
      'another’s pseudonym',
      () => erase(bench, device, parsed, { pseudonym: others[0]!.pseudonym('1') }),
      'BAD_SIGNATURE',
    ],
    [
      'another’s signed request',
      () => erase(bench, { ...others[0]!, deviceId: device.deviceId }, parsed),
      'BUDGET_EXCEEDED',
    ],
    ['another plan', () => erase(bench, device, parsed, { planHash: new Uint8Array(32) }), 'WRONG_PLAN'],
    [
      'a short hash',
      () => erase(bench, device, parsed, { planHash: new Uint8Array(31) }),
      'FIELD_OUT_OF_RANGE',
    ],
  ])('for erasure with %s is refused and erases nothing', async (_name, attempt, code) => {
    await expect(attempt()).rejects.toThrow(coded(code));
    expect(leavesOf(bench, 'erasure')).toEqual([]);
    expect(tracesOf(device, [])).toContain(device.deviceId);
  });

  it.each<[string, () => Promise<unknown>, string]>([
    [
      'a forged signature',
      () => accessOf(bench, device, parsed, { signature: new Uint8Array(64) }),
      'BAD_SIGNATURE',
    ],
    [
      'another’s signed request',
      () => accessOf(bench, { ...others[0]!, deviceId: device.deviceId }, parsed),
      'BUDGET_EXCEEDED',
    ],
    ['a page of no report', () => accessOf(bench, device, parsed, { offset: 5 }), 'NOT_FOUND'],
    [
      'an offset beyond the cap',
      () => accessOf(bench, device, parsed, { offset: 2 ** 30 }),
      'FIELD_OUT_OF_RANGE',
    ],
  ])('for a report with %s is refused', async (_name, attempt, code) => {
    await expect(attempt()).rejects.toThrow(coded(code));
    expect(leavesOf(bench, 'subject_access')).toEqual([]);
  });
});
