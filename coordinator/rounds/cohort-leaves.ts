/**
 * The leaves of a large cohort's tree: what protos/statements.ts `entryLeaf` gives, with all that is the same for every
 * device of a round written once.
 *
 * May be called by: coordinator/rounds, experiments/simulation.
 */
import { equalBytes, utf8 } from '../../crypto/bytes.ts';
import { ensure } from '../../crypto/error.ts';
import { leafHash } from '../../crypto/log/merkle.ts';
import { entryLeaf, type RoundBinding } from '../../protos/statements.ts';

const DEVICE_ID_CHARACTERS = 32;
const DIGEST_BYTES = 32;
/** Shows where a device id stands in a leaf. */
const PROBE = 'x'.repeat(DEVICE_ID_CHARACTERS);

/** Makes one leaf after the other. */
export class LeafMaker {
  readonly #binding: RoundBinding;
  readonly #leaf: Uint8Array;
  readonly #deviceAt: number;
  readonly #digestAt: number;

  constructor(binding: RoundBinding) {
    this.#binding = binding;
    this.#leaf = entryLeaf({ ...binding, deviceId: PROBE, digest: new Uint8Array(DIGEST_BYTES) });
    // The last two fields of an upload statement, each behind its length (crypto/bytes.ts `transcript`).
    this.#digestAt = this.#leaf.length - DIGEST_BYTES;
    this.#deviceAt = this.#digestAt - 4 - DEVICE_ID_CHARACTERS;
    const found = this.#leaf.subarray(this.#deviceAt, this.#deviceAt + DEVICE_ID_CHARACTERS);
    ensure(equalBytes(found, utf8(PROBE)), 'INTERNAL', 'leaves of a cohort are made up otherwise');
  }

  /** `leafHash(entryLeaf(entry))`. */
  hash(entry: RoundBinding & { readonly deviceId: string; readonly digest: Uint8Array }): Uint8Array {
    const { deviceId, digest } = entry;
    // No entry of a round is bound otherwise, unless somebody makes the coordinator show one (attack suites).
    if (!isSame(entry, this.#binding)) return leafHash(entryLeaf(entry));
    ensure(
      deviceId.length === DEVICE_ID_CHARACTERS && digest.length === DIGEST_BYTES,
      'INTERNAL',
      'an entry of another form',
    );
    for (let i = 0; i < DEVICE_ID_CHARACTERS; i++) this.#leaf[this.#deviceAt + i] = deviceId.charCodeAt(i);
    this.#leaf.set(digest, this.#digestAt);
    return leafHash(this.#leaf);
  }
}

/** Mostly the very arrays. */
const isEqual = (a: Uint8Array, b: Uint8Array): boolean => a === b || equalBytes(a, b);

const isSame = (a: RoundBinding, b: RoundBinding): boolean =>
  a.round === b.round &&
  isEqual(a.planHash, b.planHash) &&
  isEqual(a.modelHash, b.modelHash) &&
  isEqual(a.configHash, b.configHash) &&
  isEqual(a.committeeKeyId, b.committeeKeyId);
