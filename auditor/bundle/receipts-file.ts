/**
 * Receipts that a person or hospital hands to `audit prove`: JSON, `{"receipts": [{"receipt": TEXT, "signature": HEX}]}`
 * or one such object a line. `receipt` is the text that the coordinator signed (protos/receipt.ts), unchanged.
 *
 * Trusts: nothing. May be called by: cli/, auditor/bundle/.
 */
import { z } from 'zod';
import { fromHex, fromUtf8, utf8 } from '../../crypto/bytes.ts';
import { ensure, PulsefoldError } from '../../crypto/error.ts';
import { RECEIPT_BYTES_MAX } from '../../protos/receipt.ts';

export const RECEIPTS_BYTES_MAX = 256 * 1024 * 1024;
export const RECEIPTS_MAX = 100_000;

/** A receipt as it was signed. */
export interface SignedReceipt {
  readonly receipt: Uint8Array;
  readonly signature: Uint8Array;
}

const entrySchema = z.object({
  receipt: z.string().min(2).max(RECEIPT_BYTES_MAX),
  signature: z.string().regex(/^[0-9a-f]{128}$/, 'expected 64 bytes as lower-case hexadecimal'),
});
const fileSchema = z.object({ receipts: z.array(entrySchema).max(RECEIPTS_MAX) });

function parseJson(text: string, where: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new PulsefoldError('DATA_INVALID', `${where} is not JSON`, { cause });
  }
}

/** Throws DATA_INVALID naming the place, DATA_EMPTY. */
export function parseReceiptsFile(bytes: Uint8Array): SignedReceipt[] {
  ensure(bytes.length <= RECEIPTS_BYTES_MAX, 'DATA_INVALID', 'the receipts file is too long');
  const text = fromUtf8(bytes).trim();
  const lines = text.split('\n').filter((line) => line.trim() !== '');
  const perLine = lines.length > 1 && lines[0]!.trimEnd().endsWith('}');
  const value = perLine
    ? { receipts: lines.map((line, i) => parseJson(line, `line ${i + 1} of the receipts file`)) }
    : parseJson(text, 'the receipts file');
  const single = entrySchema.safeParse(value);
  const result = single.success
    ? { success: true as const, data: { receipts: [single.data] } }
    : fileSchema.safeParse(value);
  if (!result.success) {
    const issue = result.error.issues[0];
    throw new PulsefoldError('DATA_INVALID', `receipts file: ${issue?.path.join('.')}: ${issue?.message}`);
  }
  ensure(result.data.receipts.length > 0, 'DATA_EMPTY', 'the receipts file holds no receipt');
  return result.data.receipts.map(({ receipt, signature }) => ({
    receipt: utf8(receipt),
    signature: fromHex(signature),
  }));
}
