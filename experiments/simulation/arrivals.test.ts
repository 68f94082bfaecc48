import { expect, it } from 'vitest';
import { gatherUploads } from './arrivals.ts';
import type { BatchUploads } from './device-work.ts';

/** Slot i of a job is filled with `mark + i`. */
const jobOf = (mark: number, count: number): Promise<BatchUploads> => {
  const filled = (size: number) =>
    Uint8Array.from({ length: count * size }, (_, at) => mark + Math.floor(at / size));
  const hashes = { digests: filled(32), bodyDigests: filled(32), leaves: filled(32) };
  return Promise.resolve({ bytes: filled(3), ...hashes });
};

it('lays uploads side by side in the order of their arrival, whichever jobs made them', async () => {
  const [a, b] = [jobOf(10, 4), jobOf(50, 3)];
  const made = [
    { job: a, slot: 1 },
    { job: a, slot: 2 },
    { job: b, slot: 2 },
    { job: b, slot: 0 },
    { job: a, slot: 0 },
  ];
  const { bytes, digests, bodyDigests, leaves } = await gatherUploads(made, 3);
  const marks = [11, 12, 52, 50, 10];
  expect([...bytes]).toEqual(marks.flatMap((mark) => [mark, mark, mark]));
  for (const hashes of [digests, bodyDigests, leaves])
    expect([...hashes]).toEqual(marks.flatMap((mark) => new Array(32).fill(mark)));
});

it('takes a whole job as it is, and a part of one by itself', async () => {
  const job = jobOf(7, 3);
  const all = [0, 1, 2].map((slot) => ({ job, slot }));
  expect(await gatherUploads(all, 3)).toBe(await job);
  expect([...(await gatherUploads(all.slice(0, 2), 3)).bytes]).toEqual([7, 7, 7, 8, 8, 8]);
});
