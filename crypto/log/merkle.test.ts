import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { fromHex, toHex, utf8 } from '../bytes.ts';
import {
  CompactRange,
  consistencyProof,
  inclusionProof,
  leafHash,
  MerkleTree,
  merkleRoot,
  nodeHash,
  verifyConsistency,
  verifyInclusion,
} from './merkle.ts';

// transparency-dev/merkle testonly/constants.go: the leaves and the roots of their prefixes.
const LEAVES = [
  '',
  '00',
  '10',
  '2021',
  '3031',
  '40414243',
  '5051525354555657',
  '606162636465666768696a6b6c6d6e6f',
].map(fromHex);
const ROOTS = [
  'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  '6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d',
  'fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125',
  'aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77',
  'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
  '4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4',
  '76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef',
  'ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c',
  '5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328',
];

/** Second implementation: the recursive definitions of RFC 6962 §2.1, word for word. */
const split = (n: number): number => 2 ** (Math.ceil(Math.log2(n)) - 1);
function mth(data: Uint8Array[]): Uint8Array {
  if (data.length === 1) return leafHash(data[0]!);
  const k = split(data.length);
  return nodeHash(mth(data.slice(0, k)), mth(data.slice(k)));
}
function path(m: number, data: Uint8Array[]): Uint8Array[] {
  if (data.length === 1) return [];
  const k = split(data.length);
  return m < k
    ? [...path(m, data.slice(0, k)), mth(data.slice(k))]
    : [...path(m - k, data.slice(k)), mth(data.slice(0, k))];
}
function subproof(m: number, data: Uint8Array[], complete: boolean): Uint8Array[] {
  if (m === data.length) return complete ? [] : [mth(data)];
  const k = split(data.length);
  return m <= k
    ? [...subproof(m, data.slice(0, k), complete), mth(data.slice(k))]
    : [...subproof(m - k, data.slice(k), false), mth(data.slice(0, k))];
}

const leavesOf = (count: number): Uint8Array[] => Array.from({ length: count }, (_, i) => utf8(`leaf ${i}`));
const hex = (hashes: Uint8Array[]): string[] => hashes.map(toHex);

describe('published vectors', () => {
  it('hashes the leaf "L123456" and the node N123/N456', () => {
    expect(toHex(leafHash(utf8('L123456')))).toBe(
      '395aa064aa4c29f7010acfe3f25db9485bbd4b91897b6ad7ad547639252b4d56',
    );
  });
  it.each(ROOTS.map((root, size) => [size, root] as const))(
    'root of the first %i test leaves',
    (size, root) => {
      expect(toHex(merkleRoot(LEAVES.slice(0, size)))).toBe(root);
      expect(toHex(MerkleTree.fromLeafHashes(LEAVES.map(leafHash)).root(size))).toBe(root);
    },
  );
  it('path of leaf 5 and consistency 6 → 8 of RFC 6962 §2.1.3', () => {
    expect(hex(inclusionProof(LEAVES, 5))).toEqual([
      'bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b',
      'ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0',
      'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
    ]);
    expect(hex(consistencyProof(LEAVES, 6))).toEqual([
      '0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a',
      'ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0',
      'd37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7',
    ]);
  });
});

describe('against the recursive definition, every size up to 40', () => {
  const all = leavesOf(40);
  const tree = MerkleTree.fromLeafHashes(all.map(leafHash));
  it('roots, inclusion and consistency proofs are equal and verify', () => {
    const range = new CompactRange();
    for (let size = 1; size <= all.length; size++) {
      const leaves = all.slice(0, size);
      const root = mth(leaves);
      range.append(leafHash(leaves.at(-1)!));
      expect(toHex(tree.root(size))).toBe(toHex(root));
      expect(toHex(range.root())).toBe(toHex(root));
      expect(CompactRange.fromBytes(range.toBytes()).root()).toEqual(root);
      for (let index = 0; index < size; index++) {
        const proof = tree.inclusionProof(index, size);
        expect(hex(proof)).toEqual(hex(path(index, leaves)));
        const claim = { leafHash: leafHash(leaves[index]!), index, size, proof, root };
        expect(verifyInclusion(claim)).toBe(true);
      }
      for (let oldSize = 0; oldSize <= size; oldSize++) {
        const proof = tree.consistencyProof(oldSize, size);
        if (oldSize > 0) expect(hex(proof)).toEqual(hex(subproof(oldSize, leaves, true)));
        expect(verifyConsistency({ oldSize, oldRoot: tree.root(oldSize), size, root, proof })).toBe(true);
      }
    }
  });
  it('serves the rows of a tile', () => {
    expect(tree.nodes(3, 1, 1)[0]).toEqual(mth(all.slice(8, 16)));
    expect(() => tree.nodes(3, 4, 2)).toThrow(/no such nodes/);
    expect(() => tree.nodes(9, 0, 1)).toThrow(/no such nodes/);
  });
});

describe('hostile proofs', () => {
  const arbitrary = fc.integer({ min: 2, max: 300 }).chain((size) =>
    fc.record({
      size: fc.constant(size),
      index: fc.nat({ max: size - 1 }),
      bit: fc.nat(),
      other: fc.nat({ max: size - 1 }),
    }),
  );
  it('a flipped bit, a dropped, added or swapped hash and another index, size or leaf are refused', () => {
    fc.assert(
      fc.property(arbitrary, ({ size, index, bit, other }) => {
        const leaves = leavesOf(size);
        const proof = inclusionProof(leaves, index);
        const claim = { leafHash: leafHash(leaves[index]!), index, size, proof, root: merkleRoot(leaves) };
        expect(verifyInclusion(claim)).toBe(true);
        const at = bit % proof.length;
        const flipped = proof.map((item) => item.slice());
        flipped[at]![bit % 32]! ^= 1 << (bit % 8);
        expect(verifyInclusion({ ...claim, proof: flipped })).toBe(false);
        expect(verifyInclusion({ ...claim, proof: proof.toSpliced(at, 1) })).toBe(false);
        expect(verifyInclusion({ ...claim, proof: [...proof, proof[0]!] })).toBe(false);
        expect(verifyInclusion({ ...claim, proof: [claim.root] })).toBe(false);
        expect(verifyInclusion({ ...claim, index: index + 2 ** 32, size: size + 2 ** 32 })).toBe(false);
        if (other !== index) {
          expect(verifyInclusion({ ...claim, index: other })).toBe(false);
          expect(verifyInclusion({ ...claim, leafHash: leafHash(leaves[other]!) })).toBe(false);
        }
      }),
      { numRuns: 60 },
    );
  });

  const leaves = leavesOf(7);
  const good = {
    leafHash: leafHash(leaves[2]!),
    index: 2,
    size: 7,
    proof: inclusionProof(leaves, 2),
    root: merkleRoot(leaves),
  };
  it.each([
    ['a negative index', { index: -1 }],
    ['a fractional index', { index: 2.5 }],
    ['NaN as index', { index: Number.NaN }],
    ['an infinite size', { size: Infinity }],
    ['the index 2^32 + 2', { index: 2 ** 32 + 2 }],
    ['a bigint', { index: 2n as unknown as number }],
    ['an index at the size', { index: 7 }],
    ['size 0', { size: 0 }],
    ['a proof that is no list', { proof: 'x' as unknown as Uint8Array[] }],
    ['a hash of 31 bytes', { proof: [new Uint8Array(31)] }],
    ['text for a hash', { proof: ['a'.repeat(32) as unknown as Uint8Array] }],
    ['a proof of 100,000 hashes', { proof: new Array<Uint8Array>(100_000).fill(new Uint8Array(32)) }],
    ['an empty root', { root: new Uint8Array(0) }],
    ['an empty leaf hash', { leafHash: new Uint8Array(0) }],
    [
      'a node as leaf (second preimage)',
      { leafHash: nodeHash(good.proof[0]!, good.leafHash), index: 1, proof: good.proof.slice(1) },
    ],
  ])('%s', (_name, change) => {
    expect(verifyInclusion(good)).toBe(true);
    expect(verifyInclusion({ ...good, ...change })).toBe(false);
  });

  it('without the leaf prefix a node passes as a leaf: the test above can fail', () => {
    const data = [leafHash(utf8('a')), leafHash(utf8('b'))];
    const weakLeaf = (bytes: Uint8Array): Uint8Array => nodeHash(bytes.slice(0, 32), bytes.slice(32));
    const inner = nodeHash(data[0]!, data[1]!);
    const forged = weakLeaf(new Uint8Array([...data[0]!, ...data[1]!]));
    expect(verifyInclusion({ leafHash: forged, index: 0, size: 1, proof: [], root: inner })).toBe(true);
  });

  it('a forked history, a shrunk tree and false proofs are inconsistent', () => {
    const old = leavesOf(11);
    const grown = leavesOf(23);
    const claim = {
      oldSize: 11,
      oldRoot: merkleRoot(old),
      size: 23,
      root: merkleRoot(grown),
      proof: consistencyProof(grown, 11),
    };
    expect(verifyConsistency(claim)).toBe(true);
    const forked = grown.with(4, utf8('rewritten'));
    expect(
      verifyConsistency({ ...claim, root: merkleRoot(forked), proof: consistencyProof(forked, 11) }),
    ).toBe(false);
    for (let i = 0; i < claim.proof.length; i++) {
      expect(verifyConsistency({ ...claim, proof: claim.proof.toSpliced(i, 1) })).toBe(false);
      expect(verifyConsistency({ ...claim, proof: claim.proof.with(i, claim.oldRoot) })).toBe(false);
    }
    expect(verifyConsistency({ ...claim, proof: [...claim.proof, claim.root] })).toBe(false);
    expect(verifyConsistency({ ...claim, oldSize: 24 })).toBe(false);
    expect(verifyConsistency({ ...claim, oldSize: 12 })).toBe(false);
    expect(verifyConsistency({ ...claim, oldSize: 0 })).toBe(false);
    expect(verifyConsistency({ ...claim, oldSize: 23, proof: [] })).toBe(false);
    expect(verifyConsistency({ ...claim, oldSize: -1 })).toBe(false);
    expect(verifyConsistency({ ...claim, size: 23.5 })).toBe(false);
    expect(verifyConsistency({ ...claim, oldSize: 8, proof: [] })).toBe(false);
  });

  it('refuses a compact range whose size and hashes disagree', () => {
    const range = new CompactRange();
    for (const leaf of leavesOf(5)) range.append(leafHash(leaf));
    const bytes = range.toBytes();
    expect(bytes.length).toBe(8 + 2 * 32);
    for (const bad of [
      bytes.slice(0, -1),
      bytes.slice(0, 40),
      new Uint8Array(7),
      new Uint8Array(8).fill(0xff),
    ])
      expect(() => CompactRange.fromBytes(bad)).toThrow(
        expect.objectContaining({ code: 'MALFORMED_MESSAGE' }),
      );
  });
});
