/**
 * Goal: rounds with groups: each group's sum is exact and the groups are those that the seeds draw; one faulty holder or
 * one client with a garbage body does not stop the release; nothing of it is lost or drawn twice in a crash.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { fromHex } from '../crypto/bytes.ts';
import { agreedDraws, partitionOf, partitionSeed } from '../crypto/secagg/shares/index.ts';
import { initialWeights } from '../protos/model.ts';
import { finishPlan, type ParsedPlan } from '../protos/plan.ts';
import { schemeOf } from '../protos/plan-scheme.ts';
import { certificateStatement } from '../protos/statements.ts';
import { FoldPool } from './aggregation/fold-pool.ts';
import type * as repository from './rounds/repository.ts';
import {
  createDevices,
  createWorld,
  holderIds,
  planOf,
  TestClock,
  type TestDevice,
  type TestWorld,
  until,
} from './testing.ts';
import { bindingOf, signUpload } from './testing-bench.ts';
import { createHolders, type FakeHolder } from './testing-holder.ts';
import { digitsOf, Host, type Participation, participate } from './testing-round.ts';

let world: TestWorld;
let devices: TestDevice[];
let directory: string;
beforeAll(async () => {
  world = await createWorld();
  devices = await createDevices(world, 11);
});
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'pulsefold-groups-'));
  return () => rmSync(directory, { recursive: true, force: true });
});

const GROUPS = 5;
const rounds = { cohortMin: 10, cohortTarget: 11, cohortMax: 12 };
const plan = (name: string, groups: object = {}, more = {}) =>
  planOf(world, {
    name,
    rounds,
    aggregation: { transport: 'shares', groups: { count: GROUPS, combine: 'median', ...groups } },
    ...more,
  });

function open(
  parsed: ParsedPlan,
  holders: readonly FakeHolder[],
  dieBefore?: (name: string, n: number) => boolean,
  foldPool?: FoldPool,
): Host {
  const runDirectory = join(directory, 'run');
  const options = { clock: new TestClock(50), runDirectory, ...(foldPool ? { foldPool } : {}) };
  const host = new Host(world, holders, join(directory, 'db'), options, dieBefore);
  void host.persist(async (bench) => bench.submit(parsed));
  return host;
}

type Vector = (i: number) => Float64Array;
const small: Vector = (i) => Float64Array.of(0.01 * i, -0.02 * i, 0.3);

const send = (host: Host, parsed: ParsedPlan, vector = small, some = devices): Promise<Participation[]> =>
  Promise.all(some.map((device, i) => participate(host, world, device, parsed, () => vector(i))));

const finished = (host: Host, parsed: ParsedPlan) =>
  until('the plan ends', () => host.bench.outcomes.has(parsed.hashHex), 20_000);

const exported = (): {
  phase: string;
  message: string;
  groups: repository.GroupFacts;
  draws: { holderId: string; values: string; signature: string }[];
  sum: { digits: number[] } | null;
} => JSON.parse(readFileSync(join(directory, 'run', 'rounds', '1.json'), 'utf8'));

const addUp = (vectors: readonly Int32Array[]): number[] =>
  [...vectors[0]!].map((_, i) => vectors.reduce((sum, vector) => sum + vector[i]!, 0));

/** The groups as anybody finds them in the exported draws. */
function partition(host: Host, parsed: ParsedPlan, config: Participation['config']): string[][] {
  const cohort = devices.map(({ deviceId }) => deviceId);
  const leaf = host.bench.store
    .read('leaves', (db) => db.all<{ data: Uint8Array }>('SELECT data FROM log_leaves'))
    .map(({ data }) => JSON.parse(Buffer.from(data).toString()))
    .find(({ kind }) => kind === 'round_certificate');
  const cohortRoot = fromHex(leaf.cohortRoot);
  const statement = certificateStatement({ ...bindingOf(config), cohortRoot, cohortCount: cohort.length });
  const answers = exported().draws.map(({ holderId, values }) => ({
    holderIndex: holderIds.indexOf(holderId as (typeof holderIds)[number]) + 1,
    values: fromHex(values),
  }));
  const seed = partitionSeed(
    world.suite,
    statement,
    agreedDraws(answers).map((value) => value!),
  );
  return partitionOf(world.suite, seed, cohort, parsed.plan.aggregation.transport === 'shares' ? GROUPS : 1);
}

/** Every group's digits are the sum of its members' exactly; dropped ones are zeros. */
function expectExact(host: Host, parsed: ParsedPlan, parts: readonly Participation[]): void {
  const { groups, sum } = exported();
  const members = partition(host, parsed, parts[0]!.config);
  expect(groups.sizes).toEqual(members.map((group) => group.length));
  expect(groups.sizes).toEqual([3, 2, 2, 2, 2]);
  const { slotCount } = schemeOf(parsed, 'training').scheme;
  for (const [g, group] of members.entries()) {
    const own = group.map((id) => parts[devices.findIndex(({ deviceId }) => deviceId === id)]!.sealed.digits);
    const opened = sum!.digits.slice(g * slotCount, (g + 1) * slotCount);
    expect(opened).toEqual(groups.valid[g] ? addUp(own) : new Array(slotCount).fill(0));
  }
}

describe('one faulty holder of four', () => {
  const faults: [string, (holder: FakeHolder) => void, RegExp][] = [
    ['none', () => {}, /^released$/],
    ['lies in its draw', (holder) => (holder.lie = 'draw'), /^released$/],
    [
      'lies in its answer',
      (holder) => (holder.lie = 'wrong'),
      /^released; the answer of platform contradicts/,
    ],
    ['answers nonsense', (holder) => (holder.lie = 'malformed'), /^released$/],
    ['does not draw', (holder) => holder.away.add('draw'), /^released$/],
    ['does not open', (holder) => holder.away.add('open'), /^released$/],
    [
      'is away',
      (holder) => ['accept', 'certify', 'draw', 'open'].map((c) => holder.away.add(c as 'open')),
      /^released$/,
    ],
  ];
  for (const [name, spoil, message] of faults)
    test(`${name}: every group's sum is exact`, async () => {
      const parsed = plan('faulty');
      const holders = createHolders(world);
      const host = open(parsed, holders);
      spoil(holders[2]!);
      const parts = await send(host, parsed);
      await finished(host, parsed);
      expectExact(host, parsed, parts);
      expect(exported().groups.valid).toEqual(new Array(GROUPS).fill(true));
      expect(exported().message).toMatch(message);
      if (!holders[2]!.away.size)
        for (const { calls } of holders) expect(calls.filter((c) => c === 'draw').length).toBe(1);
      await host.bench.stop();
    });

  test('a liar and one away: nothing is drawn until the fourth is back', async () => {
    const parsed = plan('both');
    const holders = createHolders(world);
    const host = open(parsed, holders);
    holders[0]!.lie = 'draw';
    holders[3]!.away.add('draw');
    const parts = await send(host, parsed);
    await until(
      'they disagree',
      () => host.bench.complaints.filter((line) => line.includes('failed')).length > 1,
    );
    expect(host.bench.outcomes.size).toBe(0);
    for (const { calls } of holders) expect(calls).not.toContain('open');
    holders[3]!.away.clear();
    host.bench.clock.jump(10_000);
    await finished(host, parsed);
    expectExact(host, parsed, parts);
    await host.bench.stop();
  });
});

describe('a client with a garbage body', () => {
  /** Signed and sealed well to the holders; the masked words are not those of any vector. */
  async function poison(
    host: Host,
    parsed: ParsedPlan,
    spoiled: readonly TestDevice[],
  ): Promise<Participation[]> {
    const parts = await Promise.all(
      devices.map(async (device, i): Promise<Participation> => {
        if (!spoiled.includes(device)) return participate(host, world, device, parsed, () => small(i));
        const config = await host.persist((bench) => bench.invited(device, parsed));
        const digits = digitsOf(parsed, config, small(i));
        const context = { configHash: config.hash, deviceId: device.deviceId };
        const { scheme } = schemeOf(parsed, 'training');
        const key = world.sharesCommittee(1).publicKey;
        const { body, holderPart } = world.secagg.seal(scheme, context, key, digits);
        for (let at = 0; at < body.length; at += 3) body[at]! ^= 0x5a;
        const sealed = signUpload(world, device, bindingOf(config), { c0: body, c1: holderPart, digits });
        return { config, sealed, reply: await host.persist((bench) => bench.put(device, sealed)) };
      }),
    );
    await finished(host, parsed);
    return parts;
  }

  test('its group is dropped and named, the release goes without it', async () => {
    const parsed = plan('garbage');
    const host = open(parsed, createHolders(world));
    const parts = await poison(host, parsed, [devices[4]!]);
    expectExact(host, parsed, parts);
    const { groups } = exported();
    expect(groups.valid.filter((valid) => !valid).length).toBe(1);
    const members = partition(host, parsed, parts[0]!.config);
    expect(members[groups.valid.indexOf(false)]).toContain(devices[4]!.deviceId);
    expect(exported().phase).toBe('released');
    expect(host.bench.complaints.some((line) => line.includes('checksum'))).toBe(true);
    await host.bench.stop();
  });

  test('in most groups: the sum does not open, and the round says why', async () => {
    const parsed = plan('garbage-everywhere');
    const host = open(parsed, createHolders(world));
    // At most two more members than groups: ten of eleven spoil every group.
    await poison(host, parsed, devices.slice(1));
    expect(exported()).toMatchObject({ phase: 'unopened', sum: null });
    await host.bench.stop();
  });
});

describe('a restart', () => {
  const deaths: [string, number][] = [
    ['settle', 1],
    ['keep-draw', 1],
    ['keep-draw', 2],
    ['keep-draw', 4],
    ['keep-partial', 1],
    ['keep-partial', 3],
    ['opened-sum', 1],
    ['release', 1],
    ['drop-ciphertexts', 1],
  ];
  for (const [write, occurrence] of deaths)
    test(`killed before ${write} number ${occurrence}: the same groups, every body once`, async () => {
      const parsed = plan('death');
      const holders = createHolders(world);
      const host = open(parsed, holders, (name, n) => name === write && n === occurrence);
      const parts = await send(host, parsed);
      await until('it was killed', () => host.restarts === 1, 20_000);
      await finished(host, parsed);
      expectExact(host, parsed, parts);
      await host.bench.stop();
    });
});

describe('one update as long as the clip allows, against ten short ones', () => {
  const vector: Vector = (i) =>
    i === 6 ? Float64Array.of(-0.57, -0.57, -0.57) : Float64Array.of(0.05, 0.05, 0.05);
  const mechanism = { clip: '1', unitsPerClip: 2 ** 16 };
  /** How far the release moved the model. */
  async function moved({ plan: coarse }: ParsedPlan): Promise<number[]> {
    const parsed = finishPlan({ ...coarse, mechanism: { ...coarse.mechanism, ...mechanism } });
    const host = open(parsed, createHolders(world));
    await send(host, parsed, vector);
    await finished(host, parsed);
    await host.bench.stop();
    const { weights } = JSON.parse(readFileSync(join(directory, 'run', 'model.json'), 'utf8'));
    const initial = initialWeights(parsed.plan.model, parsed.plan.seed);
    return weights.map((weight: number, i: number) => weight - initial[i]!);
  }

  test('turns the model of one sum around', async () => {
    const whole = planOf(world, { name: 'whole', rounds, aggregation: { transport: 'shares' } });
    for (const step of await moved(whole)) expect(step).toBeLessThan(0);
  });

  test.each(['median', 'trimmed-mean', 'norm-filter'])('does not move groups under %s', async (combine) => {
    for (const step of await moved(plan('boosted', { combine }))) expect(step).toBeCloseTo(0.05, 3);
  });
});

test('long sums by worker threads', async () => {
  const model = { kind: 'mlp', inputs: 2, hidden: [64, 200], activation: 'relu' };
  const parsed = plan('long', {}, { model });
  const { scheme } = schemeOf(parsed, 'training');
  expect(scheme.long).not.toBeNull();
  const pool = new FoldPool(2);
  const host = open(parsed, createHolders(world), undefined, pool);
  const parts = await Promise.all(
    devices.map((device, i) =>
      participate(host, world, device, parsed, () =>
        Float64Array.from({ length: scheme.slotCount }, (_, j) => 0.001 * ((i + j) % 7)),
      ),
    ),
  );
  await finished(host, parsed);
  expectExact(host, parsed, parts);
  expect(host.bench.complaints).toEqual([]);
  await host.bench.stop();
  await pool.close();
});
