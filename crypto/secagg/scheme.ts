/**
 * One interface over the ways a sum travels: short or long cipher, over threshold BFV or over shared seeds.
 *
 * For: clients (seal), coordinator (fold, open) and holders' plumbing, which handle bodies and holder parts and never
 * look inside. An upload is a *body*, which the coordinator folds, and a *holder part*, which the key holders get:
 *
 *   short over bfv      body = c0                       holder part = c1
 *   short over shares   body = masked words             holder part = sealed seeds
 *   long                body = packed RLWE c ‖ the short body of the one-time key; holder part = that of the key
 *
 * Trusts: a scheme derived from an approved plan (protos/plan-scheme.ts). Bodies and answers of holders are hostile.
 * May be called by: client, coordinator, keyholder, experiments.
 */
import { concat } from '../bytes.ts';
import { ensure, PulsefoldError } from '../error.ts';
import type { KemName } from '../identity/kem.ts';
import { getSuite, type SuiteName } from '../identity/suite.ts';
import { type RandomSource, systemRandom } from '../random.ts';
import { type Bfv, loadBfv } from './bfv.ts';
import type { LongEngine, LongFolder } from './long/engine.ts';
import { aSeedOf, loadLongEngine, sealLong } from './long/index.ts';
import type { LongParameters } from './long/parameters.ts';
import {
  kemOfCommitteeKey,
  sealShares,
  sharesBodyBytes,
  sharesHolderPartBytes,
  sharesPartialBytes,
  unmask,
  WordFolder,
} from './shares/index.ts';

export interface SumScheme {
  readonly transport: 'bfv' | 'shares';
  readonly suite: SuiteName;
  /** How seeds are sealed to holders (shares). */
  readonly kem: KemName;
  readonly holderCount: number;
  /** Signed integers of one client's vector. */
  readonly slotCount: number;
  /** Null where the slots themselves go through the short sum. */
  readonly long: LongParameters | null;
  /** Entries of the short sum: the slots, or the coefficients of the long cipher's one-time key. */
  readonly shortCount: number;
  /** Width of a word of a shares sum. */
  readonly wordBits: 16 | 32;
}

/** What binds a sealed update to its round and its device. */
export interface SealContext {
  readonly configHash: Uint8Array;
  readonly deviceId: string;
}

export interface SealedParts {
  readonly body: Uint8Array;
  readonly holderPart: Uint8Array;
}

export interface PartSizes {
  readonly body: number;
  readonly holderPart: number;
}

/** Sums of bodies. Addition is associative: sums of shards merge. */
export interface BodyFolder {
  /** Uploads in the sum. */
  readonly count: number;
  /** Adds one body; a coded error, without effect, unless it has the exact form. */
  add(body: Uint8Array): void;
  /**
   * Adds a body that is read as it is needed: `read` fills `target` with the body's bytes from `at` on. The long half
   * lands in the kernel's own memory, so a body in a file is never copied. An error of `read` has no effect.
   */
  addRead(read: (target: Uint8Array, at: number) => void): void;
  /** Adds `bytes()` of another folder of the same scheme, of `count` uploads. */
  addSum(sum: Uint8Array, count: number): void;
  /** The sum in the form of a body, canonical: equal sums give equal bytes. */
  bytes(): Uint8Array;
}

export interface OpenInput {
  readonly configHash: Uint8Array;
  /** `BodyFolder.bytes()` over exactly the certified cohort. */
  readonly bodySum: Uint8Array;
  readonly cohortCount: number;
  /** 1-based, ascending; `partials` in the same order. */
  readonly activeSet: readonly number[];
  readonly partials: readonly Uint8Array[];
}

export interface Secagg {
  readonly bfv: Bfv;
  readonly longEngine: LongEngine;
  sizes(scheme: SumScheme): PartSizes;
  /** Bytes of one holder's answer to an opening. */
  partialBytes(scheme: SumScheme): number;
  /** Seals `slots` (slotCount int32) under the round's committee key. FIELD_OUT_OF_RANGE, WRONG_COMMITTEE_KEY. */
  seal(
    scheme: SumScheme,
    context: SealContext,
    committeeKey: Uint8Array,
    slots: Int32Array,
    random?: RandomSource,
  ): SealedParts;
  /** Throws WRONG_CIPHERTEXT_PARAMETERS unless both parts have the exact form of an upload. */
  validate(scheme: SumScheme, parts: SealedParts): void;
  validatePartial(scheme: SumScheme, partial: Uint8Array): void;
  folder(scheme: SumScheme): BodyFolder;
  /** Slot sums, centred modulo the slots' modulus. OPENING_FAILED where these answers do not open this sum. */
  open(scheme: SumScheme, input: OpenInput): Int32Array;
}

class SecaggEngine implements Secagg {
  readonly bfv: Bfv;
  readonly longEngine: LongEngine;

  constructor(bfv: Bfv, longEngine: LongEngine) {
    this.bfv = bfv;
    this.longEngine = longEngine;
  }

  sizes(scheme: SumScheme): PartSizes {
    const short = this.#shortSizes(scheme);
    return { body: longBytes(scheme) + short.body, holderPart: short.holderPart };
  }

  #shortSizes({ transport, suite, kem, shortCount, wordBits }: SumScheme): PartSizes {
    if (transport === 'shares')
      return {
        body: sharesBodyBytes(shortCount, wordBits),
        holderPart: sharesHolderPartBytes(getSuite(suite), kem),
      };
    const { c0, c1 } = this.bfv.ciphertextBytes(shortCount);
    return { body: c0, holderPart: c1 };
  }

  partialBytes(scheme: SumScheme): number {
    if (scheme.transport === 'shares') return sharesPartialBytes(scheme.shortCount, scheme.wordBits);
    return this.#shortSizes(scheme).body;
  }

  seal(
    scheme: SumScheme,
    context: SealContext,
    committeeKey: Uint8Array,
    slots: Int32Array,
    random: RandomSource = systemRandom,
  ): SealedParts {
    ensure(
      slots.length === scheme.slotCount,
      'VECTOR_LENGTH_MISMATCH',
      `the round sums ${scheme.slotCount} slots, not ${slots.length}`,
    );
    if (!scheme.long) return this.#sealShort(scheme, context, committeeKey, slots, random);
    const { configHash } = context;
    const { packed, secret } = sealLong(this.longEngine, scheme.long, { configHash, slots, random });
    try {
      const { body, holderPart } = this.#sealShort(scheme, context, committeeKey, secret, random);
      return { body: concat(packed, body), holderPart };
    } finally {
      secret.fill(0);
    }
  }

  #sealShort(
    scheme: SumScheme,
    context: SealContext,
    committeeKey: Uint8Array,
    values: Int32Array,
    random: RandomSource,
  ): SealedParts {
    if (scheme.transport === 'shares') {
      const suite = getSuite(scheme.suite);
      ensure(
        kemOfCommitteeKey(suite, committeeKey).name === scheme.kem,
        'WRONG_COMMITTEE_KEY',
        `the committee key is not of the kind that the plan names (${scheme.kem})`,
      );
      return sealShares({ suite, wordBits: scheme.wordBits, ...context }, committeeKey, values, random);
    }
    const { c0, c1 } = this.bfv.encrypt(committeeKey, values);
    return { body: c0, holderPart: c1 };
  }

  validate(scheme: SumScheme, { body, holderPart }: SealedParts): void {
    const sizes = this.sizes(scheme);
    requireLength('the body', body, sizes.body);
    requireLength('the holder part', holderPart, sizes.holderPart);
    // Words and packed residues are valid whatever they are: they are read modulo 2^w and modulo their prime.
    if (scheme.transport === 'shares') return;
    this.bfv.validatePart(body.subarray(longBytes(scheme)), 'c0', scheme.shortCount);
    this.bfv.validatePart(holderPart, 'c1', scheme.shortCount);
  }

  validatePartial(scheme: SumScheme, partial: Uint8Array): void {
    requireLength('the answer of a key holder', partial, this.partialBytes(scheme));
    if (scheme.transport === 'bfv') this.bfv.validatePart(partial, 'c0', scheme.shortCount);
  }

  folder(scheme: SumScheme): BodyFolder {
    const short =
      scheme.transport === 'shares'
        ? new WordFolder(scheme.shortCount, scheme.wordBits)
        : bfvFolder(this.bfv, scheme.shortCount);
    return new SchemeFolder(
      this.sizes(scheme).body,
      scheme.long ? this.longEngine.folder(scheme.long) : null,
      longBytes(scheme),
      short,
    );
  }

  open(scheme: SumScheme, input: OpenInput): Int32Array {
    requireLength('the sum of bodies', input.bodySum, this.sizes(scheme).body);
    const { long } = scheme;
    const split = longBytes(scheme);
    const shortSum = this.#openShort(scheme, input, input.bodySum.subarray(split));
    if (!long) return shortSum;
    try {
      return this.longEngine.open(long, {
        aSeed: aSeedOf(input.configHash),
        sums: input.bodySum.subarray(0, split),
        secretSum: shortSum,
        cohort: input.cohortCount,
      });
    } finally {
      shortSum.fill(0);
    }
  }

  #openShort(scheme: SumScheme, { activeSet, partials }: OpenInput, bodySum: Uint8Array): Int32Array {
    const { shortCount: count, wordBits } = scheme;
    if (scheme.transport === 'bfv') return this.bfv.open({ c0Sum: bodySum, partials, digitCount: count });
    return unmask({ bodySum, wordBits, count, activeSet, partials });
  }
}

const longBytes = ({ long }: SumScheme): number => long?.packedBytes ?? 0;

function requireLength(what: string, bytes: Uint8Array, length: number): void {
  if (bytes.length !== length)
    throw new PulsefoldError(
      'WRONG_CIPHERTEXT_PARAMETERS',
      `${what} has ${bytes.length} bytes, and this round's has ${length}`,
    );
}

/** The short half of a folder. */
interface ShortFolder {
  add(body: Uint8Array, count?: number): void;
  bytes(): Uint8Array;
}

function bfvFolder(bfv: Bfv, digitCount: number): ShortFolder {
  const sum = bfv.accumulator('c0', digitCount);
  return {
    add(body, count = 1) {
      if (count === 1) sum.add(body);
      else sum.merge({ count, add: () => {}, merge: () => {}, bytes: () => body });
    },
    bytes: () => sum.bytes(),
  };
}

class SchemeFolder implements BodyFolder {
  readonly #bodyBytes: number;
  readonly #long: LongFolder | null;
  readonly #split: number;
  readonly #short: ShortFolder;
  #shortBytes: Uint8Array | null = null;
  #count = 0;

  constructor(bodyBytes: number, long: LongFolder | null, split: number, short: ShortFolder) {
    this.#bodyBytes = bodyBytes;
    this.#long = long;
    this.#split = split;
    this.#short = short;
  }

  get count(): number {
    return this.#count;
  }

  add(body: Uint8Array): void {
    this.addSum(body, 1);
  }

  addSum(sum: Uint8Array, count: number): void {
    requireLength('the body', sum, this.#bodyBytes);
    // The short half first: it is the one that may refuse.
    this.#short.add(sum.subarray(this.#split), count);
    this.#long?.add(sum.subarray(0, this.#split));
    this.#count += count;
  }

  addRead(read: (target: Uint8Array, at: number) => void): void {
    this.#shortBytes ??= new Uint8Array(this.#bodyBytes - this.#split);
    if (this.#long) read(this.#long.window(), 0);
    read(this.#shortBytes, this.#split);
    this.#short.add(this.#shortBytes);
    this.#long?.addWindow();
    this.#count++;
  }

  bytes(): Uint8Array {
    const short = this.#short.bytes();
    return this.#long ? concat(this.#long.bytes(), short) : short;
  }
}

let loading: Promise<Secagg> | undefined;

/** Loads node-seal and the long cipher's kernels, once per process. */
export function loadSecagg(): Promise<Secagg> {
  loading ??= Promise.all([loadBfv(), loadLongEngine()]).then(
    ([bfv, longEngine]) => new SecaggEngine(bfv, longEngine),
  );
  return loading;
}
