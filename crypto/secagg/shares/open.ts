/**
 * The key holder's side of one upload: take its three seeds out of a holder part, or refuse it with a code.
 *
 * Trusts: its own secret key and the committee key it signed. The holder part comes from a hostile device
 * through a hostile coordinator. What each check stops:
 * - length (MALFORMED_MESSAGE): cut or padded parts;
 * - key schedule and box (DECRYPTION_FAILED): another device's part, another round's, another holder's, an
 *   altered byte, points of small order;
 * - seed hashes (SHARE_INCONSISTENT): a device that gives holders different seeds, which would otherwise make
 *   an honest holder look like a liar and spoil the sum for everyone.
 * May be called by: key holders, through index.ts.
 */
import { timingSafeEqual } from 'node:crypto';
import { ensure } from '../../error.ts';
import type { Kem, KemRecipient } from '../../identity/kem.ts';
import type { Suite } from '../../identity/suite.ts';
import {
  boxData,
  boxedSeeds,
  boxKeyOf,
  checkConfigHash,
  checkDeviceId,
  checkHolder,
  derivedSeed,
  encapsulationContext,
  kemOfCommitteeKey,
  parseHolderPart,
  type SharesContext,
  seedBytes,
  seedFrom,
  seedHasher,
  seedsOf,
  seedsPerHolder,
  splitHashes,
} from './layout.ts';
import { splitRoundKeys } from './round-keys.ts';

export interface OpenedShares {
  /** 96 bytes: the three seeds that this holder knows, ascending. Secret. */
  readonly seeds: Uint8Array;
}

export interface SharesOpenerInput {
  readonly suite: Suite;
  readonly configHash: Uint8Array;
  readonly committeeKey: Uint8Array;
  /** 1 to 4. */
  readonly holderIndex: number;
  readonly secretKey: Uint8Array;
}

/**
 * A holder's opener for one round: imports the key once, which costs more than opening a part. Drop it when
 * the round's key is erased; it keeps its own copy of the key inside node:crypto.
 */
export class SharesOpener {
  readonly #suite: Suite;
  readonly #configHash: Uint8Array;
  readonly #holderIndex: number;
  readonly #kem: Kem;
  readonly #recipient: KemRecipient;

  /**
   * Throws FIELD_OUT_OF_RANGE, WRONG_COMMITTEE_KEY (length, or the secret key belongs elsewhere),
   * UNAVAILABLE.
   */
  constructor(input: SharesOpenerInput) {
    const { suite, configHash, committeeKey, holderIndex, secretKey } = input;
    checkConfigHash(configHash);
    checkHolder(holderIndex);
    this.#suite = suite;
    this.#configHash = configHash.slice();
    this.#holderIndex = holderIndex;
    this.#kem = kemOfCommitteeKey(suite, committeeKey);
    const publicKeys = splitRoundKeys(suite, this.#kem.name, committeeKey);
    this.#recipient = this.#kem.recipient(secretKey, publicKeys, holderIndex);
  }

  /**
   * Throws MALFORMED_MESSAGE, DECRYPTION_FAILED, SHARE_INCONSISTENT; FIELD_OUT_OF_RANGE for a bad device id.
   */
  open(deviceId: string, holderPart: Uint8Array): OpenedShares {
    checkDeviceId(deviceId);
    const holder = this.#holderIndex;
    const { encapsulation, hashes, boxes } = parseHolderPart(this.#kem, holderPart);
    const context = { suite: this.#suite, configHash: this.#configHash, deviceId };
    const sharedKey = this.#recipient.decapsulate(encapsulation, encapsulationContext(context));
    const box = boxes[holder - 1]!;
    const boxed = this.#kem.openOnce(boxKeyOf(sharedKey), box, boxData(holder, hashes));
    const seeds = new Uint8Array(seedsPerHolder * seedBytes);
    const place = (seed: number): number => seedsOf(holder).indexOf(seed) * seedBytes;
    boxedSeeds(holder).forEach((seed, i) => {
      seeds.set(boxed.subarray(i * seedBytes, (i + 1) * seedBytes), place(seed));
    });
    seeds.set(seedFrom(sharedKey), place(derivedSeed(holder)));
    sharedKey.fill(0);
    boxed.fill(0);
    checkSeeds(context, holder, splitHashes(hashes), seeds);
    return { seeds };
  }
}

/** Throws SHARE_INCONSISTENT unless each of the holder's seeds has its signed hash. */
function checkSeeds(
  context: Omit<SharesContext, 'wordBits'>,
  holder: number,
  hashes: readonly Uint8Array[],
  seeds: Uint8Array,
): void {
  const hashOf = seedHasher(context);
  const wrong = seedsOf(holder).filter((seed, i) => {
    const value = seeds.subarray(i * seedBytes, (i + 1) * seedBytes);
    return !timingSafeEqual(hashOf(seed, value), hashes[seed - 1]!);
  });
  if (wrong.length > 0) seeds.fill(0);
  ensure(
    wrong.length === 0,
    'SHARE_INCONSISTENT',
    `seed ${wrong.join(', ')} does not match its hash: refuse this upload`,
  );
}

export interface OpenSharesInput {
  readonly holderPart: Uint8Array;
  readonly committeeKey: Uint8Array;
  /** 1 to 4. */
  readonly holderIndex: number;
  readonly secretKey: Uint8Array;
}

/**
 * One part alone; for the parts of a round make one `SharesOpener`. Throws what its constructor and `open`
 * throw.
 */
export function openShares(context: SharesContext, input: OpenSharesInput): OpenedShares {
  const { suite, configHash, deviceId } = context;
  const { committeeKey, holderIndex, secretKey } = input;
  return new SharesOpener({ suite, configHash, committeeKey, holderIndex, secretKey }).open(
    deviceId,
    input.holderPart,
  );
}
