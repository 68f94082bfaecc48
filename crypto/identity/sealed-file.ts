/**
 * The format of every file that holds a secret: vaults, share files, the CA key. Pure: bytes in, bytes out.
 *
 * For: client/vault, protos/transport/identity-store, registrar, keyholder. Trusts: the passphrase or key of the
 * caller; file bytes are hostile. A file opens only under the label it was sealed for, so one file cannot stand in
 * for another.
 *
 *   "PFSEAL" ‖ version 1 ‖ suite (1 intl, 2 gm) ‖ kdf (0 key, 1 scrypt) ‖ log2 N ‖ r ‖ p ‖ salt[16] ‖ AEAD body
 *
 * The whole header and the label are associated data. Key: scrypt (RFC 7914) of the passphrase, or an HMAC of the
 * salt under the caller's 32-byte key.
 */
import { scryptSync } from 'node:crypto';
import { concat, equalBytes, transcript, utf8 } from '../bytes.ts';
import { ensure, isPulsefoldError, PulsefoldError } from '../error.ts';
import { type RandomSource, randomBytes, systemRandom } from '../random.ts';
import { getSuite, type SuiteName } from './suite.ts';

/** Work of scrypt: N = 2^costLog2, memory 128·N·r bytes. */
export interface ScryptParameters {
  readonly costLog2: number;
  readonly blockSize: number;
  readonly parallelism: number;
}
/** 32 MiB and about 0.1 s. */
export const defaultScryptParameters: ScryptParameters = { costLog2: 15, blockSize: 8, parallelism: 1 };

/** What opens a file: a passphrase of at least 8 characters, or 32 random bytes. */
export type SealingSecret = { readonly passphrase: string } | { readonly key: Uint8Array };

const MAGIC = utf8('PFSEAL');
const VERSION = 1;
const SALT_BYTES = 16;
const HEADER_BYTES = MAGIC.length + 6 + SALT_BYTES;
const FILE_BYTES_MAX = 256 * 1024 * 1024;
// Files are hostile: a header may not make the reader spend more than this.
const MEMORY_BYTES_MAX = 256 * 1024 * 1024;
const suiteCodes: Readonly<Record<SuiteName, number>> = { intl: 1, gm: 2 };

const sealedError = (message: string, cause?: unknown): PulsefoldError =>
  new PulsefoldError('FILE_SEALED', message, { cause });

const inBounds = ({ costLog2, blockSize, parallelism }: ScryptParameters): boolean =>
  [costLog2, blockSize, parallelism].every(Number.isInteger) &&
  costLog2 >= 14 &&
  costLog2 <= 20 &&
  blockSize >= 8 &&
  blockSize <= 32 &&
  parallelism >= 1 &&
  parallelism <= 16 &&
  128 * 2 ** costLog2 * blockSize <= MEMORY_BYTES_MAX;

function fileKey(
  suiteName: SuiteName,
  secret: SealingSecret,
  salt: Uint8Array,
  parameters: ScryptParameters,
): Uint8Array {
  if ('key' in secret) {
    ensure(secret.key.length === 32, 'CONFIG_INVALID', 'a sealing key has 32 bytes');
    return getSuite(suiteName).mac(secret.key, utf8('pulsefold/v1/sealed-file'), salt);
  }
  ensure(secret.passphrase.length >= 8, 'CONFIG_INVALID', 'a passphrase has at least 8 characters');
  const { costLog2, blockSize, parallelism } = parameters;
  const key = scryptSync(utf8(secret.passphrase.normalize('NFKC')), salt, 32, {
    N: 2 ** costLog2,
    r: blockSize,
    p: parallelism,
    maxmem: 2 * MEMORY_BYTES_MAX,
  });
  return new Uint8Array(key);
}

/** Seals `plaintext` for `label`. Throws CONFIG_INVALID for a weak secret or scrypt parameters out of bounds. */
export function sealFile(
  suiteName: SuiteName,
  plaintext: Uint8Array,
  secret: SealingSecret,
  label: string,
  options: { readonly parameters?: ScryptParameters; readonly random?: RandomSource } = {},
): Uint8Array {
  const parameters = options.parameters ?? defaultScryptParameters;
  const random = options.random ?? systemRandom;
  ensure(
    inBounds(parameters),
    'CONFIG_INVALID',
    'scrypt: costLog2 14-20, blockSize 8-32, parallelism 1-16, 256 MiB',
  );
  const salt = randomBytes(SALT_BYTES, random);
  const withKey = 'key' in secret;
  const work = withKey
    ? [0, 0, 0, 0]
    : [1, parameters.costLog2, parameters.blockSize, parameters.parallelism];
  const header = concat(MAGIC, Uint8Array.of(VERSION, suiteCodes[suiteName], ...work), salt);
  const key = fileKey(suiteName, secret, salt, parameters);
  const body = getSuite(suiteName).encrypt(key, plaintext, transcript('sealed-file', header, label), random);
  key.fill(0);
  return concat(header, body);
}

interface Header {
  readonly bytes: Uint8Array;
  readonly suiteName: SuiteName;
  readonly withKey: boolean;
  readonly parameters: ScryptParameters;
  readonly salt: Uint8Array;
}

function parseHeader(file: Uint8Array): Header {
  const bytes = file.subarray(0, HEADER_BYTES);
  const magic = bytes.length === HEADER_BYTES && equalBytes(bytes.subarray(0, MAGIC.length), MAGIC);
  if (!magic || file.length > FILE_BYTES_MAX) throw sealedError('not a sealed Pulsefold file');
  const [version, suiteCode, kdf, costLog2, blockSize, parallelism] = bytes.subarray(MAGIC.length);
  if (version !== VERSION) throw sealedError('sealed file of another version');
  const suiteName = suiteCode === 1 ? 'intl' : suiteCode === 2 ? 'gm' : undefined;
  const parameters = { costLog2: costLog2!, blockSize: blockSize!, parallelism: parallelism! };
  const withKey = kdf === 0 && costLog2 === 0 && blockSize === 0 && parallelism === 0;
  const known = suiteName && (withKey || (kdf === 1 && inBounds(parameters)));
  if (!known) throw sealedError('sealed file with a header out of bounds');
  return { bytes, suiteName, withKey, parameters, salt: bytes.subarray(HEADER_BYTES - SALT_BYTES) };
}

/** Opens what `sealFile` made. Throws FILE_SEALED for a wrong secret, another label or any altered byte. */
export function openSealedFile(file: Uint8Array, secret: SealingSecret, label: string): Uint8Array {
  const header = parseHeader(file);
  if (header.withKey !== 'key' in secret) {
    throw sealedError(header.withKey ? 'this file opens with a key' : 'this file opens with a passphrase');
  }
  const key = fileKey(header.suiteName, secret, header.salt, header.parameters);
  try {
    const associated = transcript('sealed-file', header.bytes, label);
    return getSuite(header.suiteName).decrypt(key, file.subarray(HEADER_BYTES), associated);
  } catch (cause) {
    if (isPulsefoldError(cause) && cause.code !== 'DECRYPTION_FAILED') throw cause;
    throw sealedError('the file does not open: wrong passphrase or key, or the file was altered', cause);
  } finally {
    key.fill(0);
  }
}
