/**
 * Openings of transport `shares` with bad input: each a coded error, nothing answered, and the good opening still works
 * afterwards; what is at rest meanwhile; and that an answer depends on the certificate alone.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { SharesOpener } from '../crypto/secagg/shares/index.ts';
import { type OpenHeader, readTranscript } from '../protos/keyholder-messages.ts';
import { Committee, type CommitteeKey, createWorld, type World } from './testing.ts';
import {
  bindingOf,
  byDevice,
  certifyAt,
  createDevices,
  createUpload,
  openAt,
  openHeader,
  openSum,
  plainSum,
  type Upload,
} from './testing-uploads.ts';

const coded = (code: string, message = /./) =>
  expect.objectContaining({ code, message: expect.stringMatching(message) });

let world: World;
let committee: Committee;
let key: CommitteeKey;
let uploads: Upload[];
let signatures: OpenHeader['signatures'];

beforeAll(async () => {
  world = await createWorld({ transport: 'shares' });
  committee = new Committee(world);
  key = committee.ceremony(1);
  const devices = await createDevices(world, 4);
  uploads = devices
    .map((device, i) => createUpload(world, device, binding(), key.publicKey, i))
    .sort(byDevice);
  signatures = await certifyAt(world, committee.holders.slice(0, 3), binding(), uploads);
});
afterAll(() => committee.close());

const at = () => ({ planHash: world.parsed.hash, round: 1 });
const binding = () => bindingOf(world, 1, key.keyId);
const header = (change: Partial<OpenHeader> = {}) =>
  openHeader(world, binding(), uploads, { signatures, activeSet: [1, 2, 3], header: change });

interface Part {
  readonly deviceId?: unknown;
  readonly entry?: unknown;
}
const partOf = ({ device, entry }: Upload): Part => ({ deviceId: device.id, entry });
const named = ({ device }: Upload): Part => ({ deviceId: device.id, entry: null });

async function* stream(messages: readonly unknown[]): AsyncGenerator<unknown> {
  yield* messages;
}
const open = async (parts: readonly unknown[], index = 1, change: Partial<OpenHeader> = {}) =>
  committee.holders[index - 1]!.service.open(stream([{ header: header(change) }, ...parts]));
const together = (parts: readonly unknown[]) => [{ parts: { parts } }];

describe('headers', () => {
  it.each<[string, Partial<OpenHeader>, string]>([
    ['two signatures', { signatures: [] }, 'QUORUM_NOT_REACHED'],
    ['an active set of two', { activeSet: [1, 2] }, 'FIELD_OUT_OF_RANGE'],
    ['an active set of four', { activeSet: [1, 2, 3, 4] }, 'FIELD_OUT_OF_RANGE'],
    ['an active set without this holder', { activeSet: [2, 3, 4] }, 'FIELD_OUT_OF_RANGE'],
    ['an active set out of order', { activeSet: [2, 1, 3] }, 'FIELD_OUT_OF_RANGE'],
    ['a longer sum', { digitCount: 4 }, 'VECTOR_LENGTH_MISMATCH'],
    ['another count', { cohortCount: 3 }, 'STATEMENT_CONFLICT'],
  ])('with %s are refused', async (_name, change, code) => {
    await expect(open(together(uploads.map(named)), 1, change)).rejects.toThrow(coded(code));
  });
});

describe('parts', () => {
  it.each<[string, () => unknown[], string, RegExp]>([
    ['none', () => [], 'CERTIFICATE_INVALID', /0 devices for a cohort of 4/],
    ['one left out', () => together(uploads.slice(1).map(named)), 'CERTIFICATE_INVALID', /3 devices/],
    [
      'one twice',
      () => together([uploads[0]!, ...uploads.slice(0, 3)].map(named)),
      'CERTIFICATE_INVALID',
      /ascending/,
    ],
    ['out of order', () => together(uploads.toReversed().map(named)), 'CERTIFICATE_INVALID', /ascending/],
    [
      'one more',
      () => together([...uploads.map(named), { deviceId: 'f'.repeat(32), entry: null }]),
      'CERTIFICATE_INVALID',
      /more devices/,
    ],
    ['a second header', () => [{ header: header() }], 'MALFORMED_MESSAGE', /expected a part/],
    ['no list', () => [{ parts: { parts: 7 } }], 'MALFORMED_MESSAGE', /parts/],
    ['too many', () => together(Array(501).fill(named(uploads[0]!))), 'FIELD_OUT_OF_RANGE', /parts/],
    ['a bad device id', () => together([{ deviceId: '../..' }]), 'FIELD_OUT_OF_RANGE', /device id/],
    ['null', () => together([null]), 'MALFORMED_MESSAGE', /./],
    ['nothing at all', () => [null], 'MALFORMED_MESSAGE', /expected a part/],
  ])('with %s are refused', async (_name, messages, code, message) => {
    await expect(open(messages())).rejects.toThrow(coded(code, message));
  });

  it('of devices that this holder did not accept need their entries, in order in every respect', async () => {
    const away = committee.holders[3]!;
    const activeSet = [1, 2, 4];
    const openAway = (parts: readonly Part[]) => open(together(parts), 4, { activeSet });
    const changed = (change: (upload: Upload) => Part): Part[] => [
      change(uploads[0]!),
      ...uploads.slice(1).map(partOf),
    ];
    await expect(openAway(uploads.map(named))).rejects.toThrow(coded('MALFORMED_MESSAGE', /expected object/));
    const other = changed(({ device }) => ({ deviceId: device.id, entry: uploads[1]!.entry }));
    await expect(openAway(other)).rejects.toThrow(coded('CERTIFICATE_INVALID', /another device/));
    const bent = changed(({ device, entry }) => ({
      deviceId: device.id,
      entry: { ...entry, holderPart: entry.holderPart.map((byte, i) => (i === 200 ? byte ^ 1 : byte)) },
    }));
    await expect(openAway(bent)).rejects.toThrow(coded('DIGEST_MISMATCH'));
    const empty = changed(({ device, entry }) => ({
      deviceId: device.id,
      entry: { ...entry, holderPart: new Uint8Array(0) },
    }));
    await expect(openAway(empty)).rejects.toThrow(coded('MALFORMED_MESSAGE', /holder part/));
    const resealed = createUpload(world, uploads[0]!.device, binding(), key.publicKey, 9);
    await expect(openAway(changed(() => partOf(resealed)))).rejects.toThrow(
      coded('CERTIFICATE_INVALID', /root/),
    );
    away.revoked.add(uploads[2]!.device.serial);
    await expect(openAway(uploads.map(partOf))).rejects.toThrow(coded('CERTIFICATE_REVOKED'));
    away.revoked.clear();
    expect(away.context.store.statement(at())).toBeUndefined();
  });
});

describe('after all that', () => {
  it('nothing was answered, and the good opening works, parts alone or together', async () => {
    for (const { context } of committee.holders) expect(context.store.anyPartial(at())).toBeUndefined();
    const singly = uploads.map((upload) => ({ part: named(upload) }));
    const mixed = [...singly.slice(0, 1), ...together(uploads.slice(1, 3).map(named)), ...singly.slice(3)];
    const replies = [
      await open(singly, 1),
      await open(mixed, 2),
      // Two at a time give one answer.
      ...(await Promise.all([open(together(uploads.map(partOf)), 3), open(together(uploads.map(named)), 3)])),
    ];
    expect(replies[3]).toEqual(replies[2]);
    expect(openSum(world, uploads, replies.slice(0, 3))).toEqual(plainSum(uploads));
  });

  it('another active set gets the same answer, from the store, under its own signature', async () => {
    const activeSet = [1, 2, 4];
    const replies = await openAt(world, committee.holders, binding(), uploads, signatures, activeSet);
    expect(openSum(world, uploads, replies)).toEqual(plainSum(uploads));
    const first = await open([], 1);
    expect(replies[0]!.partial).toEqual(first.partial);
    expect(replies[0]!.signature).not.toEqual(first.signature);
    expect(await open([], 1, { activeSet })).toEqual(replies[0]);
    // A holder whose first answer was for one set is asked for no part for another.
    expect((await open([], 3, { activeSet: [2, 3, 4] })).partial).toEqual((await open([], 3)).partial);
  });
});

describe('at rest', () => {
  const filesOf = (directory: string): Buffer =>
    Buffer.concat(['', '-wal'].map((end) => readFileSync(join(directory, `keyholder.sqlite${end}`))));

  it('seeds are sealed, and gone from the files after erasure', () => {
    const { context, directory, index, service } = committee.holders[0]!;
    const { store } = context;
    const secret = context.custody.open('committee-key-share', at(), store.committeeKey(at())!.sealedShare!);
    const [secretKey] = readTranscript('holder-round-secret', secret, { minimum: 3, maximum: 3 });
    const opener = new SharesOpener({
      suite: world.suite,
      configHash: binding().configHash,
      committeeKey: key.publicKey,
      holderIndex: index,
      secretKey: secretKey!,
    });
    const sealed = uploads.map(({ device }) => Buffer.from(store.entries.get(at(), device.id)!.sealedSeeds!));
    const seeds = uploads.flatMap(({ device, holderPart }) => {
      const bytes = opener.open(device.id, holderPart).seeds;
      return [0, 32, 64].map((start) => Buffer.from(bytes.subarray(start, start + 32)));
    });
    const before = filesOf(directory);
    expect(sealed.every((bytes) => before.includes(bytes))).toBe(true);
    expect([...seeds, Buffer.from(secretKey!)].some((bytes) => before.includes(bytes))).toBe(false);
    expect(new Set(sealed.map((bytes) => bytes.toString('hex'))).size).toBe(4);
    const answer = Buffer.from(store.anyPartial(at())!.signature);
    expect(before.includes(answer)).toBe(true);
    service.erase(at());
    const after = filesOf(directory);
    expect([...sealed, answer].some((bytes) => after.includes(bytes))).toBe(false);
    expect(sealed.some((bytes) => after.includes(bytes.subarray(12, 44)))).toBe(false);
  });

  it('stored seeds that were altered or exchanged are noticed', async () => {
    const fork = committee.fork();
    const { context, service } = fork.holders[1]!;
    const { entries } = context.store;
    const get = entries.get.bind(entries);
    // The files of a holder are trusted for integrity; a swap within them is noticed none the less.
    entries.get = (ref, deviceId) => {
      const entry = get(ref, deviceId);
      const other = get(ref, uploads[1]!.device.id);
      return entry && { ...entry, sealedSeeds: other!.sealedSeeds };
    };
    Object.assign(context.store, { partial: () => undefined, anyPartial: () => undefined });
    const opening = service.open(stream([{ header: header() }, ...together(uploads.map(named))]));
    await expect(opening).rejects.toThrow(coded('DECRYPTION_FAILED'));
    fork.close();
  });
});
