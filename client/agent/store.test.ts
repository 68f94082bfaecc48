import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { utf8 } from '../../crypto/bytes.ts';
import { randomBytes } from '../../crypto/random.ts';
import { openOrCreateVault, type Vault } from '../vault/vault.ts';
import {
  type ClientState,
  emptyState,
  MemoryClientStore,
  openVaultStore,
  type SealedUpload,
} from './store.ts';

const upload: SealedUpload = {
  planHash: 'a'.repeat(64),
  round: 3,
  kind: 'training',
  modelHash: 'b'.repeat(64),
  configHash: 'c'.repeat(64),
  committeeKeyId: 'd'.repeat(64),
  digest: 'e'.repeat(64),
  signature: 'f'.repeat(128),
  certificate: '00',
  bodyBytes: 10,
  holderBytes: 10,
  progress: 'sealed',
};
const state: ClientState = {
  version: 1,
  finishedRounds: { [upload.planHash]: 3 },
  turns: { [upload.planHash]: { training: 1, evaluation: 0 } },
  budget: { person: { order: 'zcdp', spent: 0.25, reservations: { x: 2 ** -40 } } },
  undecided: [upload],
  log: {
    seen: { ['9'.repeat(64)]: { note: 'note' } },
    alarms: { ['8'.repeat(64)]: { reason: 'two histories', notes: ['one', 'other'] } },
    unwitnessed: [{ planHash: upload.planHash, round: 3, leafHash: 'a'.repeat(64) }],
  },
  accounts: {
    charged: { ['7'.repeat(64)]: { order: 'zcdp', amount: 0.25 } },
    alarms: [{ planHash: upload.planHash, round: 2, reason: 'charged twice' }],
  },
  withdrawals: [{ scope: `plan:${upload.planHash}`, timeMs: 5 }],
  consents: [{ consent: '{}', signature: 'b'.repeat(128) }],
};

let directory: string;
let key: Uint8Array;
const openVault = (): Promise<Vault> => openOrCreateVault(directory, 'intl', { key });
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'pulsefold-client-'));
  key = randomBytes(32);
});
afterEach(() => rm(directory, { recursive: true, force: true }));

describe.each(['vault', 'memory'] as const)('a client store (%s)', (kind) => {
  const open = async () => (kind === 'memory' ? new MemoryClientStore() : openVaultStore(await openVault()));

  it('starts empty and gives back what it was given', async () => {
    const store = await open();
    expect(await store.loadState()).toEqual(emptyState());
    await store.saveState(state);
    expect(await store.loadState()).toEqual(state);
    const bytes = randomBytes(100);
    await store.putUpload('x-1', bytes);
    expect(await store.getUpload('x-1')).toEqual(bytes);
    await store.removeUpload('x-1');
    await expect(store.getUpload('x-1')).rejects.toMatchObject({ code: 'NOT_FOUND' });
    await store.putReceipt('x-1', { receipt: utf8('{}'), signature: randomBytes(64) });
    await store.close();
  });

  it('takes a whole state or none', async () => {
    const store = await open();
    await expect(store.saveState({ ...state, undecided: [{ ...upload, digest: 'x' }] })).rejects.toThrow();
    expect(await store.loadState()).toEqual(emptyState());
    await store.close();
  });
});

describe('a client directory', () => {
  it('survives a restart, sealed', async () => {
    const first = await openVaultStore(await openVault());
    await first.saveState(state);
    await first.close();
    for (const file of await readdir(directory)) {
      const bytes = await readFile(join(directory, file));
      expect(bytes.includes('finishedRounds') || bytes.includes(upload.digest)).toBe(false);
    }
    const second = await openVaultStore(await openVault());
    expect(await second.loadState()).toEqual(state);
    await second.close();
  });

  it('refuses a state that was changed instead of starting with a fresh budget', async () => {
    const store = await openVaultStore(await openVault());
    await store.saveState(state);
    const path = join(directory, 'agent-state.sealed');
    const bytes = await readFile(path);
    bytes[bytes.length - 1]! ^= 1;
    await writeFile(path, bytes);
    await expect(store.loadState()).rejects.toMatchObject({ code: 'FILE_SEALED' });
    await writeFile(path, '');
    await expect(store.loadState()).rejects.toMatchObject({ code: 'FILE_SEALED' });
    await store.close();
  });

  it('serves one agent at a time, and the next after it is closed or killed', async () => {
    const vault = await openVault();
    const store = await openVaultStore(vault);
    await expect(openVaultStore(vault)).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
    await store.close();
    await (await openVaultStore(vault)).close();
    // A living process, as another agent would be: this test's parent.
    const start = (await readFile(`/proc/${process.ppid}/stat`, 'utf8').catch(() => ''))
      .split(') ')
      .at(-1)
      ?.split(' ')[19];
    if (start) {
      await writeFile(join(directory, 'agent.lock'), `${process.ppid} ${start}`);
      await expect(openVaultStore(vault)).rejects.toMatchObject({ code: 'CONFIG_INVALID' });
      // The same number, but another process: it was killed and the number given out again.
      await writeFile(join(directory, 'agent.lock'), `${process.ppid} 1`);
      await (await openVaultStore(vault)).close();
    }
    await writeFile(join(directory, 'agent.lock'), 'garbage');
    await (await openVaultStore(vault)).close();
  });
});
