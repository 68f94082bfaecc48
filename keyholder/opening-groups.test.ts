/**
 * Rounds that open in groups: draws, one answer per certificate, what is refused; and the attack that the draws are for,
 * which first succeeds against a holder without the rule.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { concat } from '../crypto/bytes.ts';
import { drawOf, SeedSum, SharesOpener } from '../crypto/secagg/shares/index.ts';
import { streamKeys, WordSum } from '../crypto/secagg/shares/word-sum.ts';
import { type DrawReply, type OpenHeader, readTranscript } from '../protos/keyholder-messages.ts';
import { partitionDrawStatement } from '../protos/statements.ts';
import type { HolderRules } from './rules.ts';
import { Committee, type CommitteeKey, createWorld, type World } from './testing.ts';
import {
  agreedOf,
  drawAll,
  drawAt,
  forgeDraw,
  type GroupedRound,
  groupsFrom,
  headerOf,
  isGroupOf,
  openGroupedAt,
  openGroups,
  statementOf,
  sumsOf,
} from './testing-groups.ts';
import {
  bindingOf,
  byDevice,
  certifyAt,
  createDevices,
  createUpload,
  openAt,
  openHeader,
  openMessages,
  schemeOfWorld,
  type Upload,
} from './testing-uploads.ts';

const coded = (code: string, message = /./) =>
  expect.objectContaining({ code, message: expect.stringMatching(message) });
const COHORT = 9;
const activeSets = [
  [1, 2, 3],
  [1, 2, 4],
  [1, 3, 4],
  [2, 3, 4],
];

describe.each([
  ['intl', 'short'],
  ['gm', 'short'],
  ['intl', 'long'],
] as const)('suite %s, %s sums', (suite, cipher) => {
  let world: World;
  let base: Committee;
  let key: CommitteeKey;
  let round: GroupedRound;
  const forks: Committee[] = [];

  beforeAll(async () => {
    const hidden = cipher === 'long' ? { hidden: [100, 100] } : {};
    world = await createWorld({
      suite,
      transport: 'shares',
      cohortMin: COHORT,
      cohortMax: 12,
      groups: 3,
      ...hidden,
    });
    expect(schemeOfWorld(world)).toMatchObject({ groups: 3 });
    expect(schemeOfWorld(world).long !== null).toBe(cipher === 'long');
    base = new Committee(world);
    key = base.ceremony(1);
    const binding = bindingOf(world, 1, key.keyId);
    const devices = await createDevices(world, COHORT);
    const cohort = devices
      .map((device, i) => createUpload(world, device, binding, key.publicKey, i))
      .sort(byDevice);
    // The fourth is away until the opening.
    const signatures = await certifyAt(world, base.holders.slice(0, 3), binding, cohort);
    round = { world, binding, cohort, signatures };
  });
  afterAll(() => {
    for (const committee of [base, ...forks]) committee.close();
  });

  const at = () => ({ planHash: world.parsed.hash, round: 1 });
  function fork(rules: Partial<HolderRules> | ((index: number) => Partial<HolderRules>) = {}) {
    const committee = base.fork((index) => ({ rules: typeof rules === 'function' ? rules(index) : rules }));
    forks.push(committee);
    return committee.holders;
  }

  it('open exactly, for every active set, and a holder that was away draws and opens with the others', async () => {
    const holders = fork();
    const draws = await drawAll(round, holders);
    const groups = groupsFrom(round, agreedOf(round, draws));
    expect(groups.map((group) => group.length)).toEqual([3, 3, 3]);
    for (const activeSet of activeSets) {
      const replies = await Promise.all(
        activeSet.map((index) => openGroupedAt(round, holders[index - 1]!, draws, activeSet)),
      );
      for (const { partial } of replies)
        expect(partial).toHaveLength(world.secagg.partialBytes(schemeOfWorld(world)));
      expect(openGroups(round, groups, replies)).toEqual(sumsOf(groups));
    }
  });

  it('draw the same every time, and are bound to the certificate by it', async () => {
    const holders = fork();
    const [first] = holders as [(typeof holders)[0]];
    const fourth = holders[3]!;
    expect(fourth.context.store.statement(at())).toBeUndefined();
    const draws = [await drawAt(round, first), await drawAt(round, first), await drawAt(round, fourth)];
    expect(draws[1]!.values).toEqual(draws[0]!.values);
    const [value] = draws;
    const statement = partitionDrawStatement({ certificate: statementOf(round), ...value! });
    expect(world.suite.verify(world.holderKeys[0]!.signing.publicKey, statement, value!.signature)).toBe(
      true,
    );
    // Drawn, and then aborted where the partition does not please: no. Who has drawn and signed nothing does abort.
    const reason = 'unlucky';
    expect(fork()[3]!.service.abort({ ...at(), reason })).toMatchObject({ holderId: fourth.id });
    for (const holder of [first, fourth])
      expect(() => holder.service.abort({ ...at(), reason })).toThrow(coded('STATEMENT_CONFLICT'));
    expect(fourth.context.store.statement(at())).toMatchObject({ kind: 'certificate' });
    const smaller = { ...round, cohort: round.cohort.slice(0, -1) };
    await expect(drawAt(smaller, first)).rejects.toThrow(coded('STATEMENT_CONFLICT'));
  });

  it.each<[string, Partial<OpenHeader>, string]>([
    ['no quorum', { signatures: [] }, 'QUORUM_NOT_REACHED'],
    ['an active set without this holder', { activeSet: [2, 3, 4] }, 'FIELD_OUT_OF_RANGE'],
    ['another count', { cohortCount: COHORT - 1 }, 'STATEMENT_CONFLICT'],
    ['another length', { digitCount: 1 }, 'VECTOR_LENGTH_MISMATCH'],
  ])('refuse a draw with %s', async (_name, change, code) => {
    const { service, context } = fork()[0]!;
    await expect(service.draw(openMessages(headerOf(round, change), round.cohort))).rejects.toThrow(
      coded(code),
    );
    await expect(service.draw(openMessages(headerOf(round), round.cohort.slice(1)))).rejects.toThrow(
      coded('CERTIFICATE_INVALID'),
    );
    expect(context.store.anyPartial(at())).toBeUndefined();
  });

  it('refuse an opening whose partition this holder has no two words for', async () => {
    const holders = fork();
    const draws = await drawAll(round, holders);
    const [own, second, third, fourth] = draws as [DrawReply, DrawReply, DrawReply, DrawReply];
    const refused = coded('SHARE_INCONSISTENT', /value 1 over this certificate/);
    const open = (given: readonly DrawReply[]) => openGroupedAt(round, holders[0]!, given);
    const garbage = (index: number) => forgeDraw(round, index, new Uint8Array(96).fill(7));
    const unsigned = { ...third, signature: new Uint8Array(64).fill(1) };
    const elsewhere = { ...third, holderId: 'nobody' };
    for (const given of [
      [],
      [second],
      // Its own word does not count, a repeated one counts once.
      [own, second],
      [second, second],
      [second, unsigned],
      [second, elsewhere],
      [second, { ...second, holderId: third.holderId }],
      [second, garbage(3)],
      [garbage(2), third, forgeDraw(round, 4, new Uint8Array(96).fill(8))],
    ])
      await expect(open(given)).rejects.toThrow(refused);
    // Signed over another certificate.
    const other = { ...round, binding: { ...round.binding, modelHash: new Uint8Array(32) } };
    await expect(open([second, forgeDraw(other, 3, third.values)])).rejects.toThrow(refused);
    expect(holders[0]!.context.store.anyPartial(at())).toBeUndefined();
    // One liar among three is outvoted, even where it says two things.
    const replies = await Promise.all([
      open([second, third, garbage(4), fourth]),
      openGroupedAt(round, holders[1]!, [own, third, garbage(4)]),
      openGroupedAt(round, holders[2]!, [garbage(4), own, second]),
    ]);
    const groups = groupsFrom(round, agreedOf(round, [own, second, third, garbage(4)]));
    expect(openGroups(round, groups, replies)).toEqual(sumsOf(groups));
    // Answered once: what is said later changes nothing.
    const later = await openGroupedAt(round, holders[0]!, [garbage(2), garbage(3)]);
    expect(later.partial).toEqual(replies[0]!.partial);
  });

  it('forget how to draw with the key', async () => {
    const [holder] = fork();
    holder!.service.erase(at());
    await expect(drawAt(round, holder!)).rejects.toThrow(coded('KEY_ERASED'));
  });

  /** The three seeds of a device that holder `index` knows, from the entry and the holder's key alone. */
  function seedsAt({ holders }: Committee, index: number, deviceId: string): Uint8Array {
    const { store, custody } = holders[index - 1]!.context;
    const secret = custody.open('committee-key-share', at(), store.committeeKey(at())!.sealedShare!);
    const [secretKey] = readTranscript('holder-round-secret', secret, { minimum: 3, maximum: 3 });
    const { configHash } = round.binding;
    const { publicKey: committeeKey } = key;
    const own = { configHash, committeeKey, holderIndex: index, secretKey: secretKey! };
    const { holderPart } = round.cohort.find(({ device }) => device.id === deviceId)!;
    return new SharesOpener({ suite: world.suite, ...own }).open(deviceId, holderPart).seeds;
  }

  /**
   * What a coordinator, holder 4 and two Sybils make of holder 1's answer for a group of the victim and the Sybils: seed 4
   * of the victim is all that they miss, and its stream is that group's sum less the Sybils' own.
   */
  function victimOf(
    committee: Committee,
    group: readonly Upload[],
    at: number,
    partial: Uint8Array,
    victim: Upload,
  ) {
    const { shortCount, wordBits, groups, long } = schemeOfWorld(world);
    const { configHash } = round.binding;
    const vectorBytes = shortCount * (wordBits / 8);
    // Holder 1 answers seeds 2, 3, 4.
    const fourth = partial.subarray((3 * at + 2) * vectorBytes, (3 * at + 3) * vectorBytes);
    const words = new WordSum(shortCount, wordBits);
    words.add(victim.body.subarray(long?.packedBytes ?? 0));
    words.subtract(fourth);
    const keyOf = (id: string) => streamKeys(world.suite, configHash, id, wordBits, groups);
    const stream = (id: string, seed: Uint8Array) => {
      const sum = new WordSum(shortCount, wordBits);
      sum.addStream(keyOf(id)(seed));
      return sum.bytes();
    };
    const seeds = seedsAt(committee, 4, victim.device.id);
    for (let i = 0; i < 3; i++) words.subtract(stream(victim.device.id, seeds.subarray(32 * i, 32 * i + 32)));
    // A Sybil dealt its seeds itself; here seed 4 is read from its part with holder 1's key.
    for (const { device } of group.filter((one) => one !== victim))
      words.add(stream(device.id, seedsAt(committee, 1, device.id).subarray(64)));
    return words.centred();
  }

  it('do not let one lying holder put a device alone among Sybils; without the rule they do', async () => {
    const victim = round.cohort[4]!;
    const chosen = [victim, round.cohort[0]!, round.cohort[8]!].map(({ device }) => device.id);
    /** Believes whoever names the value that it cannot know. */
    const gullible: HolderRules['partitionDraws'] = (plan, _certificate, own, draws) => {
      const missing = drawOf(
        4,
        draws.find(({ holderId }) => holderId === 'university')!.values,
        own.holderIndex,
      )!;
      return plan.holders.map((_, i) => drawOf(own.holderIndex, own.values, i + 1) ?? missing);
    };
    const weak = base.fork({ rules: { partitionDraws: gullible } });
    forks.push(weak);
    const honest = await drawAll(round, weak.holders);
    const [, , third, fourth] = agreedOf(round, honest);
    const second = drawOf(1, honest[0]!.values, 2)!;
    // Holder 4 tries values for P_1 until holder 1 would cut the cohort as it likes.
    let lie: Uint8Array | undefined;
    let group: Upload[] | undefined;
    let place = -1;
    for (let nonce = 0; nonce < 20_000 && place < 0; nonce++) {
      lie = world.suite.digest(new TextEncoder().encode(`${nonce}`));
      const groups = groupsFrom(round, [lie, second, third!, fourth!]);
      place = groups.findIndex((one) => isGroupOf(one, chosen));
      group = groups[place];
    }
    expect(place).toBeGreaterThanOrEqual(0);
    const lying = forgeDraw(round, 4, concat(lie!, new Uint8Array(64)));
    const { partial } = await openGroupedAt(round, weak.holders[0]!, [lying]);
    const opened = victimOf(weak, group!, place, partial, victim);
    const { long, slotCount, shortCount, wordBits } = schemeOfWorld(world);
    if (!long) expect(opened.subarray(0, slotCount)).toEqual(victim.digits);
    // Under the long cipher: the victim's one-time key, small as keys are, and with it everything.
    else expect(Math.max(...opened.subarray(0, shortCount - 1).map(Math.abs))).toBeLessThan(100);
    const checksum = victim.digits.reduce((sum, digit) => (sum - digit) | 0, 0);
    expect(opened.at(-1)).toBe(wordBits === 32 ? checksum : (checksum << 16) >> 16);

    const [real] = fork();
    for (const draws of [[lying], [lying, lying], [lying, honest[1]!]])
      await expect(openGroupedAt(round, real!, draws)).rejects.toThrow(coded('SHARE_INCONSISTENT'));
    const reply = await openGroupedAt(round, real!, [lying, honest[1]!, honest[2]!]);
    expect(reply.partial).not.toEqual(partial);
  });

  it('answer for groups of the certified cohort, whatever else is asked', async () => {
    const holders = fork();
    const draws = await drawAll(round, holders);
    const groups = groupsFrom(round, agreedOf(round, draws));
    const { partial } = await openGroupedAt(round, holders[1]!, draws);
    const { shortCount, wordBits } = schemeOfWorld(world);
    const { configHash } = round.binding;
    const expected = groups.map((group) => {
      const sum = new SeedSum(shortCount, wordBits, world.suite, configHash, 3);
      for (const { device } of group) sum.add(device.id, seedsAt(base, 2, device.id));
      return sum.bytes();
    });
    expect(partial).toEqual(concat(...expected));
  });
});

describe('a plan without groups', () => {
  it('has no partition to draw, and takes no values for one', async () => {
    for (const transport of ['shares', 'bfv'] as const) {
      const world = await createWorld({ transport });
      const committee = new Committee(world);
      const key = committee.ceremony(1);
      const binding = bindingOf(world, 1, key.keyId);
      const devices = await createDevices(world, 3);
      const uploads = devices.map((device, i) => createUpload(world, device, binding, key.publicKey, i));
      const signatures = await certifyAt(world, committee.holders.slice(0, 3), binding, uploads);
      const activeSet = transport === 'shares' ? [1, 2, 3] : [1, 2];
      const header = openHeader(world, binding, uploads, { signatures, activeSet });
      const { service, context } = committee.holders[0]!;
      await expect(service.draw(openMessages(header, uploads))).rejects.toThrow(
        coded('WRONG_ROUND', /one sum/),
      );
      const draws = [{ holderId: 'platform', values: new Uint8Array(96), signature: new Uint8Array(64) }];
      await expect(service.open(openMessages({ ...header, draws }, uploads))).rejects.toThrow(
        coded('FIELD_OUT_OF_RANGE'),
      );
      expect(context.store.anyPartial({ planHash: world.parsed.hash, round: 1 })).toBeUndefined();
      const replies = await openAt(world, committee.holders, binding, uploads, signatures, activeSet);
      expect(replies).toHaveLength(activeSet.length);
      committee.close();
    }
  });
});
