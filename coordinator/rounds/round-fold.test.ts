/**
 * Goal: whatever order uploads are accepted in, whichever shard fails and wherever the process is killed, the sum is over
 * exactly the certified cohort, each body once.
 *
 * Tried by taking protections out: the property fails when a row names other devices than are in its sum, when a failed
 * shard's committed row or its later uploads are forgotten or taken twice, and when the cohort is not compared.
 */
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { PulsefoldError } from '../../crypto/error.ts';
import { loadSecagg, type Secagg, type SumScheme } from '../../crypto/secagg/scheme.ts';
import { type BodyPlaces, type FoldShard, LocalShard, readBody } from '../aggregation/fold-shard.ts';
import { MemorySpool, type SpoolPlace } from '../storage/spool.ts';
import { openMemoryStore } from '../storage/sqlite-store.ts';
import type { Store } from '../storage/store.ts';
import * as repository from './repository.ts';
import { RoundFold } from './round-fold.ts';

const scheme: SumScheme = {
  transport: 'shares',
  suite: 'intl',
  kem: 'x25519',
  holderCount: 4,
  slotCount: 5,
  long: null,
  shortCount: 5,
  wordBits: 32,
  groups: 1,
};
const at = { planHex: 'cd'.repeat(32), round: 1 };
const DEVICES = Array.from({ length: 12 }, (_, i) => `device-${String(i).padStart(2, '0')}`);
/** A body that names its device: the sum tells which are in it, and how often. */
const bodyOf = (i: number): Uint8Array => {
  const body = new Uint8Array(20);
  new DataView(body.buffer).setUint32(0, 1 << (2 * i), true);
  new DataView(body.buffer).setUint32(16, 1, true);
  return body;
};

let secagg: Secagg;
const spool = new MemorySpool();
const places = new Map<string, SpoolPlace[]>();
beforeAll(async () => {
  secagg = await loadSecagg();
  // In two pieces, so that a body may lie in several segments.
  for (const [i, device] of DEVICES.entries())
    places.set(device, [
      await spool.append(at, bodyOf(i).subarray(0, 7)),
      await spool.append(at, bodyOf(i).subarray(7)),
    ]);
});

/** A shard that fails when told to, in the middle of an add or before a sum. */
class FragileShard implements FoldShard {
  readonly name = 'fragile';
  failsAt: 'add' | 'sum' | null = null;
  readonly #inner = localShard();
  async add(bodies: readonly BodyPlaces[]): Promise<void> {
    await this.#inner.add(this.failsAt === 'add' ? bodies.slice(1) : bodies);
    if (this.failsAt === 'add') throw new Error('the worker died');
  }
  async sum(): Promise<Uint8Array> {
    if (this.failsAt === 'sum') throw new Error('the worker died');
    return this.#inner.sum();
  }
  close(): void {}
}

const localShard = () =>
  new LocalShard(secagg.folder(scheme), (place, target) => spool.read(at, place, target));

interface Process {
  readonly fold: RoundFold;
  readonly shards: FragileShard[];
  readonly warnings: string[];
  clock: { nowMs: number };
}

function start(store: Store, shardCount: number): Process {
  const shards: FragileShard[] = [];
  const warnings: string[] = [];
  const clock = { nowMs: 0 };
  const warn = (_fields: unknown, text?: string) => void warnings.push(text ?? '');
  const fold = new RoundFold({
    store,
    logger: { info: () => {}, warn, error: warn },
    ...at,
    bodyBytes: secagg.sizes(scheme).body,
    nowMs: () => clock.nowMs,
    turn: () => new Promise((resolve) => setImmediate(resolve)),
    openShards: () => {
      const opened = Array.from({ length: shardCount }, () => new FragileShard());
      shards.push(...opened);
      return opened;
    },
    openLocalShard: localShard,
    folder: () => secagg.folder(scheme),
    placesOf: (devices) => devices.map((device) => places.get(device)!),
  });
  return { fold, shards, warnings, clock };
}

function openStore(): Store {
  const store = openMemoryStore();
  store.migrate('rounds', repository.ROUNDS_MIGRATIONS);
  return store;
}

/** How often each device is in a sum. */
function countsIn(sum: Uint8Array): number[] {
  const word = new DataView(sum.buffer, sum.byteOffset).getUint32(0, true);
  return DEVICES.map((_, i) => (word >>> (2 * i)) & 3);
}
const countsOf = (cohort: readonly string[]): number[] =>
  DEVICES.map((device) => (cohort.includes(device) ? 1 : 0));
const turns = async (count: number): Promise<void> => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
};

describe('the sum is over exactly the cohort', () => {
  const device = fc.integer({ min: 0, max: DEVICES.length - 1 });
  const op = fc.oneof(
    fc.record({ type: fc.constant('offer' as const), device }),
    fc.record({ type: fc.constant('turns' as const), count: fc.integer({ min: 1, max: 6 }) }),
    fc.record({ type: fc.constant('commit' as const) }),
    fc.record({ type: fc.constant('crash' as const) }),
    fc.record({
      type: fc.constant('fail' as const),
      shard: fc.integer({ min: 0, max: 3 }),
      where: fc.constantFrom('add' as const, 'sum' as const),
    }),
  );

  test('through crashes, failing shards and any cohort', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(op, { maxLength: 40 }),
        fc.uniqueArray(device, { minLength: 1 }),
        fc.integer({ min: 0, max: 2 }),
        fc.boolean(),
        async (story, cohortOf, shardCount, crashAtEnd) => {
          const store = openStore();
          let process = start(store, shardCount);
          const crash = () => {
            process.fold.stop();
            process = start(store, shardCount);
          };
          for (const one of story) {
            if (one.type === 'offer') process.fold.offer(DEVICES[one.device]!);
            else if (one.type === 'turns') await turns(one.count);
            else if (one.type === 'commit') process.fold.tick(true);
            else if (one.type === 'crash') crash();
            else if (process.shards[one.shard]) process.shards[one.shard]!.failsAt = one.where;
          }
          const cohort = cohortOf.map((i) => DEVICES[i]!).sort();
          if (crashAtEnd) {
            await process.fold.sumOf(cohort).catch(() => {});
            crash();
          }
          expect(countsIn(await process.fold.sumOf(cohort))).toEqual(countsOf(cohort));
          // The same again: a second set of holders may be tried.
          expect(countsIn(await process.fold.sumOf(cohort))).toEqual(countsOf(cohort));
          process.fold.stop();
          store.close();
        },
      ),
      { numRuns: 300 },
    );
  });

  test('committed rows are used after a restart, not folded again', async () => {
    const store = openStore();
    const first = start(store, 2);
    for (const one of DEVICES.slice(0, 6)) first.fold.offer(one);
    await turns(5);
    first.fold.tick(true);
    await turns(5);
    first.fold.stop();
    const rows = store.read('test', (db) => repository.foldDevices(db, at.planHex, at.round));
    expect(rows.flatMap((row) => row.devices).sort()).toEqual(DEVICES.slice(0, 6));
    const second = start(store, 1);
    expect(second.fold.size).toBe(6);
    const asked: string[] = [];
    const cohort = DEVICES.slice(0, 8);
    const sum = await second.fold.sumOf(cohort);
    expect(countsIn(sum)).toEqual(countsOf(cohort));
    const later = store.read('test', (db) => repository.foldDevices(db, at.planHex, at.round));
    asked.push(
      ...later.filter(({ shard }) => !rows.some((row) => row.shard === shard)).flatMap((r) => r.devices),
    );
    expect(asked.sort()).toEqual(DEVICES.slice(6, 8));
    second.fold.stop();
  });

  test('sums are committed once in a while, not with every upload', async () => {
    const store = openStore();
    const { fold, clock } = start(store, 1);
    const commits = () => store.metrics().byName.get('fold-commit')?.committed ?? 0;
    for (const one of DEVICES) {
      fold.offer(one);
      await turns(3);
    }
    expect(commits()).toBe(0);
    clock.nowMs = 3000;
    fold.tick();
    await turns(5);
    expect(commits()).toBe(1);
    fold.stop();
  });

  test('a failed shard is said, and its uploads are folded in the main thread', async () => {
    const store = openStore();
    const { fold, shards, warnings } = start(store, 2);
    for (const one of DEVICES) fold.offer(one);
    for (const shard of shards) shard.failsAt = 'add';
    expect(countsIn(await fold.sumOf(DEVICES))).toEqual(countsOf(DEVICES));
    expect(warnings.filter((line) => line.includes('worker failed'))).toHaveLength(2);
    fold.stop();
  });

  test('a stored sum of another length is thrown away, loudly', async () => {
    const store = openStore();
    store.transaction('spoil', (db) =>
      repository.putFold(db, at.planHex, at.round, {
        shard: 1,
        sum: new Uint8Array(3),
        devices: [DEVICES[0]!],
      }),
    );
    const { fold, warnings } = start(store, 0);
    expect(warnings).toHaveLength(1);
    expect(countsIn(await fold.sumOf(DEVICES))).toEqual(countsOf(DEVICES));
    fold.stop();
  });

  test('bytes that cannot be read now fail the sum now, not for ever', async () => {
    const store = openStore();
    const [broken] = DEVICES;
    const kept = places.get(broken!)!;
    places.set(broken!, [{ segment: 9999, position: 0, length: 20 }]);
    const { fold } = start(store, 0);
    await expect(fold.sumOf(DEVICES)).rejects.toThrow(PulsefoldError);
    places.set(broken!, kept);
    expect(countsIn(await fold.sumOf(DEVICES))).toEqual(countsOf(DEVICES));
    fold.stop();
  });
});

test('a body in pieces is read right, whatever part is asked for', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 6 }),
      fc.nat(),
      fc.nat(),
      (lengths, a, b) => {
        const total = lengths.reduce((sum, length) => sum + length, 0);
        const from = a % total;
        const target = new Uint8Array(1 + (b % (total - from)));
        const pieces = lengths.map((length, segment) => ({ segment, position: 100 * segment, length }));
        const starts = lengths.map((_, i) => lengths.slice(0, i).reduce((sum, length) => sum + length, 0));
        readBody(pieces, from, target, (place, into) => {
          for (let i = 0; i < place.length; i++)
            into[i] = starts[place.segment]! + place.position - 100 * place.segment + i;
        });
        expect([...target]).toEqual([...target.keys()].map((i) => from + i));
      },
    ),
  );
});
