/**
 * The ceremony of transport `shares` against a relay that meddles and a holder that cheats; the culprit is named.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { concat, equalBytes, fromHex } from '../crypto/bytes.ts';
import { kemsOf } from '../crypto/identity/kem.ts';
import type { KeyPair } from '../crypto/identity/suite.ts';
import { makeRoundKey, SharesOpener, splitRoundKeys } from '../crypto/secagg/shares/index.ts';
import {
  committeeKeyIdOf,
  decodeRoundKeyPayload,
  encodeRoundKeyPayload,
} from '../protos/keyholder-messages.ts';
import { kemOfPlan } from '../protos/plan-scheme.ts';
import { committeeKeyStatement } from '../protos/statements.ts';
import { unpack } from './packed.ts';
import {
  Committee,
  createWorld,
  type Relay,
  signedPartOf,
  type World,
  type WorldOptions,
} from './testing.ts';
import { bindingOf, createDevice, createUpload } from './testing-uploads.ts';

const coded = (code: string, message = /./) =>
  expect.objectContaining({ code, message: expect.stringMatching(message) });

describe.each<[string, WorldOptions]>([
  ['intl', {}],
  ['intl with ML-KEM', { kem: 'x25519-ml-kem-768' }],
  ['gm', { suite: 'gm' }],
])('%s', (_name, options) => {
  let world: World;
  let committee: Committee;
  let round = 5;
  beforeAll(async () => {
    world = await createWorld({ ...options, transport: 'shares' });
  });
  afterAll(() => committee.close());

  /** A fresh committee every five rounds, which is what the plan has keys for. */
  function nextRound(): number {
    if (round === 5) {
      committee?.close();
      committee = new Committee(world);
      round = 0;
    }
    return ++round;
  }

  const newKey = (): KeyPair => makeRoundKey(world.suite, kemOfPlan(world.parsed.plan));
  const partKey = (payload: Uint8Array): Uint8Array => decodeRoundKeyPayload(payload);
  const refAt = (at: number) => ({ planHash: world.parsed.hash, round: at });
  /** Holder 4 itself says something else in BEGIN, well signed. */
  const saying =
    (at: number, payload: (replies: readonly Uint8Array[]) => Uint8Array): Relay =>
    (phase, replies) =>
      phase !== 'BEGIN'
        ? replies
        : replies.map((reply, i) =>
            i === 3
              ? {
                  ...reply,
                  part: signedPartOf(world, 4, 'BEGIN', at, payload(replies.map((r) => r.part.payload))),
                }
              : reply,
          );

  it('joins four fresh keys under all signatures, and keeps nothing but its own, sealed', () => {
    const at = nextRound();
    const begun: { own: Uint8Array; secret: Uint8Array }[] = [];
    const key = committee.ceremony(at, (phase, replies) => {
      if (phase === 'BEGIN')
        for (const [i, { context }] of committee.holders.entries()) {
          const state = context.custody.open(
            'ceremony-state',
            refAt(at),
            context.store.ceremonyState(refAt(at))!,
          );
          const pair = unpack<KeyPair>(state);
          begun.push({ own: pair.publicKey, secret: pair.secretKey });
          expect(partKey(replies[i]!.part.payload)).toEqual(pair.publicKey);
        }
      return replies;
    });
    expect(key.publicKey).toEqual(concat(...begun.map(({ own }) => own)));
    expect(key.keyId).toEqual(committeeKeyIdOf(world.suite, key.publicKey));
    for (const { holderId, signature } of key.signatures) {
      const holder = world.parsed.plan.holders.find(({ id }) => id === holderId)!;
      const statement = committeeKeyStatement({ ...refAt(at), keyId: key.keyId });
      expect(world.suite.verify(fromHex(holder.signingPublicKey), statement, signature)).toBe(true);
    }
    const again = committee.ceremony(nextRound());
    expect(equalBytes(again.publicKey, key.publicKey)).toBe(false);
    for (const [i, { context, directory }] of committee.holders.entries()) {
      expect(context.store.ceremonyState(refAt(at))).toBeUndefined();
      const { sealedShare } = context.store.committeeKey(refAt(at))!;
      const share = Buffer.from(context.custody.open('committee-key-share', refAt(at), sealedShare!));
      expect(share.includes(Buffer.from(begun[i]!.secret))).toBe(true);
      const elsewhere = () => context.custody.open('committee-key-share', refAt(at + 1), sealedShare!);
      expect(elsewhere).toThrow(coded('DECRYPTION_FAILED'));
      const files = ['', '-wal'].map((end) => readFileSync(join(directory, `keyholder.sqlite${end}`)));
      expect(files.some((file) => file.includes(Buffer.from(sealedShare!.subarray(0, 64))))).toBe(true);
      expect(files.some((file) => file.includes(Buffer.from(begun[i]!.secret)))).toBe(false);
    }
  });

  it('a relay reads every seed where parts are not authenticated; is refused', async () => {
    // It puts own keys in the place of two: what is sealed to those two is all four seeds.
    const own = [newKey(), newKey()];
    const at = nextRound();
    const swap: Relay = (phase, replies) =>
      phase !== 'BEGIN'
        ? replies
        : replies.map((reply, i) =>
            i < 2
              ? reply
              : { ...reply, part: { ...reply.part, payload: encodeRoundKeyPayload(own[i - 2]!.publicKey) } },
          );
    const weak = new Committee(world, { rules: { partSignature: () => {} } });
    // The two victims would see their own part altered: the relay shows each holder its own as it was.
    const replies = weak.holders.map(({ service }) =>
      service.ceremonyStep({ ...refAt(at), phase: 'BEGIN', parts: [], shares: [] }),
    );
    const parts = swap('BEGIN', replies).map(({ part }) => part);
    const { publicKey } = weak.holders[0]!.service.ceremonyStep({
      ...refAt(at),
      phase: 'FINISH',
      parts,
      shares: [],
    });
    weak.close();
    const device = await createDevice(world);
    const binding = bindingOf(world, at, committeeKeyIdOf(world.suite, publicKey));
    const { holderPart } = createUpload(world, device, binding, publicKey);
    const seeds = [3, 4].map(
      (holderIndex) =>
        new SharesOpener({
          suite: world.suite,
          configHash: binding.configHash,
          committeeKey: publicKey,
          holderIndex,
          secretKey: own[holderIndex - 3]!.secretKey,
        }).open(device.id, holderPart).seeds,
    );
    // Seeds 1, 2, 4 and 1, 2, 3.
    expect(seeds[0]!.subarray(0, 64)).toEqual(seeds[1]!.subarray(0, 64));
    expect(seeds[0]!.subarray(64)).not.toEqual(seeds[1]!.subarray(64));

    expect(() => committee.ceremony(at, swap)).toThrow(coded('BAD_SIGNATURE', /holder platform/));
  });

  it.each<[string, (at: number) => Relay, string, RegExp]>([
    [
      'a part left out',
      () => (phase, replies) => (phase === 'BEGIN' ? replies.slice(1) : replies),
      'CEREMONY_FAILED',
      /BEGIN parts of all 4/,
    ],
    [
      'what a holder itself said changed',
      (at) => (phase, replies) =>
        phase === 'BEGIN'
          ? [
              { ...replies[0]!, part: signedPartOf(world, 1, 'BEGIN', at, replies[1]!.part.payload) },
              ...replies.slice(1),
            ]
          : replies,
      'CEREMONY_FAILED',
      /part of this holder was altered/,
    ],
    [
      'a part of another round',
      (at) => (phase, replies) =>
        phase === 'BEGIN'
          ? replies.map((reply, i) =>
              i === 1
                ? { ...reply, part: signedPartOf(world, 2, 'BEGIN', at + 1, reply.part.payload) }
                : reply,
            )
          : replies,
      'BAD_SIGNATURE',
      /holder regulator/,
    ],
    [
      'a copied key',
      (at) => saying(at, (payloads) => payloads[2]!),
      'CEREMONY_FAILED',
      /holders platform and university sent the same/,
    ],
    [
      'a key that cannot be used',
      (at) =>
        saying(at, (payloads) =>
          encodeRoundKeyPayload(new Uint8Array(partKey(payloads[3]!).length).fill(255)),
        ),
      'CEREMONY_FAILED',
      /holder university sent a round key/,
    ],
    [
      'a key of another length',
      (at) => saying(at, (payloads) => encodeRoundKeyPayload(partKey(payloads[3]!).subarray(1))),
      'CEREMONY_FAILED',
      /holder university sent a round key/,
    ],
    [
      'a payload that is none',
      (at) => saying(at, () => new Uint8Array(9)),
      'CEREMONY_FAILED',
      /holder university: /,
    ],
  ])('with %s is refused, and leaves no key', (_what, relayOf, code, message) => {
    const at = nextRound();
    expect(() => committee.ceremony(at, relayOf(at))).toThrow(coded(code, message));
    for (const { context } of committee.holders)
      expect(context.store.committeeKey(refAt(at))).toBeUndefined();
  });

  it('gives no second answer for other inputs, and the stored one for the same', () => {
    const at = nextRound();
    committee.ceremony(at, (phase, replies) => {
      if (phase !== 'BEGIN') return replies;
      const request = { ...refAt(at), phase: 'FINISH', shares: [] };
      const { service } = committee.holders[0]!;
      const parts = replies.map((reply) => reply.part);
      const reply = service.ceremonyStep({ ...request, parts });
      expect(service.ceremonyStep({ ...request, parts: parts.toReversed() })).toEqual(reply);
      const other = encodeRoundKeyPayload(newKey().publicKey);
      const changed = [...parts.slice(0, 3), signedPartOf(world, 4, 'BEGIN', at, other)];
      expect(() => service.ceremonyStep({ ...request, parts: changed })).toThrow(
        coded('STATEMENT_CONFLICT', /FINISH/),
      );
      return replies;
    });
  });

  it('has no other phases, and does not begin after its round was erased', () => {
    const at = nextRound();
    const { service } = committee.holders[0]!;
    for (const phase of ['COMMIT_KEY', 'REVEAL', 'COMBINE', 'TEST'])
      expect(() => service.ceremonyStep({ ...refAt(at), phase, parts: [], shares: [] })).toThrow(
        coded('CEREMONY_FAILED', /has no phase/),
      );
    service.erase(refAt(at));
    const begin = { ...refAt(at), phase: 'BEGIN', parts: [], shares: [] };
    expect(() => service.ceremonyStep(begin)).toThrow(coded('KEY_ERASED'));
  });

  it('uses the kind of key that the plan names', () => {
    const { publicKey } = committee.ceremony(nextRound());
    const kem = kemsOf(world.suite.name).find(({ name }) => name === kemOfPlan(world.parsed.plan))!;
    expect(splitRoundKeys(world.suite, kem.name, publicKey).every((part) => kem.isPublicKey(part))).toBe(
      true,
    );
  });
});
