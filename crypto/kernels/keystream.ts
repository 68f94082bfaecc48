/**
 * AES-256-CTR key streams for the public element `a`: the one place of the kernels that calls a platform's cipher.
 *
 * A browser build replaces this file. About 3 MB are needed per million slots; node:crypto makes them in 1 to 2 ms.
 * Trusts: node:crypto. May be called by: crypto/kernels.
 */
import { createCipheriv } from 'node:crypto';

/** The next `bytes` bytes of the stream. */
export type Keystream = (bytes: number) => Uint8Array;

let zeros = new Uint8Array(0);

export function openKeystream(key: Uint8Array, iv: Uint8Array): Keystream {
  const cipher = createCipheriv('aes-256-ctr', key, iv);
  return (bytes) => {
    if (zeros.length < bytes) zeros = new Uint8Array(bytes);
    return cipher.update(zeros.subarray(0, bytes));
  };
}
