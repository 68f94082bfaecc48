import fc from 'fast-check';
import { beforeAll, describe, expect, it } from 'vitest';
import { utf8 } from '../bytes.ts';
import { type RandomSource, seededRandom } from '../random.ts';
import { BitReader } from '../ring/sampling.ts';
import { type Bfv, bfv4096, contributionsMax, loadBfv } from './bfv.ts';
import { subsetsOf } from './ceremony.ts';
import { type LocalCommittee, runCeremony } from './local-ceremony.ts';

let bfv: Bfv;
let committee: LocalCommittee;
beforeAll(async () => {
  bfv = await loadBfv();
  committee = runCeremony({ ceremonyId: utf8('bfv.test') });
});

const coded = (code: string) => expect.objectContaining({ code });

function randomDigits(count: number, bound: number, random: RandomSource): Int32Array {
  const reader = new BitReader(random);
  return Int32Array.from({ length: count }, () => reader.below(2 * bound) - bound);
}

/** Sum of `contributions` random vectors, encrypted, folded; with the plain sum. */
function foldRandom(digitCount: number, contributions: number, key = committee.publicKey) {
  const random = seededRandom(`${digitCount}/${contributions}`);
  const c0 = bfv.accumulator('c0', digitCount);
  const c1 = bfv.accumulator('c1', digitCount);
  const expected = new Int32Array(digitCount);
  for (let i = 0; i < contributions; i++) {
    // The sum of N digits of [−b, b) stays in [−t/2, t/2) for b = ⌊t/2N⌋.
    const digits = randomDigits(digitCount, Math.floor(bfv4096.plainModulus / 2 / contributions), random);
    for (const [at, digit] of digits.entries()) expected[at]! += digit;
    const ciphertext = bfv.encrypt(key, digits);
    c0.add(ciphertext.c0);
    c1.add(ciphertext.c1);
  }
  return { c0Sum: c0.bytes(), c1Sum: c1.bytes(), expected, digitCount };
}

type Sum = ReturnType<typeof foldRandom>;

const partialsOf = (
  sum: Sum,
  activeSet: readonly number[],
  by = activeSet,
  { shares } = committee,
): Uint8Array[] =>
  by.map((holderIndex) => {
    const { c1Sum, digitCount } = sum;
    return bfv.partialDecrypt({ share: shares[holderIndex - 1]!, c1Sum, digitCount, holderIndex, activeSet });
  });

const openBy = (sum: Sum, activeSet: readonly number[]): Int32Array =>
  bfv.open({ c0Sum: sum.c0Sum, partials: partialsOf(sum, activeSet), digitCount: sum.digitCount });

describe('encrypted sums are exact', () => {
  it.each([
    [1, 1],
    [1, 50],
    [63, 7],
    [64, 2],
    [100, 50],
    [4095, 3],
    [4096, 5],
    [4097, 2],
    [9000, 3],
  ])('%i digits of %i clients', (digitCount, contributions) => {
    const sum = foldRandom(digitCount, contributions);
    expect(openBy(sum, [1, 4])).toEqual(sum.expected);
  });

  it('for any length and number of clients', () => {
    const digitCounts = fc.integer({ min: 1, max: 9000 });
    fc.assert(
      fc.property(digitCounts, fc.integer({ min: 1, max: 6 }), (digitCount, contributions) => {
        const sum = foldRandom(digitCount, contributions);
        expect(openBy(sum, [2, 3])).toEqual(sum.expected);
      }),
      { numRuns: 6 },
    );
  });

  it('at the edges of the digit range, and wraps modulo t beyond it', () => {
    const half = bfv4096.plainModulus / 2;
    const digits = Int32Array.of(-half, half - 1, 0, -1, 1);
    const c0 = bfv.accumulator('c0', 5);
    const c1 = bfv.accumulator('c1', 5);
    const open = () =>
      openBy({ c0Sum: c0.bytes(), c1Sum: c1.bytes(), digitCount: 5, expected: digits }, [1, 2]);
    for (const expected of [digits, Int32Array.of(0, -2, 0, -2, 2)]) {
      const ciphertext = bfv.encrypt(committee.publicKey, digits);
      c0.add(ciphertext.c0);
      c1.add(ciphertext.c1);
      expect(open()).toEqual(expected);
    }
  });
});

describe('who can open', () => {
  let sum: Sum;
  beforeAll(() => {
    sum = foldRandom(300, 4);
  });

  it.each(subsetsOf(4, 2))('holders %i and %i', (...activeSet) => {
    expect(openBy(sum, activeSet)).toEqual(sum.expected);
  });

  it('three or all four, in any order of their partials', () => {
    expect(openBy(sum, [1, 2, 4])).toEqual(sum.expected);
    const partials = partialsOf(sum, [4, 2, 1, 3]).reverse();
    expect(bfv.open({ ...sum, partials })).toEqual(sum.expected);
  });

  it('not one alone: what it gets is uniform, and open says so', () => {
    for (const holder of [1, 2, 3, 4]) {
      const partials = partialsOf(sum, [holder, (holder % 4) + 1], [holder]);
      expect(() => bfv.open({ ...sum, partials })).toThrow(coded('OPENING_FAILED'));
    }
    expect(() => bfv.open({ ...sum, partials: [] })).toThrow(coded('OPENING_FAILED'));
    const [partial] = partialsOf(sum, [1, 2], [1]);
    // c0 + partial modulo q1, in 10 bins of 30: uniform, where an opened sum would fill only a few.
    const prime = bfv4096.dataPrimes[0]!;
    const residue = (bytes: Uint8Array, i: number) => BigInt(Buffer.from(bytes).readUIntLE(5 * i, 5));
    const bins = new Array<number>(10).fill(0);
    for (let i = 0; i < 300; i++) {
      bins[Number((10n * ((residue(sum.c0Sum, i) + residue(partial!, i)) % prime)) / prime)]!++;
    }
    expect(bins.reduce((chi, count) => chi + (count - 30) ** 2 / 30, 0)).toBeLessThan(40); // 9 d.o.f.: 8e-6
  });

  it('not with a share of another ceremony, a partial for another set, or over another cohort', () => {
    const other = runCeremony({ ceremonyId: utf8('another') });
    const [one] = partialsOf(sum, [1, 2], [1]);
    const foreign = partialsOf(sum, [1, 2], [2], other);
    expect(() => bfv.open({ ...sum, partials: [one!, ...foreign] })).toThrow(coded('OPENING_FAILED'));
    const otherSet = partialsOf(sum, [2, 3], [2]);
    expect(() => bfv.open({ ...sum, partials: [one!, ...otherSet] })).toThrow(coded('OPENING_FAILED'));
    const otherCohort = partialsOf(foldRandom(300, 3), [1, 2], [2]);
    expect(() => bfv.open({ ...sum, partials: [one!, ...otherCohort] })).toThrow(coded('OPENING_FAILED'));
  });

  it('a single wrong digit count or a single digit is noticed too', () => {
    const tiny = foldRandom(1, 2);
    for (let i = 0; i < 20; i++) {
      expect(() => bfv.open({ ...tiny, partials: partialsOf(tiny, [1, 2], [1]) })).toThrow(
        coded('OPENING_FAILED'),
      );
    }
  });

  it.each([
    ['too few holders', [1], 'QUORUM_NOT_REACHED'],
    ['a repeated holder', [1, 1], 'FIELD_OUT_OF_RANGE'],
    ['a holder that does not exist', [1, 5], 'FIELD_OUT_OF_RANGE'],
    ['holder zero', [0, 1], 'FIELD_OUT_OF_RANGE'],
    ['a set without this holder', [2, 3], 'FIELD_OUT_OF_RANGE'],
    ['a fraction', [1, 1.5], 'FIELD_OUT_OF_RANGE'],
  ])('refuses an active set with %s', (_, activeSet, code) => {
    expect(() => partialsOf(sum, activeSet, [1])).toThrow(coded(code));
  });

  it("refuses another holder's share, a damaged one, and a zero sum", () => {
    const { c1Sum, digitCount } = sum;
    const [share] = committee.shares;
    const input = { share: share!, c1Sum, digitCount, holderIndex: 2, activeSet: [1, 2] };
    expect(() => bfv.partialDecrypt(input)).toThrow(coded('FIELD_OUT_OF_RANGE'));
    for (const damaged of [new Uint8Array(0), share!.slice(1), share!.slice(0, -1), share!.map(() => 255)]) {
      expect(() => bfv.partialDecrypt({ ...input, share: damaged, holderIndex: 1 })).toThrow(
        coded('MALFORMED_MESSAGE'),
      );
    }
    const zero = { ...input, holderIndex: 1, c1Sum: new Uint8Array(c1Sum.length) };
    expect(() => bfv.partialDecrypt(zero)).toThrow(coded('WRONG_CIPHERTEXT_PARAMETERS'));
  });
});

describe('folding', () => {
  it('is associative and canonical: shards merge to the same bytes', () => {
    const random = seededRandom('shards');
    const parts = Array.from(
      { length: 6 },
      () => bfv.encrypt(committee.publicKey, randomDigits(70, 50, random)).c1,
    );
    const whole = bfv.accumulator('c1', 70);
    const left = bfv.accumulator('c1', 70);
    const right = bfv.accumulator('c1', 70);
    for (const [i, part] of parts.entries()) {
      whole.add(part);
      (i % 3 === 0 ? left : right).add(part);
    }
    right.merge(left);
    expect(right.bytes()).toEqual(whole.bytes());
    expect(right.count).toBe(6);
  });

  it('reduces in time and stops at the number of clients the margins hold for', () => {
    const { c0 } = bfv.ciphertextBytes(1);
    const digit = Buffer.alloc(c0);
    // Every residue at its largest: q1 − 1, then q2 − 1.
    for (let i = 0; i < 64; i++) {
      digit.writeUIntLE(Number(bfv4096.dataPrimes[0]! - 1n), 5 * i, 5);
      digit.writeUIntLE(Number(bfv4096.dataPrimes[1]! - 1n), 5 * (64 + i), 5);
    }
    const sum = bfv.accumulator('c0', 1);
    for (let i = 0; i < contributionsMax; i++) sum.add(digit);
    const first = BigInt(Buffer.from(sum.bytes()).readUIntLE(0, 5));
    expect(first).toBe(bfv4096.dataPrimes[0]! - BigInt(contributionsMax));
    expect(() => sum.add(digit)).toThrow(coded('PARAMETER_UNSAFE'));
    expect(sum.count).toBe(contributionsMax);
  });
});

describe('hostile input', () => {
  it('encrypt refuses malformed keys and digits out of range', () => {
    const { publicKey } = committee;
    const digits = Int32Array.of(1);
    const half = bfv4096.plainModulus / 2;
    for (const key of [new Uint8Array(0), publicKey.slice(1), publicKey.map(() => 255)]) {
      expect(() => bfv.encrypt(key, digits)).toThrow(coded('WRONG_COMMITTEE_KEY'));
    }
    expect(publicKey.length).toBe(bfv.publicKeyBytes);
    expect(() => bfv.encrypt(publicKey, Int32Array.of(half))).toThrow(coded('FIELD_OUT_OF_RANGE'));
    expect(() => bfv.encrypt(publicKey, Int32Array.of(-half - 1))).toThrow(coded('FIELD_OUT_OF_RANGE'));
    expect(() => bfv.encrypt(publicKey, new Int32Array(0))).toThrow(coded('VECTOR_LENGTH_MISMATCH'));
  });

  it('validatePart and add accept exactly one shape', () => {
    const digitCount = 300;
    const good = bfv.encrypt(committee.publicKey, new Int32Array(digitCount));
    const lengths = bfv.ciphertextBytes(digitCount);
    expect([good.c0.length, good.c1.length]).toEqual([3000, 40_960]);
    expect(lengths).toEqual({ c0: 3000, c1: 40_960 });
    const outOfRange = good.c1.slice();
    outOfRange.fill(255, 5 * 4095, 5 * 4096);
    const cases = [
      ['c0', good.c0.slice(1)],
      ['c0', new Uint8Array(0)],
      ['c0', bfv.encrypt(committee.publicKey, new Int32Array(301)).c0],
      ['c1', good.c0],
      ['c1', outOfRange],
      // n = 8192 with four 40-bit primes, and n = 2048 with one 54-bit prime.
      ['c1', new Uint8Array(8192 * 4 * 5)],
      ['c1', new Uint8Array(2048 * 7)],
      // Residues of the neighbouring 40-bit prime: the largest ones are not below ours.
      ['c1', Buffer.concat(Array.from({ length: 8192 }, () => Buffer.of(0, 0, 255, 255, 255)))],
    ] as const;
    for (const [kind, bytes] of cases) {
      const wrong = coded('WRONG_CIPHERTEXT_PARAMETERS');
      expect(() => bfv.validatePart(bytes, kind, digitCount)).toThrow(wrong);
      const accumulator = bfv.accumulator(kind, digitCount);
      accumulator.add(good[kind]);
      expect(() => accumulator.add(bytes)).toThrow(wrong);
      expect(accumulator.count).toBe(1);
      expect(accumulator.bytes()).toEqual(good[kind]);
    }
    bfv.validatePart(good.c0, 'c0', digitCount);
    bfv.validatePart(good.c1, 'c1', digitCount);
  });

  it('open refuses partials and sums of wrong form', () => {
    const sum = foldRandom(80, 2);
    const partials = partialsOf(sum, [1, 3]);
    const wrong = coded('WRONG_CIPHERTEXT_PARAMETERS');
    expect(() => bfv.open({ ...sum, partials: [partials[0]!, partials[1]!.slice(1)] })).toThrow(wrong);
    expect(() => bfv.open({ ...sum, partials: [partials[0]!, partials[1]!.map(() => 255)] })).toThrow(wrong);
    expect(() => bfv.open({ ...sum, c0Sum: new Uint8Array(3), partials })).toThrow(wrong);
    const tooMany = new Array<Uint8Array>(11).fill(partials[0]!);
    expect(() => bfv.open({ ...sum, partials: tooMany })).toThrow(coded('OPENING_FAILED'));
  });
});
