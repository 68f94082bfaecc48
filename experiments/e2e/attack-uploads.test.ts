/**
 * Attacks with uploads, end to end: replayed, copied, of another round, for another model, named several times in an
 * opening; and with seeds that are weak, used again, or not the same for all holders.
 *
 * Each first with the rule taken out that stands in its way. Where a second layer holds even then (expansions and the
 * long cipher's a are bound to configuration and device), the test says so. Where every attack is tested:
 * attack-suite.test.ts.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runCeremony } from '../../coordinator/rounds/ceremonies.ts';
import type { Entry, HolderPort } from '../../coordinator/rounds/holder-port.ts';
import { concat } from '../../crypto/bytes.ts';
import { seededRandom, systemRandom } from '../../crypto/random.ts';
import { aSeedOf } from '../../crypto/secagg/long/index.ts';
import type { SharesOpener } from '../../crypto/secagg/shares/index.ts';
import { type HolderRules, holderRules } from '../../keyholder/rules.ts';
import type { TestHolder } from '../../keyholder/testing.ts';
import { whyExposed } from './testing-attacker.ts';
import { createUpdate, type RoundEnd, refusersOf, type Update } from './testing-attacks.ts';
import {
  centred,
  craftUpdate,
  openWithAnswers,
  seedsOf,
  shortBody,
  subtractWords,
} from './testing-coalition.ts';
import { createIdentity, portOf } from './testing-federation.ts';
import { minus, none, plain, Stage, without } from './testing-stage.ts';

const unopened = expect.objectContaining({ code: 'OPENING_FAILED' });
const rounds = { training: 2 };
const worlds = {
  short: { transport: 'shares', inputs: 255, rounds },
  long: { transport: 'shares', hidden: [64, 128], rounds },
} as const;

describe.each(Object.entries(worlds))('shares, %s:', (_name, federation) => {
  let stage: Stage;
  let victim: Update;
  let others: readonly Update[];
  beforeAll(async () => {
    stage = await Stage.open(federation);
    // The last in the order of ids.
    victim = stage.honest.at(-1)!;
    others = stage.honest.slice(0, -1);
  });
  afterAll(() => stage?.close());

  const isLong = () => stage.scheme.long !== null;
  const idOf = ({ identity }: Update) => identity.subjectId;
  const exposed = (guess: Int32Array, target: Int32Array) =>
    whyExposed(guess, target, 2 ** stage.scheme.wordBits);

  /** Certified, and yet worthless: a long sum does not open, a short one is noise to everybody. */
  function expectNoise(end: RoundEnd, updates: readonly Update[]): void {
    expect(end.state.cohort).toEqual(updates.map(idOf).sort());
    if (isLong()) {
      expect(end.state.phase).toBe('unopened');
      expect(end.sum).toBeNull();
    } else
      for (const target of [plain(updates), victim.digits, plain(others)])
        expect(exposed(end.sum!, target)).toBeNull();
  }

  const accept = (holder: TestHolder, round: number, entries: readonly Entry[]) =>
    holder.service.accept({ planHash: stage.world.parsed.hash, round, entries });

  it('an opening that names one certified device for all opens it without the root; is refused', async () => {
    const isolating = (port: HolderPort): HolderPort => ({
      ...port,
      open: (request, parts) =>
        port.open(
          request,
          [...parts].map((part) => ({ ...part, deviceId: idOf(victim) })),
        ),
    });
    const weak = without({ ascending: none, cohortRoot: none });
    const end = await stage.play(stage.ports(weak).map(isolating), stage.honest, { answersWanted: 3 });
    const opened = openWithAnswers(stage.world, Array<Update>(4).fill(victim), end);
    expect(opened.map((value) => value / 4)).toEqual(victim.digits);
    for (const rules of [{}, { ascending: none }]) {
      const refused = await stage.play(stage.ports(without(rules)).map(isolating), stage.honest);
      expect(refused.answers).toEqual([]);
      expect(refusersOf(refused, 'partial', 'CERTIFICATE_INVALID').length).toBeGreaterThanOrEqual(2);
    }
  });

  it('an upload that is sent again is in the sum once', async () => {
    const end = await stage.play(stage.ports(), [...stage.honest, victim, others[0]!], {
      terms: { cohortTarget: stage.honest.length },
    });
    expect(end.sum).toEqual(plain(stage.honest));
    // Folded twice by the coordinator itself, it opens nothing: the holders' answers count it once.
    const twice = [...stage.honest, victim];
    const attempt = () => openWithAnswers(stage.world, twice, end);
    if (isLong()) expect(attempt).toThrow(unopened);
    else expect(exposed(attempt(), plain(twice))).toBeNull();
    expect(openWithAnswers(stage.world, stage.honest, end)).toEqual(plain(stage.honest));
  });

  describe('an upload of another round', () => {
    /** The committee with a key for round 2 as well, and what the others seal for that. */
    async function secondRound(rules: Partial<HolderRules> | ((index: number) => Partial<HolderRules>)) {
      const committee = stage.fork((index) => ({
        rules: typeof rules === 'function' ? rules(index) : rules,
      }));
      const ports = committee.holders.map(portOf);
      const key = await runCeremony(stage.world.parsed, 2, ports);
      const updates = others.map(({ identity }, i) => stage.update(identity, 20 + i, { round: 2 }, key));
      const play = (cohort: readonly Update[]) => stage.play(ports, cohort, { round: 2 }, key);
      return { committee, key, updates, play };
    }

    it('is in no cohort of this one', async () => {
      const { updates, play, key } = await secondRound({});
      const end = await play([victim, ...updates]);
      expect(end.rejections).toEqual(['WRONG_ROUND']);
      expect(end.sum).toEqual(plain(updates));
      // Its own upload for this round is.
      const { play: again } = await secondRound({});
      const own = stage.update(victim.identity, 9, { round: 2 }, key);
      expect((await again([own, ...updates])).rejections).toEqual(['WRONG_COMMITTEE_KEY']);
    });

    it('cannot even be opened where rounds and keys are not compared, nor summed where its own round’s key opens it', async () => {
      const careless = { entryBelongs: none, ownCommitteeKey: none, oneBinding: none };
      const blind = await secondRound(careless);
      const refused = await blind.play([victim, ...blind.updates]);
      expect(refused.rejections).toEqual(['DECRYPTION_FAILED']);
      expect(refused.sum).toEqual(plain(blind.updates));

      // The last weakening: a holder that keeps the opener of round 1 and uses it. Now the upload is certified.
      const earlier = new Map<number, SharesOpener>();
      const weak = await secondRound((index) => ({
        ...careless,
        openedSeeds: (opener, deviceId, part) => {
          if (deviceId !== idOf(victim)) return opener.open(deviceId, part).seeds;
          earlier.set(index, earlier.get(index) ?? opener);
          return earlier.get(index)!.open(deviceId, part).seeds;
        },
      }));
      for (const holder of weak.committee.holders)
        expect((await accept(holder, 1, [stage.entry(victim)])).accepted).toEqual([idOf(victim)]);
      const cohort = [victim, ...weak.updates];
      const end = await weak.play(cohort);
      expect(end.rejections).toEqual([]);
      expectNoise(end, cohort);
    });
  });

  describe('another’s upload under the name of a client of the attacker', () => {
    const copyBy = async (): Promise<Update> => {
      const identity = await createIdentity(stage.world);
      // One word altered: the very same bytes are told by their digest (keyholder/copies.test.ts).
      const body = victim.body.map((byte, i) => (i === victim.body.length - 1 ? byte ^ 1 : byte));
      return { ...victim, identity, body };
    };

    it('is refused; where holders open it for the other name, its words do not come off', async () => {
      const copy = await copyBy();
      const cohort = [...stage.honest, copy];
      const end = await stage.play(stage.ports(), cohort);
      expect(end.rejections).toEqual(['DECRYPTION_FAILED']);
      expect(end.sum).toEqual(plain(stage.honest));
      const unbound: HolderRules['openedSeeds'] = (opener, deviceId, part) =>
        opener.open(deviceId === idOf(copy) ? idOf(victim) : deviceId, part).seeds;
      const reused = await stage.play(stage.ports(without({ openedSeeds: unbound })), cohort);
      // Whichever of the two comes second has the other's seeds.
      expect(reused.rejections).toEqual(['SECOND_DIGEST']);
      const weak = without({ openedSeeds: unbound, freshSeeds: none });
      const certified = await stage.play(stage.ports(weak), cohort);
      expect(certified.rejections).toEqual([]);
      expectNoise(certified, cohort);
    });
  });

  describe('a client that is shown another model', () => {
    const modelHash = '09'.repeat(32);
    const misled = () => stage.update(victim.identity, 3, { modelHash });

    it('signs another configuration and is in no cohort', async () => {
      const end = await stage.play(stage.ports(), [...others, misled()]);
      expect(refusersOf(end, 'certificate', 'CERTIFICATE_INVALID').length).toBeGreaterThanOrEqual(2);
      expect(end.refusals.join()).toContain(`device ${idOf(victim)} signed another model`);
      expect(end.sum).toBeNull();
      expect(end.answers).toEqual([]);
    });

    it('spoils the sum of whoever certifies it all the same: its masks and its a are other ones', async () => {
      const cohort = [...others, misled()];
      const end = await stage.play(stage.ports(without({ oneBinding: none })), cohort);
      expectNoise(end, cohort);
    });

    it('is opened with the others only where it does not bind its seal to what it signs either', async () => {
      // A client that seals for the configuration of the others and signs for its own, and holders that open it so.
      const config = misled().config;
      const unbound: Update = { ...victim, config };
      const openers = new Map<number, SharesOpener>();
      const rules = (index: number): Partial<HolderRules> => ({
        oneBinding: none,
        openedSeeds: (opener, deviceId, part) => {
          // The victim is the last of the batch.
          if (deviceId !== idOf(victim)) openers.set(index, opener);
          return openers.get(index)!.open(deviceId, part).seeds;
        },
      });
      const cohort = [...others, unbound];
      const ports = stage.ports((index) => ({ rules: rules(index) }));
      expect((await stage.play(ports, cohort)).sum).toEqual(plain(cohort));
      const refused = await stage.play(stage.ports(without({ oneBinding: none })), cohort);
      expect(refused.rejections).toEqual(['DECRYPTION_FAILED']);
      expect(refused.sum).toEqual(plain(others));
    });
  });

  describe('weak and repeated randomness of a client', () => {
    const sealed = (update: Update, digits: Int32Array, random = systemRandom) =>
      createUpdate(stage.world, stage.key, update.identity, digits, { random });

    /** Difference of two updates under one mask: what anybody can compute who has both. */
    function difference(a: Update, b: Update): Int32Array {
      const { world, scheme } = stage;
      const words = subtractWords(world, shortBody(world, a.body), [shortBody(world, b.body)]);
      const { long } = scheme;
      if (!long) return centred(world, words);
      const engine = world.secagg.longEngine;
      const folder = engine.folder(long);
      folder.add(a.body.subarray(0, long.packedBytes));
      folder.subtract(b.body.subarray(0, long.packedBytes));
      return engine.open(long, {
        aSeed: aSeedOf(a.config.hash),
        sums: folder.bytes(),
        secretSum: centred(world, words),
        cohort: 1,
      });
    }
    const differs = (a: Update, b: Update, target: Int32Array): void => {
      if (isLong()) expect(() => difference(a, b)).toThrow(unopened);
      else expect(exposed(difference(a, b), target)).toBeNull();
    };

    it('a known generator opens the update by itself; the system’s does not', () => {
      const zeros = new Int32Array(stage.slotCount);
      const known = () => seededRandom('a generator that the attacker knows');
      const { digits } = victim;
      expect(difference(sealed(victim, digits, known()), sealed(victim, zeros, known()))).toEqual(digits);
      differs(sealed(victim, digits), sealed(victim, zeros), digits);
    });

    it('a device restored from a copy shows the difference of two updates of one round; its stored bytes are one', () => {
      const same = () => seededRandom('the state in the copy');
      const [first, second] = [stage.digits(1), stage.digits(2)];
      const wanted = minus(first, second);
      expect(difference(sealed(victim, first, same()), sealed(victim, second, same()))).toEqual(wanted);
      differs(sealed(victim, first), sealed(victim, second), wanted);
    });

    it('one generator state in two devices or two rounds repeats no mask', async () => {
      const same = () => seededRandom('sold with every device');
      const [first, second] = [stage.digits(1), stage.digits(2)];
      const wanted = minus(first, second);
      const [a, b] = [sealed(others[0]!, first, same()), sealed(others[1]!, second, same())];
      const next = createUpdate(stage.world, stage.key, a.identity, second, { random: same(), round: 2 });
      differs(a, b, wanted);
      differs(a, next, wanted);
      const cohort = [a, b, victim];
      const end = await stage.play(stage.ports(), cohort);
      expect(end.rejections).toEqual([]);
      expect(end.sum).toEqual(plain(cohort));
    });

    it('another device’s seed is taken where seeds are not compared; is refused by all who get it', async () => {
      const shared = new Uint8Array(32).fill(9);
      const reuse = ({ identity }: Update, number: number) =>
        craftUpdate(stage.world, stage.key, identity, stage.digits(number), {
          used: (seed, honest) => (seed === 2 ? shared : honest),
        });
      const cohort = [reuse(others[0]!, 0), reuse(others[1]!, 1)];
      const entries = cohort.map((update) => stage.entry(update));
      const [, , third] = stage.fork().holders;
      for (const index of [0, 3]) {
        const weak = stage.fork(without({ freshSeeds: none })).holders[index]!;
        expect((await accept(weak, 1, entries)).accepted).toHaveLength(2);
        const reply = await accept(stage.fork().holders[index]!, 1, entries);
        expect(reply.rejected).toMatchObject([{ code: 'SECOND_DIGEST' }]);
      }
      // Holder 3 derives seed 2 and sees that it is not the sender's.
      const codes = (await accept(third!, 1, entries)).rejected.map(({ code }) => code);
      expect(codes).toEqual(['SHARE_INCONSISTENT', 'SHARE_INCONSISTENT']);
    });
  });

  describe('seeds that are not the same for all holders', () => {
    const wrong = (holder: number) => new Uint8Array(32).fill(holder);

    /** Seed 4 of this device is another one for `misled`. Holder 1 derives it, holders 2 and 3 are sealed it. */
    function unequal(misled: readonly number[]) {
      const used = new Map<number, Uint8Array>();
      const { identity } = victim;
      const update = craftUpdate(stage.world, stage.key, identity, stage.digits(7), {
        used: (seed, honest) => {
          used.set(seed, honest.slice());
          return honest;
        },
        boxed: (holder, seed, honest) => (seed === 4 && misled.includes(holder) ? wrong(holder) : honest),
      });
      const believing = (index: number): Partial<HolderRules> => ({
        openedSeeds: (opener, deviceId, part) =>
          misled.includes(index) && deviceId === idOf(update)
            ? concat(...seedsOf(index).map((seed) => (seed === 4 ? wrong(index) : used.get(seed)!)))
            : holderRules.openedSeeds(opener, deviceId, part),
      });
      return { update, believing };
    }

    it('for two of them: nothing opens where hashes are not compared; else the device alone is left out', async () => {
      const { update, believing } = unequal([2, 3]);
      const cohort = [...others, update];
      const weak = await stage.play(
        stage.ports((index) => ({ rules: believing(index) })),
        cohort,
      );
      expect(weak.state.phase).toBe('unopened');
      expect(weak.state.message).toContain('hospital, regulator, platform contradicts');
      const end = await stage.play(stage.ports(), cohort);
      expect(end.rejections).toEqual(['SHARE_INCONSISTENT']);
      expect(end.state.cohort).toEqual(others.map(idOf).sort());
      expect(end.sum).toEqual(plain(others));
    });

    it('for one of them: an honest holder is called a liar where hashes are not compared; else nobody is', async () => {
      const { update, believing } = unequal([2]);
      const cohort = [...others, update];
      const weak = await stage.play(
        stage.ports((index) => ({ rules: believing(index) })),
        cohort,
      );
      expect(weak.sum).toEqual(plain(cohort));
      expect(weak.state.message).toContain('the answer of regulator contradicts');
      const end = await stage.play(stage.ports(), cohort);
      expect(end.rejections).toEqual(['SHARE_INCONSISTENT']);
      // Whether the device counts is the coordinator's choice (coordinator/rounds/selection.ts).
      const counted = cohort.filter((each) => end.state.cohort!.includes(idOf(each)));
      expect(counted).toEqual(expect.arrayContaining([...others]));
      expect(end.sum).toEqual(plain(counted));
      expect(end.complaints).toEqual([]);
    });
  });
});

describe('bfv:', () => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await Stage.open({ inputs: 40 });
  });
  afterAll(() => stage?.close());

  it('mixed model hashes are certified and opened without that rule; are refused', async () => {
    // A model made for the victim: what the others add is then easy to tell from what it adds.
    const [victim, ...others] = stage.honest as [Update, ...Update[]];
    const misled = stage.update(victim.identity, 0, { modelHash: '09'.repeat(32) });
    const cohort = [misled, ...others];
    const opened = await stage.play(stage.ports(without({ oneBinding: none })), cohort);
    expect(opened.sum).toEqual(plain(stage.honest));
    const end = await stage.play(stage.ports(), cohort);
    expect(refusersOf(end, 'certificate', 'CERTIFICATE_INVALID').length).toBeGreaterThanOrEqual(2);
    expect(end.refusals.join()).toContain(`device ${victim.identity.subjectId} signed another model`);
    expect(end.sum).toBeNull();
    expect(end.answers).toEqual([]);
  });
});
