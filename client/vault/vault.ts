/**
 * A client's secrets at rest: its identity bundle and anything else small that must not lie open on a phone.
 *
 * For: client/agent, cli. Trusts: the passphrase (or the 32-byte key of the phone's key store). A directory of sealed
 * files: `vault.key` holds a random data key under the passphrase, each entry is a file under that data key and bound
 * to its name. Writing an entry is atomic and costs no scrypt. What it does not stop: whoever controls the disk can
 * delete an entry or put back an older one; what must never go back (budget, uploads) is also checked by the agent.
 */
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { transcript } from '../../crypto/bytes.ts';
import { ensure, isPulsefoldError } from '../../crypto/error.ts';
import {
  openSealedFile,
  type ScryptParameters,
  type SealingSecret,
  sealFile,
} from '../../crypto/identity/sealed-file.ts';
import { getSuite, type SuiteName } from '../../crypto/identity/suite.ts';
import { randomBytes } from '../../crypto/random.ts';
import { syncDirectory, writeFileAtomic } from '../../protos/transport/atomic-file.ts';
import { decodeBundle, encodeBundle, type IdentityBundle } from '../../protos/transport/identity-bundle.ts';
import { readSealed } from '../../protos/transport/identity-store.ts';

const KEY_FILE = 'vault.key';
const SUFFIX = '.sealed';
const IDENTITY = 'identity';
const ENTRY_BYTES_MAX = 128 * 1024 * 1024;
const isEntryName = (name: string): boolean => /^[a-z0-9][a-z0-9-]{0,99}$/.test(name);

/** Names are lower-case words with hyphens, at most 100 characters. */
export interface Vault {
  readonly dir: string;
  readonly suite: SuiteName;
  /** Durable when it resolves. Throws FIELD_OUT_OF_RANGE for a bad name or more than 128 MiB. */
  put(name: string, bytes: Uint8Array): Promise<void>;
  /** Throws NOT_FOUND, or FILE_SEALED when the file was altered or swapped. */
  get(name: string): Promise<Uint8Array>;
  has(name: string): Promise<boolean>;
  delete(name: string): Promise<void>;
  list(): Promise<string[]>;
  /** 32 bytes for sealing other files of this client; the same for the same name as long as the vault exists. */
  deriveKey(name: string): Uint8Array;
  saveIdentity(bundle: IdentityBundle): Promise<void>;
  /** Throws NOT_FOUND when the client has not enrolled. */
  loadIdentity(): Promise<IdentityBundle>;
  /** Forgets the data key; the vault cannot be used afterwards. */
  close(): void;
}

class DirectoryVault implements Vault {
  readonly dir: string;
  readonly suite: SuiteName;
  #key: Uint8Array | undefined;

  constructor(dir: string, suite: SuiteName, key: Uint8Array) {
    this.dir = dir;
    this.suite = suite;
    this.#key = key;
  }

  #secret(): SealingSecret {
    ensure(this.#key, 'FILE_SEALED', 'the vault is closed: open it again');
    return { key: this.#key };
  }

  #path(name: string): string {
    ensure(
      isEntryName(name),
      'FIELD_OUT_OF_RANGE',
      'a vault entry is named by lower-case words with hyphens',
    );
    return join(this.dir, name + SUFFIX);
  }

  async put(name: string, bytes: Uint8Array): Promise<void> {
    const path = this.#path(name);
    ensure(bytes.length <= ENTRY_BYTES_MAX, 'FIELD_OUT_OF_RANGE', 'a vault entry has at most 128 MiB');
    await writeFileAtomic(path, sealFile(this.suite, bytes, this.#secret(), `vault/${name}`));
  }

  async get(name: string): Promise<Uint8Array> {
    return openSealedFile(await readSealed(this.#path(name)), this.#secret(), `vault/${name}`);
  }

  async has(name: string): Promise<boolean> {
    const path = this.#path(name);
    return (await readdir(this.dir)).some((file) => join(this.dir, file) === path);
  }

  async delete(name: string): Promise<void> {
    await rm(this.#path(name), { force: true });
    await syncDirectory(this.dir);
  }

  async list(): Promise<string[]> {
    const files = (await readdir(this.dir)).filter((file) => file.endsWith(SUFFIX));
    return files.map((file) => file.slice(0, -SUFFIX.length)).sort();
  }

  deriveKey(name: string): Uint8Array {
    ensure(this.#key, 'FILE_SEALED', 'the vault is closed: open it again');
    return getSuite(this.suite).mac(this.#key, transcript('vault-derived-key', name));
  }

  async saveIdentity(bundle: IdentityBundle): Promise<void> {
    const plaintext = encodeBundle(bundle);
    await this.put(IDENTITY, plaintext);
    plaintext.fill(0);
  }

  async loadIdentity(): Promise<IdentityBundle> {
    return decodeBundle(await this.get(IDENTITY));
  }

  close(): void {
    this.#key?.fill(0);
    this.#key = undefined;
  }
}

const keyLabel = (suite: SuiteName): string => `vault-key/${suite}`;

/** Makes an empty vault. Throws CONFIG_INVALID when `dir` holds one already or the passphrase is too short. */
export async function createVault(
  dir: string,
  suite: SuiteName,
  secret: SealingSecret,
  parameters?: ScryptParameters,
): Promise<Vault> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const existing = (await readdir(dir)).includes(KEY_FILE);
  ensure(!existing, 'CONFIG_INVALID', `${dir} already holds a vault`);
  const key = randomBytes(32);
  const sealed = sealFile(suite, key, secret, keyLabel(suite), parameters ? { parameters } : {});
  await writeFileAtomic(join(dir, KEY_FILE), sealed);
  return new DirectoryVault(dir, suite, key);
}

/** Opens a vault. Throws NOT_FOUND when there is none, FILE_SEALED for a wrong passphrase or another suite. */
export async function openVault(dir: string, suite: SuiteName, secret: SealingSecret): Promise<Vault> {
  const key = openSealedFile(await readSealed(join(dir, KEY_FILE)), secret, keyLabel(suite));
  ensure(key.length === 32, 'FILE_SEALED', 'the vault key has the wrong length');
  return new DirectoryVault(dir, suite, key);
}

/** The vault in `dir`, made on first use. */
export async function openOrCreateVault(
  dir: string,
  suite: SuiteName,
  secret: SealingSecret,
  parameters?: ScryptParameters,
): Promise<Vault> {
  try {
    return await openVault(dir, suite, secret);
  } catch (error) {
    if (!isPulsefoldError(error) || error.code !== 'NOT_FOUND') throw error;
    return await createVault(dir, suite, secret, parameters);
  }
}
