import { describe, expect, it } from 'vitest';
import { PulsefoldError } from '../../crypto/error.ts';
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

describe('early acceptance of many uploads', () => {
  const at = { planHex: 'a'.repeat(64), round: 1 };
  const ids = Array.from({ length: 450 }, (_, i) => `d${String(i).padStart(3, '0')}`);

  function world() {
    const store = openMemoryStore();
    store.migrate('rounds', repository.ROUNDS_MIGRATIONS);
    const made: number[] = [];
    let fails = false;
    const round = {
      services: {
        store: {
          read: store.read.bind(store),
          enqueue: async (...write: Parameters<typeof store.enqueue>) => {
            if (fails) throw new PulsefoldError('UNAVAILABLE', 'away');
            return store.enqueue(...write);
          },
        },
        clock: { nowMs: () => 0 },
        logger: { info: () => {} },
      },
      parsed: { hash: new Uint8Array(32) },
      at,
      isStopped: false,
      state: { terms: { quorum: 2 }, uploaded: [], phase: 'collecting' },
      entries: (devices: readonly string[]) => {
        made.push(devices.length);
        return devices.map((deviceId) => ({ deviceId }));
      },
    } as unknown as RoundView;
    const asked: number[] = [];
    const holderOf = (holderId: string, refuses: (device: string) => boolean = () => false) =>
      ({
        holderId,
        accept: async (_plan: unknown, _round: number, entries: readonly { deviceId: string }[]) => {
          asked.push(entries.length);
          const accepted = entries.map(({ deviceId }) => deviceId).filter((id) => !refuses(id));
          return { accepted, rejected: [] };
        },
      }) as unknown as HolderPort;
    const rows = () =>
      store.read('test', (db) => db.get<{ n: number }>('SELECT COUNT(*) AS n FROM verdict_lists')!.n);
    const setFailing = (value: boolean) => {
      fails = value;
    };
    return { store, round, made, asked, holderOf, rows, setFailing };
  }

  it('asks by the batch, makes entries once for all holders, and counts what is durable', async () => {
    const { store, round, made, asked, holderOf, rows } = world();
    const folded: string[] = [];
    const holders = [holderOf('h1'), holderOf('h2'), holderOf('h3', (id) => id === ids[7])];
    const acceptances = new Acceptances(round, holders, (device) => folded.push(device));
    acceptances.offer(ids.slice(0, 300));
    acceptances.offer(ids.slice(200));
    expect(folded).toEqual([]);
    for (const id of ['h1', 'h2']) expect(await acceptances.complete(id, ids)).toBe(ids);
    expect(await acceptances.complete('h3', ids)).toEqual(ids.filter((id) => id !== ids[7]));
    expect([...folded].sort()).toEqual(ids);
    expect(acceptances.hasAccepted('h3', ids[7]!)).toBe(false);
    // Two full batches ahead of the freeze, and the rest at it, for each of three holders.
    expect(asked.reduce((sum, count) => sum + count)).toBe(3 * ids.length);
    expect(Math.max(...asked)).toBe(200);
    expect(made.length).toBeLessThan(asked.length);
    expect(rows()).toBeLessThan(12);
    const again = new Acceptances(round, holders, () => {});
    expect(await again.complete('h1', ids)).toBe(ids);
    expect(asked.reduce((sum, count) => sum + count)).toBe(3 * ids.length);
    store.close();
  });

  it('what could not be written does not count; it is asked about once more', async () => {
    const { store, round, holderOf, setFailing } = world();
    const folded: string[] = [];
    const acceptances = new Acceptances(round, [holderOf('h1'), holderOf('h2')], (id) => folded.push(id));
    setFailing(true);
    acceptances.offer(ids);
    await expect(acceptances.complete('h1', ids)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(folded).toEqual([]);
    expect(acceptances.hasAccepted('h1', ids[0]!)).toBe(false);
    setFailing(false);
    for (const id of ['h1', 'h2']) expect(await acceptances.complete(id, ids)).toBe(ids);
    expect([...folded].sort()).toEqual(ids);
    store.close();
  });
});
