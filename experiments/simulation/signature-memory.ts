/**
 * What a thread knows of signatures: valid or not, for exactly one key and message.
 *
 * Trusts: whoever notes a signature. May be called by: own-signatures.ts, shared-verification.ts.
 */
import { equalBytes } from '../../crypto/bytes.ts';

interface Known {
  readonly publicKey: Uint8Array;
  readonly message: Uint8Array;
  readonly isValid: boolean;
}

export class SignatureMemory {
  readonly #known = new Map<string, Known>();
  readonly #most: number;

  /** Keeps the `most` newest. */
  constructor(most: number) {
    this.#most = most;
  }

  note(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array, isValid: boolean): void {
    const known = { publicKey: publicKey.slice(), message: message.slice(), isValid };
    this.#known.set(nameOf(signature), known);
    if (this.#known.size > this.#most) this.#known.delete(this.#known.keys().next().value!);
  }

  /** Undefined for another key or message than was noted. */
  recall(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean | undefined {
    const known = this.#known.get(nameOf(signature));
    const isIt = known && equalBytes(known.publicKey, publicKey) && equalBytes(known.message, message);
    return isIt ? known.isValid : undefined;
  }
}

const nameOf = (signature: Uint8Array): string => Buffer.from(signature).toString('latin1');
