import { expect, it } from 'vitest';
import { openMemoryStore } from '../storage/sqlite-store.ts';
import { Acceptances } from './acceptance.ts';
import type { HolderPort } from './holder-port.ts';
import * as repository from './repository.ts';
import type { RoundView } from './round-view.ts';

it('a holder that goes on rejecting adds nothing to the store; one that changes its mind does, once', async () => {
  const store = openMemoryStore();
  store.migrate('rounds', repository.ROUNDS_MIGRATIONS);
  const at = { planHex: 'a'.repeat(64), round: 1 };
  const round = {
    services: { store, clock: { nowMs: () => 0 }, logger: { info: () => {} } },
    parsed: { hash: new Uint8Array(32) },
    at,
    isStopped: false,
    state: { terms: { quorum: 1 }, uploaded: [], phase: 'certifying' },
    entries: (devices: readonly string[]) => devices.map((deviceId) => ({ deviceId })),
  } as unknown as RoundView;
  let agrees = false;
  const holder = {
    holderId: 'h1',
    accept: async (_plan: unknown, _round: number, entries: readonly { deviceId: string }[]) => ({
      accepted: agrees ? entries.map(({ deviceId }) => deviceId) : [],
      rejected: [],
    }),
  } as unknown as HolderPort;
  const rows = () =>
    store.read('test', (db) => db.get<{ n: number }>('SELECT COUNT(*) AS n FROM verdict_lists')!.n);
  const folded: string[] = [];
  const acceptances = new Acceptances(round, [holder], (device) => folded.push(device));
  const insist = () => acceptances.insist('h1', ['d1', 'd2']);
  for (let time = 0; time < 5; time++)
    await expect(insist()).rejects.toMatchObject({ code: 'QUORUM_NOT_REACHED' });
  expect(rows()).toBe(1);
  agrees = true;
  await insist();
  await insist();
  expect(rows()).toBe(2);
  expect(folded).toEqual(['d1', 'd2']);
  const again = new Acceptances(round, [holder], () => {});
  expect(again.hasAccepted('h1', 'd1')).toBe(true);
  store.close();
});
