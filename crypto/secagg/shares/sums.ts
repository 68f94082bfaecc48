/**
 * The two running sums of a round: bodies at the coordinator, seed expansions at a key holder.
 *
 * `WordFolder` takes hostile bytes and checks their one property, the length: any words are a valid body.
 * `SeedSum` takes seeds that `SharesOpener` accepted. Each device must be added once; the certificate that
 * names the devices has no duplicates, and neither sum can tell. May be called by: coordinators and key
 * holders, through index.ts.
 */
import { concat } from '../../bytes.ts';
import { ensure } from '../../error.ts';
import type { Suite } from '../../identity/suite.ts';
import { checkConfigHash, checkDeviceId, seedBytes, seedsPerHolder, type WordBits } from './layout.ts';
import { streamKeys, WordSum } from './word-sum.ts';

/** Σ of bodies modulo 2^w, word by word. */
export class WordFolder {
  readonly #sum: WordSum;
  #folded = 0;

  constructor(count: number, wordBits: WordBits) {
    this.#sum = new WordSum(count, wordBits);
  }

  /** Bodies added less bodies subtracted; merging sums counts as one. */
  get folded(): number {
    return this.#folded;
  }

  /**
   * A body, or the sum of another folder (merging is adding). Throws MALFORMED_MESSAGE for another length.
   */
  add(body: Uint8Array): void {
    this.#check(body);
    this.#sum.add(body);
    this.#folded++;
  }

  subtract(body: Uint8Array): void {
    this.#check(body);
    this.#sum.subtract(body);
    this.#folded--;
  }

  /** A copy of the sum, laid out as one body. */
  bytes(): Uint8Array {
    return this.#sum.bytes();
  }

  #check(body: Uint8Array): void {
    ensure(
      body.length === this.#sum.byteLength,
      'MALFORMED_MESSAGE',
      `a body of ${this.#sum.count} words has ${this.#sum.byteLength} bytes`,
    );
  }
}

/**
 * A holder's answer in the making: for each seed it knows, the sum of that seed's expansions over the
 * devices.
 */
export class SeedSum {
  readonly #suite: Suite;
  readonly #configHash: Uint8Array;
  readonly #wordBits: WordBits;
  readonly #groups: number;
  readonly #sums: readonly WordSum[];
  #devices = 0;

  /** `groups`: of the round, one group of which this sums (`SumScheme.groups`). */
  constructor(count: number, wordBits: WordBits, suite: Suite, configHash: Uint8Array, groups = 1) {
    checkConfigHash(configHash);
    this.#suite = suite;
    this.#configHash = configHash.slice();
    this.#wordBits = wordBits;
    this.#groups = groups;
    this.#sums = Array.from({ length: seedsPerHolder }, () => new WordSum(count, wordBits));
  }

  get devices(): number {
    return this.#devices;
  }

  /** `seeds`: the 96 bytes that `open` returned for this device. */
  add(deviceId: string, seeds: Uint8Array): void {
    checkDeviceId(deviceId);
    ensure(
      seeds.length === seedsPerHolder * seedBytes,
      'FIELD_OUT_OF_RANGE',
      `a holder has ${seedsPerHolder} seeds of ${seedBytes} bytes per device`,
    );
    const keyOf = streamKeys(this.#suite, this.#configHash, deviceId, this.#wordBits, this.#groups);
    this.#sums.forEach((sum, i) => {
      const key = keyOf(seeds.subarray(i * seedBytes, (i + 1) * seedBytes));
      sum.addStream(key);
      key.fill(0);
    });
    this.#devices++;
  }

  /** The answer ("partial"): three vectors laid out as bodies, ascending by seed. */
  bytes(): Uint8Array {
    return concat(...this.#sums.map((sum) => sum.bytes()));
  }
}
