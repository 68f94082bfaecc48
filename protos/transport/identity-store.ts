/**
 * A role's identity bundle in a sealed file.
 *
 * For: coordinator, key holders, researchers, auditors (clients use client/vault). Trusts: the passphrase from the
 * operator's environment or file.
 */
import { readFile } from 'node:fs/promises';
import { PulsefoldError } from '../../crypto/error.ts';
import {
  openSealedFile,
  type ScryptParameters,
  type SealingSecret,
  sealFile,
} from '../../crypto/identity/sealed-file.ts';
import { writeFileAtomic } from './atomic-file.ts';
import { decodeBundle, encodeBundle, type IdentityBundle } from './identity-bundle.ts';

const LABEL = 'identity';

export async function saveIdentity(
  path: string,
  bundle: IdentityBundle,
  secret: SealingSecret,
  parameters?: ScryptParameters,
): Promise<void> {
  const plaintext = encodeBundle(bundle);
  await writeFileAtomic(
    path,
    sealFile(bundle.suite, plaintext, secret, LABEL, parameters ? { parameters } : {}),
  );
  plaintext.fill(0);
}

/** Throws NOT_FOUND when there is no file, FILE_SEALED when it does not open. */
export async function loadIdentity(path: string, secret: SealingSecret): Promise<IdentityBundle> {
  return decodeBundle(openSealedFile(await readSealed(path), secret, LABEL));
}

/** Throws NOT_FOUND. */
export async function readSealed(path: string): Promise<Uint8Array> {
  try {
    return new Uint8Array(await readFile(path));
  } catch (cause) {
    throw new PulsefoldError('NOT_FOUND', `cannot read ${path}: enrol first, or check the path`, { cause });
  }
}

/** The passphrase named by a config: an environment variable or a file. Throws CONFIG_INVALID. */
export async function readPassphrase(source: {
  env?: string | undefined;
  file?: string | undefined;
}): Promise<string> {
  if (source.env !== undefined) {
    const value = process.env[source.env];
    if (value) return value;
    throw new PulsefoldError('CONFIG_INVALID', `environment variable ${source.env} must hold the passphrase`);
  }
  if (source.file !== undefined) {
    try {
      return (await readFile(source.file, 'utf8')).trim();
    } catch (cause) {
      throw new PulsefoldError('CONFIG_INVALID', `cannot read the passphrase file ${source.file}`, { cause });
    }
  }
  throw new PulsefoldError('CONFIG_INVALID', 'name a passphrase by passphraseEnv or passphraseFile');
}
