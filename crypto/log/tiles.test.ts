import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fromHex, toHex, utf8 } from '../bytes.ts';
import { leafHash, MerkleTree, verifyConsistency, verifyInclusion } from './merkle.ts';
import {
  encodeBundle,
  hashTile,
  isTileOf,
  parseBundle,
  parseTilePath,
  type Tile,
  TiledTree,
  type TileFetcher,
  tilePath,
  tilesOf,
} from './tiles.ts';

const vectors = JSON.parse(readFileSync(new URL('../vectors/tlog.json', import.meta.url), 'utf8'));
const coded = (code: string) => expect.objectContaining({ code });
const entry = (n: number) => utf8(`{"leaf":${n}}`);
const treeOf = (size: number) => {
  const tree = new MerkleTree();
  for (let n = 0; n < size; n++) tree.append(entry(n));
  return tree;
};
const fetcher =
  (tree: MerkleTree): TileFetcher =>
  (tile) =>
    hashTile(tile, (level, start, count) => tree.nodes(level, start, count));

describe('made by Go (golang.org/x/mod/sumdb/tlog)', () => {
  it('tile paths', () => {
    for (const [what, path] of Object.entries<string>(vectors.tilePaths)) {
      const [level, index, width] = what.split('/');
      const tile = {
        level: level === 'entries' ? level : Number(level),
        index: Number(index),
        width: Number(width),
      } as Tile;
      expect(tilePath(tile)).toBe(path);
      expect(parseTilePath(path)).toEqual(tile);
    }
  });

  it('tiles of a tree of 700 leaves', () => {
    const tree = treeOf(700);
    expect(toHex(tree.root())).toBe(vectors.root);
    const made = Object.fromEntries(
      [...tilesOf(700)]
        .filter(({ level }) => level !== 'entries')
        .map((tile) => [tilePath(tile), createHash('sha256').update(fetcher(tree)(tile)).digest('hex')]),
    );
    expect(made).toEqual(vectors.tileSha256);
  });

  it('consistency proofs', () => {
    const tree = treeOf(700);
    for (const { old, size, roots, proof } of vectors.consistency) {
      expect(tree.consistencyProof(old, size).map(toHex)).toEqual(proof);
      const claim = { oldSize: old, size, oldRoot: fromHex(roots[0]), root: fromHex(roots[1]) };
      expect(verifyConsistency({ ...claim, proof: proof.map(fromHex) })).toBe(true);
    }
  });
});

describe('tiles', () => {
  it('a tree of 70,000 leaves has the tiles that the document counts', () => {
    const count = (level: Tile['level'], full: boolean) =>
      [...tilesOf(70_000)].filter((tile) => tile.level === level && (tile.width === 256) === full);
    expect([count(0, true).length, count(1, true).length, count(2, true).length]).toEqual([273, 1, 0]);
    expect([0, 1, 2].map((level) => count(level, false).map(({ width }) => width))).toEqual([
      [112],
      [17],
      [1],
    ]);
    expect([...tilesOf(256)].map(tilePath)).toEqual(['tile/0/000', 'tile/1/000.p/1', 'tile/entries/000']);
    expect([...tilesOf(0)]).toEqual([]);
  });

  it('growth adds exactly the tiles that were not there', () => {
    fc.assert(
      fc.property(fc.nat({ max: 70_000 }), fc.nat({ max: 2_000 }), (old, more) => {
        const before = new Set([...tilesOf(old)].map(tilePath));
        const added = [...tilesOf(old + more, old)].map(tilePath);
        expect(added.filter((path) => before.has(path))).toEqual([]);
        const all = [...tilesOf(old + more)];
        expect(
          all
            .map(tilePath)
            .filter((path) => !before.has(path))
            .sort(),
        ).toEqual(added.sort());
        expect(all.every((tile) => isTileOf(tile, old + more))).toBe(true);
      }),
      { numRuns: 25 },
    );
  });

  it.each([
    'tile/0/1',
    'tile/00/001',
    'tile/64/001',
    'tile/0/x000/001',
    'tile/0/001.p/0',
    'tile/0/001.p/256',
    'tile/0/001.p/01',
    'tile/0/x001/x234/67',
    'tile/0/001/234',
    'tile/data/001',
    'tile/-1/001',
    'tile/0/../001',
    '/tile/0/001',
    'tile/0/001\n',
    `tile/0/${'x999/'.repeat(30)}999`,
  ])('refuses the path %s', (path) => {
    expect(() => parseTilePath(path)).toThrow(coded('MALFORMED_MESSAGE'));
  });

  it('bundles come apart as they were put together, and in no other way', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 300 }), { minLength: 1, maxLength: 256 }),
        (entries) => {
          const bytes = encodeBundle(entries);
          expect(parseBundle(bytes, entries.length).map(toHex)).toEqual(entries.map(toHex));
          for (const wrong of [bytes.subarray(0, -1), new Uint8Array([...bytes, 0])])
            expect(() => parseBundle(wrong, entries.length)).toThrow(coded('MALFORMED_MESSAGE'));
          expect(() => parseBundle(bytes, entries.length + 1)).toThrow(coded('MALFORMED_MESSAGE'));
        },
      ),
      { numRuns: 30 },
    );
    expect(encodeBundle([new Uint8Array(65_535)])).toHaveLength(65_537);
    expect(() => encodeBundle([new Uint8Array(65_536)])).toThrow(coded('FIELD_OUT_OF_RANGE'));
    expect(() => encodeBundle([])).toThrow(coded('FIELD_OUT_OF_RANGE'));
  });

  it('proofs from tiles are the proofs from the tree', () => {
    const tree = treeOf(70_001);
    const tiled = TiledTree.open({ size: 70_001, root: tree.root() }, fetcher(tree));
    fc.assert(
      fc.property(fc.nat({ max: 70_000 }), fc.integer({ min: 1, max: 70_001 }), (a, size) => {
        const index = a % size;
        const proof = tiled.inclusionProof(index, size);
        expect(proof.map(toHex)).toEqual(tree.inclusionProof(index, size).map(toHex));
        expect(
          verifyInclusion({ leafHash: leafHash(entry(index)), index, size, proof, root: tiled.root(size) }),
        ).toBe(true);
        expect(tiled.consistencyProof(index, size).map(toHex)).toEqual(
          tree.consistencyProof(index, size).map(toHex),
        );
      }),
      { numRuns: 40 },
    );
    expect(() => tiled.inclusionProof(70_001)).toThrow(coded('FIELD_OUT_OF_RANGE'));
    expect(() => tiled.consistencyProof(5, 4)).toThrow(coded('FIELD_OUT_OF_RANGE'));
  });

  it('any bit of a tile on the way to the root shows', () => {
    const tree = treeOf(700);
    const checkpoint = { size: 700, root: tree.root() };
    const read = new Set<string>();
    TiledTree.open(checkpoint, (tile) => {
      read.add(tilePath(tile));
      return fetcher(tree)(tile);
    });
    expect(read.size).toBeGreaterThan(1);
    for (const path of read)
      for (const at of [0, 31, 32]) {
        const flip: TileFetcher = (tile) => {
          const bytes = fetcher(tree)(tile);
          if (tilePath(tile) === path) bytes[at % bytes.length]! ^= 1;
          return bytes;
        };
        expect(() => TiledTree.open(checkpoint, flip)).toThrow(coded('LOG_INCONSISTENT'));
      }
    expect(() => TiledTree.open(checkpoint, (tile) => fetcher(tree)(tile).subarray(1))).toThrow(
      coded('MALFORMED_MESSAGE'),
    );
  });
});
