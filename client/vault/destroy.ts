/**
 * Destroys a vault: first the key that everything in it is sealed under, then the files.
 *
 * For: client/agent/rights.ts (`client erase`). Trusts: the caller, who asked the person. What it cannot reach: copies
 * that a file system or a flash controller keeps, and backups; without the key they stay sealed, as far as the passphrase
 * or key file is not kept beside them.
 */
import { open, readdir, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import { randomBytes } from '../../crypto/random.ts';
import { syncDirectory } from '../../protos/transport/atomic-file.ts';

const CHUNK_BYTES = 1 << 16;

/** Overwrites a file with random bytes, durably, and removes it; one that is not there is fine. */
export async function shredFile(path: string): Promise<boolean> {
  try {
    const file = await open(path, 'r+');
    try {
      const { size } = await file.stat();
      for (let at = 0; at < size; at += CHUNK_BYTES)
        await file.write(randomBytes(Math.min(CHUNK_BYTES, size - at)), 0, undefined, at);
      await file.sync();
    } finally {
      await file.close();
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
  await rm(path);
  return true;
}

/** Of a closed vault. Leaves files that are none of its own, and then the directory. */
export async function destroyVault(dir: string): Promise<void> {
  await shredFile(join(dir, 'vault.key'));
  await syncDirectory(dir);
  for (const name of await readdir(dir))
    if (/\.(sealed|tmp|lock)$/.test(name) || name === 'lock') await rm(join(dir, name), { force: true });
  await syncDirectory(dir);
  await rmdir(dir).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOTEMPTY' && error.code !== 'EBUSY') throw error;
  });
}
