/**
 * Goal: what an append resolved with is there, whole, also in the next process; many appends share one fsync, and
 * nothing resolves before it; memory, segments and files of finished rounds stay bounded.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { beforeEach, describe, expect, test } from 'vitest';
import { codeOf } from '../testing.ts';
import { FileSpool } from './file-spool.ts';
import { MemorySpool, type Spool, type SpoolPlace, segmentName } from './spool.ts';

const at = { planHex: 'ab'.repeat(32), round: 3 };
const bytes = (length: number, seed = 1): Uint8Array =>
  Uint8Array.from({ length }, (_, i) => (i * 31 + seed * 7) & 0xff);

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'pulsefold-spool-'));
  return () => rmSync(directory, { recursive: true, force: true });
});

const kinds: [string, () => Spool][] = [
  ['files', () => new FileSpool({ directory })],
  ['memory', () => new MemorySpool()],
];
for (const [name, make] of kinds)
  describe(`${name}:`, () => {
    test('every append reads back, whole, in parts, and into given memory', async () => {
      const spool = make();
      await fc.assert(
        fc.asyncProperty(fc.array(fc.integer({ min: 1, max: 5000 }), { maxLength: 20 }), async (lengths) => {
          const pieces = lengths.map((length, i) => bytes(length, i));
          const places = await Promise.all(pieces.map((piece) => spool.append(at, piece)));
          for (const [i, place] of places.entries()) {
            expect(spool.read(at, place)).toEqual(pieces[i]);
            const target = new Uint8Array(place.length);
            expect(spool.read(at, place, target)).toBe(target);
            expect(target).toEqual(pieces[i]);
            const half = Math.floor(place.length / 2);
            const rest = { ...place, position: place.position + half, length: place.length - half };
            expect(spool.read(at, rest)).toEqual(pieces[i]!.subarray(half));
          }
          const keys = new Set(places.map(({ segment, position }) => `${segment}/${position}`));
          expect(keys.size).toBe(places.length);
        }),
        { numRuns: 20 },
      );
      await spool.close();
    });

    test('a dropped round is gone; another one is not touched', async () => {
      const spool = make();
      const other = { ...at, round: 4 };
      const gone = await spool.append(at, bytes(10));
      const kept = await spool.append(other, bytes(10));
      spool.drop(at);
      spool.drop(at);
      expect(await codeOf(() => spool.read(at, gone))).toBe('UNAVAILABLE');
      expect(spool.read(other, kept)).toEqual(bytes(10));
      await spool.close();
      expect(await codeOf(() => spool.append(other, bytes(1)))).toBe('UNAVAILABLE');
    });
  });

describe('group commit', () => {
  test('nothing resolves before its fsync, and what comes meanwhile shares the next', async () => {
    const gates: (() => void)[] = [];
    const sync = () => new Promise<void>((resolve) => gates.push(resolve));
    const spool = new FileSpool({ directory, sync });
    const done: number[] = [];
    const append = (i: number) => spool.append(at, bytes(100, i)).then(() => done.push(i));
    const first = append(0);
    await expect.poll(() => gates.length).toBe(1);
    const others = Array.from({ length: 50 }, (_, i) => append(i + 1));
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(done).toEqual([]);
    expect(gates.length).toBe(1);
    gates[0]!();
    await first;
    await expect.poll(() => gates.length).toBe(2);
    expect(done).toEqual([0]);
    gates[1]!();
    await Promise.all(others);
    expect(spool.metrics()).toMatchObject({ appends: 51, groupCommits: 2, waitingBytes: 0 });
    await spool.close();
  });

  test('too many bytes waiting: refused at once, taken again afterwards', async () => {
    const gates: (() => void)[] = [];
    const sync = () => new Promise<void>((resolve) => gates.push(resolve));
    const spool = new FileSpool({ directory, waitingBytesMax: 250, sync });
    const waiting = [spool.append(at, bytes(100)), spool.append(at, bytes(100))];
    expect(await codeOf(() => spool.append(at, bytes(100)))).toBe('UNAVAILABLE');
    await expect.poll(() => gates.length).toBe(1);
    gates[0]!();
    await Promise.all(waiting);
    const again = spool.append(at, bytes(100));
    await expect.poll(() => gates.length).toBe(2);
    gates[1]!();
    await again;
    await spool.close();
  });

  test('a failed fsync acknowledges nothing, and its segment is not written to again', async () => {
    let fails = true;
    const sync = async () => {
      if (fails) throw new Error('EIO');
    };
    const spool = new FileSpool({ directory, sync });
    expect(await codeOf(() => spool.append(at, bytes(10)))).toBe('UNAVAILABLE');
    fails = false;
    const place = await spool.append(at, bytes(20));
    expect(place).toEqual({ segment: 2, position: 0, length: 20 });
    expect(spool.read(at, place)).toEqual(bytes(20));
    await spool.close();
  });
});

describe('segments', () => {
  test('roll over before they are too large', async () => {
    const spool = new FileSpool({ directory, segmentBytesMax: 250 });
    const places: SpoolPlace[] = [];
    for (let i = 0; i < 5; i++) places.push(await spool.append(at, bytes(100, i)));
    expect(places.map(({ segment }) => segment)).toEqual([1, 1, 2, 2, 3]);
    expect(readdirSync(spool.directoryOf(at))).toEqual([1, 2, 3].map(segmentName));
    for (const [i, place] of places.entries()) expect(spool.read(at, place)).toEqual(bytes(100, i));
    spool.drop(at);
    expect(existsSync(spool.directoryOf(at))).toBe(false);
    await spool.close();
  });

  test('of an earlier process are read, never written: a torn end stays where it is', async () => {
    const before = new FileSpool({ directory });
    const place = await before.append(at, bytes(100));
    await before.close();
    const torn = join(before.directoryOf(at), segmentName(1));
    appendFileSync(torn, bytes(37, 9));
    const after = new FileSpool({ directory });
    const next = await after.append(at, bytes(50, 2));
    expect(next.segment).toBe(2);
    expect(after.read(at, place)).toEqual(bytes(100));
    expect(after.read(at, next)).toEqual(bytes(50, 2));
    await after.close();
  });

  test('a row that points beyond the end is an error, never other bytes', async () => {
    const spool = new FileSpool({ directory });
    const place = await spool.append(at, bytes(100));
    expect(await codeOf(() => spool.read(at, { ...place, length: 101 }))).toBe('UNAVAILABLE');
    await spool.close();
  });
});

test('SIGKILL in the middle: everything that was acknowledged is there', async () => {
  const script = join(directory, 'writer.ts');
  const source = fileURLToPath(new URL('./file-spool.ts', import.meta.url));
  writeFileSync(
    script,
    `import { writeSync } from 'node:fs';
     const { FileSpool } = await import(${JSON.stringify(source)});
     const spool = new FileSpool({ directory: ${JSON.stringify(directory)}, segmentBytesMax: 100_000 });
     for (let i = 0; ; i++)
       await Promise.all([0, 1, 2, 3].map(async (k) => {
         const data = new Uint8Array(1000 + 100 * k).fill((4 * i + k) % 251);
         const place = await spool.append(${JSON.stringify(at)}, data);
         writeSync(1, JSON.stringify({ place, fill: data[0] }) + '\\n');
       }));`,
  );
  const child = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'inherit'] });
  const acknowledged: { place: SpoolPlace; fill: number }[] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    acknowledged.push(JSON.parse(line));
    if (acknowledged.length === 400) child.kill('SIGKILL');
  }
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  expect(acknowledged.length).toBeGreaterThanOrEqual(400);
  const spool = new FileSpool({ directory });
  for (const { place, fill } of acknowledged)
    expect(spool.read(at, place).every((byte) => byte === fill)).toBe(true);
  await spool.close();
});
