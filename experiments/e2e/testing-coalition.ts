/**
 * What an attacker of transport `shares` computes with what it holds, below the interfaces that would refuse it: seeds
 * of corrupt holders' round keys, sums of expansions in honest holders' answers, and the words that are left when all
 * of it is taken off an update.
 *
 * For *.test.ts here only.
 */
import { concat } from '../../crypto/bytes.ts';
import { systemRandom } from '../../crypto/random.ts';
import { sealLong } from '../../crypto/secagg/long/index.ts';
import type { OpenInput, Secagg, SumScheme } from '../../crypto/secagg/scheme.ts';
import { openShares, SeedSum, WordFolder } from '../../crypto/secagg/shares/index.ts';
import { type Crafted, sealCrafted } from '../../crypto/secagg/shares/testing-shares.ts';
import type { TestHolder } from '../../keyholder/testing.ts';
import { readTranscript } from '../../protos/keyholder-messages.ts';
import type { IdentityBundle } from '../../protos/transport/identity-bundle.ts';
import { configOf, type RoundEnd, schemeOfWorld, type Update } from './testing-attacks.ts';
import type { FederationWorld } from './testing-federation.ts';

export const holderIndices = [1, 2, 3, 4] as const;
export const seedsOf = (holder: number): number[] => holderIndices.filter((seed) => seed !== holder);

/** Words of one seed's expansions, by seed number. */
export type SeedWords = ReadonlyMap<number, Uint8Array>;

/** The round's secret key out of a seized holder: its database and its storage key. */
export function roundKeyOf({ context }: TestHolder, world: FederationWorld, round = 1) {
  const at = { planHash: world.parsed.hash, round };
  const secret = context.custody.open(
    'committee-key-share',
    at,
    context.store.committeeKey(at)!.sealedShare!,
  );
  const [secretKey] = readTranscript('holder-round-secret', secret, { minimum: 3, maximum: 3 });
  return secretKey!;
}

/** A holder's answer (or one device's share of it) taken apart: three vectors, by seed number. */
export function splitAnswer(index: number, partial: Uint8Array): Map<number, Uint8Array> {
  const length = partial.length / 3;
  return new Map(seedsOf(index).map((seed, i) => [seed, partial.subarray(i * length, (i + 1) * length)]));
}

/** Expansions of the three seeds of one update that a seized holder can open. */
export function expansionsOf(
  world: FederationWorld,
  committeeKey: Uint8Array,
  holder: TestHolder,
  { identity, config, holderPart }: Pick<Update, 'identity' | 'config' | 'holderPart'>,
): Map<number, Uint8Array> {
  const { suite } = world;
  const { shortCount, wordBits, groups } = schemeOfWorld(world);
  const secretKey = roundKeyOf(holder, world, config.config.round);
  const deviceId = identity.subjectId;
  const context = { suite, configHash: config.hash, deviceId, wordBits };
  const { seeds } = openShares(context, { holderPart, committeeKey, holderIndex: holder.index, secretKey });
  const sum = new SeedSum(shortCount, wordBits, suite, config.hash, groups);
  sum.add(deviceId, seeds);
  return splitAnswer(holder.index, sum.bytes());
}

export const subtractWords = (
  world: FederationWorld,
  words: Uint8Array,
  away: readonly Uint8Array[],
): Uint8Array => {
  const { shortCount, wordBits } = schemeOfWorld(world);
  const folder = new WordFolder(shortCount, wordBits);
  folder.add(words);
  for (const vector of away) folder.subtract(vector);
  return folder.bytes();
};

/** Words as signed integers. */
export function centred(world: FederationWorld, words: Uint8Array): Int32Array {
  const copy = words.slice().buffer;
  return schemeOfWorld(world).wordBits === 16 ? Int32Array.from(new Int16Array(copy)) : new Int32Array(copy);
}

/** The short half of a body: its masked words. */
export const shortBody = (world: FederationWorld, body: Uint8Array): Uint8Array =>
  body.subarray(schemeOfWorld(world).long?.packedBytes ?? 0);

/** The body that cancels these in a sum. Any bytes of that length are a body, so nothing is to be seen. */
export function cancelling(world: FederationWorld, bodies: readonly Uint8Array[]): Uint8Array {
  const { long, shortCount, wordBits } = schemeOfWorld(world);
  const short = new WordFolder(shortCount, wordBits);
  for (const body of bodies) short.subtract(shortBody(world, body));
  if (!long) return short.bytes();
  const folder = world.secagg.longEngine.folder(long);
  for (const body of bodies) folder.subtract(body.subarray(0, long.packedBytes));
  return concat(folder.bytes(), short.bytes());
}

/** An update whose seeds were dealt against the protocol; sealed and signed as any other. */
export function craftUpdate(
  world: FederationWorld,
  key: { readonly publicKey: Uint8Array; readonly keyId: Uint8Array },
  identity: IdentityBundle,
  digits: Int32Array,
  crafted: Crafted,
): Update {
  const config = configOf(world, key);
  const { suite, secagg } = world;
  const { long, wordBits } = schemeOfWorld(world);
  const { hash: configHash } = config;
  const context = { suite, configHash, deviceId: identity.subjectId, wordBits };
  const random = systemRandom;
  const sealed = long && sealLong(secagg.longEngine, long, { configHash, slots: digits, random });
  const short = sealCrafted(context, key.publicKey, sealed?.secret ?? digits, crafted, random);
  const body = sealed ? concat(sealed.packed, short.body) : short.body;
  return { identity, digits, config, body, holderPart: short.holderPart };
}

/** Opens the sum of `bodies` with the expansion sums of all four seeds. Throws OPENING_FAILED. */
export function openWithSeeds(
  world: FederationWorld,
  configHash: Uint8Array,
  bodies: readonly Uint8Array[],
  words: SeedWords,
): Int32Array {
  const scheme = schemeOfWorld(world);
  const folder = world.secagg.folder(scheme);
  for (const body of bodies) folder.add(body);
  const activeSet = [1, 2, 3];
  const partials = activeSet.map((index) => concat(...seedsOf(index).map((seed) => words.get(seed)!)));
  const cohortCount = bodies.length;
  return world.secagg.open(scheme, {
    configHash,
    bodySum: folder.bytes(),
    cohortCount,
    activeSet,
    partials,
  });
}

/** Two holders know every seed between them: the sum of `updates` from any two answers. */
export function openWithAnswers(
  world: FederationWorld,
  updates: readonly Update[],
  { answers }: Pick<RoundEnd, 'answers'>,
): Int32Array {
  const words = new Map(answers.flatMap(({ index, partial }) => [...splitAnswer(index, partial)]));
  const bodies = updates.map(({ body }) => body);
  return openWithSeeds(world, updates[0]!.config.hash, bodies, words);
}

/** A weakened coordinator's: for each seed it believes the first holder that it asked. */
export function trusting(secagg: Secagg): Secagg {
  const open = (scheme: SumScheme, input: OpenInput): Int32Array => {
    const first = new Map<number, Uint8Array>();
    for (const [i, index] of input.activeSet.entries())
      for (const [seed, words] of splitAnswer(index, input.partials[i]!))
        if (!first.has(seed)) first.set(seed, words);
    const partials = input.activeSet.map((index) =>
      concat(...seedsOf(index).map((seed) => first.get(seed)!)),
    );
    return secagg.open(scheme, { ...input, partials });
  };
  return replacing(secagg, { open });
}

/** `target` with members replaced; the others are called on it as ever. */
export function replacing<T extends object>(target: T, members: Partial<T>): T {
  return new Proxy(target, {
    get(_target, name) {
      if (name in members) return members[name as keyof T];
      const member = target[name as keyof T];
      return typeof member === 'function' ? member.bind(target) : member;
    },
  });
}
