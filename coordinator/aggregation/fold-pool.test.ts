/**
 * Goal: worker threads give byte for byte the sums of the main thread, for short and long schemes; a worker that dies is
 * an error to whoever waits for it, never a wrong sum.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { randomBytes } from '../../crypto/random.ts';
import { schemeOf } from '../../protos/plan-scheme.ts';
import { FileSpool } from '../storage/file-spool.ts';
import type { SpoolPlace } from '../storage/spool.ts';
import { createWorld, planOf, type TestWorld } from '../testing.ts';
import { FoldPool } from './fold-pool.ts';
import { LocalShard } from './fold-shard.ts';

let world: TestWorld;
let directory: string;
beforeAll(async () => {
  world = await createWorld();
  directory = mkdtempSync(join(tmpdir(), 'pulsefold-pool-'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const shares = { transport: 'shares', kem: 'x25519' };
const wide = { kind: 'mlp', inputs: 2, hidden: [64, 200], activation: 'relu' };
const plans: [string, object][] = [
  ['short over shares', { aggregation: shares }],
  ['long over shares', { aggregation: shares, model: wide }],
  ['short over bfv', {}],
];

describe('worker threads', () => {
  for (const [name, options] of plans)
    test(`${name}: the sums of two workers merge to that of the main thread`, async () => {
      const parsed = planOf(world, { name: name.replaceAll(' ', '-'), ...options });
      const { scheme } = schemeOf(parsed, 'training');
      const at = { planHex: parsed.hashHex, round: 1 };
      const spool = new FileSpool({ directory, segmentBytesMax: 300_000 });
      const bodies = Array.from({ length: 7 }, () => {
        if (scheme.transport === 'shares') return randomBytes(world.secagg.sizes(scheme).body);
        const slots = new Int32Array(scheme.slotCount).fill(5);
        return world.bfv.encrypt(world.committee(1).publicKey, slots).c0;
      });
      const places: SpoolPlace[][] = [];
      for (const body of bodies) {
        const cut = Math.floor(body.length / 3);
        // One after the other, so that they lie in several segments.
        places.push([
          await spool.append(at, body.subarray(0, cut)),
          await spool.append(at, body.subarray(cut)),
        ]);
      }
      const pool = new FoldPool(2);
      const round = { planBytes: parsed.bytes, kind: 'training' as const, directory: spool.directoryOf(at) };
      const [a, b] = pool.openShards(round);
      await Promise.all([a!.add(places.slice(0, 4)), b!.add(places.slice(4))]);
      const merged = world.secagg.folder(scheme);
      merged.addSum(await a!.sum(), 4);
      merged.addSum(await b!.sum(), 3);
      const local = new LocalShard(world.secagg.folder(scheme), (place, target) =>
        spool.read(at, place, target),
      );
      await local.add(places);
      const whole = world.secagg.folder(scheme);
      for (const body of bodies) whole.add(body);
      expect(Buffer.compare(await local.sum(), whole.bytes())).toBe(0);
      expect(Buffer.compare(merged.bytes(), whole.bytes())).toBe(0);
      await pool.close();
      await spool.close();
    });

  test('a missing file is an error; a pool that is closed rejects who waits, and offers no shard', async () => {
    const parsed = planOf(world, { aggregation: shares });
    const pool = new FoldPool(1);
    const round = { planBytes: parsed.bytes, kind: 'training' as const, directory };
    const [shard] = pool.openShards(round);
    await expect(shard!.add([[{ segment: 99, position: 0, length: 1 }]])).rejects.toMatchObject({
      code: 'INTERNAL',
    });
    const waiting = shard!.sum();
    const rejected = expect(waiting).rejects.toMatchObject({ code: 'INTERNAL' });
    await pool.close();
    await rejected;
    expect(pool.openShards(round)).toEqual([]);
  });

  test('no workers: no shards', () => {
    const parsed = planOf(world);
    const round = { planBytes: parsed.bytes, kind: 'training' as const, directory };
    expect(new FoldPool(0).openShards(round)).toEqual([]);
  });
});
