import { expect, test } from 'vitest';
import { LeafMaker } from '../../coordinator/rounds/cohort-leaves.ts';
import { toHex } from '../../crypto/bytes.ts';
import { PersonProtector, protectPersonWithoutNoise } from '../../crypto/dp/mechanism.ts';
import { parseRational } from '../../crypto/dp/rational.ts';
import { leafHash } from '../../crypto/log/merkle.ts';
import { SeededStreams, seededRandom } from '../../crypto/random.ts';
import { entryLeaf } from '../../protos/statements.ts';
import { Availability, Permutation } from './availability.ts';
import { VirtualClock } from './virtual-clock.ts';

const HOUR_MS = 3_600_000;

test('virtual time: events in their order, work in between, nothing waited for', async () => {
  const clock = new VirtualClock(0);
  const seen: string[] = [];
  const note = (what: string) => seen.push(`${what} ${clock.nowMs()}`);
  clock.after(20, () => note('twenty'));
  clock.after(10, () => note('ten'));
  clock.after(10, () => note('ten again'));
  clock.after(15, () => note('never')).stop();
  const every = clock.every(7, () => note('every'));
  const done = clock.hold(async () => {
    note('work');
    await new Promise((resolve) => setTimeout(resolve, 20));
    note('after real time');
    await clock.sleep(22);
    every.stop();
    note('slept');
  });
  await clock.run(done);
  expect(seen).toEqual([
    'work 0',
    'after real time 0',
    'every 7',
    'ten 10',
    'ten again 10',
    'every 14',
    'twenty 20',
    'every 21',
    'slept 22',
  ]);
});

test('virtual time ends where nothing can happen, and where work fails', async () => {
  const idle = new VirtualClock(0);
  await expect(idle.run(new Promise(() => {}))).rejects.toThrow('nothing left');
  const failing = new VirtualClock(0);
  failing.after(5, () => failing.begin(async () => Promise.reject(new Error('broken'))));
  await expect(failing.run(new Promise(() => {}))).rejects.toThrow('broken');
});

test('a permutation meets everybody once', () => {
  for (const count of [1, 2, 3, 10, 1000]) {
    const order = new Permutation(count, 7);
    const met = Array.from({ length: count }, (_, i) => order.at(i));
    expect([...met].sort((a, b) => a - b)).toEqual(Array.from({ length: count }, (_, i) => i));
  }
  const [one, other] = [new Permutation(1000, 7), new Permutation(1000, 8)];
  expect(Array.from({ length: 50 }, (_, i) => one.at(i))).not.toEqual(
    Array.from({ length: 50 }, (_, i) => other.at(i)),
  );
});

test('availability: the same for the same seed, most at night, its share of dropouts', () => {
  const trace = new Availability({ dropout: 0.2 }, 's');
  const again = new Availability({ dropout: 0.2 }, 's');
  const charging = (hour: number) => {
    let count = 0;
    for (let device = 0; device < 1000; device++) {
      const now = trace.conditions(device, hour * HOUR_MS);
      expect(again.conditions(device, hour * HOUR_MS)).toEqual(now);
      if (now.charging) count++;
    }
    return count;
  };
  expect(charging(26)).toBeGreaterThan(900);
  expect(charging(36)).toBeLessThan(100);
  const dropped = Array.from({ length: 5000 }, (_, device) => trace.dropsOut(device, 3)).filter(Boolean);
  expect(dropped.length).toBeGreaterThan(900);
  expect(dropped.length).toBeLessThan(1100);
});

test('numbered streams do not depend on which others are open, and go on beyond what was made ahead', () => {
  const length = 3000;
  const bytesOf = (indices: number[], index: number) => {
    const streams = new SeededStreams('seed', 100);
    streams.open(indices);
    return streams.at(indices.indexOf(index)).fill(new Uint8Array(length));
  };
  expect(bytesOf([5], 5)).toEqual(bytesOf([1, 9, 5, 7], 5));
  expect(bytesOf([5], 5)).not.toEqual(bytesOf([6], 6));
  // Every byte of a stream is drawn once: two readings in pieces are one in whole.
  const streams = new SeededStreams('seed', 100);
  streams.open([5]);
  const source = streams.at(0);
  const pieces = [90, 30, 2880].map((count) => source.fill(new Uint8Array(count)));
  expect(Buffer.concat(pieces)).toEqual(Buffer.from(bytesOf([5], 5)));
});

const mechanism = {
  unit: 'person',
  dimension: 21,
  clip: parseRational('2'),
  unitsPerClip: 64,
  rotationSeed: new Uint8Array(32).fill(3),
  noiseVariance: parseRational('900'),
  clients: 100,
  recordsMax: 1,
} as const;

test('a protector of many: each as if it were alone, noise of the stated variance', () => {
  const update = (i: number) => Float64Array.from({ length: 21 }, (_, j) => Math.sin(i + j) / 4);
  const many = new PersonProtector(mechanism);
  for (let i = 0; i < 5; i++)
    expect(many.withoutNoise(update(i), seededRandom(`${i}`))).toEqual(
      protectPersonWithoutNoise(update(i), mechanism, seededRandom(`${i}`)),
    );
  const values = new Int32Array(21);
  let squares = 0;
  const draws = 2000;
  for (let i = 0; i < draws; i++) {
    many.protect(update(i % 7), seededRandom(`noise ${i}`), values);
    const bare = many.withoutNoise(update(i % 7), seededRandom(`noise ${i}`));
    for (let j = 0; j < 21; j++) squares += (values[j]! - bare[j]!) ** 2;
  }
  // 42,000 samples: the estimate's own deviation is 0.7 %.
  expect(squares / (21 * draws) / 900).toBeGreaterThan(0.96);
  expect(squares / (21 * draws) / 900).toBeLessThan(1.04);
});

test('leaves of a cohort, made quickly, are those of the statements', () => {
  const bytes = (fill: number) => new Uint8Array(32).fill(fill);
  const binding = {
    planHash: bytes(1),
    round: 300,
    modelHash: bytes(2),
    configHash: bytes(3),
    committeeKeyId: bytes(4),
  };
  const maker = new LeafMaker(binding);
  for (const entry of [
    { ...binding, deviceId: '0123456789abcdef0123456789abcdef', digest: bytes(5) },
    { ...binding, deviceId: 'f'.repeat(32), digest: bytes(0x78) },
    // Bound to another model: not what the round's leaves have in common.
    { ...binding, modelHash: bytes(9), deviceId: 'f'.repeat(32), digest: bytes(0x78) },
  ])
    expect(maker.hash(entry)).toEqual(leafHash(entryLeaf(entry)));
});

test('a seeded stream is the same whether it is read a little or at once', () => {
  const length = 20_000;
  const whole = seededRandom('stream').fill(new Uint8Array(length));
  for (const step of [1, 7, 480, 1000, 1024, 1025, 8192, 9000]) {
    const source = seededRandom('stream');
    const parts = new Uint8Array(length);
    for (let at = 0; at < length; at += step) source.fill(parts.subarray(at, at + step));
    expect(Buffer.from(parts).equals(whole)).toBe(true);
  }
  // Of every version: another stream would change the figures of every seed.
  expect(toHex(whole.subarray(0, 8))).toBe('c0f392cf7eb3c2a5');
});
