/**
 * The file of `pulsefold client erase --keep-receipt`: what coordinator and registrar have signed about an erasure.
 *
 * It is all that a person has left afterwards. Trusts: the receipts, which were verified (erase.ts). May be called by:
 * client/agent/rights.ts.
 */
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { utf8 } from '../../crypto/bytes.ts';
import { type ErasureReceipt, erasureReceiptRecord } from '../../protos/erasure.ts';
import type { ForgetReceipt } from '../../protos/forget.ts';
import { writeFileAtomic } from '../../protos/transport/atomic-file.ts';
import type { Signed } from './erase.ts';

export interface Told {
  readonly coordinator: Signed<ErasureReceipt> | null;
  readonly registrar: Signed<ForgetReceipt> | null;
  readonly serial: string;
}

interface ReceiptPart {
  readonly receipt: string;
  readonly signature: string;
}

/** Writes the file; what an earlier attempt was told in full stays in it. */
export async function keepReceipts(file: string, { coordinator, registrar }: Told): Promise<void> {
  const part = (signed: Signed<unknown> | null): ReceiptPart | null =>
    signed ? { receipt: signed.text, signature: signed.signature } : null;
  // What was erased is said once: a receipt that repeats it does not replace the first.
  const first = coordinator?.content.repeated ? await keptErasure(file, coordinator.content) : undefined;
  const content = {
    format: 'pulsefold-erasure-receipts',
    version: 1,
    coordinator: first ?? part(coordinator),
    registrar: part(registrar),
  };
  await writeFileAtomic(file, utf8(`${JSON.stringify(content, null, 1)}\n`));
}

/** The coordinator's receipt in a file that an earlier attempt has written; undefined where there is none of this device. */
async function keptErasure(file: string, { deviceId }: ErasureReceipt): Promise<ReceiptPart | undefined> {
  try {
    const { coordinator } = keptFile.parse(JSON.parse(await readFile(file, 'utf8')));
    const { deviceId: of, repeated } = erasureReceiptRecord.parse(utf8(coordinator.receipt));
    return of === deviceId && !repeated ? coordinator : undefined;
  } catch {
    return undefined;
  }
}

const keptFile = z.object({ coordinator: z.object({ receipt: z.string(), signature: z.string() }) });
