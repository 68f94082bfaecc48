/**
 * The key test (issue 2): the coordinator's database, every byte it received, one holder's complete state and one
 * client's secrets open no other client's update.
 *
 * A real round (registrar's CA, client agents, coordinator, four holders) is played with a curious coordinator that
 * asks for every active set there is. The attacker then works with the raw algebra, past every check of our own code.
 * The same code, given a second holder's share, opens the victim exactly: the test can fail.
 *
 * Not here: a client with a crafted c1 opens its own round, outside the `bfv` model (crypto/secagg/crafted-c1.test.ts).
 * Under `shares`: attack-coalition.test.ts. Where each attack is tested: attack-suite.test.ts.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isPulsefoldError } from '../../crypto/error.ts';
import { randomBytes, seededRandom, uniform } from '../../crypto/random.ts';
import { decodeState } from '../../crypto/secagg/ceremony.ts';
import { ceremonyId, sealedShareContext } from '../../protos/statements.ts';
import {
  decodeAnyway,
  exactProduct,
  guessedShare,
  shorten,
  subtract,
  whyExposed,
  withoutMask,
} from './testing-attacker.ts';
import {
  CLIENTS,
  KNOWN,
  pairs,
  type RelayedShare,
  type SealedUpdate,
  type SeizedHolder,
  SeizedRound,
} from './testing-seized-round.ts';

const VICTIM = 0;
const FIRST = 1;
const SECOND = 2;
const TEST_DIGITS = 64;

let round: SeizedRound;
let digitCount: number;

beforeAll(async () => {
  const played = await SeizedRound.play();
  round = played.round;
  digitCount = round.digitCount;
  for (const { rounds } of played.summaries)
    expect(rounds).toEqual([expect.objectContaining({ outcome: 'certified', cohortCount: CLIENTS })]);
});
afterAll(() => round?.close());

const victimDigits = () => round.sealed[VICTIM]!.digits;
const sumOf = (updates: readonly SealedUpdate[]): Int32Array =>
  updates.reduce((sum, { digits }) => sum.map((value, i) => value + digits[i]!), new Int32Array(digitCount));

/** Everything the attacker brings to the table. */
interface Loot {
  readonly victim: { readonly c0: Uint8Array; readonly c1: Uint8Array };
  readonly known: SealedUpdate;
  readonly c0Sum: Uint8Array;
  readonly c1Sum: Uint8Array;
  readonly shares: readonly { readonly index: number; readonly share: Uint8Array }[];
}

function lootWith(holders: readonly SeizedHolder[]): Loot {
  const uploads = round.ciphertexts();
  expect(uploads.size).toBe(CLIENTS);
  const sum = (kind: 'c0' | 'c1') => {
    const accumulator = round.world.bfv.accumulator(kind, digitCount);
    for (const upload of uploads.values()) accumulator.add(upload[kind]);
    return accumulator.bytes();
  };
  const victim = uploads.get(round.identities[VICTIM]!.subjectId)!;
  expect(victim.c0).toEqual(round.sealed[VICTIM]!.c0);
  return {
    victim,
    known: round.sealed[KNOWN]!,
    c0Sum: sum('c0'),
    c1Sum: sum('c1'),
    shares: holders.map((holder) => ({ index: holder.index, share: round.shareOf(holder) })),
  };
}

interface Attempt {
  readonly name: string;
  readonly c0: Uint8Array;
  readonly addends: readonly Uint8Array[];
  readonly digitCount?: number;
}

/** The shares at hand against the victim's c1: as the code does it, and without flooding or mask. */
function withShares({ victim, shares }: Loot): Attempt[] {
  const { c0, c1 } = victim;
  const first = shares[0]!;
  const attempts: Attempt[] = [];
  for (const activeSet of pairs) {
    const mine = shares.filter(({ index }) => activeSet.includes(index));
    if (mine.length === 0) continue;
    const partials = mine.map(({ index: holderIndex, share }) =>
      round.world.bfv.partialDecrypt({ share, c1Sum: c1, digitCount, holderIndex, activeSet }),
    );
    const exact = mine.map(({ share }) => exactProduct(share, activeSet, c1, digitCount));
    attempts.push({ name: `partial decryptions of ${activeSet}`, c0, addends: partials });
    attempts.push({ name: `exact products of ${activeSet}`, c0, addends: exact });
  }
  for (const other of [2, 3, 4]) {
    const activeSet = [first.index, other];
    const zeros = guessedShare(first.share, other, 'zeros');
    const addends = [first.share, zeros].map((share) => exactProduct(share, activeSet, c1, digitCount));
    attempts.push({ name: `share ${other} guessed as zeros`, c0, addends });
    const same = [first.share, guessedShare(first.share, other, 'the same')];
    const equal = same.map((share) => exactProduct(share, activeSet, c1, digitCount));
    attempts.push({ name: `share ${other} guessed as the own one`, c0, addends: equal });
  }
  return [...attempts, { name: 'no share at all', c0, addends: [] }];
}

/** The stored partial decryptions of the sum, turned on something else than the sum. */
function withStoredPartials({ victim, known, c0Sum, c1Sum, shares }: Loot): Attempt[] {
  const own = shares[0]!;
  const withoutKnown = subtract(c0Sum, known.c0, digitCount);
  const attempts = pairs.flatMap((activeSet): Attempt[] => {
    const stored = activeSet.map((index) => round.partial(index, activeSet));
    const single = stored.map((one, i) => ({
      name: `the victim under partial ${activeSet[i]} of ${activeSet}`,
      c0: victim.c0,
      addends: [one],
    }));
    return [
      { name: `the victim under the partials of ${activeSet}`, c0: victim.c0, addends: stored },
      { name: `sum − known under the partials of ${activeSet}`, c0: withoutKnown, addends: stored },
      ...single,
    ];
  });
  for (const activeSet of pairs.filter((set) => set.includes(own.index))) {
    const other = activeSet.find((index) => index !== own.index)!;
    // The mask of a pair is no secret to the seized half: what is left is λ·s_other·Σc1 + flooding.
    const bare = withoutMask(round.partial(other, activeSet), own.share, activeSet, c1Sum, digitCount);
    const product = exactProduct(own.share, activeSet, victim.c1, digitCount);
    const name = `own product for the victim with the bare partial of ${other}`;
    attempts.push({ name, c0: victim.c0, addends: [product, bare] });
  }
  const difference = subtract(victim.c0, known.c0, digitCount);
  return [...attempts, { name: "the victim's c0 − the known client's", c0: difference, addends: [] }];
}

/** What the ceremony let the coordinator see of the key in use: the openings of its 64-digit test. */
function withTestOpenings({ victim }: Loot): Attempt[] {
  const c0 = shorten(victim.c0, digitCount, TEST_DIGITS);
  return pairs.map((activeSet) => ({
    name: `the victim under the test openings of ${activeSet}`,
    c0,
    addends: activeSet.map((index) => round.testPartials.get(`${index}@${activeSet}`)!),
    digitCount: TEST_DIGITS,
  }));
}

function opening({ c0, addends, digitCount: count = digitCount }: Attempt): Int32Array | string {
  try {
    return round.world.bfv.open({ c0Sum: c0, partials: addends, digitCount: count });
  } catch (error) {
    if (isPulsefoldError(error)) return error.code;
    throw error;
  }
}

/** What any attempt gives away of `target`, by name of the attempt. */
function findings(attempts: readonly Attempt[], target: Int32Array): string[] {
  return attempts.flatMap((attempt) => {
    const opened = opening(attempt);
    if (typeof opened !== 'string') return [`${attempt.name}: opened`];
    expect(opened).toBe('OPENING_FAILED');
    const decoded = decodeAnyway(attempt.c0, attempt.addends, attempt.digitCount ?? digitCount);
    const why = whyExposed(decoded, target.subarray(0, decoded.length));
    return why ? [`${attempt.name}: ${why}`] : [];
  });
}

/** Relayed shares that one of these keys opens. */
const openedBy = (keys: readonly Uint8Array[]): RelayedShare[] =>
  round.relayed.filter(({ round: at, share }) => {
    const ceremony = ceremonyId(round.world.suite, round.world.parsed.hash, at);
    const context = sealedShareContext(ceremony, share.fromHolderId, share.toHolderId);
    return keys.some((key) => {
      try {
        return round.world.suite.open(key, share.sealed, context).length > 40_000;
      } catch {
        return false;
      }
    });
  });

describe('coordinator, one holder and one client together', () => {
  let holder: SeizedHolder;
  let loot: Loot;
  beforeAll(() => {
    holder = round.seizeDuring(FIRST);
    loot = lootWith([holder]);
  });

  it('hold what the round really was: the sum opens, and every active set was asked', () => {
    expect(round.partials.size).toBe(2 * pairs.length);
    const sum = sumOf(round.sealed);
    for (const activeSet of pairs) {
      const partials = activeSet.map((index) => round.partial(index, activeSet));
      expect(round.world.bfv.open({ c0Sum: loot.c0Sum, partials, digitCount })).toEqual(sum);
    }
    // The attacker's own tools are right: a bare partial and its own exact product open the sum, too.
    const activeSet = [FIRST, 3];
    const { share } = loot.shares[0]!;
    const bare = withoutMask(round.partial(3, activeSet), share, activeSet, loot.c1Sum, digitCount);
    const own = exactProduct(share, activeSet, loot.c1Sum, digitCount);
    expect(decodeAnyway(loot.c0Sum, [own, bare], digitCount)).toEqual(sum);
  });

  it('open nothing with the one share, nor with a guessed second one', () => {
    const attempts = withShares(loot);
    expect(attempts).toHaveLength(13);
    expect(findings(attempts, victimDigits())).toEqual([]);
  });

  it('open nothing with the partial decryptions of the certified sum', () => {
    const attempts = withStoredPartials(loot);
    expect(attempts).toHaveLength(28);
    expect(findings(attempts, victimDigits())).toEqual([]);
    // Nor does a ciphertext of the rest open; its digits are sum − known, which the round releases by design.
    const rest = sumOf(round.sealed.filter((_, i) => i !== KNOWN));
    expect(findings(attempts, rest)).toEqual([]);
  });

  it('open nothing with what the ceremony showed', () => {
    expect(round.testPartials.size).toBe(2 * pairs.length);
    const attempts = withTestOpenings(loot);
    expect(findings(attempts, victimDigits())).toEqual([]);
    // They are what they seem: shortened in the same way, a sum opened by two holders still opens.
    const partials = [1, 2].map((index) => shorten(round.partial(index, [1, 2]), digitCount, TEST_DIGITS));
    const c0Sum = shorten(loot.c0Sum, digitCount, TEST_DIGITS);
    const opened = round.world.bfv.open({ c0Sum, partials, digitCount: TEST_DIGITS });
    expect(opened).toEqual(sumOf(round.sealed).subarray(0, TEST_DIGITS));
  });

  it('open only the shares that were dealt to that holder', () => {
    const keys = [...holder.ceremonyStates.map((state) => state.sealingKey), holder.identitySealingKey];
    expect(keys.length).toBeGreaterThan(5);
    // Two ceremonies, four dealers, three receivers each.
    expect(round.relayed).toHaveLength(24);
    const opened = openedBy(keys);
    expect(opened).toHaveLength(6);
    const { id } = round.world.holderKeys[FIRST - 1]!;
    expect(opened.every(({ share }) => share.toHolderId === id)).toBe(true);
    // Its memory also held what it dealt to the others, and no committee-key share but its own.
    const cores = holder.ceremonyStates.map((state) => decodeState(state.core));
    expect(cores.some((core) => core.dealtShares.length === 4)).toBe(true);
    expect(cores.every((core) => core.holderIndex === FIRST)).toBe(true);
  });

  it("get nothing of the victim's by the client's identity or vault", async () => {
    const vault = join(round.directory, 'vault');
    const files = readdirSync(vault).map((file) => readFileSync(join(vault, file)));
    expect(files.length).toBeGreaterThan(1);
    const bytes = Buffer.concat(files);
    for (const { c0 } of round.sealed) expect(bytes.includes(Buffer.from(c0.subarray(0, 32)))).toBe(false);
    const transport = round.coordinator.connect(round.identities[KNOWN]!);
    const state = await transport.getUploadState({ configHash: round.configHash, digest: randomBytes(32) });
    expect(state).toEqual({ nextOffset: 0, acknowledged: false });
    const { receipt } = (await transport.getReceipt(round.at())) as { receipt: Uint8Array };
    expect(Buffer.from(receipt).toString()).not.toContain(round.identities[VICTIM]!.subjectId);
  });
});

describe('a second holder seized during the round', () => {
  it('is the quorum breach that the threshold names: the same code opens the victim exactly', () => {
    const attempts = withShares(lootWith([round.seizeDuring(FIRST), round.seizeDuring(SECOND)]));
    const found = findings(attempts, victimDigits());
    expect(found).toEqual(['partial decryptions of 1,2: opened', 'exact products of 1,2: opened']);
    const exact = attempts.find(({ name }) => name === 'exact products of 1,2')!;
    expect(opening(exact)).toEqual(victimDigits());
    const decoded = decodeAnyway(exact.c0, exact.addends, digitCount);
    expect(whyExposed(decoded, victimDigits())).toMatch(/256 of 256/);
  });

  it('and the statistic sees less than that: noisy digits, one digit in ten, small digits', () => {
    const random = seededRandom('noise');
    const noise = () => Math.floor(uniform(random) * 32_768) - 16_384;
    const digits = victimDigits();
    const noisy = digits.map((digit) => digit + Math.floor(uniform(random) * 16_000) - 8000);
    const some = digits.map((digit, i) => (i % 10 === 0 ? digit : noise()));
    for (const guess of [noisy, some, round.sealed[KNOWN]!.digits])
      expect(whyExposed(guess, digits)).not.toBeNull();
    expect(whyExposed(digits.map(noise), digits)).toBeNull();
  });
});

describe('a second holder seized after the round', () => {
  const fragmentsOf = (bytes: Uint8Array) =>
    [200, 1000, 20_000, 30_000, bytes.length - 200].map((offset) =>
      Buffer.from(bytes.subarray(offset, offset + 32)),
    );

  it('has no share of it: erased from table, file and log at all four', async () => {
    for (const { context, directory, index } of round.committee.holders) {
      await expect.poll(() => context.store.committeeKey(round.at())?.sealedShare).toBeNull();
      const share = round.seizeDuring(index).store.committeeKey(round.at())!.sealedShare!;
      const before = readFileSync(join(round.filesDuring(index), 'keyholder.sqlite'));
      const after = Buffer.concat(readdirSync(directory).map((file) => readFileSync(join(directory, file))));
      // A fragment across a page boundary is not found in one piece; most are.
      expect(fragmentsOf(share).filter((part) => before.includes(part)).length).toBeGreaterThan(2);
      expect(fragmentsOf(share).filter((part) => after.includes(part))).toEqual([]);
      expect(context.store.ceremonyState(round.at())).toBeUndefined();
      for (const phase of ['BEGIN', 'COMMIT_KEY', 'REVEAL', 'COMBINE', 'TEST', 'FINISH'] as const)
        expect(context.store.ceremonyStep(round.at(), phase)).toBeUndefined();
    }
  });

  it('opens nothing of it: neither another round’s share nor its long-lived keys help the first holder', async () => {
    // The plan has ended, so the key of the spare round is gone as well.
    for (const { context } of round.committee.holders)
      for (const at of [round.at(1), round.at(2)])
        await expect.poll(() => context.store.committeeKey(at)?.sealedShare).toBeNull();
    const late = round.seizeNow(SECOND);
    for (const at of [round.at(1), round.at(2)]) expect(late.store.committeeKey(at)!.sealedShare).toBeNull();
    expect(openedBy([late.identitySealingKey])).toEqual([]);

    // Had it come before the plan's end, with the next round's share still there: that key is independent.
    const first = round.seizeDuring(FIRST);
    const second = round.seizeDuring(SECOND);
    const { c0, c1 } = lootWith([first]).victim;
    const [own, ownNext, next] = [round.shareOf(first), round.shareOf(first, 2), round.shareOf(second, 2)];
    const products = (shares: Uint8Array[]) =>
      shares.map((share) => exactProduct(share, [FIRST, SECOND], c1, digitCount));
    const attempts: Attempt[] = [
      { name: 'its share of another round', c0, addends: products([own, next]) },
      { name: 'two shares of another round', c0, addends: products([ownNext, next]) },
    ];
    expect(findings(attempts, victimDigits())).toEqual([]);
  });
});
