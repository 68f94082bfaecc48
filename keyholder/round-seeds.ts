/**
 * What a holder has of one round under transport `shares`: its round key, and the seeds of the devices it accepted.
 *
 * For: ceremony-shares.ts (makes the secret), acceptance.ts (takes seeds), opening-shares.ts (sums them). Trusts: custody
 * for the round's secret, which is the committee key share of this transport. Seeds lie in the database under a storage
 * key that exists only inside that secret: erase it, and no seed of the round can be read again, whatever a disk keeps.
 * May be called by: keyholder/ only. DESIGN §2.8, §4.
 */
import { equalBytes, toHex, transcript } from '../crypto/bytes.ts';
import { ensure } from '../crypto/error.ts';
import type { Suite } from '../crypto/identity/suite.ts';
import { type RandomSource, randomBytes } from '../crypto/random.ts';
import { SharesOpener } from '../crypto/secagg/shares/index.ts';
import { readTranscript } from '../protos/keyholder-messages.ts';
import type { RoundRef } from './store.ts';

const KEY_BYTES = 32;
const SEED_BYTES = 32;
/** Collisions among 30,000 tags of a round stay below 2^-96. */
const TAG_BYTES = 16;
const LABEL = 'holder-round-secret';

/** The committee key share of this transport, for custody: round secret key, committee key, fresh storage keys. */
export function makeRoundSecret(
  secretKey: Uint8Array,
  committeeKey: Uint8Array,
  random: RandomSource,
): Uint8Array {
  const keys = randomBytes(2 * KEY_BYTES, random);
  const secret = transcript(LABEL, secretKey, committeeKey, keys);
  keys.fill(0);
  return secret;
}

/** The seeds of one device as they are stored. */
export interface HeldSeeds {
  readonly sealed: Uint8Array;
  /** One per seed; equal tags mean equal seeds. Only the holder of the storage key can tell which. */
  readonly tags: readonly Uint8Array[];
}

export interface RoundSeedsInput {
  readonly suite: Suite;
  readonly at: RoundRef;
  /** 1-based. */
  readonly holderIndex: number;
  /** What `makeRoundSecret` made, out of custody; asked for at the first use, taken over, and wiped by `close`. */
  readonly openSecret: () => Uint8Array;
}

interface RoundSecret {
  readonly whole: Uint8Array;
  readonly secretKey: Uint8Array;
  readonly committeeKey: Uint8Array;
  readonly storageKey: Uint8Array;
  readonly tagKey: Uint8Array;
}

function readRoundSecret(whole: Uint8Array): RoundSecret {
  const [secretKey, committeeKey, keys] = readTranscript(LABEL, whole, { minimum: 3, maximum: 3 });
  ensure(keys!.length === 2 * KEY_BYTES, 'DATA_INVALID', 'the stored round secret is damaged');
  return {
    whole,
    secretKey: secretKey!,
    committeeKey: committeeKey!,
    storageKey: keys!.subarray(0, KEY_BYTES),
    tagKey: keys!.subarray(KEY_BYTES),
  };
}

/** Work with the seeds of one round. Opens the round's secret when it is first needed; close it as soon as possible. */
export class RoundSeeds {
  readonly #input: RoundSeedsInput;
  #secret: RoundSecret | undefined;
  /** Importing a key costs as much as opening an entry: the last configuration's opener is kept. */
  #opener: { readonly configHash: Uint8Array; readonly opener: SharesOpener } | undefined;

  constructor(input: RoundSeedsInput) {
    this.#input = input;
  }

  get #opened(): RoundSecret {
    this.#secret ??= readRoundSecret(this.#input.openSecret());
    return this.#secret;
  }

  /** Opens holder parts sealed for this configuration. */
  openerFor(configHash: Uint8Array): SharesOpener {
    if (!this.#opener || !equalBytes(this.#opener.configHash, configHash)) {
      const { suite, holderIndex } = this.#input;
      const { committeeKey, secretKey } = this.#opened;
      const opener = new SharesOpener({ suite, configHash, committeeKey, holderIndex, secretKey });
      this.#opener = { configHash, opener };
    }
    return this.#opener.opener;
  }

  /** `seeds`: what the opener returned for this device; wiped here. */
  hold(deviceId: string, seeds: Uint8Array): HeldSeeds {
    const { suite } = this.#input;
    const { storageKey, tagKey } = this.#opened;
    const tags: Uint8Array[] = [];
    for (let at = 0; at < seeds.length; at += SEED_BYTES)
      tags.push(suite.mac(tagKey, seeds.subarray(at, at + SEED_BYTES)).slice(0, TAG_BYTES));
    const sealed = suite.encrypt(storageKey, seeds, this.#context(deviceId));
    seeds.fill(0);
    return { sealed, tags };
  }

  /** Inverse of `hold`: the caller wipes what it gets. Throws DECRYPTION_FAILED. */
  reveal(deviceId: string, sealed: Uint8Array): Uint8Array {
    return this.#input.suite.decrypt(this.#opened.storageKey, sealed, this.#context(deviceId));
  }

  #context(deviceId: string): Uint8Array {
    const { planHash, round } = this.#input.at;
    return transcript('holder-seeds', planHash, round, deviceId);
  }

  close(): void {
    this.#opener = undefined;
    this.#secret?.whole.fill(0);
    this.#secret = undefined;
  }
}

/** Seeds of one upload that repeat among themselves. */
export const repeatsItself = (tags: readonly Uint8Array[]): boolean =>
  new Set(tags.map(toHex)).size !== tags.length;
