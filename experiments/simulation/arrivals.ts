/**
 * Uploads that arrive together, taken out of the jobs that made them and laid side by side.
 *
 * May be called by: experiments/simulation/fleet.ts.
 */
import type { BatchUploads } from './device-work.ts';

/** Where an upload is made: its place in a job's batch. */
export interface Made {
  readonly job: Promise<BatchUploads>;
  readonly slot: number;
}

const DIGEST_BYTES = 32;

/** All uploads of `made` (one at least), `length` bytes each, in its order. Neighbours in a job are copied at once. */
export async function gatherUploads(made: readonly Made[], length: number): Promise<BatchUploads> {
  const count = made.length;
  const { job: first, slot: firstSlot } = made[0]!;
  const isWhole = firstSlot === 0 && made.every(({ job, slot }, i) => job === first && slot === i);
  if (isWhole && (await first).bytes.length === count * length) return first;
  const bytes = new Uint8Array(count * length);
  const digests = new Uint8Array(count * DIGEST_BYTES);
  const bodyDigests = new Uint8Array(count * DIGEST_BYTES);
  const leaves = new Uint8Array(count * DIGEST_BYTES);
  for (let from = 0; from < count; ) {
    const { job, slot } = made[from]!;
    let to = from + 1;
    while (to < count && made[to]!.job === job && made[to]!.slot === slot + to - from) to++;
    const uploads = await job;
    const copy = (all: Uint8Array, own: Uint8Array, size: number) =>
      all.set(own.subarray(slot * size, (slot + to - from) * size), from * size);
    copy(bytes, uploads.bytes, length);
    copy(digests, uploads.digests, DIGEST_BYTES);
    copy(bodyDigests, uploads.bodyDigests, DIGEST_BYTES);
    copy(leaves, uploads.leaves, DIGEST_BYTES);
    from = to;
  }
  return { bytes, digests, bodyDigests, leaves };
}
