/**
 * Goal: parts of uploads come back from the spool as they were sent, however they were cut; running hashes equal those
 * of the whole; uploads of several chunks are checked by them, and by the stored bytes where there is none.
 */
import fc from 'fast-check';
import { beforeAll, describe, expect, test } from 'vitest';
import { getSuite } from '../../crypto/identity/suite.ts';
import type { ParsedPlan } from '../../protos/plan.ts';
import { MemorySpool, type SpoolPlace, type SpoolRound } from '../storage/spool.ts';
import { codeOf, createDevice, createWorld, planOf, type TestDevice, type TestWorld } from '../testing.ts';
import { Bench, type Sealed, sealFor } from '../testing-bench.ts';
import { createHolders } from '../testing-holder.ts';
import { PartHasher, placesOf, readPlaces } from './upload-bytes.ts';
import type { ChunkRow } from './uploads-repository.ts';

const at = { planHex: 'ef'.repeat(32), round: 1 };
const cuts = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 8 });
const wholeOf = (lengths: readonly number[]): Uint8Array =>
  Uint8Array.from({ length: lengths.reduce((sum, length) => sum + length, 0) }, (_, i) => (i * 37) & 0xff);
const cutUp = (whole: Uint8Array, lengths: readonly number[]): Uint8Array[] => {
  let end = 0;
  return lengths.map((length) => {
    end += length;
    return whole.subarray(end - length, end);
  });
};

test('any range of an upload in any chunks reads back', async () => {
  await fc.assert(
    fc.asyncProperty(cuts, fc.nat(), fc.nat(), async (lengths, a, b) => {
      const spool = new MemorySpool();
      const whole = wholeOf(lengths);
      let offset = 0;
      const chunks: ChunkRow[] = [];
      for (const piece of cutUp(whole, lengths)) {
        chunks.push({ offset, ...(await spool.append(at, piece)) });
        offset += piece.length;
      }
      const from = a % (whole.length + 1);
      const to = from + (b % (whole.length - from + 1));
      expect(readPlaces(spool, at, placesOf(chunks, from, to))).toEqual(whole.subarray(from, to));
      expect(() => placesOf(chunks, from, whole.length + 1)).toThrow(/lacks bytes/);
      // A hole, by a row that is missing, is an error.
      if (chunks.length > 1) expect(() => placesOf(chunks.slice(1), 0, whole.length)).toThrow(/lacks bytes/);
    }),
  );
});

for (const name of ['intl', 'gm'] as const)
  test(`${name}: running hashes are those of body and holder part, at any cut`, () => {
    const suite = getSuite(name);
    fc.assert(
      fc.property(cuts, fc.nat(), (lengths, split) => {
        const whole = wholeOf(lengths);
        const bodyBytes = split % (whole.length + 1);
        const hasher = new PartHasher(suite, bodyBytes);
        const pieces = cutUp(whole, lengths);
        for (const piece of pieces.slice(0, -1)) hasher.update(piece);
        const expected = {
          body: suite.digest(whole.subarray(0, bodyBytes)),
          holderPart: suite.digest(whole.subarray(bodyBytes)),
        };
        expect(hasher.digests(pieces.at(-1)!)).toEqual(expected);
        // Nothing is spent by looking.
        expect(hasher.digests(pieces.at(-1)!)).toEqual(expected);
        expect(hasher.received).toBe(whole.length - pieces.at(-1)!.length);
      }),
      { numRuns: 50 },
    );
  });

/** A spool that counts its reads. */
class CountingSpool extends MemorySpool {
  reads = 0;
  appended = 0;
  override read(where: SpoolRound, place: SpoolPlace, target?: Uint8Array): Uint8Array {
    this.reads++;
    return super.read(where, place, target);
  }
  override append(where: SpoolRound, data: Uint8Array): Promise<SpoolPlace> {
    this.appended += data.length;
    return super.append(where, data);
  }
}

describe('several chunks under shares', () => {
  let world: TestWorld;
  beforeAll(async () => {
    world = await createWorld();
  });
  const model = { kind: 'mlp', inputs: 2, hidden: [64, 200], activation: 'relu' };
  const CHUNK = 16_384;

  async function begin() {
    const parsed: ParsedPlan = planOf(world, {
      aggregation: { transport: 'shares', kem: 'x25519' },
      model,
      rounds: { cohortTarget: 100, cohortMax: 100 },
    });
    const spool = new CountingSpool();
    const bench = new Bench(world, createHolders(world), { spool }).start();
    bench.submit(parsed);
    const device = await createDevice(world);
    const config = await bench.invited(device, parsed);
    const sealed = sealFor(world, device, parsed, config, new Int32Array(config.config.digitCount).fill(1));
    return { spool, bench, device, sealed };
  }
  async function put(bench: Bench, device: TestDevice, sealed: Sealed, from = 0, to = sealed.bytes.length) {
    let reply = null;
    for (let offset = from; offset < to; offset += CHUNK)
      reply = await bench.putChunk(device, sealed, offset, Math.min(offset + CHUNK, to));
    return reply;
  }

  test('nothing is read back when they come in order; every byte is spooled once', async () => {
    const { spool, bench, device, sealed } = await begin();
    expect(sealed.bytes.length).toBeGreaterThan(2 * CHUNK);
    expect(await put(bench, device, sealed)).toMatchObject({ acknowledged: true });
    expect(spool.reads).toBe(0);
    expect(spool.appended).toBe(sealed.bytes.length);
    await bench.stop();
  });

  test('a wrong byte anywhere is found without reading back, and the upload may be sent again', async () => {
    const { spool, bench, device, sealed } = await begin();
    for (const where of [10, CHUNK + 5, sealed.bytes.length - 1]) {
      const bad = { ...sealed, bytes: sealed.bytes.map((byte, i) => (i === where ? byte ^ 1 : byte)) };
      expect(await codeOf(() => put(bench, device, bad))).toBe('DIGEST_MISMATCH');
    }
    expect(spool.reads).toBe(0);
    expect(await put(bench, device, sealed)).toMatchObject({ acknowledged: true });
    await bench.stop();
  });

  test('after a restart the prefix is read back instead', async () => {
    const { bench, device, sealed, spool } = await begin();
    await put(bench, device, sealed, 0, CHUNK);
    // Another object for the same services: what the process knew by heart is gone.
    const again = new Bench(world, createHolders(world), { spool, store: bench.store });
    again.coordinator.find = (hash) => bench.coordinator.find(hash);
    expect(await put(again, device, sealed, CHUNK)).toMatchObject({ acknowledged: true });
    expect(spool.reads).toBeGreaterThan(0);
    await bench.stop();
  });

  test('who sends bytes without their digest again and again is refused before they fill the disk', async () => {
    const { spool, bench, device, sealed } = await begin();
    const bad = { ...sealed, bytes: sealed.bytes.map((byte) => byte ^ 1) };
    for (let i = 0; i < 16; i++) await codeOf(() => put(bench, device, bad));
    const { appended } = spool;
    await expect(put(bench, device, bad)).rejects.toThrow(/too many uploads of this device/);
    expect(spool.appended).toBe(appended);
    await bench.stop();
  });

  test('neither the uninvited nor chunks out of order are spooled', async () => {
    const { spool, bench, device, sealed } = await begin();
    expect(await codeOf(() => put(bench, device, sealed, CHUNK))).toBe('UPLOAD_OFFSET_MISMATCH');
    const stranger = await createDevice(world);
    expect(await codeOf(() => put(bench, stranger, sealed))).toBe('BAD_SIGNATURE');
    expect(spool.appended).toBe(0);
    await bench.stop();
  });
});
