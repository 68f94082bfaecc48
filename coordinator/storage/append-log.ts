/**
 * The coordinator's transparency log: leaves, checkpoints, proofs and export, over the Store.
 *
 * `append` works inside the caller's transaction, so a leaf and the state it describes become durable
 * together or not at all. The in-memory tree holds committed leaves only; it catches up from the table and
 * never runs ahead.
 * Trusts: its own database, which it re-hashes at the start and before it signs. May be called by: the
 * coordinator.
 */
import { closeSync, fsyncSync, mkdirSync, openSync, renameSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { equalBytes, fromUtf8, utf8 } from '../../crypto/bytes.ts';
import { ensure } from '../../crypto/error.ts';
import {
  type NoteSigner,
  parseCheckpointText,
  parseSignedNote,
  signCheckpoint,
} from '../../crypto/log/checkpoint.ts';
import { encodeLeaf, type Leaf, parseLeaf } from '../../crypto/log/leaves.ts';
import { leafHash, MerkleTree } from '../../crypto/log/merkle.ts';
import type { Database, Store } from './store.ts';
import { writeTiles } from './tile-export.ts';

const MIGRATIONS = [
  `CREATE TABLE log_leaves (number INTEGER PRIMARY KEY CHECK (number >= 0), data BLOB NOT NULL) STRICT;
   CREATE TABLE log_checkpoints (size INTEGER PRIMARY KEY, note TEXT NOT NULL) STRICT;
   ${['log_leaves', 'log_checkpoints']
     .flatMap((table) => ['UPDATE', 'DELETE'].map((verb) => [table, verb] as const))
     .map(
       ([table, verb]) => `CREATE TRIGGER ${table}_no_${verb.toLowerCase()} BEFORE ${verb} ON ${table}
     BEGIN SELECT RAISE(ABORT, 'the log is append-only'); END;`,
     )
     .join('\n   ')}`,
];

/** Rows read at a time while the tree catches up. */
const PAGE_ROWS = 10_000;

export interface AppendLogOptions {
  /** The log's name in checkpoints: a schema-less URL, for instance `pulsefold.example/log`. */
  readonly origin: string;
}

export class AppendLog {
  readonly origin: string;
  readonly #store: Store;
  readonly #tree = new MerkleTree();

  /** Reads and re-hashes all leaves. Throws LOG_INCONSISTENT if they do not fit the last checkpoint. */
  constructor(store: Store, { origin }: AppendLogOptions) {
    this.#store = store;
    this.origin = origin;
    store.migrate('log', MIGRATIONS);
    this.#catchUp();
    this.#checkAgainstLast();
  }

  /**
   * Appends a leaf in the caller's transaction and returns its number. Throws MALFORMED_MESSAGE for a bad
   * leaf.
   */
  append(database: Database, leaf: Leaf): number {
    const data = encodeLeaf(leaf);
    const row = database.get<{ size: number }>('SELECT COALESCE(MAX(number) + 1, 0) AS size FROM log_leaves');
    const number = row!.size;
    database.run('INSERT INTO log_leaves VALUES (?, ?)', number, data);
    return number;
  }

  /** Number of committed leaves. */
  size(): number {
    return this.#catchUp();
  }

  /** Root of the first `size` committed leaves (default: all). */
  root(size?: number): Uint8Array {
    this.#catchUp();
    return this.#tree.root(size);
  }

  inclusionProof(index: number, size?: number): Uint8Array[] {
    this.#catchUp();
    return this.#tree.inclusionProof(index, size);
  }

  consistencyProof(oldSize: number, size?: number): Uint8Array[] {
    this.#catchUp();
    return this.#tree.consistencyProof(oldSize, size);
  }

  /** Leaf number `index`. Throws NOT_FOUND. */
  leaf(index: number): Leaf {
    const [leaf] = this.leaves(index, index + 1);
    ensure(leaf, 'NOT_FOUND', 'log: no such leaf');
    return leaf;
  }

  /** Committed leaves with numbers in [start, end). */
  leaves(start = 0, end = Number.MAX_SAFE_INTEGER): Leaf[] {
    return this.#data(start, end).map(parseLeaf);
  }

  /** The bytes of leaf number `index`, as they are hashed. Throws NOT_FOUND. */
  leafBytes(index: number): Uint8Array {
    const [data] = this.#data(index, index + 1);
    ensure(data, 'NOT_FOUND', 'log: no such leaf');
    return data;
  }

  /**
   * Signs the present tree, stores the note, returns it. Asked again at the same size it returns the stored
   * note. A log never signs what contradicts an earlier checkpoint (c2sp.org/tlog-checkpoint): throws
   * LOG_INCONSISTENT.
   */
  checkpoint(signers: readonly NoteSigner[]): string {
    const size = this.#catchUp();
    this.#checkAgainstLast();
    return this.#store.transaction('log.checkpoint', (database) => {
      const stored = database.get<{ note: string }>('SELECT note FROM log_checkpoints WHERE size = ?', size);
      if (stored !== undefined) return stored.note;
      const note = signCheckpoint({ origin: this.origin, size, root: this.#tree.root(size) }, signers);
      database.run('INSERT INTO log_checkpoints VALUES (?, ?)', size, note);
      return note;
    });
  }

  /** The last signed checkpoint, if any. */
  lastCheckpoint(): string | undefined {
    return this.#store.read(
      'log.last_checkpoint',
      (database) =>
        database.get<{ note: string }>('SELECT note FROM log_checkpoints ORDER BY size DESC LIMIT 1')?.note,
    );
  }

  /**
   * Writes `leaves.ndjson` (one canonical leaf per line), tiles and entry bundles (c2sp.org/tlog-tiles) and
   * `checkpoint` of the present tree into `directory/log`, each by write, fsync and rename. `cosigned` may add the
   * signature lines of witnesses. Returns the checkpoint as written.
   */
  export(
    directory: string,
    signers: readonly NoteSigner[],
    cosigned: (note: string) => string = (note) => note,
  ): string {
    const note = cosigned(this.checkpoint(signers));
    const { size } = parseCheckpointText(parseSignedNote(note).text);
    const target = join(directory, 'log');
    mkdirSync(target, { recursive: true });
    writeDurably(join(target, 'leaves.ndjson'), this.#lines(size));
    writeTiles(target, size, {
      nodes: (level, start, count) => this.#tree.nodes(level, start, count),
      entries: (start, end) => this.#data(start, end),
    });
    writeDurably(join(target, 'checkpoint'), [utf8(note)]);
    return note;
  }

  *#lines(size: number): Iterable<Uint8Array> {
    for (let start = 0; start < size; start += PAGE_ROWS) {
      const page = this.#data(start, Math.min(size, start + PAGE_ROWS));
      yield utf8(page.map((data) => `${fromUtf8(data)}\n`).join(''));
    }
  }

  #data(start: number, end: number): Uint8Array[] {
    return this.#store.read('log.leaves', (database) =>
      database
        .all<{ data: Uint8Array }>(
          'SELECT data FROM log_leaves WHERE number >= ? AND number < ? ORDER BY number',
          start,
          end,
        )
        .map((row) => row.data),
    );
  }

  /** Adds committed leaves to the tree; returns its size. */
  #catchUp(): number {
    for (;;) {
      const page = this.#data(this.#tree.size, this.#tree.size + PAGE_ROWS);
      for (const data of page) this.#tree.appendHash(leafHash(data));
      if (page.length < PAGE_ROWS) return this.#tree.size;
    }
  }

  #checkAgainstLast(): void {
    const note = this.lastCheckpoint();
    if (note === undefined) return;
    const last = parseCheckpointText(parseSignedNote(note).text);
    ensure(
      last.origin === this.origin &&
        last.size <= this.#tree.size &&
        equalBytes(this.#tree.root(last.size), last.root),
      'LOG_INCONSISTENT',
      'log: the stored leaves contradict the last signed checkpoint; restore the database from a backup',
    );
  }
}

function writeDurably(path: string, chunks: Iterable<Uint8Array>): void {
  const temporary = `${path}.partial`;
  const file = openSync(temporary, 'w', 0o644);
  try {
    for (const chunk of chunks) for (let at = 0; at < chunk.length; ) at += writeSync(file, chunk, at);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
  renameSync(temporary, path);
}
