/**
 * What one holder remembers between the steps of a key ceremony, and its encoding for a sealed file.
 *
 * Secret throughout: the role seals the encoded bytes at rest (Argon2id or scrypt + AEAD). `decodeState` checks form,
 * not meaning: only the holder itself wrote the file. May be called by: crypto/secagg, keyholder/.
 */
import { concat, fromUtf8, uint32, utf8 } from '../bytes.ts';
import { ensure, PulsefoldError } from '../error.ts';

/** In order; each step function demands the one before it. */
export const ceremonySteps = ['begun', 'keyed', 'revealed', 'combined', 'testing', 'tested'] as const;
export type CeremonyStep = (typeof ceremonySteps)[number];

export interface CeremonyState {
  readonly step: CeremonyStep;
  readonly ceremonyId: Uint8Array;
  readonly holderIndex: number;
  readonly holderCount: number;
  readonly threshold: number;
  /** Opens this holder's first commitment. */
  readonly nonce: Uint8Array;
  /** Seed of the flooding of test partials, so that a repeated request gets the same bytes. */
  readonly floodSeed: Uint8Array;
  /** First commitments of all holders, from step `keyed`. */
  readonly commitments: readonly Uint8Array[];
  /** Key commitments of all holders, from step `revealed`. */
  readonly keyCommitments: readonly Uint8Array[];
  /** nonce ‖ b_j ‖ share hashes, from step `keyed`. */
  readonly publicPart: Uint8Array;
  /** Shares dealt to each holder, from `keyed`; forgotten in `combined`. */
  readonly dealtShares: readonly Uint8Array[];
  readonly publicKey: Uint8Array;
  readonly keyId: Uint8Array;
  /** The key share, from step `combined`; handed out by `finalShare` only after the test openings. */
  readonly share: Uint8Array;
  /** The test ciphertext of this key, from `combined`; its c0 (64 coefficients) holds the own message from `testing`. */
  readonly testC0: Uint8Array;
  readonly testC1: Uint8Array;
  /** The 64 secret digits of the own test (i32le), from step `testing`. */
  readonly testMessage: Uint8Array;
}

export function requireStep(state: CeremonyState, ...steps: readonly CeremonyStep[]): void {
  ensure(
    steps.includes(state.step),
    'CEREMONY_FAILED',
    `step out of order: the ceremony is at "${state.step}"`,
  );
}

const version = 'pulsefold-ceremony-2';
const fieldBytesMax = 1 << 20;

type FieldValue = string | number | Uint8Array | readonly Uint8Array[];

/** Field order of the encoding; adding a field means a new version. */
const fields = [
  ['step', 'text'],
  ['ceremonyId', 'bytes'],
  ['holderIndex', 'number'],
  ['holderCount', 'number'],
  ['threshold', 'number'],
  ['nonce', 'bytes'],
  ['floodSeed', 'bytes'],
  ['commitments', 'list'],
  ['keyCommitments', 'list'],
  ['publicPart', 'bytes'],
  ['dealtShares', 'list'],
  ['publicKey', 'bytes'],
  ['keyId', 'bytes'],
  ['share', 'bytes'],
  ['testC0', 'bytes'],
  ['testC1', 'bytes'],
  ['testMessage', 'bytes'],
] as const satisfies readonly (readonly [keyof CeremonyState, string])[];

/** Length-prefixed fields in fixed order behind a version string. */
export function encodeState(state: CeremonyState): Uint8Array {
  const parts: Uint8Array[] = [utf8(version)];
  const push = (bytes: Uint8Array) => parts.push(uint32(bytes.length), bytes);
  for (const [name] of fields) {
    const value: FieldValue = state[name];
    if (typeof value === 'string') push(utf8(value));
    else if (typeof value === 'number') push(uint32(value));
    else if (value instanceof Uint8Array) push(value);
    else {
      parts.push(uint32(value.length));
      for (const item of value) push(item);
    }
  }
  return concat(...parts);
}

class Reader {
  readonly #bytes: Uint8Array;
  #at: number;

  constructor(bytes: Uint8Array, at: number) {
    this.#bytes = bytes;
    this.#at = at;
  }

  number(): number {
    const bytes = this.#take(4);
    return new DataView(bytes.buffer, bytes.byteOffset, 4).getUint32(0, true);
  }

  bytes(): Uint8Array {
    const length = this.number();
    ensure(length <= fieldBytesMax, 'MALFORMED_MESSAGE', 'ceremony state field too long');
    return this.#take(length).slice();
  }

  get finished(): boolean {
    return this.#at === this.#bytes.length;
  }

  #take(length: number): Uint8Array {
    ensure(this.#at + length <= this.#bytes.length, 'MALFORMED_MESSAGE', 'ceremony state is cut short');
    this.#at += length;
    return this.#bytes.subarray(this.#at - length, this.#at);
  }
}

/** Inverse of `encodeState`; MALFORMED_MESSAGE for anything it did not write. */
export function decodeState(bytes: Uint8Array): CeremonyState {
  const magic = utf8(version);
  ensure(
    bytes.length > magic.length && magic.every((byte, i) => byte === bytes[i]),
    'MALFORMED_MESSAGE',
    'not a ceremony state of this version; abort the ceremony and start another',
  );
  const reader = new Reader(bytes, magic.length);
  const result: Partial<Record<keyof CeremonyState, FieldValue>> = {};
  for (const [name, kind] of fields) {
    if (kind === 'list') {
      const count = reader.number();
      ensure(count <= 16, 'MALFORMED_MESSAGE', 'ceremony state list too long');
      result[name] = Array.from({ length: count }, () => reader.bytes());
    } else {
      const value = reader.bytes();
      if (kind === 'number') result[name] = new Reader(value, 0).number();
      else result[name] = kind === 'text' ? fromUtf8(value) : value;
    }
  }
  const state = result as unknown as CeremonyState;
  if (!reader.finished || !ceremonySteps.includes(state.step)) {
    throw new PulsefoldError('MALFORMED_MESSAGE', 'ceremony state is damaged');
  }
  return state;
}
