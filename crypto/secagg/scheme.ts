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
import { ensure, isPulsefoldError } from '../error.ts';
import type { KemName } from '../identity/kem.ts';
import { getSuite, type SuiteName } from '../identity/suite.ts';
import { type RandomSource, systemRandom } from '../random.ts';
import type { Bfv } from './bfv.ts';
import { CHECKSUM_WORDS, checksumHolds, withChecksum } from './checksum.ts';
import { type BodyFolder, bfvFolder, requireLength, SchemeFolder } from './folder.ts';
import type { LongEngine } from './long/engine.ts';
import { aSeedOf, loadLongEngine, sealLong } from './long/index.ts';
import type { LongParameters } from './long/parameters.ts';
import {
  kemOfCommitteeKey,
  sealShares,
  sharesBodyBytes,
  sharesHolderPartBytes,
  sharesPartialBytes,
  splitPartial,
  unmask,
  WordFolder,
} from './shares/index.ts';

export type { BodyFolder } from './folder.ts';

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
  /**
   * Entries of the short sum: the slots, or the coefficients of the long cipher's one-time key; and, where there are
   * groups, the checksum word behind them.
   */
  readonly shortCount: number;
  /** Width of a word of a shares sum. */
  readonly wordBits: 16 | 32;
  /** Disjoint groups that the sum opens in (transport shares); 1: one sum, without a checksum. */
  readonly groups: number;
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

export interface OpenInput {
  readonly configHash: Uint8Array;
  /** `BodyFolder.bytes()` over exactly the certified cohort. */
  readonly bodySum: Uint8Array;
  readonly cohortCount: number;
  /** 1-based, ascending; `partials` in the same order. */
  readonly activeSet: readonly number[];
  readonly partials: readonly Uint8Array[];
}

export interface OpenGroupsInput {
  readonly configHash: Uint8Array;
  /** In the order of the partition; `BodyFolder.bytes()` over exactly that group. */
  readonly groups: readonly { readonly bodySum: Uint8Array; readonly cohortCount: number }[];
  /** 1-based, ascending; `partials` in the same order: whole answers, one part per group. */
  readonly activeSet: readonly number[];
  readonly partials: readonly Uint8Array[];
}

export interface Secagg {
  /** Throws INTERNAL before it is loaded: `loadSecagg`, or `ready` with a scheme over bfv. */
  readonly bfv: Bfv;
  readonly longEngine: LongEngine;
  /** Loads what this scheme needs. Where `openSecagg` was called, await it before anything else with a scheme over bfv. */
  ready(scheme: Pick<SumScheme, 'transport'>): Promise<void>;
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
  /**
   * The same per group of a round with groups > 1; null for a group that is dropped: its long cipher does not open, or
   * its checksum does not fit. OPENING_FAILED where holders disagree about any group.
   */
  openGroups(scheme: SumScheme, input: OpenGroupsInput): (Int32Array | null)[];
}

class SecaggEngine implements Secagg {
  readonly longEngine: LongEngine;
  #bfv: Bfv | undefined;

  constructor(longEngine: LongEngine) {
    this.longEngine = longEngine;
  }

  get bfv(): Bfv {
    ensure(this.#bfv, 'INTERNAL', 'await ready(scheme) before a scheme over bfv is used');
    return this.#bfv;
  }

  async ready({ transport }: Pick<SumScheme, 'transport'>): Promise<void> {
    // node-seal takes some 25 MB and 100 ms, in every thread.
    if (transport === 'bfv') this.#bfv ??= await (await import('./bfv.ts')).loadBfv();
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
    if (scheme.transport === 'shares')
      return scheme.groups * sharesPartialBytes(scheme.shortCount, scheme.wordBits);
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
    if (!scheme.long) {
      const values = shortValues(scheme, slots, slots);
      try {
        return this.#sealShort(scheme, context, committeeKey, values, random);
      } finally {
        // The slots themselves are the caller's to wipe.
        if (values !== slots) values.fill(0);
      }
    }
    const { configHash } = context;
    const { packed, secret } = sealLong(this.longEngine, scheme.long, { configHash, slots, random });
    const values = shortValues(scheme, secret, slots);
    try {
      const { body, holderPart } = this.#sealShort(scheme, context, committeeKey, values, random);
      return { body: concat(packed, body), holderPart };
    } finally {
      secret.fill(0);
      values.fill(0);
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
      const { wordBits, groups } = scheme;
      return sealShares({ suite, wordBits, groups, ...context }, committeeKey, values, random);
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
    ensure(scheme.groups === 1, 'INTERNAL', 'a round with groups opens by openGroups');
    const shortSum = this.#openShort(scheme, input);
    try {
      return this.#openSlots(scheme, input, shortSum);
    } finally {
      shortSum.fill(0);
    }
  }

  openGroups(scheme: SumScheme, input: OpenGroupsInput): (Int32Array | null)[] {
    const { configHash, activeSet } = input;
    ensure(
      scheme.groups > 1 && input.groups.length === scheme.groups,
      'INTERNAL',
      `the round opens in ${scheme.groups} groups, not ${input.groups.length}`,
    );
    for (const partial of input.partials) this.validatePartial(scheme, partial);
    const { shortCount: count, wordBits, groups } = scheme;
    const slices = input.partials.map((partial) => splitPartial(partial, { count, wordBits, groups }));
    const inputs = input.groups.map(
      (group, i): OpenInput => ({ ...group, configHash, activeSet, partials: slices.map((s) => s[i]!) }),
    );
    // All of them first: holders that disagree anywhere are not asked about the rest.
    const shortSums = inputs.map((one) => this.#openShort(scheme, one));
    return inputs.map((one, i) => this.#openGroup(scheme, one, shortSums[i]!));
  }

  /** Null where this group alone does not open. Wipes `shortSum`. */
  #openGroup(scheme: SumScheme, input: OpenInput, shortSum: Int32Array): Int32Array | null {
    const valueCount = shortSum.length - CHECKSUM_WORDS;
    const checksum = shortSum[valueCount]!;
    try {
      const slots = this.#openSlots(scheme, input, shortSum.subarray(0, valueCount));
      return checksumHolds(slots, checksum, scheme.wordBits) ? slots : null;
    } catch (error) {
      if (isPulsefoldError(error) && error.code === 'OPENING_FAILED') return null;
      throw error;
    } finally {
      shortSum.fill(0);
    }
  }

  /** The slots behind an opened short sum. A copy. */
  #openSlots(scheme: SumScheme, input: OpenInput, values: Int32Array): Int32Array {
    if (!scheme.long) return values.slice();
    return this.longEngine.open(scheme.long, {
      aSeed: aSeedOf(input.configHash),
      sums: input.bodySum.subarray(0, longBytes(scheme)),
      secretSum: values,
      cohort: input.cohortCount,
    });
  }

  #openShort(scheme: SumScheme, input: OpenInput): Int32Array {
    requireLength('the sum of bodies', input.bodySum, this.sizes(scheme).body);
    const bodySum = input.bodySum.subarray(longBytes(scheme));
    const { activeSet, partials } = input;
    const { shortCount: count, wordBits } = scheme;
    if (scheme.transport === 'bfv') return this.bfv.open({ c0Sum: bodySum, partials, digitCount: count });
    return unmask({ bodySum, wordBits, count, activeSet, partials });
  }
}

/** What the short sum of an upload carries: `values`, and in a round with groups the checksum of the slots. A copy then. */
const shortValues = ({ groups }: SumScheme, values: Int32Array, slots: Int32Array): Int32Array =>
  groups === 1 ? values : withChecksum(values, slots);

const longBytes = ({ long }: SumScheme): number => long?.packedBytes ?? 0;

let opening: Promise<Secagg> | undefined;

/** Loads the long cipher's kernels, once per process; node-seal only with the first `ready` that needs it. */
export function openSecagg(): Promise<Secagg> {
  opening ??= loadLongEngine().then((longEngine) => new SecaggEngine(longEngine));
  return opening;
}

/** `openSecagg`, ready for every scheme. */
export async function loadSecagg(): Promise<Secagg> {
  const secagg = await openSecagg();
  await secagg.ready({ transport: 'bfv' });
  return secagg;
}
