/**
 * Goal: a copied ciphertext buys nothing, and keys of past rounds go without being asked for. Method: a whole
 * committee; the same entry that is refused as a copy is accepted where no original was before it, so the refusal is
 * about the copy and about nothing else.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { Committee, createWorld, type World } from './testing.ts';
import {
  acceptRequest,
  bindingOf,
  certifyAt,
  createDevices,
  createUpload,
  signEntry,
} from './testing-uploads.ts';

describe.each(['bfv', 'shares'] as const)('transport %s', (transport) => {
  let world: World;
  let committee: Committee;
  beforeAll(async () => {
    world = await createWorld({ transport });
    committee = new Committee(world);
  });
  afterAll(() => committee.close());

  it('refuses the bytes of one device under the name of another', async () => {
    const key = committee.ceremony(1);
    const binding = bindingOf(world, 1, key.keyId);
    const [victim, copier] = await createDevices(world, 2);
    const upload = createUpload(world, victim!, binding, key.publicKey);
    const copy = signEntry(world, copier!, binding, upload);
    const [first, second] = committee.holders;
    await first!.service.accept(acceptRequest(world, 1, [upload.entry]));
    const reply = await first!.service.accept(acceptRequest(world, 1, [copy]));
    expect(reply.accepted).toEqual([]);
    expect(reply.rejected).toMatchObject([
      { deviceId: copier!.id, code: transport === 'bfv' ? 'SECOND_DIGEST' : 'DECRYPTION_FAILED' },
    ]);
    if (transport === 'shares') {
      // Seeds are sealed for one device: alone, a copy does not even open.
      const alone = await second!.service.accept(acceptRequest(world, 1, [copy]));
      expect(alone.rejected).toMatchObject([{ deviceId: copier!.id, code: 'DECRYPTION_FAILED' }]);
      return;
    }
    // The entry itself is in order: a holder that never saw the original takes it, and then refuses the original.
    expect((await second!.service.accept(acceptRequest(world, 1, [copy]))).accepted).toEqual([copier!.id]);
    expect((await second!.service.accept(acceptRequest(world, 1, [upload.entry]))).accepted).toEqual([]);
    // In one message, too.
    const both = await committee.holders[2]!.service.accept(acceptRequest(world, 1, [upload.entry, copy]));
    expect(both.accepted).toEqual([victim!.id]);
  });

  it('erases earlier rounds by itself when it certifies a later one', async () => {
    const holders = committee.holders.slice(0, 3);
    const share = (round: number) =>
      holders.map(
        ({ context }) => context.store.committeeKey({ planHash: world.parsed.hash, round })?.sealedShare,
      );
    committee.ceremony(2);
    const key = committee.ceremony(3);
    expect(share(2).every((bytes) => bytes instanceof Uint8Array)).toBe(true);
    const binding = bindingOf(world, 3, key.keyId);
    const uploads = (await createDevices(world, 3)).map((device, i) =>
      createUpload(world, device, binding, key.publicKey, i),
    );
    await certifyAt(world, holders, binding, uploads);
    expect(share(2)).toEqual([null, null, null]);
    expect(share(3).every((bytes) => bytes instanceof Uint8Array)).toBe(true);
  });
});
