/**
 * Goal: what passes does not end a plan: a store that is away wherever the runner writes, a holder that fails without
 * saying why; and what does not pass is said by name.
 */
import { beforeAll, expect, test } from 'vitest';
import { PulsefoldError } from '../../crypto/error.ts';
import type { ParsedPlan } from '../../protos/plan.ts';
import { openMemoryStore } from '../storage/sqlite-store.ts';
import type { Database, Store } from '../storage/store.ts';
import { createDevices, createWorld, planOf, type TestDevice, type TestWorld, until } from '../testing.ts';
import { Bench, sealFor } from '../testing-bench.ts';
import { createHolders } from '../testing-holder.ts';
import { digitsOf } from '../testing-round.ts';

let world: TestWorld;
let devices: TestDevice[];
beforeAll(async () => {
  world = await createWorld();
  devices = await createDevices(world, 3);
});

/** Fails the first write and the first read of each of these names. */
function fickle(names: readonly string[]): Store & { readonly failed: string[] } {
  const inner = openMemoryStore();
  const failed: string[] = [];
  const live = (name: string): void => {
    if (!names.includes(name) || failed.includes(name)) return;
    failed.push(name);
    throw new PulsefoldError('UNAVAILABLE', 'the disk is full');
  };
  return {
    failed,
    migrate: (domain, migrations) => inner.migrate(domain, migrations),
    transaction<T>(name: string, fn: (db: Database) => T): T {
      live(name);
      return inner.transaction(name, fn);
    },
    read<T>(name: string, fn: (db: Database) => T): T {
      live(name);
      return inner.read(name, fn);
    },
    enqueue: (name, fn) => inner.enqueue(name, fn),
    flush: () => inner.flush(),
    metrics: () => inner.metrics(),
    close: () => inner.close(),
  };
}

async function play(bench: Bench, parsed: ParsedPlan): Promise<string> {
  bench.submit(parsed);
  await until('the plan is taken up', () => bench.coordinator.find(parsed.hash) !== null);
  const config = await bench.invited(devices[0]!, parsed);
  for (const device of devices.slice(1)) await bench.invited(device, parsed);
  for (const device of devices) {
    const digits = digitsOf(parsed, config, new Float64Array(3));
    await bench.put(device, sealFor(world, device, parsed, config, digits));
  }
  await until('the plan ends', () => bench.outcomes.has(parsed.hashHex));
  return bench.outcomes.get(parsed.hashHex)!.message;
}

test('a store that is away at each step of a plan only delays it', async () => {
  const steps = [
    ...['plans', 'plan-status', 'approve-plan', 'keys', 'committee-key', 'initial-model', 'rounds'],
    ...['open-round', 'drop-ciphertexts', 'erasures'],
  ];
  const store = fickle(steps);
  const bench = new Bench(world, createHolders(world), { store }).start();
  try {
    expect(await play(bench, planOf(world, { aggregation: { transport: 'shares' } }))).toBe(
      '1 rounds released',
    );
    expect([...store.failed].sort()).toEqual([...steps].sort());
  } finally {
    await bench.stop();
  }
});

test('a holder that fails without a reason is asked again; one that refuses is named', async () => {
  const holders = createHolders(world);
  const [, second] = holders;
  let failures = 0;
  second!.before = (call) => {
    if (call === 'ceremonyStep' && failures++ < 1) throw new PulsefoldError('INTERNAL', 'internal error');
  };
  const bench = new Bench(world, holders).start();
  try {
    const parsed = planOf(world, { aggregation: { transport: 'shares' } });
    expect(await play(bench, parsed)).toBe('1 rounds released');
    expect(failures).toBeGreaterThan(1);
    second!.before = (call) => {
      if (call === 'registerPlan') throw new PulsefoldError('PLAN_NOT_APPROVED', 'not by these approvers');
    };
    const refused = planOf(world, { name: 'refused', aggregation: { transport: 'shares' } });
    bench.submit(refused);
    await until('it fails', () => bench.outcomes.has(refused.hashHex));
    const message = `PLAN_NOT_APPROVED: key holder ${second!.holderId}: not by these approvers`;
    expect(bench.outcomes.get(refused.hashHex)).toEqual({ status: 'failed', message });
    expect(await bench.admin('getStatus', {})).toMatchObject({ phase: 'failed', message });
  } finally {
    await bench.stop();
  }
});

test('a store that never comes back does not keep a coordinator from stopping', async () => {
  const away = new PulsefoldError('UNAVAILABLE', 'the disk is full');
  const store = openMemoryStore();
  const bench = new Bench(world, createHolders(world), { store }).start();
  bench.submit(planOf(world));
  store.transaction = () => {
    throw away;
  };
  await new Promise((resolve) => setTimeout(resolve, 20));
  await bench.stop();
  expect(bench.complaints).toContain('the store is away; trying again');
});
