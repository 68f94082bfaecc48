/** Goal: the one receipt that says what was erased outlives a second attempt, whose receipt says nothing of it. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { fromUtf8 } from '../../crypto/bytes.ts';
import { type ErasureReceipt, erasureReceiptRecord } from '../../protos/erasure.ts';
import { keepReceipts, type Told } from './erasure-file.ts';

const directory = mkdtempSync(join(tmpdir(), 'pulsefold-erasure-file-'));
afterAll(() => rmSync(directory, { recursive: true }));

const told = (changes: Partial<ErasureReceipt> = {}): Told => {
  const content: ErasureReceipt = {
    version: 1,
    kind: 'erasure',
    planHash: 'a'.repeat(64),
    deviceId: 'b'.repeat(32),
    timeMs: 1,
    erasedMs: 2,
    commitment: 'c'.repeat(64),
    erased: [{ what: 'consents', count: 2 }],
    standing: [],
    kept: [],
    ...changes,
  };
  const text = fromUtf8(erasureReceiptRecord.encode(content));
  return { coordinator: { content, text, signature: 'd'.repeat(128) }, registrar: null, serial: '1' };
};
const again = { repeated: true as const, erased: [] };

describe('the file of receipts', () => {
  it.each<[string, Told, Told, boolean]>([
    ['of the same device, keeps the first', told(), told(again), true],
    ['of another device, is replaced', told({ deviceId: 'e'.repeat(32) }), told(again), false],
    ['in full, is replaced', told(), told({ timeMs: 5 }), false],
    ['twice repeated, is replaced', told(again), told({ ...again, timeMs: 5 }), false],
  ])('%s', async (name, first, second, kept) => {
    const file = join(directory, name);
    await keepReceipts(file, first);
    await keepReceipts(file, second);
    const { coordinator } = JSON.parse(readFileSync(file, 'utf8'));
    expect(coordinator.receipt).toBe((kept ? first : second).coordinator!.text);
  });

  it('that cannot be read is written anew', async () => {
    const file = join(directory, 'new');
    await keepReceipts(file, told(again));
    expect(readFileSync(file, 'utf8')).toContain('pulsefold-erasure-receipts');
  });
});
