import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, describe, expect, it } from 'vitest';
import { openMemoryStore, openStore, SqliteStore } from './sqlite-store.ts';
import { describeStore } from './store.contract.ts';

const directory = mkdtempSync(join(tmpdir(), 'pulsefold-store-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));
let files = 0;
const freshPath = (): string => join(directory, `${++files}.sqlite`);

describeStore('sqlite file', () => openStore(freshPath()));
describeStore('sqlite memory', () => openMemoryStore());

describe('SqliteStore on a file', () => {
  it('is WAL with synchronous FULL, owner-only, and keeps its rows over a reopen', () => {
    const path = freshPath();
    const store = openStore(path);
    const pragmas = store.read('test.pragmas', (database) => [
      Object.values(database.get('PRAGMA journal_mode')!)[0],
      Object.values(database.get('PRAGMA synchronous')!)[0],
      Object.values(database.get('PRAGMA foreign_keys')!)[0],
    ]);
    expect(pragmas).toEqual(['wal', 2, 1]);
    store.migrate('test', ['CREATE TABLE items (value TEXT) STRICT']);
    store.transaction('test.insert', (database) => database.run("INSERT INTO items VALUES ('kept')"));
    expect(statSync(path).mode & 0o077).toBe(0);
    expect(statSync(`${path}-wal`).mode & 0o077).toBe(0);
    store.close();
    const again = openStore(path);
    again.migrate('test', ['CREATE TABLE items (value TEXT) STRICT']);
    expect(again.read('test.read', (database) => database.all('SELECT * FROM items'))).toHaveLength(1);
    again.close();
  });

  it('waits for another writer, then gives UNAVAILABLE, also to queued writes; later it works', async () => {
    const path = freshPath();
    const store = new SqliteStore({ path, busyTimeoutMs: 5 });
    store.migrate('test', ['CREATE TABLE items (value TEXT) STRICT']);
    const other = new DatabaseSync(path);
    other.exec('BEGIN IMMEDIATE');
    const insert = () =>
      store.transaction('test.insert', (database) => database.run("INSERT INTO items VALUES ('x')"));
    const unavailable = expect.objectContaining({ code: 'UNAVAILABLE' });
    expect(insert).toThrow(unavailable);
    await expect(store.enqueue('test.queued', () => 1)).rejects.toThrow(unavailable);
    expect(store.metrics().byName.get('test.insert')).toMatchObject({ retried: 2, failed: 1 });
    other.exec('COMMIT');
    other.close();
    expect(insert().changes).toBe(1);
    store.close();
  });

  it('refuses a file that is no database', () => {
    const path = freshPath();
    writeFileSync(path, 'not a database, but long enough to be read as a header'.repeat(40));
    expect(() => openStore(path)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }));
  });
});
