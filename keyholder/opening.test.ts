/**
 * Openings with bad input: each a coded error, nothing decrypted, and the good opening still works
 * afterwards.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { OpenHeader } from '../protos/keyholder-messages.ts';
import { HolderStore } from './store.ts';
import { Committee, type CommitteeKey, createWorld, type World } from './testing.ts';
import {
  bindingOf,
  certifyAt,
  createDevices,
  createUpload,
  openAt,
  openHeader,
  openMessages,
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
  world = await createWorld();
  committee = new Committee(world);
  key = committee.ceremony(1);
  const devices = await createDevices(world, 4);
  uploads = devices.map((device, i) => createUpload(world, device, binding(), key.publicKey, i));
  signatures = await certifyAt(world, committee.holders.slice(0, 3), binding(), uploads);
});
afterAll(() => committee.close());

const binding = () => bindingOf(world, 1, key.keyId);
const header = (change: Partial<OpenHeader> = {}) =>
  openHeader(world, binding(), uploads, { signatures, activeSet: [1, 2], header: change });

interface Part {
  deviceId: string;
  bodyDigest: Uint8Array;
  offset: number;
  holderPart: Uint8Array;
  entry: unknown;
}
interface Message {
  header?: unknown;
  part?: Part;
}

async function messagesOf(change: Partial<OpenHeader> = {}): Promise<Message[]> {
  const messages: Message[] = [];
  for await (const message of openMessages(header(change), uploads)) messages.push(message as Message);
  return messages;
}

async function* stream(messages: readonly unknown[]): AsyncGenerator<unknown> {
  yield* messages;
}

const open = async (messages: readonly unknown[], index = 1) =>
  committee.holders[index - 1]!.service.open(stream(messages));

const changed = (at: number, change: Partial<Part>) => async (): Promise<unknown[]> => {
  const messages: Message[] = await messagesOf();
  messages[at] = { ...messages[at], part: { ...messages[at]!.part!, ...change } };
  return messages;
};

describe('headers', () => {
  it.each<[string, () => Partial<OpenHeader>, string]>([
    ['no signatures', () => ({ signatures: [] }), 'QUORUM_NOT_REACHED'],
    ['two signatures', () => ({ signatures: signatures.slice(1) }), 'QUORUM_NOT_REACHED'],
    [
      'a signature of an unknown holder',
      () => ({ signatures: [...signatures.slice(1), { ...signatures[0]!, holderId: 'mallory' }] }),
      'QUORUM_NOT_REACHED',
    ],
    [
      'a cut signature',
      () => ({ signatures: signatures.map((s) => ({ ...s, signature: s.signature.subarray(1) })) }),
      'FIELD_OUT_OF_RANGE',
    ],
    ['another model', () => ({ modelHash: new Uint8Array(32) }), 'STATEMENT_CONFLICT'],
    ['another root', () => ({ cohortRoot: new Uint8Array(32) }), 'STATEMENT_CONFLICT'],
    ['another count', () => ({ cohortCount: 3 }), 'STATEMENT_CONFLICT'],
    ['another round', () => ({ round: 2 }), 'NOT_FOUND'],
    ['a round beyond the plan', () => ({ round: 6 }), 'WRONG_ROUND'],
    ['an unknown plan', () => ({ planHash: new Uint8Array(32) }), 'NOT_FOUND'],
    ['an active set without this holder', () => ({ activeSet: [2, 3] }), 'FIELD_OUT_OF_RANGE'],
    ['an active set of one', () => ({ activeSet: [1] }), 'FIELD_OUT_OF_RANGE'],
    ['an active set of three', () => ({ activeSet: [1, 2, 3] }), 'FIELD_OUT_OF_RANGE'],
    ['an active set with a repeated holder', () => ({ activeSet: [1, 1] }), 'FIELD_OUT_OF_RANGE'],
    ['an active set out of order', () => ({ activeSet: [2, 1] }), 'FIELD_OUT_OF_RANGE'],
    ['an active set with a fifth holder', () => ({ activeSet: [1, 5] }), 'FIELD_OUT_OF_RANGE'],
    ['a longer sum', () => ({ digitCount: header().digitCount + 1 }), 'VECTOR_LENGTH_MISMATCH'],
    ['no digits', () => ({ digitCount: 0 }), 'FIELD_OUT_OF_RANGE'],
  ])('with %s are refused', async (_name, change, code) => {
    await expect(open(await messagesOf(change()))).rejects.toThrow(coded(code));
  });

  it('must come first, and be there', async () => {
    const messages = await messagesOf();
    for (const bad of [[], [null], [{}], ['x'], [{ header: 7 }], messages.slice(1)])
      await expect(open(bad)).rejects.toThrow(coded('MALFORMED_MESSAGE'));
  });
});

describe('parts', () => {
  it.each<[string, () => Promise<unknown[]>, string, RegExp]>([
    [
      'a device left out',
      async () => (await messagesOf()).slice(0, -3),
      'CERTIFICATE_INVALID',
      /3 ciphertexts for a cohort of 4/,
    ],
    ['the end cut off', async () => (await messagesOf()).slice(0, -1), 'CERTIFICATE_INVALID', /cut short/],
    [
      'a device sent twice',
      async () => [...(await messagesOf()).slice(0, 10), ...(await messagesOf()).slice(1, 4)],
      'CERTIFICATE_INVALID',
      /sent twice/,
    ],
    [
      'one more device',
      async () => {
        const m = await messagesOf();
        const extra = m.slice(1, 4).map((x) => ({ part: { ...x.part!, deviceId: 'f'.repeat(32) } }));
        return [...m, ...extra];
      },
      'CERTIFICATE_INVALID',
      /more ciphertexts/,
    ],
    [
      'a second header',
      async () => {
        const m = await messagesOf();
        return [m[0], m[0]];
      },
      'MALFORMED_MESSAGE',
      /expected a part/,
    ],
    [
      'chunks of two devices mixed',
      async () => {
        const m = await messagesOf();
        return [m[0], m[1], m[4]];
      },
      'UPLOAD_OFFSET_MISMATCH',
      /cut short/,
    ],
    [
      'a chunk left out',
      async () => (await messagesOf()).filter((_, i) => i !== 2),
      'UPLOAD_OFFSET_MISMATCH',
      /expected offset/,
    ],
    [
      'a chunk past the end',
      changed(3, { holderPart: new Uint8Array(16_384) }),
      'WRONG_CIPHERTEXT_PARAMETERS',
      /longer than/,
    ],
    [
      'a changed byte',
      changed(2, { holderPart: new Uint8Array(16_384) }),
      'DIGEST_MISMATCH',
      /not the signed one/,
    ],
    [
      'another digest of c0',
      changed(1, { bodyDigest: new Uint8Array(32) }),
      'DIGEST_MISMATCH',
      /not the signed one/,
    ],
    ['no digest of c0', changed(1, { bodyDigest: new Uint8Array(0) }), 'FIELD_OUT_OF_RANGE', /32 bytes/],
    ['an empty chunk', changed(1, { holderPart: new Uint8Array(0) }), 'FIELD_OUT_OF_RANGE', /empty chunk/],
    [
      'an oversized chunk',
      changed(1, { holderPart: new Uint8Array(256 * 1024 + 1) }),
      'FIELD_OUT_OF_RANGE',
      /holderPart/,
    ],
    ['a bad device id', changed(1, { deviceId: '../../etc' }), 'FIELD_OUT_OF_RANGE', /device id/],
    ['a negative offset', changed(1, { offset: -1 }), 'FIELD_OUT_OF_RANGE', /offset/],
    [
      'text for bytes',
      changed(1, { holderPart: 'abc' as unknown as Uint8Array }),
      'FIELD_OUT_OF_RANGE',
      /expected bytes/,
    ],
  ])('with %s are refused', async (_name, messages, code, message) => {
    await expect(open(await messages())).rejects.toThrow(coded(code, message));
  });

  it('sent to a holder that was away need their entries', async () => {
    const away = committee.holders[3]!;
    const activeSet = [1, 4];
    const messages = await messagesOf({ activeSet });
    const without = messages.map((m) => (m.part ? { part: { ...m.part, entry: null } } : m));
    await expect(open(without, 4)).rejects.toThrow(coded('MALFORMED_MESSAGE', /expected object/));
    const others = messages.map((m, i) => (i === 1 ? { part: { ...m.part!, entry: uploads[1]!.entry } } : m));
    await expect(open(others, 4)).rejects.toThrow(coded('CERTIFICATE_INVALID', /another device/));
    away.revoked.add(uploads[2]!.device.serial);
    await expect(open(messages, 4)).rejects.toThrow(coded('CERTIFICATE_REVOKED'));
    away.revoked.clear();
    expect(away.context.store.statement({ planHash: world.parsed.hash, round: 1 })).toBeUndefined();
  });
});

describe('after all that', () => {
  it('nothing was decrypted, and the good opening works', async () => {
    const at = { planHash: world.parsed.hash, round: 1 };
    for (const { context } of committee.holders)
      for (const set of [
        [1, 2],
        [1, 4],
        [2, 3],
      ])
        expect(context.store.partial(at, set)).toBeUndefined();
    const partials = await openAt(world, committee.holders, binding(), uploads, signatures, [1, 2]);
    expect(openSum(world, uploads, partials)).toEqual(plainSum(uploads));
  });

  it('two openings at a time give one partial decryption', async () => {
    const both = await Promise.all([
      open(await messagesOf({ activeSet: [1, 3] })),
      open(await messagesOf({ activeSet: [1, 3] })),
    ]);
    expect(both[0]).toEqual(both[1]);
  });

  it('openings beyond the limit wait, and a caller that goes away leaves no slot taken', async () => {
    const { service } = committee.holders[1]!;
    const first = header({ activeSet: [2, 3] });
    let release: () => void = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    async function* hanging(): AsyncGenerator<unknown> {
      yield { header: first };
      await held;
    }
    const waiting = [1, 2, 3, 4].map(() => service.open(hanging()));
    const more = service.open(stream(await messagesOf({ activeSet: [2, 3] })));
    await expect(more).rejects.toThrow(coded('UNAVAILABLE', /4 sums at a time/));
    release();
    for (const opening of waiting) await expect(opening).rejects.toThrow(coded('CERTIFICATE_INVALID'));
    await expect(service.open(stream(await messagesOf({ activeSet: [2, 3] })))).resolves.toBeDefined();
  });
});

describe('at rest', () => {
  const filesOf = (directory: string): Buffer =>
    Buffer.concat(
      ['', '-wal', '-journal'].map((end) => {
        try {
          return readFileSync(join(directory, `keyholder.sqlite${end}`));
        } catch {
          return Buffer.alloc(0);
        }
      }),
    );

  it('shares are sealed, and gone from the files after erasure', () => {
    const at = { planHash: world.parsed.hash, round: 1 };
    const { context, directory, service } = committee.holders[0]!;
    const sealed = Buffer.from(context.store.committeeKey(at)!.sealedShare!);
    const share = Buffer.from(context.custody.open('committee-key-share', at, sealed));
    const chunks = (bytes: Buffer) =>
      [0, 10_000, 20_000, 40_000].map((offset) => bytes.subarray(offset, offset + 32));
    const before = filesOf(directory);
    expect(chunks(sealed).every((chunk) => before.includes(chunk))).toBe(true);
    expect(chunks(share).some((chunk) => before.includes(chunk))).toBe(false);
    service.erase(at);
    const after = filesOf(directory);
    expect(chunks(sealed).some((chunk) => after.includes(chunk))).toBe(false);
  });

  it('a directory is open in one process only', () => {
    const { directory } = committee.holders[0]!;
    const second = () => new HolderStore(join(directory, 'keyholder.sqlite'));
    expect(second).toThrow(coded('CONFIG_INVALID', /in use by another process/));
  });
});
