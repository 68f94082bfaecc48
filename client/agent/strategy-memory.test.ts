/**
 * Goal: what a strategy keeps survives restarts and crashes, counts once per round, and follows what became of the
 * round's update; damaged entries are refused.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { utf8 } from '../../crypto/bytes.ts';
import { encodeReceipt, type ReceiptOutcome } from '../../protos/receipt.ts';
import { createVault, openVault } from '../vault/vault.ts';
import { MemoryClientStore, openVaultStore, type SealedUpload } from './store.ts';
import { type MemoryRound, RoundMemory } from './strategy-memory.ts';

const planHash = 'ab'.repeat(32);
const values = (...numbers: number[]) => Float32Array.from(numbers);
const receiptOf = (round: number, outcome: ReceiptOutcome) => ({
  receipt: encodeReceipt({
    version: 1,
    planHash,
    round,
    deviceId: '0'.repeat(32),
    digest: '1'.repeat(64),
    outcome,
    pseudonym: '2'.repeat(64),
    ...(outcome === 'aborted' ? { abort: { reason: 'test', signatures: [] } } : {}),
  }),
  signature: new Uint8Array(64),
});
const undecided = (round: number, progress: SealedUpload['progress']) =>
  ({ undecided: [{ planHash, round, progress } as SealedUpload] }) as MemoryRound['state'];

const memoryAt = (store: MemoryClientStore, round: number, state: MemoryRound['state'] = { undecided: [] }) =>
  new RoundMemory({ store, state, planHash, round });

/** One round that keeps these values under both keys. */
async function keep(store: MemoryClientStore, round: number, ...numbers: number[]): Promise<void> {
  const memory = memoryAt(store, round);
  await memory.save('control', values(...numbers));
  await memory.save('personal', values(...numbers));
  await memory.flush();
}

describe('a strategy’s memory', () => {
  it('is empty at first, and holds what was flushed from the next round on', async () => {
    const store = new MemoryClientStore();
    expect(await memoryAt(store, 1).load('control')).toBeNull();
    const memory = memoryAt(store, 1);
    await memory.save('control', values(1, 2));
    expect(await memory.load('control')).toBeNull();
    await memory.flush();
    // Of the same round: an attempt that crashed before its update was named in the state starts from the values before.
    expect(await memoryAt(store, 1).load('control')).toBeNull();
    expect(await memoryAt(store, 2).load('control')).toEqual(values(1, 2));
    expect(await memoryAt(store, 2).load('personal')).toBeNull();
  });

  it('a repeated round replaces what its first attempt kept', async () => {
    const store = new MemoryClientStore();
    await keep(store, 1, 1, 1);
    await keep(store, 4, 5, 5);
    await keep(store, 4, 6, 7);
    expect(await memoryAt(store, 4).load('control')).toEqual(values(1, 1));
    expect(await memoryAt(store, 5).load('control')).toEqual(values(6, 7));
  });

  it.each<[string, MemoryRound['state'], ReceiptOutcome | undefined, boolean]>([
    ['too late', { undecided: [] }, 'late', false],
    ['rejected', { undecided: [] }, 'rejected', false],
    ['aborted', { undecided: [] }, 'aborted', false],
    ['no receipt', { undecided: [] }, undefined, true],
    ['on its way', undecided(2, 'acknowledged'), undefined, true],
    ['late', undecided(2, 'late'), undefined, false],
    ['refused', undecided(2, 'refused'), undefined, false],
    ['another round late', undecided(1, 'late'), undefined, true],
  ])(
    'an update that was %s: c_i counts it or goes back, a personal model stays',
    async (_, state, outcome, counts) => {
      const store = new MemoryClientStore();
      await keep(store, 1, 1, 2);
      await keep(store, 2, 3, 4);
      if (outcome) await store.putReceipt(`${planHash}-2`, receiptOf(2, outcome));
      const memory = memoryAt(store, 3, state);
      expect(await memory.load('control')).toEqual(counts ? values(3, 4) : values(1, 2));
      expect(await memory.load('personal')).toEqual(values(3, 4));
      // What comes next goes on from there.
      await memory.save('control', values(9, 9));
      await memory.flush();
      expect(await memoryAt(store, 3).load('control')).toEqual(counts ? values(3, 4) : values(1, 2));
    },
  );

  it('refuses damaged entries', async () => {
    const store = new MemoryClientStore();
    await keep(store, 1, 1, 2, 3);
    const whole = (await store.getMemory(`${planHash}-control`))!;
    for (const bytes of [
      whole.subarray(1),
      whole.subarray(0, 8),
      new Uint8Array(0),
      utf8('not an entry at all'),
    ]) {
      await store.putMemory(`${planHash}-control`, bytes);
      await expect(memoryAt(store, 2).load('control')).rejects.toThrow(
        expect.objectContaining({ code: 'FILE_SEALED' }),
      );
    }
  });
});

describe('in a vault', () => {
  const directories: string[] = [];
  afterEach(() => {
    for (const directory of directories.splice(0)) rmSync(directory, { recursive: true });
  });

  it('it and the receipts it reads survive a restart', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'pulsefold-memory-'));
    directories.push(directory);
    const secret = { passphrase: 'a passphrase for a test' };
    const scrypt = { costLog2: 14, blockSize: 8, parallelism: 1 };
    const vault = await createVault(directory, 'intl', secret, scrypt);
    const store = await openVaultStore(vault);
    const first = new RoundMemory({ store, state: { undecided: [] }, planHash, round: 1 });
    await first.save('control', values(0.5, -0));
    await first.flush();
    expect(await store.getReceipt(`${planHash}-1`)).toBeUndefined();
    const receipt = receiptOf(1, 'aborted');
    await store.putReceipt(`${planHash}-1`, receipt);
    await store.close();
    const reopened = await openVaultStore(await openVault(directory, 'intl', secret));
    expect(await reopened.getReceipt(`${planHash}-1`)).toEqual(receipt);
    const of = { store: reopened, state: { undecided: [] }, planHash };
    expect(await new RoundMemory({ ...of, round: 2 }).load('control')).toBeNull();
    expect(await new RoundMemory({ ...of, round: 2 }).load('personal')).toBeNull();
    await reopened.close();
  });
});
