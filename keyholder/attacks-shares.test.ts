/**
 * Attacks on transport `shares`: by the coordinator, by devices, by one corrupt holder. Each first succeeds against a
 * build with one rule taken out, so that the test can fail, and is then refused by the real rules.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { concat } from '../crypto/bytes.ts';
import { systemRandom } from '../crypto/random.ts';
import { type Crafted, sealCrafted } from '../crypto/secagg/shares/testing-shares.ts';
import type { OpenReply } from '../protos/keyholder-messages.ts';
import { certificateStatement } from '../protos/statements.ts';
import { countSignatures, type HolderRules, holderRules } from './rules.ts';
import { HolderStore, type StoredPartial, type StoredStatement } from './store.ts';
import { Committee, type CommitteeKey, createWorld, type World } from './testing.ts';
import {
  acceptRequest,
  bindingOf,
  certifyAt,
  createDevices,
  createUpload,
  type Device,
  openAt,
  openHeader,
  openMessages,
  openSum,
  plainSum,
  schemeOfWorld,
  sealUpload,
  signEntry,
  type Upload,
} from './testing-uploads.ts';

const coded = (code: string, message = /./) =>
  expect.objectContaining({ code, message: expect.stringMatching(message) });
const none = (): void => {};

/** A holder that forgets what it signed. */
class ForgetfulStore extends HolderStore {
  override statement(): StoredStatement | undefined {
    return undefined;
  }
  override putStatement(): void {}
}
/** ... and what it answered. */
class HeedlessStore extends ForgetfulStore {
  override partial(): StoredPartial | undefined {
    return undefined;
  }
  override anyPartial(): StoredPartial | undefined {
    return undefined;
  }
  override putPartial(): void {}
}

describe.each(['intl', 'gm'] as const)('suite %s', (suite) => {
  let world: World;
  let base: Committee;
  let key: CommitteeKey;
  let devices: Device[];
  let uploads: Upload[];
  const forks: Committee[] = [];

  beforeAll(async () => {
    world = await createWorld({ suite, transport: 'shares' });
    base = new Committee(world);
    key = base.ceremony(1);
    devices = await createDevices(world, 4);
    uploads = devices.map((device, i) => createUpload(world, device, binding(), key.publicKey, i));
  });
  afterAll(() => {
    for (const committee of [base, ...forks]) committee.close();
  });

  const at = () => ({ planHash: world.parsed.hash, round: 1 });
  const binding = (round = 1) => bindingOf(world, round, key.keyId);
  const difference = (a: Int32Array, b: Int32Array): Int32Array => a.map((value, i) => value - b[i]!);

  type Rules = Partial<HolderRules> | ((index: number) => Partial<HolderRules>);
  /** The committee as it is, or with rules replaced. */
  function fork(rules: Rules = {}, openStore?: (path: string) => HolderStore) {
    const committee = base.fork((index) => ({
      rules: typeof rules === 'function' ? rules(index) : rules,
      ...(openStore ? { openStore } : {}),
    }));
    forks.push(committee);
    return committee.holders;
  }
  type Holders = Committee['holders'];

  const accept = async (holders: Holders, index: number, entries: readonly unknown[], round = 1) =>
    await holders[index - 1]!.service.accept(acceptRequest(world, round, entries));

  async function certifyAndOpen(holders: Holders, cohort: readonly Upload[], activeSet = [1, 2, 3]) {
    const signatures = await certifyAt(world, holders.slice(0, 3), binding(), cohort);
    return openSum(world, cohort, await openAt(world, holders, binding(), cohort, signatures, activeSet));
  }
  /** Signatures by holders' raw keys over any statement, as corrupt holders could give them. */
  const signedBy = (indices: readonly number[], statement: Uint8Array) =>
    indices.map((index) => {
      const { id, signing } = world.holderKeys[index - 1]!;
      return { holderId: id, signature: world.suite.sign(signing.secretKey, statement) };
    });
  const statementOf = (cohort: readonly Upload[]) =>
    certificateStatement(openHeader(world, binding(), cohort, { signatures: [], activeSet: [] }));

  /**
   * What a coordinator makes of the answers of two holders: between them they know every seed. Any third answer
   * follows from theirs.
   */
  function openWithTwo(cohort: readonly Upload[], replies: readonly OpenReply[]): Int32Array {
    const indexOf = ({ holderId }: OpenReply) => world.holderKeys.findIndex(({ id }) => id === holderId) + 1;
    const vectors = new Map<number, Uint8Array>();
    for (const reply of replies) {
      const length = reply.partial.length / 3;
      [1, 2, 3, 4]
        .filter((seed) => seed !== indexOf(reply))
        .forEach((seed, i) => {
          vectors.set(seed, reply.partial.subarray(i * length, (i + 1) * length));
        });
    }
    const third = [1, 2, 3, 4].find((index) => !replies.some((reply) => indexOf(reply) === index))!;
    const partial = concat(
      ...[1, 2, 3, 4].filter((seed) => seed !== third).map((seed) => vectors.get(seed)!),
    );
    const made = { holderId: world.holderKeys[third - 1]!.id, partial, signature: new Uint8Array(64) };
    const all = [...replies, made].sort((a, b) => indexOf(a) - indexOf(b));
    return openSum(world, cohort, all);
  }

  it('a cohort of one opens where its size is not looked at; is refused', async () => {
    const victim = uploads.slice(0, 1);
    expect(await certifyAndOpen(fork({ cohortSize: none }), victim)).toEqual(victim[0]!.digits);
    const holders = fork();
    await expect(certifyAndOpen(holders, victim)).rejects.toThrow(coded('COHORT_TOO_SMALL'));
    const signatures = signedBy([1, 2, 3, 4], statementOf(victim));
    const opening = openAt(world, holders, binding(), victim, signatures, [1, 2, 3]);
    await expect(opening).rejects.toThrow(coded('COHORT_TOO_SMALL'));
  });

  it('cohorts A and A without v show v where holders answer twice; are refused', async () => {
    const rest = uploads.slice(1);
    const heedless = fork({}, (path) => new HeedlessStore(path));
    const whole = await certifyAndOpen(heedless, uploads);
    const without = await certifyAndOpen(heedless, rest, [1, 2, 4]);
    expect(difference(whole, without)).toEqual(uploads[0]!.digits);

    const holders = fork();
    await certifyAndOpen(holders, uploads);
    await expect(certifyAndOpen(holders, rest)).rejects.toThrow(coded('STATEMENT_CONFLICT'));
    const signatures = signedBy([1, 2, 3, 4], statementOf(rest));
    const opening = openAt(world, holders, binding(), rest, signatures, [1, 2, 4]);
    await expect(opening).rejects.toThrow(coded('STATEMENT_CONFLICT'));
    // One answer per round whatever the active set, even from a holder that signs twice.
    const forgetful = fork({}, (path) => new ForgetfulStore(path));
    await certifyAndOpen(forgetful, uploads);
    for (const activeSet of [
      [1, 2, 3],
      [1, 2, 4],
    ])
      await expect(certifyAndOpen(forgetful, rest, activeSet)).rejects.toThrow(coded('STATEMENT_CONFLICT'));
  });

  it('a holder that equivocates splits the others where two signatures are enough; is refused', async () => {
    const rest = uploads.slice(1);
    /** Holders 1 and 2 are shown A, holder 3 is shown A′, holder 4 signs both with its raw key. */
    const split = async (holders: Holders) => ({
      a: [
        ...(await certifyAt(world, holders.slice(0, 2), binding(), uploads)),
        ...signedBy([4], statementOf(uploads)),
      ],
      b: [
        ...(await certifyAt(world, holders.slice(2, 3), binding(), rest)),
        ...signedBy([4], statementOf(rest)),
      ],
    });
    const lax: HolderRules['quorum'] = (plan, certificate, signatures) => {
      expect(countSignatures(plan, certificateStatement(certificate), signatures)).toBeGreaterThanOrEqual(2);
    };
    const answers = async (
      holders: Holders,
      cohort: readonly Upload[],
      signatures: Awaited<ReturnType<typeof split>>['a'],
      indices: readonly number[],
      activeSet: readonly number[],
    ) => {
      const header = openHeader(world, binding(), cohort, { signatures, activeSet });
      const replies: OpenReply[] = [];
      for (const index of indices)
        replies.push(await holders[index - 1]!.service.open(openMessages(header, cohort)));
      return openWithTwo(cohort, replies);
    };
    const weak = fork({ quorum: lax });
    const forged = await split(weak);
    const whole = await answers(weak, uploads, forged.a, [1, 2], [1, 2, 4]);
    const without = await answers(weak, rest, forged.b, [3, 4], [1, 3, 4]);
    expect(difference(whole, without)).toEqual(uploads[0]!.digits);

    const holders = fork();
    const { a, b } = await split(holders);
    expect(await answers(holders, uploads, a, [1, 2], [1, 2, 4])).toEqual(plainSum(uploads));
    const refused = coded('QUORUM_NOT_REACHED', /2 of 3/);
    await expect(answers(holders, rest, b, [3, 4], [1, 3, 4])).rejects.toThrow(refused);
  });

  it('nothing opens without a quorum', async () => {
    const open = (holders: Holders) => openAt(world, holders, binding(), uploads, [], [1, 2, 3]);
    const weak = fork({ quorum: none });
    expect(openSum(world, uploads, await open(weak))).toEqual(plainSum(uploads));
    await expect(open(fork())).rejects.toThrow(coded('QUORUM_NOT_REACHED', /0 of 3/));
  });

  it('parts of the coordinator in the place of the signed ones isolate a victim where digests are not compared', async () => {
    // Whatever others signed: the coordinator seals zeros in their names and knows nothing else.
    const zeros = uploads.slice(1).map(({ device, digits, entry }): Upload => {
      const own = sealUpload(world, device, binding(), key.publicKey, new Int32Array(digits.length));
      const { bodyDigest, holderPart } = own.entry;
      return { ...own, entry: { ...entry, bodyDigest, holderPart } };
    });
    const switched = [uploads[0]!, ...zeros];
    expect(await certifyAndOpen(fork({ uploadDigest: none }), switched)).toEqual(uploads[0]!.digits);
    const holders = fork();
    const entries = switched.map(({ entry }) => entry);
    const reply = await accept(holders, 1, entries);
    expect(reply.accepted).toEqual([uploads[0]!.device.id]);
    expect(reply.rejected.map(({ code }) => code)).toEqual(Array(3).fill('DIGEST_MISMATCH'));
    // Nor at a holder that was away, under the certificate of a quorum.
    const signatures = signedBy([1, 2, 3], statementOf(uploads));
    const header = openHeader(world, binding(), uploads, { signatures, activeSet: [1, 2, 4] });
    await expect(holders[3]!.service.open(openMessages(header, switched))).rejects.toThrow(
      coded('DIGEST_MISMATCH'),
    );
  });

  it('a holder part does not pass under another device', async () => {
    const [victim, copier] = [uploads[0]!, devices[1]!];
    const copy = signEntry(world, copier, binding(), victim);
    const unbound: HolderRules['openedSeeds'] = (opener, _deviceId, part) =>
      opener.open(victim.device.id, part).seeds;
    expect((await accept(fork({ openedSeeds: unbound }), 1, [copy])).accepted).toEqual([copier.id]);
    const holders = fork();
    expect((await accept(holders, 1, [copy])).rejected).toMatchObject([
      { deviceId: copier.id, code: 'DECRYPTION_FAILED' },
    ]);
    // Where the original is known, it is a copy whatever it opens to.
    const known = fork({ openedSeeds: unbound });
    await accept(known, 1, [victim.entry]);
    expect((await accept(known, 1, [copy])).rejected).toMatchObject([{ code: 'SECOND_DIGEST' }]);
  });

  it('an entry does not pass in another round: neither its signature nor its seeds', async () => {
    const holders = fork();
    forks.at(-1)!.ceremony(2);
    const [first] = uploads;
    expect((await accept(holders, 1, [first!.entry], 2)).rejected).toMatchObject([{ code: 'WRONG_ROUND' }]);
    const unsigned = { entryBelongs: none, ownCommitteeKey: none };
    const weak = fork(unsigned);
    forks.at(-1)!.ceremony(2);
    expect((await accept(weak, 1, [first!.entry], 2)).rejected).toMatchObject([
      { code: 'DECRYPTION_FAILED' },
    ]);
    let openerOfRound1: Parameters<HolderRules['openedSeeds']>[0] | undefined;
    const weaker = fork({
      ...unsigned,
      openedSeeds: (opener, deviceId, part) => {
        openerOfRound1 ??= opener;
        return openerOfRound1.open(deviceId, part).seeds;
      },
    });
    forks.at(-1)!.ceremony(2);
    await accept(weaker, 1, [first!.entry]);
    expect((await accept(weaker, 1, [first!.entry], 2)).accepted).toEqual([first!.device.id]);
  });

  /** An upload that was sealed against the protocol, signed as any. */
  function craft(device: Device, crafted: Crafted): Upload {
    const { wordBits, slotCount } = schemeOfWorld(world);
    const digits = new Int32Array(slotCount).fill(5);
    const context = { suite: world.suite, configHash: binding().configHash, deviceId: device.id, wordBits };
    const parts = sealCrafted(context, key.publicKey, digits, crafted, systemRandom);
    return { device, digits, ...parts, entry: signEntry(world, device, binding(), parts) };
  }

  it('unequal seeds spoil the sum of all where hashes are not compared; cost only their device its place', async () => {
    const other = new Uint8Array(32).fill(3);
    const honest = new Map<number, Uint8Array>();
    // Holder 2 gets another seed 3 than holder 1.
    const bad = craft(devices[3]!, {
      used: (seed, value) => {
        honest.set(seed, value.slice());
        return value;
      },
      boxed: (holder, seed, value) => (holder === 2 && seed === 3 ? other : value),
    });
    const cohort = [...uploads.slice(0, 3), bad];
    const believing = (index: number): Partial<HolderRules> => ({
      openedSeeds: (opener, deviceId, part) =>
        index === 2 && deviceId === bad.device.id
          ? concat(honest.get(1)!, other, honest.get(4)!)
          : holderRules.openedSeeds(opener, deviceId, part),
    });
    await expect(certifyAndOpen(fork(believing), cohort)).rejects.toThrow(
      coded('OPENING_FAILED', /holders 1, 2 disagree on seed sum 3/),
    );
    const holders = fork();
    const entries = cohort.map(({ entry }) => entry);
    expect((await accept(holders, 1, entries)).accepted).toHaveLength(4);
    expect((await accept(holders, 2, entries)).rejected).toMatchObject([
      { deviceId: bad.device.id, code: 'SHARE_INCONSISTENT' },
    ]);
    const rest = uploads.slice(0, 3);
    expect(await certifyAndOpen(holders, rest)).toEqual(plainSum(rest));
  });

  it('a seed of another device is not taken a second time, nor one twice in an upload', async () => {
    const shared = new Uint8Array(32).fill(9);
    const reuse = (device: Device) => craft(device, { used: (seed, value) => (seed === 2 ? shared : value) });
    const [first, second] = [reuse(devices[0]!), reuse(devices[1]!)];
    const entries = [first.entry, second.entry];
    // Holders 1 and 4 are sealed seed 2; holder 3 derives it and sees that it is not the sender's.
    expect((await accept(fork({ freshSeeds: none }), 1, entries)).accepted).toHaveLength(2);
    const holders = fork();
    for (const index of [1, 4]) {
      const reply = await accept(holders, index, entries);
      expect(reply.accepted).toEqual([first.device.id]);
      expect(reply.rejected).toMatchObject([{ deviceId: second.device.id, code: 'SECOND_DIGEST' }]);
      // A first come is as good as ever.
      expect((await accept(holders, index, [first.entry])).accepted).toEqual([first.device.id]);
    }
    expect((await accept(holders, 3, entries)).rejected.map(({ code }) => code)).toEqual(
      Array(2).fill('SHARE_INCONSISTENT'),
    );
    const twice = craft(devices[2]!, {
      used: (seed, value) => (seed <= 2 ? shared.map((b) => b ^ 1) : value),
    });
    expect((await accept(fork({ freshSeeds: none }), 4, [twice.entry])).accepted).toHaveLength(1);
    expect((await accept(holders, 4, [twice.entry])).rejected).toMatchObject([
      { code: 'SHARE_INCONSISTENT' },
    ]);
  });

  it('entries carry what their transport needs', async () => {
    const without = { ...uploads[0]!.entry, holderPart: new Uint8Array(0) };
    const undigested = { ...uploads[1]!.entry, bodyDigest: new Uint8Array(0) };
    const cut = { ...uploads[2]!.entry, holderPart: uploads[2]!.entry.holderPart.subarray(1) };
    const long = { ...uploads[3]!.entry, holderPart: new Uint8Array(16 * 1024 + 1) };
    const reply = await accept(fork(), 1, [without, undigested, cut, long]);
    expect(reply.rejected.map(({ code }) => code)).toEqual([
      'MALFORMED_MESSAGE',
      'MALFORMED_MESSAGE',
      'DIGEST_MISMATCH',
      'FIELD_OUT_OF_RANGE',
    ]);
  });

  it('an erased round gives nothing back, whatever is asked', async () => {
    const holders = fork();
    const signatures = await certifyAt(world, holders.slice(0, 3), binding(), uploads);
    for (const { service } of holders) service.erase(at());
    const erased = coded('KEY_ERASED');
    await expect(openAt(world, holders, binding(), uploads, signatures, [1, 2, 3])).rejects.toThrow(erased);
    await expect(accept(holders, 4, [uploads[0]!.entry])).rejects.toThrow(erased);
    // Not even without the rule: the key that seals the seeds is gone, and so are the seeds.
    const forgetful = fork({ notErased: none });
    await certifyAt(world, forgetful.slice(0, 3), binding(), uploads);
    for (const { context, service } of forgetful.slice(0, 3)) {
      service.erase(at());
      const { store } = context;
      expect(store.entries.get(at(), uploads[0]!.device.id)!.sealedSeeds).toBeNull();
      expect(store.committeeKey(at())!.sealedShare).toBeNull();
    }
    await expect(openAt(world, forgetful, binding(), uploads, signatures, [1, 2, 3])).rejects.toThrow(erased);
  });

  it('and what it forgot in the middle of an acceptance does not come back', async () => {
    const many = await createDevices(world, 10);
    const entries = many.map((device) => createUpload(world, device, binding(), key.publicKey).entry);
    const interrupted = async (holders: Holders) => {
      const accepting = accept(holders, 1, entries);
      holders[0]!.service.erase(at());
      return await accepting;
    };
    const weak = fork({ notErased: none });
    expect((await interrupted(weak)).accepted).toHaveLength(10);
    expect(weak[0]!.context.store.entries.get(at(), many[0]!.id)!.sealedSeeds).not.toBeNull();
    const holders = fork();
    await expect(interrupted(holders)).rejects.toThrow(coded('KEY_ERASED'));
    expect(holders[0]!.context.store.entries.count(at())).toBe(0);
  });
});
