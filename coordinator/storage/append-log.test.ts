import { generateKeyPairSync, sign, verify } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, describe, expect, it } from 'vitest';
import { fromBase64, toHex, utf8 } from '../../crypto/bytes.ts';
import { type NoteSigner, type NoteVerifier, openCheckpoint } from '../../crypto/log/checkpoint.ts';
import { encodeLeaf, type Leaf, parseLeaf } from '../../crypto/log/leaves.ts';
import { leafHash, merkleRoot, verifyConsistency, verifyInclusion } from '../../crypto/log/merkle.ts';
import { AppendLog } from './append-log.ts';
import { openMemoryStore, openStore, type SqliteStore } from './sqlite-store.ts';

const origin = 'pulsefold.example/log';
const pair = generateKeyPairSync('ed25519');
const key: NoteSigner & NoteVerifier = {
  name: origin,
  algorithm: 'ed25519',
  publicKey: fromBase64(
    pair.publicKey.export({ format: 'jwk' }).x!.replaceAll('-', '+').replaceAll('_', '/'),
  ),
  sign: (message) => new Uint8Array(sign(null, message, pair.privateKey)),
  verify: (message, signature) => verify(null, message, pair.publicKey, signature),
};
const leafOf = (number: number): Leaf => ({
  kind: 'withdrawal',
  version: 1,
  timeMs: number,
  commitment: number.toString(16).padStart(64, '0'),
});
const append = (store: SqliteStore, log: AppendLog, number: number): number =>
  store.transaction('test.append', (database) => log.append(database, leafOf(number)));

const directory = mkdtempSync(join(tmpdir(), 'pulsefold-log-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

describe('AppendLog', () => {
  it('numbers leaves, gives the root of their encoding, proves inclusion and growth', () => {
    const store = openMemoryStore();
    const log = new AppendLog(store, { origin });
    const early = openCheckpoint(log.checkpoint([key]), [key], origin);
    expect(early.size).toBe(0);
    for (let i = 0; i < 21; i++) expect(append(store, log, i)).toBe(i);
    const middle = openCheckpoint(log.checkpoint([key]), [key], origin);
    for (let i = 21; i < 50; i++) append(store, log, i);
    const late = openCheckpoint(log.checkpoint([key]), [key], origin);
    expect(log.size()).toBe(50);
    expect(toHex(late.root)).toBe(
      toHex(merkleRoot(Array.from({ length: 50 }, (_, i) => encodeLeaf(leafOf(i))))),
    );
    const proof = log.consistencyProof(middle.size, late.size);
    expect(
      verifyConsistency({
        oldSize: middle.size,
        oldRoot: middle.root,
        size: late.size,
        root: late.root,
        proof,
      }),
    ).toBe(true);
    const inclusion = {
      index: 7,
      size: 50,
      root: late.root,
      proof: log.inclusionProof(7),
      leafHash: leafHash(encodeLeaf(leafOf(7))),
    };
    expect(verifyInclusion(inclusion)).toBe(true);
    expect(log.leaf(7)).toEqual(leafOf(7));
    expect(() => log.leaf(50)).toThrow(expect.objectContaining({ code: 'NOT_FOUND' }));
    store.close();
  });

  it('a leaf disappears with the write that fails, and its number is used again', async () => {
    const store = openMemoryStore();
    const log = new AppendLog(store, { origin });
    append(store, log, 0);
    expect(() =>
      store.transaction('test.fail', (database) => {
        log.append(database, leafOf(1));
        throw new Error('state could not be written');
      }),
    ).toThrow('state');
    const results = await Promise.allSettled([
      store.enqueue('test.append', (database) => log.append(database, leafOf(2))),
      store.enqueue('test.fail', (database) => {
        log.append(database, leafOf(3));
        throw new Error('no');
      }),
      store.enqueue('test.append', (database) => log.append(database, leafOf(4))),
    ]);
    expect(results.map((result) => (result.status === 'fulfilled' ? result.value : 'undone'))).toEqual([
      1,
      'undone',
      2,
    ]);
    expect(log.leaves().map((leaf) => leaf.timeMs)).toEqual([0, 2, 4]);
    expect(log.root()).toEqual(merkleRoot([0, 2, 4].map((i) => encodeLeaf(leafOf(i)))));
    store.close();
  });

  it('exports leaves and checkpoint, and goes on after a reopen', () => {
    const path = join(directory, 'log.sqlite');
    const first = openStore(path);
    const log = new AppendLog(first, { origin });
    for (let i = 0; i < 5; i++) append(first, log, i);
    const note = log.export(directory, [key]);
    first.close();
    expect(readFileSync(join(directory, 'log', 'checkpoint'), 'utf8')).toBe(note);
    const lines = readFileSync(join(directory, 'log', 'leaves.ndjson'), 'utf8')
      .split('\n')
      .slice(0, -1);
    expect(lines.map(parseLeaf)).toEqual([0, 1, 2, 3, 4].map(leafOf));
    expect(openCheckpoint(note, [key], origin).root).toEqual(merkleRoot(lines.map(utf8)));
    const second = openStore(path);
    const again = new AppendLog(second, { origin });
    expect(again.checkpoint([key])).toBe(note);
    expect(append(second, again, 5)).toBe(5);
    expect(openCheckpoint(again.checkpoint([key]), [key]).size).toBe(6);
    second.close();
  });

  it('its tables refuse edits; a database edited past that is noticed and never signed', () => {
    const path = join(directory, 'edited.sqlite');
    const store = openStore(path);
    const log = new AppendLog(store, { origin });
    for (let i = 0; i < 3; i++) append(store, log, i);
    log.checkpoint([key]);
    for (const sql of [
      'DELETE FROM log_leaves',
      'UPDATE log_leaves SET number = number + 9',
      'DELETE FROM log_checkpoints',
    ])
      expect(() => store.transaction('test.attack', (database) => database.run(sql))).toThrow();
    store.close();
    const attacker = new DatabaseSync(path);
    attacker.exec('DROP TRIGGER log_leaves_no_delete');
    attacker.exec('DELETE FROM log_leaves WHERE number = 2');
    attacker.close();
    const reopened = openStore(path);
    expect(() => new AppendLog(reopened, { origin })).toThrow(
      expect.objectContaining({ code: 'LOG_INCONSISTENT' }),
    );
    reopened.close();
  });

  it('refuses a malformed leaf before it is written', () => {
    const store = openMemoryStore();
    const log = new AppendLog(store, { origin });
    const bad = { ...leafOf(1), deviceId: 'x' } as unknown as Leaf;
    expect(() => store.transaction('test.bad', (database) => log.append(database, bad))).toThrow(
      expect.objectContaining({ code: 'MALFORMED_MESSAGE' }),
    );
    expect(log.size()).toBe(0);
    store.close();
  });
});
