/**
 * A whole committee: ceremony, acceptance, certification, opening of real ciphertexts, with holders missing.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fromHex } from '../crypto/bytes.ts';
import { committeeKeyIdOf, phasesOf } from '../protos/keyholder-messages.ts';
import { certificateStatement, committeeKeyStatement, partialStatement } from '../protos/statements.ts';
import {
  Committee,
  type CommitteeKey,
  createWorld,
  openersAmong,
  type World,
  type WorldOptions,
} from './testing.ts';
import {
  acceptRequest,
  bindingOf,
  certifyAt,
  certifyRequest,
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

describe.each<[string, WorldOptions]>([
  ['suite intl', { suite: 'intl' }],
  ['suite gm', { suite: 'gm' }],
  ['suite intl, long', { hidden: [100, 100] }],
  ['suite intl, shares', { transport: 'shares' }],
  ['suite intl, shares with ML-KEM', { transport: 'shares', kem: 'x25519-ml-kem-768' }],
  ['suite intl, shares, long', { transport: 'shares', hidden: [100, 100] }],
  ['suite gm, shares', { transport: 'shares', suite: 'gm' }],
])('%s', (_name, options) => {
  let world: World;
  let committee: Committee;
  beforeAll(async () => {
    world = await createWorld(options);
    committee = new Committee(world);
  });
  afterAll(() => committee.close());

  it('opens exactly the sum of a certified cohort', async () => {
    const key = committee.ceremony(1);
    expect(key.keyId).toEqual(committeeKeyIdOf(world.suite, key.publicKey));
    for (const { holderId, signature } of key.signatures) {
      const holder = world.parsed.plan.holders.find(({ id }) => id === holderId)!;
      const statement = committeeKeyStatement({ planHash: world.parsed.hash, round: 1, keyId: key.keyId });
      expect(world.suite.verify(fromHex(holder.signingPublicKey), statement, signature)).toBe(true);
    }
    const binding = bindingOf(world, 1, key.keyId);
    const devices = await createDevices(world, 3);
    const uploads = devices.map((device, i) => createUpload(world, device, binding, key.publicKey, i));
    const signatures = await certifyAt(world, committee.holders.slice(0, 3), binding, uploads);
    const activeSet = openersAmong(world, [1, 2, 4]);
    // The fourth holder was away until now, and opens from the entries sent along.
    const partials = await openAt(world, committee.holders, binding, uploads, signatures, activeSet);
    expect(openSum(world, uploads, partials)).toEqual(plainSum(uploads));
    const header = openHeader(world, binding, uploads, { signatures, activeSet });
    for (const [i, index] of activeSet.entries()) {
      const { id, service } = committee.holders[index - 1]!;
      // Asked again, the holder answers from its store, before it is sent a single ciphertext.
      expect(await service.open(openMessages(header, []))).toEqual(partials[i]);
      const statement = partialStatement({
        certificate: certificateStatement(header),
        activeSet,
        holderId: id,
        partialDigest: world.suite.digest(partials[i]!.partial),
      });
      const publicKey = fromHex(world.parsed.plan.holders[index - 1]!.signingPublicKey);
      expect(world.suite.verify(publicKey, statement, partials[i]!.signature)).toBe(true);
    }
  });
});

describe.each(['bfv', 'shares'] as const)('a %s committee with a finished key', (transport) => {
  let world: World;
  let base: Committee;
  let key: CommitteeKey;
  let uploads: Upload[];
  const forks: Committee[] = [];
  const fork = (): Committee => {
    const committee = base.fork();
    forks.push(committee);
    return committee;
  };
  beforeAll(async () => {
    world = await createWorld({ transport });
    base = new Committee(world);
    key = base.ceremony(1);
    const devices = await createDevices(world, 4);
    uploads = devices.map((device, i) =>
      createUpload(world, device, bindingOf(world, 1, key.keyId), key.publicKey, i),
    );
  });
  afterAll(() => {
    for (const committee of [base, ...forks]) committee.close();
  });
  const others = (absent: number) => [1, 2, 3, 4].filter((index) => index !== absent);
  const enough =
    transport === 'bfv'
      ? [
          [1, 2],
          [1, 4],
          [3, 4],
        ]
      : [
          [1, 2, 3],
          [1, 2, 4],
          [2, 3, 4],
        ];
  const active = () => enough[0]!;
  const binding = () => bindingOf(world, 1, key.keyId);
  const entries = () => uploads.map((upload) => upload.entry);

  it.each([1, 2, 3, 4])('does without holder %i for the whole round', async (absent) => {
    const { holders } = fork();
    const present = others(absent);
    const signatures = await certifyAt(
      world,
      present.map((index) => holders[index - 1]!),
      binding(),
      uploads,
    );
    const partials = await openAt(
      world,
      holders,
      binding(),
      uploads,
      signatures,
      openersAmong(world, present),
    );
    expect(openSum(world, uploads, partials)).toEqual(plainSum(uploads));
  });

  it('opens for any that are enough, and the sum is the same', async () => {
    const { holders } = fork();
    const signatures = await certifyAt(world, holders, binding(), uploads);
    for (const activeSet of enough) {
      const partials = await openAt(world, holders, binding(), uploads, signatures, activeSet);
      expect(openSum(world, uploads, partials)).toEqual(plainSum(uploads));
    }
  });

  it('neither opens nor aborts with two holders gone', async () => {
    const { holders } = fork();
    const signatures = await certifyAt(world, holders.slice(0, 2), binding(), uploads);
    const opening = openAt(world, holders, binding(), uploads, signatures, active());
    await expect(opening).rejects.toThrow(coded('QUORUM_NOT_REACHED', /2 of 3/));
    expect(
      holders[0]!.context.store.partial({ planHash: world.parsed.hash, round: 1 }, active()),
    ).toBeUndefined();
  });

  it('gives the stored signature again, and a conflict for anything else', async () => {
    const { holders } = fork();
    const { service } = holders[0]!;
    await service.accept(acceptRequest(world, 1, entries()));
    const request = certifyRequest(world, binding(), uploads);
    const reply = service.certify(request);
    expect(service.certify(request)).toEqual(reply);
    const conflict = coded('STATEMENT_CONFLICT');
    expect(() => service.certify(certifyRequest(world, binding(), uploads.slice(1)))).toThrow(conflict);
    expect(() => service.abort({ planHash: world.parsed.hash, round: 1, reason: 'late' })).toThrow(conflict);
  });

  it('that signed an abort opens nothing and has no share left', async () => {
    const { holders } = fork();
    const abort = { planHash: world.parsed.hash, round: 1, reason: 'two holders are gone' };
    const { service, context } = holders[0]!;
    const reply = service.abort(abort);
    expect(service.abort(abort)).toEqual(reply);
    expect(() => service.abort({ ...abort, reason: 'other' })).toThrow(coded('STATEMENT_CONFLICT'));
    expect(context.store.committeeKey(abort)?.sealedShare).toBeNull();
    const signatures = await certifyAt(world, holders.slice(1), binding(), uploads);
    const opening = openAt(world, holders, binding(), uploads, signatures, active());
    await expect(opening).rejects.toThrow(coded('STATEMENT_CONFLICT'));
  });

  it('that opened under a certificate never signs an abort beside it', async () => {
    const { holders } = fork();
    const signatures = await certifyAt(world, holders.slice(0, 3), binding(), uploads);
    await openAt(world, holders, binding(), uploads, signatures, openersAmong(world, [1, 2, 4]));
    const abort = { planHash: world.parsed.hash, round: 1, reason: 'late' };
    expect(() => holders[3]!.service.abort(abort)).toThrow(coded('STATEMENT_CONFLICT'));
  });

  it('erases for good, and says so', async () => {
    const { holders } = fork();
    const signatures = await certifyAt(world, holders, binding(), uploads);
    await openAt(world, holders, binding(), uploads, signatures, active());
    const at = { planHash: world.parsed.hash, round: 1 };
    for (const { service } of holders) {
      expect(service.erase(at)).toEqual({ erased: true });
      expect(service.erase(at)).toEqual({ erased: true });
    }
    const erased = coded('KEY_ERASED');
    await expect(openAt(world, holders, binding(), uploads, signatures, active())).rejects.toThrow(erased);
    await expect(
      openAt(world, holders, binding(), uploads, signatures, openersAmong(world, [1, 3, 4])),
    ).rejects.toThrow(erased);
    const begin = { ...at, phase: 'BEGIN', parts: [], shares: [] };
    expect(() => holders[0]!.service.ceremonyStep(begin)).toThrow(erased);
    await expect(holders[0]!.service.accept(acceptRequest(world, 1, entries()))).rejects.toThrow(erased);
    // What was signed stays.
    const request = certifyRequest(world, binding(), uploads);
    expect(holders[0]!.service.certify(request)).toEqual(signatures[0]);
  });

  it('rejects a bad entry alone, and keeps the first of a device', async () => {
    const { holders } = fork();
    const { service, revoked } = holders[0]!;
    const [first, second, third] = uploads;
    revoked.add(third!.device.serial);
    const other = createUpload(world, first!.device, binding(), key.publicKey, 9);
    const malformed = { ...second!.entry, digest: new Uint8Array(31) };
    const batch = [first!.entry, malformed, other.entry, third!.entry, null, first!.entry];
    const reply = await service.accept(acceptRequest(world, 1, batch));
    expect(reply.accepted).toEqual([first!.device.id]);
    expect(reply.rejected).toEqual([
      { deviceId: '', code: 'FIELD_OUT_OF_RANGE', reason: expect.stringContaining('entry 1: digest') },
      { deviceId: first!.device.id, code: 'SECOND_DIGEST', reason: expect.stringContaining('entry 2') },
      { deviceId: third!.device.id, code: 'CERTIFICATE_REVOKED', reason: expect.stringContaining('entry 3') },
      { deviceId: '', code: 'MALFORMED_MESSAGE', reason: expect.stringContaining('entry 4') },
    ]);
    expect((await service.accept(acceptRequest(world, 1, [first!.entry]))).accepted).toEqual([
      first!.device.id,
    ]);
    // Revoked after it was accepted: the answer to the same question stays.
    revoked.add(first!.device.serial);
    expect((await service.accept(acceptRequest(world, 1, [first!.entry]))).accepted).toEqual([
      first!.device.id,
    ]);
    service.abort({ planHash: world.parsed.hash, round: 1, reason: 'late' });
    await expect(service.accept(acceptRequest(world, 1, entries()))).rejects.toThrow(coded('KEY_ERASED'));
  });

  it('accepts uploads as they arrive, in any order, and again', async () => {
    const { holders } = fork();
    const ids = (some: readonly Upload[]) => some.map(({ device }) => device.id);
    for (const [i, { service }] of holders.slice(0, 3).entries()) {
      const order = [...uploads.slice(i), ...uploads.slice(0, i)];
      for (const [k, upload] of order.entries()) {
        const batch = [upload, order[0]!, upload];
        const reply = await service.accept(
          acceptRequest(
            world,
            1,
            batch.map(({ entry }) => entry),
          ),
        );
        expect(reply).toEqual({ accepted: [...new Set(ids(batch))], rejected: [] });
        const at = { planHash: world.parsed.hash, round: 1 };
        expect(holders[i]!.context.store.entries.count(at)).toBe(k + 1);
      }
    }
    const signatures = await certifyAt(world, holders.slice(0, 3), binding(), uploads);
    const partials = await openAt(world, holders, binding(), uploads, signatures, active());
    expect(openSum(world, uploads, partials)).toEqual(plainSum(uploads));
    // After the certificate, too: what was accepted stays so.
    expect((await holders[0]!.service.accept(acceptRequest(world, 1, entries()))).accepted).toEqual(
      ids(uploads),
    );
  });

  it('takes no new entry once the round has its certificate', async () => {
    const { holders } = fork();
    await certifyAt(world, holders.slice(0, 1), binding(), uploads.slice(0, 3));
    const reply = await holders[0]!.service.accept(acceptRequest(world, 1, entries()));
    expect(reply.accepted).toHaveLength(3);
    expect(reply.rejected).toEqual([expect.objectContaining({ code: 'ROUND_CLOSED' })]);
  });

  it('repeats a ceremony step from its store and refuses other inputs', () => {
    const { holders } = fork();
    const at = { planHash: world.parsed.hash, round: 2 };
    const begun = holders.map(({ service }) =>
      service.ceremonyStep({ ...at, phase: 'BEGIN', parts: [], shares: [] }),
    );
    const again = holders[0]!.service.ceremonyStep({ ...at, phase: 'BEGIN', parts: [], shares: [] });
    expect(again).toEqual(begun[0]);
    const parts = begun.map((reply) => reply.part);
    const request = { ...at, phase: phasesOf(transport)[1]!, parts, shares: [] };
    const reply = holders[0]!.service.ceremonyStep(request);
    expect(holders[0]!.service.ceremonyStep({ ...request, parts: parts.toReversed() })).toEqual(reply);
    const early = { ...at, phase: 'COMBINE', parts, shares: [] };
    const refused = transport === 'bfv' ? /REVEAL has not/ : /transport shares has no phase COMBINE/;
    expect(() => holders[0]!.service.ceremonyStep(early)).toThrow(coded('CEREMONY_FAILED', refused));
  });
});
