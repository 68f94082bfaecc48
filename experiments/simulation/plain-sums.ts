/**
 * `seal: none`: sums of vectors that travel in the clear, behind the interface of secure aggregation.
 *
 * For simulations that ask how well a model learns, not whether a sum stays closed. It protects nobody, so it lives here
 * and nowhere else: no package export and no role command leads to this directory (tested). The integers are the very
 * ones that a sealed upload carries, and so is the opened sum, centred modulo the slots' modulus.
 * Trusts: everything. May be called by: experiments/simulation.
 */
import { ensure, PulsefoldError } from '../../crypto/error.ts';
import type { BodyFolder, OpenInput, Secagg, SumScheme } from '../../crypto/secagg/scheme.ts';

/** An answer of a holder that has nothing to open. */
export const PLAIN_PARTIAL = Uint8Array.of(1);

const bodyBytes = ({ slotCount }: SumScheme): number => 4 * slotCount;

/** Bits of the slots' modulus (crypto/secagg/choose.ts). */
export const slotModulusBits = ({ long, transport, wordBits }: SumScheme): number =>
  long ? long.slotBits : transport === 'bfv' ? 15 : wordBits;

/** Sums modulo 2^32, of which every slot modulus is a divisor. */
class PlainFolder implements BodyFolder {
  readonly #sum: Int32Array;
  readonly #body: Uint8Array;
  readonly #values: Int32Array;
  #count = 0;

  constructor(slotCount: number) {
    this.#sum = new Int32Array(slotCount);
    this.#values = new Int32Array(slotCount);
    this.#body = new Uint8Array(this.#values.buffer);
  }

  get count(): number {
    return this.#count;
  }

  add(body: Uint8Array): void {
    this.addSum(body, 1);
  }

  addRead(read: (target: Uint8Array, at: number) => void): void {
    read(this.#body, 0);
    this.#addValues(1);
  }

  addSum(sum: Uint8Array, count: number): void {
    ensure(sum.length === this.#body.length, 'WRONG_CIPHERTEXT_PARAMETERS', 'a body of another length');
    this.#body.set(sum);
    this.#addValues(count);
  }

  #addValues(count: number): void {
    const values = this.#values;
    for (let i = 0; i < values.length; i++) this.#sum[i] = this.#sum[i]! + values[i]!;
    this.#count += count;
  }

  bytes(): Uint8Array {
    return new Uint8Array(this.#sum.slice().buffer);
  }
}

const absent = (what: string): never => {
  throw new PulsefoldError('INTERNAL', `seal: none has no ${what}`);
};

export class PlainSums implements Secagg {
  readonly #holderBytes: 0 | 1;

  /** `holderBytes`: 1 where an upload's message must have a holder part. */
  constructor(holderBytes: 0 | 1 = 0) {
    this.#holderBytes = holderBytes;
  }

  get bfv(): never {
    return absent('BFV');
  }
  get longEngine(): never {
    return absent('long cipher');
  }
  async ready(): Promise<void> {}

  sizes(scheme: SumScheme) {
    return { body: bodyBytes(scheme), holderPart: this.#holderBytes };
  }
  partialBytes(): number {
    return PLAIN_PARTIAL.length;
  }

  seal(scheme: SumScheme, _context: unknown, _committeeKey: Uint8Array, slots: Int32Array) {
    ensure(
      slots.length === scheme.slotCount,
      'VECTOR_LENGTH_MISMATCH',
      'slots of another number than the round sums',
    );
    return { body: new Uint8Array(slots.slice().buffer), holderPart: new Uint8Array(this.#holderBytes) };
  }

  validate(scheme: SumScheme, { body, holderPart }: { body: Uint8Array; holderPart: Uint8Array }): void {
    const fits = body.length === bodyBytes(scheme) && holderPart.length === this.#holderBytes;
    ensure(fits, 'WRONG_CIPHERTEXT_PARAMETERS', 'an upload of another length');
  }
  validatePartial(_scheme: SumScheme, partial: Uint8Array): void {
    ensure(
      partial.length === PLAIN_PARTIAL.length,
      'WRONG_CIPHERTEXT_PARAMETERS',
      'an answer of another length',
    );
  }

  folder(scheme: SumScheme): BodyFolder {
    return new PlainFolder(scheme.slotCount);
  }

  open(scheme: SumScheme, { bodySum }: Pick<OpenInput, 'bodySum'>): Int32Array {
    const sums = new Int32Array(bodySum.slice().buffer);
    const spare = 32 - slotModulusBits(scheme);
    for (let i = 0; i < sums.length; i++) sums[i] = (sums[i]! << spare) >> spare;
    return sums;
  }

  openGroups(scheme: SumScheme, { groups }: Parameters<Secagg['openGroups']>[1]): Int32Array[] {
    return groups.map((group) => this.open(scheme, group));
  }
}
