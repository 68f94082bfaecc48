import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { cosignNote, type NoteSigner } from '../crypto/log/checkpoint.ts';
import { encodeLeaf } from '../crypto/log/leaves.ts';
import { leafHash, MerkleTree } from '../crypto/log/merkle.ts';
import { cosignerAt, generateCosignerKey } from '../crypto/log/note-keys.ts';
import { encodeBundle, hashTile, TILE_WIDTH, type Tile, tilePath, tilesOf } from '../crypto/log/tiles.ts';
import { encodeTlogPolicy } from '../crypto/log/tlog-policy.ts';
import { RunFixture } from './testing.ts';
import { type AuditTrust, verifyRunDirectory } from './verify.ts';

const witness = generateCosignerKey('w.example/1', 'cosignature-ed25519');
const other = generateCosignerKey('w.example/2', 'cosignature-ed25519');
let directory: string;
let fixture: RunFixture;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'pulsefold-tiles-'));
  fixture = new RunFixture();
  fixture.write(directory);
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const at = (name: string) => join(directory, 'log', name);
const codes = (trust: AuditTrust = {}) =>
  verifyRunDirectory(directory, trust)
    .findings.filter(({ severity }) => severity === 'error')
    .map(({ code, message }) => `${code} ${message}`);

function writeTiles(size = fixture.leaves.length): string[] {
  const leaves = fixture.leaves.map(encodeLeaf);
  const tree = MerkleTree.fromLeafHashes(leaves.map((leaf) => leafHash(leaf)));
  const content = (tile: Tile): Uint8Array =>
    tile.level === 'entries'
      ? encodeBundle(leaves.slice(tile.index * TILE_WIDTH, tile.index * TILE_WIDTH + tile.width))
      : hashTile(tile, (level, start, count) => tree.nodes(level, start, count));
  return [...tilesOf(size)].map((tile) => {
    mkdirSync(dirname(at(tilePath(tile))), { recursive: true });
    writeFileSync(at(tilePath(tile)), content(tile));
    return tilePath(tile);
  });
}

describe('tiles', () => {
  it('that belong to the leaves pass, also partial ones of earlier checkpoints', () => {
    writeTiles();
    writeTiles(5);
    expect(codes()).toEqual([]);
  });

  it('a flipped bit, a missing, a foreign and a cut file are named', () => {
    const paths = writeTiles();
    expect(paths.length).toBeGreaterThan(1);
    for (const path of paths) {
      const bytes = readFileSync(at(path));
      for (let n = 0; n < 12; n++) {
        const changed = Buffer.from(bytes);
        const bit = (n * 7919) % (bytes.length * 8);
        changed[bit >> 3]! ^= 1 << (bit & 7);
        writeFileSync(at(path), changed);
        expect(codes(), `${path} bit ${bit}`).toEqual([expect.stringMatching(`TILE_MISMATCH log/${path}`)]);
      }
      writeFileSync(at(path), bytes.subarray(0, -1));
      expect(codes()).toEqual([expect.stringMatching(`TILE_MISMATCH log/${path}`)]);
      rmSync(at(path));
      expect(codes()).toEqual([`FILE_MISSING log/${path} is not in the run directory`]);
      writeFileSync(at(path), bytes);
    }
    for (const name of ['tile/0/001', 'tile/0/000.p/255', 'tile/1/000.p/1', 'tile/readme', 'tile/0/0']) {
      mkdirSync(dirname(at(name)), { recursive: true });
      writeFileSync(at(name), Buffer.alloc(32));
      expect(codes()).toEqual([expect.stringMatching(`TILE_MISMATCH log/${name}`)]);
      rmSync(at(name));
    }
    expect(codes()).toEqual([]);
  });
});

describe('witnesses', () => {
  const cosign = (...keys: (typeof witness)[]) => {
    const note = readFileSync(at('checkpoint'), 'utf8');
    writeFileSync(
      at('checkpoint'),
      keys.reduce((text, key) => cosignNote(text, cosignerAt(key, 9)), note),
    );
  };
  const policy = (signer: NoteSigner, quorum: string) =>
    encodeTlogPolicy({ logs: [{ key: signer }], witnesses: [{ name: 'w', key: witness }], lines: [quorum] });

  it('a pinned policy asks for its quorum', () => {
    const pinned = policy(fixture.signer, 'quorum w');
    expect(codes({ policy: pinned })).toEqual([expect.stringMatching(/^WITNESS_QUORUM/)]);
    cosign(witness);
    expect(codes({ policy: pinned })).toEqual([]);
    expect(codes({ policy: 'quorum\n' })).toEqual([expect.stringMatching(/^WITNESS_QUORUM.*line 1/)]);
  });

  it('without one the keys in the run directory are tried and not believed', () => {
    cosign(witness);
    writeFileSync(at('policy'), policy(fixture.signer, 'quorum none'));
    const { findings, ok } = verifyRunDirectory(directory);
    expect(ok).toBe(true);
    expect(findings.map(({ message }) => message).join('\n')).toMatch(
      /no witness policy was given: 1 cosignatures/,
    );
    cosign(other);
    expect(codes()).toEqual([expect.stringMatching(/^CHECKPOINT_SIGNATURE.*w.example\/2/)]);
  });

  it('a changed byte of a cosignature is found', () => {
    cosign(witness);
    writeFileSync(at('policy'), policy(fixture.signer, 'quorum none'));
    const note = readFileSync(at('checkpoint'));
    const start = note.lastIndexOf('—');
    for (let i = start; i < note.length; i += 4) {
      const changed = Buffer.from(note);
      changed[i]! ^= 1;
      writeFileSync(at('checkpoint'), changed);
      expect(codes().length, `byte ${i}`).toBeGreaterThan(0);
    }
  });
});
