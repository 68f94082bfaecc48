/**
 * Receipts that a client keeps in its vault, as they were signed: what a person takes to an auditor.
 *
 * For: cli/ (`audit prove`). Trusts: whoever opened the vault. Needs no lock: entries are replaced atomically, and a
 * receipt never changes once it is there.
 */
import { z } from 'zod';
import { fromHex, fromUtf8, utf8 } from '../../crypto/bytes.ts';
import { PulsefoldError } from '../../crypto/error.ts';
import { RECEIPT_BYTES_MAX } from '../../protos/receipt.ts';
import type { StoredReceipt } from '../agent/store.ts';
import type { Vault } from './vault.ts';

const entrySchema = z.object({
  receipt: z.string().max(RECEIPT_BYTES_MAX),
  signature: z.string().regex(/^[0-9a-f]{128}$/),
});

/** By name, that is by plan and round. Throws FILE_SEALED for an entry that was altered. */
export async function readVaultReceipts(vault: Vault): Promise<StoredReceipt[]> {
  const names = (await vault.list()).filter((name) => /^receipt-[0-9a-f]{64}-[0-9]{1,6}$/.test(name));
  const receipts: StoredReceipt[] = [];
  for (const name of names) {
    let value: unknown;
    try {
      value = JSON.parse(fromUtf8(await vault.get(name)));
    } catch (cause) {
      if (cause instanceof PulsefoldError) throw cause;
      throw new PulsefoldError('FILE_SEALED', `vault entry ${name} is not JSON`, { cause });
    }
    const result = entrySchema.safeParse(value);
    if (!result.success) throw new PulsefoldError('FILE_SEALED', `vault entry ${name} is no receipt`);
    receipts.push({ receipt: utf8(result.data.receipt), signature: fromHex(result.data.signature) });
  }
  return receipts;
}
