/**
 * Cosignatures that witnesses gave, by checkpoint, and which checkpoint to show somebody.
 *
 * Lines are stored after `acceptCosignatures` has verified them. Reads the checkpoints that storage/append-log.ts
 * wrote. Trusts: its own database. May be called by: coordinator/.
 */
import { parseSignatureLine, parseSignedNote } from '../../crypto/log/checkpoint.ts';
import type { Store } from '../storage/store.ts';

const MIGRATIONS = [
  `CREATE TABLE log_cosignatures (
     size INTEGER NOT NULL, name TEXT NOT NULL, key_id TEXT NOT NULL, line TEXT NOT NULL,
     PRIMARY KEY (size, name, key_id)) STRICT, WITHOUT ROWID;`,
];

export interface StoredCheckpoint {
  readonly size: number;
  /** With the cosignatures that have come so far. */
  readonly note: string;
}

export class Cosignatures {
  readonly #store: Store;
  /** Grows with every line: callers may cache until it changes. */
  version = 0;

  /** The log's own tables must exist already (`new AppendLog`). */
  constructor(store: Store) {
    this.#store = store;
    store.migrate('cosignatures', MIGRATIONS);
  }

  /** Stores verified lines, each with its newline; the last one of a key counts. */
  add(size: number, lines: readonly string[]): void {
    this.#store.transaction('log.cosigned', (db) => {
      for (const line of lines) {
        const { name, keyId } = parseSignatureLine(line.trimEnd());
        db.run('INSERT OR REPLACE INTO log_cosignatures VALUES (?, ?, ?, ?)', size, name, keyId, line);
      }
    });
    this.version++;
  }

  /** Size of the largest checkpoint that this witness cosigned, 0 if none. */
  lastSizeOf(name: string): number {
    const row = this.#store.read('log.cosigned_size', (db) =>
      db.get<{ size: number | null }>('SELECT MAX(size) AS size FROM log_cosignatures WHERE name = ?', name),
    );
    return row?.size ?? 0;
  }

  /** A note with the stored lines for its size behind it. */
  withLines(size: number, note: string): string {
    const known = new Set(parseSignedNote(note).signatures.map(({ name, keyId }) => `${name} ${keyId}`));
    const rows = this.#store.read('log.cosignatures', (db) =>
      db.all<{ name: string; key_id: string; line: string }>(
        'SELECT name, key_id, line FROM log_cosignatures WHERE size = ? ORDER BY name, key_id',
        size,
      ),
    );
    return (
      note +
      rows
        .filter((row) => !known.has(`${row.name} ${row.key_id}`))
        .map(({ line }) => line)
        .join('')
    );
  }

  /** Of the signed checkpoints with at least `sizeMin` leaves the one with most cosignatures, then the newest. */
  best(sizeMin: number): StoredCheckpoint | undefined {
    const row = this.#store.read('log.best_checkpoint', (db) =>
      db.get<{ size: number; note: string }>(
        `SELECT c.size, c.note FROM log_checkpoints c WHERE c.size >= ? ORDER BY
           (SELECT count(*) FROM log_cosignatures l WHERE l.size = c.size) DESC, c.size DESC LIMIT 1`,
        sizeMin,
      ),
    );
    return row && { size: row.size, note: this.withLines(row.size, row.note) };
  }
}
