/**
 * What a holder has of one round under transport `shares`: its round key, and the seeds of the devices it accepted.
 *
 * For: ceremony-shares.ts (makes the secret), acceptance.ts (takes seeds), opening-shares.ts (sums them). Trusts: custody
 * for the round's secret, which is the committee key share of this transport. Seeds lie in the database under a storage
 * key that exists only inside that secret: erase it, and no seed of the round can be read again, whatever a disk keeps.
 * May be called by: keyholder/ only. DESIGN §2.8, §4.
 */
import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject } from 'node:crypto';
import { concat, equalBytes, toHex, transcript, utf8 } from '../crypto/bytes.ts';
import { ensure, PulsefoldError } from '../crypto/error.ts';
import type { Suite } from '../crypto/identity/suite.ts';
import { type RandomSource, randomBytes } from '../crypto/random.ts';
import { SharesOpener } from '../crypto/secagg/shares/index.ts';
import { readTranscript } from '../protos/keyholder-messages.ts';

const KEY_BYTES = 32;
const SEED_BYTES = 32;
/** Collisions among 30,000 tags of a round stay below 2^-96. */
const TAG_BYTES = 16;
const LABEL = 'holder-round-secret';

/** Encryption of seeds on this holder's own disk: thousands of short texts under one key that lives for one round. */
interface SeedBox {
  seal(seeds: Uint8Array, deviceId: string): Uint8Array;
  /** Throws DECRYPTION_FAILED. */
  open(sealed: Uint8Array, deviceId: string): Uint8Array;
}

const NONCE_BYTES = 12;
const GCM_TAG_BYTES = 16;

/** AES-256-GCM of node:crypto (NIST SP 800-38D), random nonces: at most 10,000 texts under one key. */
class GcmBox implements SeedBox {
  // Imported once: with raw bytes, setting up the key costs ten times the encryption.
  readonly #key: KeyObject;
  readonly #random: RandomSource;

  constructor(key: Uint8Array, random: RandomSource) {
    this.#key = createSecretKey(key);
    this.#random = random;
  }

  seal(seeds: Uint8Array, deviceId: string): Uint8Array {
    const nonce = randomBytes(NONCE_BYTES, this.#random);
    const cipher = createCipheriv('aes-256-gcm', this.#key, nonce).setAAD(utf8(deviceId));
    const text = concat(cipher.update(seeds), cipher.final());
    return concat(nonce, text, cipher.getAuthTag());
  }

  open(sealed: Uint8Array, deviceId: string): Uint8Array {
    const textEnd = sealed.length - GCM_TAG_BYTES;
    try {
      const options = { authTagLength: GCM_TAG_BYTES };
      const decipher = createDecipheriv('aes-256-gcm', this.#key, sealed.subarray(0, NONCE_BYTES), options);
      decipher.setAAD(utf8(deviceId)).setAuthTag(sealed.subarray(textEnd));
      const text = decipher.update(sealed.subarray(NONCE_BYTES, textEnd));
      decipher.final();
      return text;
    } catch (cause) {
      throw new PulsefoldError('DECRYPTION_FAILED', 'the stored seeds of a device were altered', { cause });
    }
  }
}

/** The suite's own encryption; gm has no authenticated mode in node:crypto. */
const suiteBox = (suite: Suite, key: Uint8Array, random: RandomSource): SeedBox => ({
  seal: (seeds, deviceId) => suite.encrypt(key, seeds, utf8(deviceId), random),
  open: (sealed, deviceId) => suite.decrypt(key, sealed, utf8(deviceId)),
});

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
  /** 1-based. */
  readonly holderIndex: number;
  /** What `makeRoundSecret` made, out of custody; asked for at the first use, taken over, and wiped by `close`. */
  readonly openSecret: () => Uint8Array;
  readonly random: RandomSource;
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
  #box: SeedBox | undefined;
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
    const { tagKey } = this.#opened;
    const tags: Uint8Array[] = [];
    for (let at = 0; at < seeds.length; at += SEED_BYTES)
      tags.push(
        suite.digest(transcript('seed-tag', tagKey, seeds.subarray(at, at + SEED_BYTES))).slice(0, TAG_BYTES),
      );
    const sealed = this.#seedBox.seal(seeds, deviceId);
    seeds.fill(0);
    return { sealed, tags };
  }

  /** Inverse of `hold`: the caller wipes what it gets. Throws DECRYPTION_FAILED. */
  reveal(deviceId: string, sealed: Uint8Array): Uint8Array {
    return this.#seedBox.open(sealed, deviceId);
  }

  get #seedBox(): SeedBox {
    const { random, suite } = this.#input;
    const { storageKey } = this.#opened;
    this.#box ??=
      suite.name === 'intl' ? new GcmBox(storageKey, random) : suiteBox(suite, storageKey, random);
    return this.#box;
  }

  close(): void {
    this.#opener = undefined;
    this.#box = undefined;
    this.#secret?.whole.fill(0);
    this.#secret = undefined;
  }
}

/** Seeds of one upload that repeat among themselves. */
export const repeatsItself = (tags: readonly Uint8Array[]): boolean =>
  new Set(tags.map(toHex)).size !== tags.length;
