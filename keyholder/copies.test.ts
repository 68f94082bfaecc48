/**
 * Goal: a copied ciphertext buys nothing, and keys of past rounds go without being asked for. Method: a whole
 * committee; the same entry that is refused as a copy is accepted where no original was before it, so the refusal is
 * about the copy and about nothing else.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { holderRules } from './rules.ts';
import { Committee, copyOf, createWorld, startHolder, type World } from './testing.ts';
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

describe('rounds that overlap', () => {
  /** Certifies `round` by three holders, and says which rounds' shares they still have. */
  async function certified(committee: Committee, round: number): Promise<number[]> {
    const { world, holders: all } = committee;
    const holders = all.slice(0, 3);
    const at = (which: number) => ({ planHash: world.parsed.hash, round: which });
    const { keyId } = holders[0]!.context.store.committeeKey(at(round))!;
    const binding = bindingOf(world, round, keyId);
    const uploads = (await createDevices(world, 3)).map((device, i) =>
      createUpload(world, device, binding, keys.get(round)!, i),
    );
    await certifyAt(world, holders, binding, uploads);
    return [1, 2, 3].filter((which) =>
      holders.every(({ context }) => context.store.committeeKey(at(which))?.sealedShare),
    );
  }
  const keys = new Map<number, Uint8Array>();
  let committee: Committee;
  beforeAll(async () => {
    committee = new Committee(await createWorld({ transport: 'shares', overlap: 1 }));
    for (const round of [1, 2, 3]) keys.set(round, committee.ceremony(round).publicKey);
  });
  afterAll(() => committee.close());

  it('a certificate leaves the round before it its key, and takes those of older ones; so does a restart', async () => {
    expect(await certified(committee, 2)).toEqual([1, 2, 3]);
    // Round 1 is open still, and ends as it would have.
    expect(await certified(committee, 1)).toEqual([1, 2, 3]);
    expect(await certified(committee, 3)).toEqual([2, 3]);
    // Started with another's configuration a holder serves no round of the plan, and must not destroy an open one's key.
    const [first] = committee.holders;
    const wrongPin = { ...committee.world, caDer: new Uint8Array(32) };
    const elsewhere = startHolder(wrongPin, 1, { directory: copyOf(first!) });
    const { plans, store } = elsewhere.context;
    const planHash = committee.world.parsed.hash;
    expect(() => plans.get(planHash)).toThrow(expect.objectContaining({ code: 'WRONG_PLAN' }));
    expect([1, 2, 3].map((round) => store.isErased({ planHash, round }))).toEqual([true, false, false]);
    elsewhere.close();
    const restarted = committee.fork();
    expect(
      restarted.holders.map(({ context: { store } }) =>
        store.isErased({ planHash: committee.world.parsed.hash, round: 2 }),
      ),
    ).toEqual([false, false, false, false]);
    restarted.close();
  });

  it('with the rule of rounds that follow one another, a certificate would close the open round before it', async () => {
    const strict = { ...holderRules, leftBehind: (_: unknown, round: number) => round - 1 };
    const other = new Committee(committee.world, { rules: strict });
    for (const round of [1, 2, 3]) keys.set(round, other.ceremony(round).publicKey);
    expect(await certified(other, 2)).toEqual([2, 3]);
    await expect(certified(other, 1)).rejects.toThrow(expect.objectContaining({ code: 'KEY_ERASED' }));
    other.close();
  });
});
