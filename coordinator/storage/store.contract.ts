/**
 * The contract of the `Store` port. Every implementation's test file calls `describeStore` with a way to
 * make one.
 *
 * Trusts: nothing. May be called by: test files only.
 */
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { Database, Store } from './store.ts';

const TABLE = ['CREATE TABLE items (id INTEGER PRIMARY KEY, value TEXT NOT NULL UNIQUE) STRICT'];
const insert = (value: string) => (database: Database) =>
  database.run('INSERT INTO items (value) VALUES (?)', value).lastRowId;
const values = (store: Store): string[] =>
  store.read('test.values', (database) =>
    database.all<{ value: string }>('SELECT value FROM items ORDER BY id').map((row) => row.value),
  );

export function describeStore(name: string, open: () => Store): void {
  describe(`Store contract: ${name}`, () => {
    let store: Store;
    beforeEach(() => {
      store = open();
      store.migrate('test', TABLE);
    });
    afterEach(() => store.close());

    it('commits what returns and undoes what throws', () => {
      expect(store.transaction('test.insert', insert('a'))).toBe(1);
      const failing = (database: Database): void => {
        insert('b')(database);
        throw new Error('no');
      };
      expect(() => store.transaction('test.fail', failing)).toThrow('no');
      expect(values(store)).toEqual(['a']);
    });

    it('binds every SQL type', () => {
      const row = store.read('test.types', (database) =>
        database.get(
          'SELECT ? AS n, ? AS i, ? AS f, ? AS t, ? AS b',
          null,
          7,
          1.5,
          "o'x",
          Uint8Array.of(1, 2),
        ),
      );
      expect({ ...row }).toEqual({ n: null, i: 7, f: 1.5, t: "o'x", b: Uint8Array.of(1, 2) });
      expect(store.read('test.none', (database) => database.get('SELECT 1 WHERE 0'))).toBeUndefined();
    });

    it('a group commit keeps order, and one failing write does not undo its neighbours', async () => {
      const half = (database: Database): void => {
        insert('half')(database);
        insert('a')(database); // violates UNIQUE
      };
      const results = await Promise.allSettled([
        store.enqueue('test.insert', insert('a')),
        store.enqueue('test.half', half),
        store.enqueue('test.throw', () => {
          throw new RangeError('own error');
        }),
        store.enqueue('test.insert', insert('b')),
      ]);
      expect(results.map((result) => result.status)).toEqual([
        'fulfilled',
        'rejected',
        'rejected',
        'fulfilled',
      ]);
      expect((results[2] as PromiseRejectedResult).reason).toBeInstanceOf(RangeError);
      expect(values(store)).toEqual(['a', 'b']);
      expect(store.metrics().groupCommits).toBe(1);
    });

    it('a queued write settles only after its commit', async () => {
      let seen: string[] | undefined;
      const write = store.enqueue('test.insert', insert('a')).then(() => {
        seen = values(store);
      });
      expect(seen).toBeUndefined();
      store.flush();
      await write;
      expect(seen).toEqual(['a']);
    });

    it('keeps 5,000 queued writes in order over several groups', async () => {
      const names = Array.from({ length: 5_000 }, (_, i) => `v${i}`);
      await Promise.all(names.map((value) => store.enqueue('test.insert', insert(value))));
      expect(values(store)).toEqual(names);
      expect(store.metrics().groupedWrites).toBe(5_000);
      expect(store.metrics().byName.get('test.insert')).toMatchObject({ committed: 5_000, failed: 0 });
    });

    it('a read cannot write, and leaves the store writable', () => {
      expect(() => store.read('test.read', insert('a'))).toThrow();
      const statements = [
        "INSERT INTO items (value) VALUES ('a') RETURNING id",
        "WITH new (value) AS (VALUES ('a')) INSERT INTO items (value) SELECT value FROM new RETURNING id",
        'DELETE FROM items RETURNING id',
        'CREATE TABLE more (id INTEGER) STRICT',
        'COMMIT',
      ];
      for (const sql of statements) {
        expect(() => store.read('test.read', (database) => database.get(sql)), sql).toThrow();
        expect(() => store.read('test.read', (database) => database.all(sql)), sql).toThrow();
      }
      store.transaction('test.insert', insert('b'));
      expect(values(store)).toEqual(['b']);
    });

    it('refuses nesting, promises, ended transactions, late handles and bad names', () => {
      const internal = expect.objectContaining({ code: 'INTERNAL' });
      expect(() => store.transaction('test.outer', () => store.transaction('test.inner', () => 1))).toThrow(
        internal,
      );
      expect(() => store.transaction('test.async', async () => 1)).toThrow(internal);
      expect(() =>
        store.transaction('test.commit', (database) => {
          insert('x')(database);
          database.run('ROLLBACK');
        }),
      ).toThrow(internal);
      let leaked: Database | undefined;
      store.transaction('test.leak', (database) => {
        leaked = database;
      });
      expect(() => insert('x')(leaked!)).toThrow(internal);
      expect(() => store.transaction('Bad Name', () => 1)).toThrow(internal);
      expect(values(store)).toEqual([]);
    });

    it('an error inside SQL is coded and its text stays inside', () => {
      expect(() =>
        store.transaction('test.sql', (database) => database.run('INSERT INTO secret VALUES (1)')),
      ).toThrow(expect.objectContaining({ code: 'INTERNAL', message: 'store: transaction test.sql failed' }));
    });

    it('enforces foreign keys', () => {
      store.migrate('test-children', [
        'CREATE TABLE children (item INTEGER NOT NULL REFERENCES items (id)) STRICT',
      ]);
      expect(() =>
        store.transaction('test.orphan', (database) => database.run('INSERT INTO children VALUES (99)')),
      ).toThrow();
    });

    it('migrates each version once and refuses edits and downgrades', () => {
      const next = [...TABLE, 'ALTER TABLE items ADD COLUMN note TEXT'];
      store.migrate('test', next);
      store.migrate('test', next);
      const invalid = expect.objectContaining({ code: 'CONFIG_INVALID' });
      expect(() => store.migrate('test', TABLE)).toThrow(invalid);
      expect(() => store.migrate('test', [TABLE[0]!, 'ALTER TABLE items ADD COLUMN other TEXT'])).toThrow(
        invalid,
      );
      expect(() => store.migrate('test', [...next, 'CREATE TABLE half (x); SELECT nonsense;'])).toThrow();
      expect(() => store.read('test.half', (database) => database.all('SELECT * FROM half'))).toThrow();
    });

    it('closes once, flushing first; then everything is UNAVAILABLE', async () => {
      const pending = store.enqueue('test.insert', insert('a'));
      store.close();
      store.close();
      await expect(pending).resolves.toBe(1);
      const unavailable = expect.objectContaining({ code: 'UNAVAILABLE' });
      await expect(store.enqueue('test.insert', insert('b'))).rejects.toThrow(unavailable);
      expect(() => store.transaction('test.insert', insert('b'))).toThrow(unavailable);
    });
  });
}
