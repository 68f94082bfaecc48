/**
 * Names and secret keys of enrolled devices, in flat arrays that threads share.
 *
 * Trusts: every thread of the simulation with every key. May be called by: experiments/simulation.
 */
import { fromHex, toHex } from '../../crypto/bytes.ts';
import { ensure } from '../../crypto/error.ts';
import type { Names } from './population.ts';

const ID_BYTES = 16;
const PSEUDONYM_BYTES = 32;
const SECRET_BYTES = 32;

export interface NameArrays {
  readonly ids: Uint8Array;
  readonly pseudonyms: Uint8Array;
  readonly secrets: Uint8Array;
}

export const nameArraysOf = (devices: number): NameArrays => {
  const shared = (bytes: number) => new Uint8Array(new SharedArrayBuffer(devices * bytes));
  return { ids: shared(ID_BYTES), pseudonyms: shared(PSEUDONYM_BYTES), secrets: shared(SECRET_BYTES) };
};

const at = (values: Uint8Array, index: number, bytes: number): Uint8Array =>
  values.slice(index * bytes, (index + 1) * bytes);

/** A device has a name once it is enrolled. */
export class SignedNames implements Names {
  readonly #arrays: NameArrays;
  readonly #indices = new Map<string, number>();

  constructor(arrays: NameArrays) {
    this.#arrays = arrays;
  }

  enrol(
    index: number,
    device: {
      readonly subjectId: string;
      readonly pseudonym: Uint8Array;
      readonly secretKey: Uint8Array;
    },
  ): void {
    const { ids, pseudonyms, secrets } = this.#arrays;
    ids.set(fromHex(device.subjectId), index * ID_BYTES);
    pseudonyms.set(device.pseudonym, index * PSEUDONYM_BYTES);
    secrets.set(device.secretKey, index * SECRET_BYTES);
  }

  deviceId(index: number): string {
    return toHex(at(this.#arrays.ids, index, ID_BYTES));
  }
  pseudonym(index: number): string {
    return toHex(at(this.#arrays.pseudonyms, index, PSEUDONYM_BYTES));
  }
  secretKey(index: number): Uint8Array {
    return at(this.#arrays.secrets, index, SECRET_BYTES);
  }

  /** Of names that this thread has noted. */
  note(index: number): void {
    this.#indices.set(this.deviceId(index), index);
  }
  indexOf(deviceId: string): number {
    const index = this.#indices.get(deviceId);
    ensure(index !== undefined, 'INTERNAL', 'no device of this simulation has that name');
    return index;
  }
}
