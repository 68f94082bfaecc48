/**
 * Sealing of what a holder keeps at rest: committee-key shares and unfinished ceremonies.
 *
 * For: ceremonies.ts, opening.ts. Trusts: the storage key, which lives only in memory and in a file sealed by
 * the operator's passphrase. Each record is bound to holder, plan, round and kind, so that records cannot be
 * exchanged.
 */
import { transcript } from '../crypto/bytes.ts';
import { ensure } from '../crypto/error.ts';
import type { Suite } from '../crypto/identity/suite.ts';
import { type RandomSource, systemRandom } from '../crypto/random.ts';
import type { RoundRef } from './store.ts';

export const STORAGE_KEY_BYTES = 32;
type RecordKind = 'committee-key-share' | 'ceremony-state';

export class Custody {
  readonly #suite: Suite;
  readonly #storageKey: Uint8Array;
  readonly #holderId: string;
  readonly #random: RandomSource;

  constructor(options: {
    readonly suite: Suite;
    readonly storageKey: Uint8Array;
    readonly holderId: string;
    readonly random?: RandomSource;
  }) {
    ensure(options.storageKey.length === STORAGE_KEY_BYTES, 'CONFIG_INVALID', 'a storage key has 32 bytes');
    this.#suite = options.suite;
    this.#storageKey = options.storageKey.slice();
    this.#holderId = options.holderId;
    this.#random = options.random ?? systemRandom;
  }

  seal(kind: RecordKind, at: RoundRef, plaintext: Uint8Array): Uint8Array {
    return this.#suite.encrypt(this.#storageKey, plaintext, this.#context(kind, at), this.#random);
  }

  /** Throws DECRYPTION_FAILED when the record was altered or belongs elsewhere. */
  open(kind: RecordKind, at: RoundRef, sealed: Uint8Array): Uint8Array {
    return this.#suite.decrypt(this.#storageKey, sealed, this.#context(kind, at));
  }

  #context(kind: RecordKind, at: RoundRef): Uint8Array {
    return transcript('holder-custody', kind, this.#holderId, at.planHash, at.round);
  }
}
