/**
 * Goal: an upload is acknowledged when, and only when, it is whole, checked, the device's own and durable; whatever
 * order its chunks come in and whoever else tries to put something in its place.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { PulsefoldError } from '../../crypto/error.ts';
import type { ParsedPlan } from '../../protos/plan.ts';
import type { EncodedRoundConfig } from '../../protos/round-config.ts';
import { acknowledgementStatement, lateStatement, uploadStatement } from '../../protos/statements.ts';
import { openMemoryStore } from '../storage/sqlite-store.ts';
import type { Database, Store } from '../storage/store.ts';
import {
  codeOf,
  createDevice,
  createDevices,
  createWorld,
  planOf,
  type TestDevice,
  type TestWorld,
  until,
} from '../testing.ts';
import { Bench, bindingOf, type Sealed, seal, signUpload } from '../testing-bench.ts';
import { createHolders } from '../testing-holder.ts';
import { uploadBytes } from './upload-bytes.ts';
import type { PutUploadReply } from './uploads.ts';

/** No round of these plans ends by itself. */
const OPEN_ENDED = { cohortTarget: 100, cohortMax: 100 };
const CHUNK = 16_384;

let world: TestWorld;
let bench: Bench;
let parsed: ParsedPlan;

beforeAll(async () => {
  world = await createWorld();
  parsed = planOf(world, { rounds: OPEN_ENDED });
  bench = new Bench(world, createHolders(world)).start();
  bench.submit(parsed);
});
afterAll(() => bench.stop());

/** A fresh device that is invited to round 1 and has sealed an update. */
async function ready(): Promise<{ device: TestDevice; config: EncodedRoundConfig; sealed: Sealed }> {
  const device = await createDevice(world);
  const config = await bench.invited(device, parsed);
  const digits = new Int32Array(config.config.digitCount).fill(3);
  return { device, config, sealed: seal(world, device, config, digits) };
}

const uploaded = (device: TestDevice): boolean =>
  bench.coordinator.find(parsed.hash)!.active!.state.uploaded.includes(device.deviceId);

function acknowledges(device: TestDevice, sealed: Sealed, reply: PutUploadReply): boolean {
  const statement = acknowledgementStatement({ ...sealed.header, deviceId: device.deviceId });
  return (
    reply.acknowledged &&
    !reply.late &&
    world.suite.verify(world.coordinatorKey.publicKey, statement, reply.signature)
  );
}

async function putInChunks(device: TestDevice, sealed: Sealed, from = 0): Promise<PutUploadReply> {
  let reply: PutUploadReply | undefined;
  for (let at = from; at < sealed.bytes.length; at += CHUNK)
    reply = await bench.putChunk(device, sealed, at, Math.min(at + CHUNK, sealed.bytes.length));
  return reply!;
}

const flipped = (bytes: Uint8Array, at: number): Uint8Array => {
  const copy = bytes.slice();
  copy[at] = copy[at]! ^ 1;
  return copy;
};

describe('chunks', () => {
  test('in order: each says where to go on, the last is the signed acknowledgement', async () => {
    const { device, sealed } = await ready();
    const first = await bench.putChunk(device, sealed, 0, CHUNK);
    expect(first).toMatchObject({ nextOffset: CHUNK, acknowledged: false, late: false });
    expect(first.signature).toHaveLength(0);
    const reply = await putInChunks(device, sealed, CHUNK);
    expect(reply.nextOffset).toBe(sealed.bytes.length);
    expect(acknowledges(device, sealed, reply)).toBe(true);
    expect(uploaded(device)).toBe(true);
  });

  test('a repeated chunk, and a repeated upload, are answered and change nothing', async () => {
    const { device, sealed } = await ready();
    await bench.putChunk(device, sealed, 0, CHUNK);
    expect(await bench.putChunk(device, sealed, 0, CHUNK)).toMatchObject({
      nextOffset: CHUNK,
      acknowledged: false,
    });
    expect(await bench.putChunk(device, sealed, 0, 100)).toMatchObject({ nextOffset: CHUNK });
    await putInChunks(device, sealed, CHUNK);
    const again = await bench.put(device, sealed);
    expect(acknowledges(device, sealed, again)).toBe(true);
    const stored = bench.store.read('test', (db) =>
      uploadBytes(bench.services.spool, db, { planHex: parsed.hashHex, round: 1 }, device.deviceId),
    );
    expect(Buffer.compare(stored, sealed.bytes)).toBe(0);
  });

  test('out of order: refused, saying where to resume', async () => {
    const { device, sealed } = await ready();
    await expect(bench.putChunk(device, sealed, CHUNK, 2 * CHUNK)).rejects.toMatchObject({
      code: 'UPLOAD_OFFSET_MISMATCH',
      message: 'resume at offset 0',
    });
    await bench.putChunk(device, sealed, 0, CHUNK);
    await expect(bench.putChunk(device, sealed, CHUNK + 1, 2 * CHUNK)).rejects.toMatchObject({
      message: `resume at offset ${CHUNK}`,
    });
    const { configHash, digest } = sealed.header;
    const state = await bench.call(device, 'getUploadState', { configHash, digest });
    expect(state).toEqual({ nextOffset: CHUNK, acknowledged: false });
  });

  test('too large: by the cap of a chunk, and past the announced size', async () => {
    const { device, sealed } = await ready();
    const message = (data: Uint8Array, offset = 0) => ({ header: sealed.header, offset, data });
    const put = (data: Uint8Array, offset?: number) =>
      codeOf(() => bench.call(device, 'putUpload', message(data, offset)));
    expect(await put(new Uint8Array(256 * 1024 + 1))).toBe('CHUNK_TOO_LARGE');
    expect(await put(new Uint8Array(sealed.bytes.length + 1))).toBe('UPLOAD_TOO_LARGE');
    expect(await put(new Uint8Array(1), sealed.bytes.length)).toBe('UPLOAD_TOO_LARGE');
    expect(await put(new Uint8Array(0))).toBe('FIELD_OUT_OF_RANGE');
  });
});

describe('what does not belong to the round is refused with its own code', () => {
  const other = new Uint8Array(32).fill(9);
  const bindings: [string, object, string][] = [
    ['another configuration', { configHash: other }, 'WRONG_CONFIG'],
    // The rest of the binding does not travel: the coordinator checks the signature over its own.
    ['another model', { modelHash: other }, 'BAD_SIGNATURE'],
    ['another committee key', { committeeKeyId: other }, 'BAD_SIGNATURE'],
    ['another plan', { planHash: other }, 'BAD_SIGNATURE'],
    ['another round', { round: 77 }, 'BAD_SIGNATURE'],
  ];
  for (const [name, change, code] of bindings)
    test(name, async () => {
      const { device, config } = await ready();
      const parts = world.bfv.encrypt(world.committee(1).publicKey, new Int32Array(config.config.digitCount));
      const sealed = signUpload(world, device, { ...bindingOf(config), ...change }, parts);
      expect(await codeOf(() => bench.put(device, sealed))).toBe(code);
    });

  test('a later chunk under another header: the coordinator signs no binding that it did not check', async () => {
    const { device, sealed } = await ready();
    await bench.putChunk(device, sealed, 0, CHUNK);
    const changed = { ...sealed, header: { ...sealed.header, configHash: other } };
    expect(await codeOf(() => bench.putChunk(device, changed, CHUNK, 2 * CHUNK))).toBe('WRONG_CONFIG');
    await putInChunks(device, sealed, CHUNK);
    // Also when everything is there, and only the signature over the acknowledgement is wanted.
    expect(await codeOf(() => bench.put(device, changed))).toBe('WRONG_CONFIG');
  });

  test('a signature of somebody else, or over something else', async () => {
    const { device, config, sealed } = await ready();
    const { device: stranger } = await ready();
    expect(await codeOf(() => bench.put(stranger, sealed))).toBe('BAD_SIGNATURE');
    const statement = { ...sealed.header, round: 2, deviceId: device.deviceId };
    const signature = world.suite.sign(device.signing.secretKey, uploadStatement(statement));
    expect(
      await codeOf(() => bench.put(device, { ...sealed, header: { ...sealed.header, signature } })),
    ).toBe('BAD_SIGNATURE');
    expect(uploaded(device)).toBe(false);
    expect(acknowledges(device, sealed, await bench.put(device, sealed))).toBe(true);
    expect(config.config.round).toBe(1);
  });

  test('a vector of another length', async () => {
    const { device, config } = await ready();
    // At least 64 coefficients are always sent, so a few digits more than these 6 would not show (nor matter).
    for (const length of [65, 4097]) {
      const tooLong = seal(world, device, config, new Int32Array(length));
      expect(await codeOf(() => bench.put(device, tooLong))).toBe('VECTOR_LENGTH_MISMATCH');
    }
  });

  test('a ciphertext of other parameters: the length is right, the residues are not', async () => {
    const { device, config, sealed } = await ready();
    const c0 = sealed.bytes.slice(0, sealed.header.bodyBytes);
    for (const c1 of [new Uint8Array(sealed.header.holderBytes).fill(0xff), flippedToFull(sealed)]) {
      const foreign = signUpload(world, device, bindingOf(config), { c0, c1 });
      expect(await codeOf(() => bench.put(device, foreign))).toBe('WRONG_CIPHERTEXT_PARAMETERS');
    }
    // It was dropped, so the honest upload still has its place.
    expect(acknowledges(device, sealed, await bench.put(device, sealed))).toBe(true);
  });

  test('an upload without an invitation', async () => {
    const { config } = await ready();
    const uninvited = await createDevice(world);
    const sealed = seal(world, uninvited, config, new Int32Array(config.config.digitCount));
    expect(await codeOf(() => bench.put(uninvited, sealed))).toBe('NOT_INVITED');
  });
});

/** One residue of c1 set to 2^40 − 1, above both primes. */
function flippedToFull(sealed: Sealed): Uint8Array {
  const c1 = sealed.bytes.slice(sealed.header.bodyBytes);
  c1.fill(0xff, 500, 505);
  return c1;
}

describe('the digest', () => {
  test('bytes that do not have it are dropped, and the upload may be sent again', async () => {
    const { device, sealed } = await ready();
    await bench.putChunk(device, { ...sealed, bytes: flipped(sealed.bytes, 10) }, 0, CHUNK);
    expect(await codeOf(() => putInChunks(device, sealed, CHUNK))).toBe('DIGEST_MISMATCH');
    expect(uploaded(device)).toBe(false);
    const { configHash, digest } = sealed.header;
    const state = await bench.call(device, 'getUploadState', { configHash, digest });
    expect(state).toEqual({ nextOffset: 0, acknowledged: false });
    expect(acknowledges(device, sealed, await putInChunks(device, sealed))).toBe(true);
  });

  test('a second one of the same device and round is refused, begun or acknowledged', async () => {
    const { device, config, sealed } = await ready();
    await bench.putChunk(device, sealed, 0, CHUNK);
    const second = seal(world, device, config, new Int32Array(config.config.digitCount));
    expect(await codeOf(() => bench.put(device, second))).toBe('SECOND_DIGEST');
    await putInChunks(device, sealed, CHUNK);
    expect(await codeOf(() => bench.put(device, second))).toBe('SECOND_DIGEST');
  });

  // Before `requireChecked` this succeeded: the last chunk found nothing stored yet, so nothing was checked, and was
  // appended behind the first one in the same group commit. One such upload, once certified, could never be opened.
  test('chunks sent at the same time cannot slip past it', async () => {
    const { device, sealed } = await ready();
    const bad = { ...sealed, bytes: flipped(sealed.bytes, 700) };
    const both = [
      bench.putChunk(device, bad, 0, CHUNK),
      bench.putChunk(device, bad, CHUNK, bad.bytes.length),
    ];
    const [first, last] = await Promise.allSettled(both);
    expect(first!.status).toBe('fulfilled');
    expect(last).toMatchObject({ status: 'rejected', reason: { code: 'UPLOAD_OFFSET_MISMATCH' } });
    expect(uploaded(device)).toBe(false);
    expect(await codeOf(() => bench.putChunk(device, bad, CHUNK, bad.bytes.length))).toBe('DIGEST_MISMATCH');
  });

  test('nor can a prefix be exchanged while the last chunk is on its way', async () => {
    const { device, sealed } = await ready();
    await bench.putChunk(device, sealed, 0, CHUNK);
    const end = sealed.bytes.length;
    const bad = { ...sealed, bytes: flipped(sealed.bytes, end - 1) };
    const badStart = { ...sealed, bytes: flipped(sealed.bytes, 700) };
    // In one group commit: a wrong end drops the upload, a wrong start takes its place, the right end completes it.
    const replies = await Promise.allSettled([
      bench.putChunk(device, bad, CHUNK, end),
      bench.putChunk(device, badStart, 0, CHUNK),
      bench.putChunk(device, sealed, CHUNK, end),
    ]);
    expect(replies.map((reply) => reply.status)).toEqual(['rejected', 'fulfilled', 'rejected']);
    expect(uploaded(device)).toBe(false);
  });

  test('the same last chunk many times at once: one upload, the same acknowledgement for all', async () => {
    const { device, sealed } = await ready();
    await bench.putChunk(device, sealed, 0, CHUNK);
    const last = () => bench.putChunk(device, sealed, CHUNK, sealed.bytes.length);
    const replies = await Promise.all(Array.from({ length: 5 }, last));
    for (const reply of replies) expect(acknowledges(device, sealed, reply)).toBe(true);
    expect(
      bench.coordinator.find(parsed.hash)!.active!.state.uploaded.filter((id) => id === device.deviceId),
    ).toHaveLength(1);
  });
});

describe('durability', () => {
  test('the acknowledgement, and the news to the round, come after the commit', async () => {
    const gated = new GatedStore(openMemoryStore());
    const own = new Bench(world, createHolders(world), { store: gated }).start();
    own.submit(parsed);
    const [device] = await createDevices(world, 1);
    const config = await own.invited(device!, parsed);
    const sealed = seal(world, device!, config, new Int32Array(config.config.digitCount));
    const round = own.coordinator.find(parsed.hash)!.active!;
    const events: string[] = [];
    gated.hold = (name) => name === 'upload-chunk';
    const put = own.put(device!, sealed).then((reply) => events.push(`acknowledged ${reply.acknowledged}`));
    await until('the chunk is queued', () => gated.held.length === 1);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(events).toEqual([]);
    expect(round.state.uploaded).toEqual([]);
    events.push('commit');
    gated.release();
    await put;
    expect(events).toEqual(['commit', 'acknowledged true']);
    expect(round.state.uploaded).toEqual([device!.deviceId]);
    await own.stop();
  });

  test('when the commit fails, the device is told to try again and the round has heard nothing', async () => {
    const gated = new GatedStore(openMemoryStore());
    const own = new Bench(world, createHolders(world), { store: gated }).start();
    own.submit(parsed);
    const [device] = await createDevices(world, 1);
    const config = await own.invited(device!, parsed);
    const sealed = seal(world, device!, config, new Int32Array(config.config.digitCount));
    gated.hold = (name) => name === 'upload-chunk';
    const put = codeOf(() => own.put(device!, sealed));
    await until('the chunk is queued', () => gated.held.length === 1);
    gated.fail();
    expect(await put).toBe('UNAVAILABLE');
    const round = own.coordinator.find(parsed.hash)!.active!;
    expect(round.state.uploaded).toEqual([]);
    expect(acknowledges(device!, sealed, await own.put(device!, sealed))).toBe(true);
    await own.stop();
  });
});

describe('after the freeze', () => {
  test('an upload is late, with a signed statement, once, and only for the invited', async () => {
    const holders = createHolders(world);
    let open: () => void = () => {};
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    for (const holder of holders) holder.before = (call) => (call === 'accept' ? gate : undefined);
    const own = new Bench(world, holders).start();
    const plan = planOf(world, { name: 'late', rounds: { cohortTarget: 3 } });
    own.submit(plan);
    const devices = await createDevices(world, 4);
    const configs = await Promise.all(devices.map((device) => own.invited(device, plan)));
    const sealed = devices.map((device, i) =>
      seal(world, device, configs[i]!, new Int32Array(configs[i]!.config.digitCount)),
    );
    // The fourth has begun in time.
    await own.putChunk(devices[3]!, sealed[3]!, 0, CHUNK);
    for (const i of [0, 1, 2]) await own.put(devices[i]!, sealed[i]!);
    const rest = await own.putChunk(devices[3]!, sealed[3]!, CHUNK, sealed[3]!.bytes.length);
    expect(rest).toMatchObject({ late: true, acknowledged: true });
    const statement = lateStatement({ ...sealed[3]!.header, deviceId: devices[3]!.deviceId });
    expect(world.suite.verify(world.coordinatorKey.publicKey, statement, rest.signature)).toBe(true);
    // What was acknowledged before is not late.
    expect(await own.put(devices[0]!, sealed[0]!)).toMatchObject({ late: false, acknowledged: true });
    const second = seal(
      world,
      devices[3]!,
      configs[3]!,
      new Int32Array(configs[3]!.config.digitCount).fill(1),
    );
    expect(await codeOf(() => own.put(devices[3]!, second))).toBe('SECOND_DIGEST');
    const uninvited = await createDevice(world);
    const uncalled = seal(world, uninvited, configs[0]!, new Int32Array(configs[0]!.config.digitCount));
    expect(await codeOf(() => own.put(uninvited, uncalled))).toBe('NOT_INVITED');
    open();
    await until('the round is over', () => own.outcomes.has(plan.hashHex));
    expect(own.outcomes.get(plan.hashHex)).toMatchObject({ status: 'finished' });
    await own.stop();
  });
});

/** A store whose group commits can be held back, or made to fail. */
class GatedStore implements Store {
  hold: (name: string) => boolean = () => false;
  readonly held: { go: () => void; fail: () => void }[] = [];
  readonly #inner: Store;
  constructor(inner: Store) {
    this.#inner = inner;
  }
  release(): void {
    this.hold = () => false;
    for (const { go } of this.held.splice(0)) go();
  }
  fail(): void {
    this.hold = () => false;
    for (const { fail } of this.held.splice(0)) fail();
  }
  async enqueue<T>(name: string, fn: (database: Database) => T): Promise<T> {
    if (this.hold(name))
      await new Promise<void>((go, reject) => {
        this.held.push({ go, fail: () => reject(new PulsefoldError('UNAVAILABLE', 'the disk is full')) });
      });
    return this.#inner.enqueue(name, fn);
  }
  migrate(domain: string, migrations: readonly string[]): void {
    this.#inner.migrate(domain, migrations);
  }
  transaction<T>(name: string, fn: (database: Database) => T): T {
    return this.#inner.transaction(name, fn);
  }
  read<T>(name: string, fn: (database: Database) => T): T {
    return this.#inner.read(name, fn);
  }
  flush(): void {
    this.#inner.flush();
  }
  metrics() {
    return this.#inner.metrics();
  }
  close(): void {
    this.#inner.close();
  }
}
