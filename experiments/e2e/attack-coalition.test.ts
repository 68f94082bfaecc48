/**
 * The key test of transport `shares`: a malicious coordinator, one corrupt holder with all its secrets and all clients
 * but the honest, together, against one honest update. They have every message of the round, the answers of all holders
 * to every active set, three of the victim's four seeds, and all seeds and vectors of their own clients.
 *
 * Three honest things are told apart: before an opening they have nothing, whoever is with them; after it they have the
 * sum of the honest updates, which is what the round is for; and with a second holder they have everything, which is
 * the threshold that the threat model names. Short and long; in the long sum it is the victim's one-time key that they
 * are after. Trusts no code of the product to refuse: only the algebra is left.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isPulsefoldError } from '../../crypto/error.ts';
import { seededRandom, uniform } from '../../crypto/random.ts';
import { SeedSum } from '../../crypto/secagg/shares/index.ts';
import type { Committee } from '../../keyholder/testing.ts';
import { whyExposed } from './testing-attacker.ts';
import type { RoundEnd, Update } from './testing-attacks.ts';
import {
  centred,
  expansionsOf,
  holderIndices,
  openWithSeeds,
  seedsOf,
  shortBody,
  splitAnswer,
  subtractWords,
} from './testing-coalition.ts';
import { portOf } from './testing-federation.ts';
import { minus, plain, Stage } from './testing-stage.ts';

const VICTIM = 0;
/** Honest as well; the three after it are the attacker's. */
const OTHER = 1;
const activeSets = holderIndices.map((absent) => seedsOf(absent));

const worlds = {
  short: { transport: 'shares', inputs: 255 },
  long: { transport: 'shares', hidden: [64, 128] },
} as const;

describe.each(Object.entries(worlds))('a %s vector:', (name, federation) => {
  let stage: Stage;
  let committee: Committee;
  let updates: readonly Update[];
  let end: RoundEnd;
  /** Every holder's answer to every active set that it is in. */
  const answers = new Map<string, Uint8Array>();
  /** All four expansions of an update; nobody but its own client and two holders together can have them. */
  let expansions: ReadonlyMap<Update, ReadonlyMap<number, Uint8Array>>;

  beforeAll(async () => {
    stage = await Stage.open(federation, 5);
    updates = stage.honest;
    committee = stage.fork();
    end = await stage.play(committee.holders.map(portOf), updates);
    const parts = updates.map(({ identity }) => ({
      deviceId: identity.subjectId,
      bodyDigest: new Uint8Array(0),
      holderPart: new Uint8Array(0),
      entry: null,
    }));
    const request = {
      ...end.certificate!,
      signatures: end.signatures,
      digitCount: stage.slotCount,
      draws: [],
    };
    for (const activeSet of activeSets)
      for (const index of activeSet) {
        const port = portOf(committee.holders[index - 1]!);
        const { partial } = await port.open({ ...request, activeSet }, parts);
        answers.set(`${index}@${activeSet}`, partial);
      }
    const pair = committee.holders.slice(0, 2);
    expansions = new Map(
      updates.map((update) => [update, new Map(pair.flatMap((holder) => [...expansionsBy(holder, update)]))]),
    );
  });
  afterAll(() => stage?.close());

  const expansionsBy = (holder: Committee['holders'][number], update: Update) =>
    expansionsOf(stage.world, stage.key.publicKey, holder, update);
  const victim = () => updates[VICTIM]!;
  const allOf = (update: Update) => [...expansions.get(update)!.values()];
  /** What the masked words hide: the digits, or the one-time key of the long cipher. */
  const hidden = (update: Update): Int32Array =>
    centred(stage.world, subtractWords(stage.world, shortBody(stage.world, update.body), allOf(update)));
  const exposed = (guess: Int32Array, target: Int32Array) =>
    whyExposed(guess, target, 2 ** stage.scheme.wordBits);

  interface Attempt {
    readonly name: string;
    /** Taken off the victim's words, beside the three expansions that the holder knows. */
    readonly guess: Uint8Array;
  }

  /** In the place of the one expansion that the corrupt holder lacks. `clients`: the attacker's. */
  function attempts(lacking: number, clients: readonly Update[], opened: boolean): Attempt[] {
    const { world } = stage;
    const { shortCount, wordBits } = stage.scheme;
    const streamOf = (seed: Uint8Array) => {
      const sum = new SeedSum(shortCount, wordBits, world.suite, victim().config.hash);
      sum.add(victim().identity.subjectId, new Uint8Array([...seed, ...seed, ...seed]));
      return splitAnswer(1, sum.bytes()).get(2)!;
    };
    const own = expansions.get(victim())!;
    const nothing = new Uint8Array(shortCount * (wordBits / 8));
    const found: Attempt[] = [
      { name: 'nothing', guess: nothing },
      { name: 'the expansion of zeros', guess: streamOf(new Uint8Array(32)) },
      ...seedsOf(lacking).map((seed) => ({
        name: `the expansion of seed ${seed} once more`,
        guess: own.get(seed)!,
      })),
      ...clients.map((client) => ({
        name: 'the expansion of a client of the attacker',
        guess: expansions.get(client)!.get(lacking)!,
      })),
      // The words of the other honest update, masks and all.
      { name: 'the other update', guess: shortBody(world, updates[OTHER]!.body) },
    ];
    if (!opened) return found;
    for (const [asked, partial] of answers) {
      const index = Number(asked[0]);
      const sum = splitAnswer(index, partial).get(lacking);
      if (!sum) continue;
      const known = clients.map((client) => expansions.get(client)!.get(lacking)!);
      found.push({ name: `the seed sum of ${asked}`, guess: sum });
      found.push({ name: `... less the own clients'`, guess: subtractWords(world, sum, known) });
    }
    return found;
  }

  /** What any attempt gives away of what the victim's words hide, by name. */
  function findings(lacking: number, tried: readonly Attempt[], target: Int32Array): string[] {
    const { world } = stage;
    const own = expansions.get(victim())!;
    const known = seedsOf(lacking).map((seed) => own.get(seed)!);
    const bare = subtractWords(world, shortBody(world, victim().body), known);
    return tried.flatMap(({ name: attempt, guess }) => {
      const why = exposed(centred(world, subtractWords(world, bare, [guess])), target);
      const words = new Map([...own, [lacking, guess]]);
      const opened = openAs(words, [victim()]);
      const opens =
        name === 'long'
          ? typeof opened !== 'string'
          : exposed(opened as Int32Array, victim().digits) !== null;
      return why || opens ? [`${attempt}: ${why ?? 'opened'}`] : [];
    });
  }

  function openAs(words: ReadonlyMap<number, Uint8Array>, some: readonly Update[]): Int32Array | string {
    const bodies = some.map(({ body }) => body);
    try {
      return openWithSeeds(stage.world, victim().config.hash, bodies, words);
    } catch (error) {
      if (isPulsefoldError(error)) return error.code;
      throw error;
    }
  }

  it('the round was what it seems: it opened, and every holder answered every active set alike', () => {
    expect(end.sum).toEqual(plain(updates));
    expect(answers.size).toBe(12);
    for (const index of holderIndices) {
      const own = [...answers].filter(([asked]) => asked.startsWith(`${index}@`)).map(([, bytes]) => bytes);
      expect(new Set(own.map((bytes) => Buffer.from(bytes).toString('base64'))).size).toBe(1);
    }
    if (name === 'short') expect(hidden(victim())).toEqual(victim().digits);
    else expect(Math.max(...hidden(victim()).map(Math.abs))).toBeLessThan(100);
  });

  it.each(holderIndices)(
    'coordinator, holder %i and all clients but one open nothing before the sum is',
    (holder) => {
      const tried = attempts(holder, updates.slice(1), false);
      expect(tried).toHaveLength(10);
      expect(findings(holder, tried, hidden(victim()))).toEqual([]);
    },
  );

  it.each(holderIndices)(
    'coordinator, holder %i and all clients but two open neither of the two after it',
    (holder) => {
      const tried = attempts(holder, updates.slice(2), true);
      expect(tried).toHaveLength(9 + 18);
      expect(findings(holder, tried, hidden(victim()))).toEqual([]);
    },
  );

  it('what they do have is the sum of the two, as of any two honest people', () => {
    const corrupt = updates.slice(2);
    const honest = updates.slice(0, 2);
    expect(minus(end.sum!, plain(corrupt))).toEqual(plain(honest));
    // By the same code and from the same answers: so the answers are worth what they should be.
    const sums = new Map(
      holderIndices.map((seed) => {
        const index = holderIndices.find((holder) => holder !== seed)!;
        const [, partial] = [...answers].find(([asked]) => asked.startsWith(`${index}@`))!;
        const known = corrupt.map((client) => expansions.get(client)!.get(seed)!);
        return [seed, subtractWords(stage.world, splitAnswer(index, partial).get(seed)!, known)] as const;
      }),
    );
    expect(openAs(sums, honest)).toEqual(plain(honest));
    // With all clients but one, what is left is that one's: γ and K_min are about this (docs/threat-model.md).
    expect(minus(end.sum!, plain(updates.slice(1)))).toEqual(victim().digits);
  });

  it('a second holder is the breach that the threshold names: the same code opens the victim exactly', () => {
    for (const first of holderIndices)
      for (const second of seedsOf(first)) {
        const guess = expansionsBy(committee.holders[second - 1]!, victim()).get(first)!;
        const found = findings(
          first,
          [{ name: `seed ${first} of holder ${second}`, guess }],
          hidden(victim()),
        );
        expect(found).toHaveLength(1);
      }
    expect(openAs(expansions.get(victim())!, [victim()])).toEqual(victim().digits);
  });

  it('and the statistic sees less than that: noisy words, one in ten, small ones', () => {
    const modulus = 2 ** stage.scheme.wordBits;
    const random = seededRandom('noise');
    const noise = () => Math.floor(uniform(random) * modulus) - modulus / 2;
    const target = hidden(victim());
    const noisy = target.map((value) => value + Math.floor(uniform(random) * (modulus / 2)) - modulus / 4);
    const some = target.map((value, i) => (i % 10 === 0 ? value : noise()));
    for (const guess of [noisy, some, hidden(updates[OTHER]!)]) expect(exposed(guess, target)).not.toBeNull();
    expect(exposed(target.map(noise), target)).toBeNull();
  });

  it('after the erasure two holders together have no seed of it left', () => {
    for (const { context, service } of committee.holders) {
      const at = { planHash: stage.world.parsed.hash, round: 1 };
      service.erase(at);
      expect(context.store.committeeKey(at)!.sealedShare).toBeNull();
      expect(context.store.entries.get(at, victim().identity.subjectId)!.sealedSeeds).toBeNull();
    }
    for (const holder of committee.holders) expect(() => expansionsBy(holder, victim())).toThrow();
  });
});
