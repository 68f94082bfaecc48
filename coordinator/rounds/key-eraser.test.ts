/**
 * Goal: every holder is asked to erase each round that is over, and what a sweep reads does not grow with the rounds that
 * are done with; at a plan's end rounds in any phase are over.
 */
import { expect, it } from 'vitest';
import type { ParsedPlan } from '../../protos/plan.ts';
import { openMemoryStore } from '../storage/sqlite-store.ts';
import type { Database } from '../storage/store.ts';
import { TestClock } from '../testing.ts';
import type { HolderPort } from './holder-port.ts';
import { KeyEraser } from './key-eraser.ts';
import * as repository from './repository.ts';
import type { RoundServices } from './services.ts';

const ROUNDS = 40;
const parsed = {
  hash: new Uint8Array(32),
  hashHex: 'p',
  plan: { holders: [{ id: 'a' }, { id: 'b' }], rounds: { training: ROUNDS, evaluation: 0, spare: 0 } },
} as unknown as ParsedPlan;

function open() {
  const store = openMemoryStore();
  store.migrate('rounds', repository.ROUNDS_MIGRATIONS);
  const counted = { rows: 0 };
  const counting = (db: Database): Database => ({
    ...db,
    all: ((sql, ...parameters) => {
      const rows = db.all(sql, ...parameters);
      counted.rows += rows.length;
      return rows;
    }) as Database['all'],
  });
  const services = {
    store: {
      transaction: <T>(name: string, work: (db: Database) => T) => store.transaction(name, work),
      read: <T>(name: string, work: (db: Database) => T) => store.read(name, (db) => work(counting(db))),
    },
    clock: new TestClock(),
    logger: { info: () => {}, warn: () => {}, error: () => {} },
  } as unknown as RoundServices;
  const asked: string[] = [];
  const holders = ['a', 'b'].map((holderId) => ({
    holderId,
    erase: async (_plan: Uint8Array, round: number) => void asked.push(`${round}${holderId}`),
  })) as unknown as HolderPort[];
  const none = new Uint8Array(0);
  store.transaction('test', (db) => {
    for (let round = 1; round <= ROUNDS; round++)
      repository.putCommitteeKey(db, 'p', {
        round,
        keyId: Uint8Array.of(round),
        publicKey: none,
        signatures: [],
      });
  });
  const put = (round: number, phase: string) =>
    store.transaction('test', (db) => {
      const ids = { config_hash: String(round), model_hash: '', committee_key_id: '' };
      repository.insertRound(db, 'p', { round, phase, state: '{}', config: none, ...ids });
    });
  const eraser = new KeyEraser(services, parsed, () => holders);
  const sweep = async (ended = false): Promise<{ asked: string; rows: number }> => {
    [asked.length, counted.rows] = [0, 0];
    eraser.sweep(ended);
    await new Promise((resolve) => setImmediate(resolve));
    return { asked: asked.join(' '), rows: counted.rows };
  };
  const end = (round: number) =>
    store.transaction('test', (db) => db.run("UPDATE rounds SET phase = 'aborted' WHERE round = ?", round));
  return { put, end, sweep, stop: () => eraser.stop() };
}

it('asks for each ended round once, and reads no more for the last than for the second', async () => {
  const { put, sweep, stop } = open();
  const read: number[] = [];
  for (let round = 1; round <= ROUNDS; round++) {
    put(round, 'released');
    const { asked, rows } = await sweep();
    expect(asked).toBe(`${round}a ${round}b`);
    read.push(rows);
  }
  expect(read.at(-1)).toBe(read[1]);
  expect((await sweep(true)).asked).toBe('');
  stop();
});

it('passes no round by that ends after a later one; at the end of the plan all are asked for', async () => {
  const { put, end, sweep, stop } = open();
  put(1, 'released');
  put(2, 'collecting');
  put(3, 'aborted');
  expect((await sweep()).asked).toBe('1a 1b 3a 3b');
  expect((await sweep()).asked).toBe('');
  end(2);
  expect((await sweep()).asked).toBe('2a 2b');
  put(4, 'opened');
  const rest = (await sweep(true)).asked.split(' ');
  expect(rest).toEqual(Array.from({ length: ROUNDS - 3 }, (_, i) => [`${i + 4}a`, `${i + 4}b`]).flat());
  stop();
});
