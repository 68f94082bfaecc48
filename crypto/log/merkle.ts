/**
 * RFC 6962 / RFC 9162 §2.1 Merkle tree over SHA-256: roots, inclusion and consistency proofs, an appendable
 * tree.
 *
 * For: the transparency log and the root of a cohort certificate's signed entries.
 * Trusts: nothing; `verifyInclusion` and `verifyConsistency` take hostile index, sizes and proofs and answer
 * false, they never throw. May be called by: everyone.
 */
import { hash } from 'node:crypto';
import { concat, equalBytes, uint64 } from '../bytes.ts';
import { ensure } from '../error.ts';

export const HASH_BYTES = 32;
/**
 * A proof in a tree of at most 2^53 leaves has at most this many hashes (consistency: one more than the
 * depth).
 */
export const PROOF_HASHES_MAX = 54;

const sha256 = (data: Uint8Array): Uint8Array => new Uint8Array(hash('sha256', data, 'buffer'));

/** H(0x00 ‖ data), RFC 9162 §2.1.1. The prefix keeps a leaf from being passed off as a node. */
export function leafHash(data: Uint8Array): Uint8Array {
  const input = new Uint8Array(data.length + 1);
  input.set(data, 1);
  return sha256(input);
}

/** H(0x01 ‖ left ‖ right), both 32 bytes. */
export function nodeHash(left: Uint8Array, right: Uint8Array): Uint8Array {
  const input = new Uint8Array(1 + 2 * HASH_BYTES);
  input[0] = 1;
  input.set(left, 1);
  input.set(right, 1 + HASH_BYTES);
  return sha256(input);
}

/** Root of the empty tree: SHA-256 of nothing. */
export const emptyRoot = (): Uint8Array => sha256(new Uint8Array(0));

const isSize = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;

/** Largest power of two strictly below `size` (size ≥ 2). */
function splitPoint(size: number): number {
  let split = 1;
  while (split * 2 < size) split *= 2;
  return split;
}

/** The hash of complete subtree number `index` of 2^level leaves: from memory, or from a tile that was fetched. */
export type NodeReader = (level: number, index: number) => Uint8Array;

/** MTH of leaves [start, end), where start is a multiple of the largest power of two ≤ end − start. */
export function rangeHash(node: NodeReader, start: number, end: number): Uint8Array {
  const peaks: Uint8Array[] = [];
  for (let at = start; at < end; ) {
    let level = 0;
    let width = 1;
    while (width * 2 <= end - at) {
      width *= 2;
      level++;
    }
    peaks.push(node(level, at / width));
    at += width;
  }
  return peaks.reduceRight((right, left) => nodeHash(left, right));
}

/** PATH(index, D[size]) of RFC 6962 §2.1.1 for 0 ≤ index < size, leaf's sibling first. */
export function inclusionPath(node: NodeReader, index: number, size: number): Uint8Array[] {
  const siblings: Uint8Array[] = [];
  let start = 0;
  let end = size;
  while (end - start > 1) {
    const middle = start + splitPoint(end - start);
    if (index < middle) {
      siblings.push(rangeHash(node, middle, end));
      end = middle;
    } else {
      siblings.push(rangeHash(node, start, middle));
      start = middle;
    }
  }
  return siblings.reverse();
}

/** PROOF(oldSize, D[size]) of RFC 6962 §2.1.2 for 0 ≤ oldSize ≤ size; empty for oldSize 0 or oldSize = size. */
export function consistencyPath(node: NodeReader, oldSize: number, size: number): Uint8Array[] {
  if (oldSize === 0 || oldSize === size) return [];
  const proof: Uint8Array[] = [];
  let start = 0;
  let end = size;
  while (oldSize !== end) {
    const middle = start + splitPoint(end - start);
    if (oldSize <= middle) {
      proof.push(rangeHash(node, middle, end));
      end = middle;
    } else {
      proof.push(rangeHash(node, start, middle));
      start = middle;
    }
  }
  // SUBPROOF(m, D[m], true) is empty: the verifier knows the old root when it is a complete left subtree.
  if (start !== 0) proof.push(rangeHash(node, start, end));
  return proof.reverse();
}

/**
 * Append-only bytes of equal-length hashes; keeps a million hashes in one buffer instead of a million
 * objects.
 */
class HashColumn {
  #bytes = new Uint8Array(HASH_BYTES * 8);
  length = 0;
  push(value: Uint8Array): void {
    const at = this.length * HASH_BYTES;
    if (at === this.#bytes.length) {
      const grown = new Uint8Array(this.#bytes.length * 2);
      grown.set(this.#bytes);
      this.#bytes = grown;
    }
    this.#bytes.set(value, at);
    this.length++;
  }
  at(index: number): Uint8Array {
    return this.#bytes.slice(index * HASH_BYTES, (index + 1) * HASH_BYTES);
  }
}

/** State of `CompactRange` as bytes: u64le(size) ‖ the peaks, largest subtree first. */
export type CompactRangeBytes = Uint8Array;

/** The hashes of the complete subtrees of a tree, O(log n) memory: enough to append and to give the root. */
export class CompactRange {
  #size = 0;
  #peaks: Uint8Array[] = [];

  get size(): number {
    return this.#size;
  }

  /** Appends one 32-byte leaf hash. */
  append(leaf: Uint8Array): void {
    ensure(leaf.length === HASH_BYTES, 'FIELD_OUT_OF_RANGE', 'a leaf hash has 32 bytes');
    let carry = leaf;
    for (let rest = this.#size; rest % 2 === 1; rest = Math.floor(rest / 2))
      carry = nodeHash(this.#peaks.pop()!, carry);
    this.#peaks.push(carry);
    this.#size++;
  }

  root(): Uint8Array {
    if (this.#size === 0) return emptyRoot();
    return this.#peaks.reduceRight((right, left) => nodeHash(left, right)).slice();
  }

  toBytes(): CompactRangeBytes {
    return concat(uint64(this.#size), ...this.#peaks);
  }

  /** Throws MALFORMED_MESSAGE unless there are as many peaks as one-bits in the size. */
  static fromBytes(bytes: CompactRangeBytes): CompactRange {
    const big = bytes.length >= 8 ? new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true) : -1n;
    const ones = big < 0n ? -1 : big.toString(2).replaceAll('0', '').length;
    ensure(
      big >= 0n && big <= BigInt(Number.MAX_SAFE_INTEGER) && bytes.length === 8 + ones * HASH_BYTES,
      'MALFORMED_MESSAGE',
      'compact range: the number of hashes does not fit the size',
    );
    const range = new CompactRange();
    range.#size = Number(big);
    for (let at = 8; at < bytes.length; at += HASH_BYTES) range.#peaks.push(bytes.slice(at, at + HASH_BYTES));
    return range;
  }
}

/**
 * Appendable tree that stores every complete node, so that roots and proofs of any earlier size are O(log²
 * n).
 */
export class MerkleTree {
  /** #levels[k] holds the hashes of the complete subtrees of 2^k leaves, left to right. */
  readonly #levels: HashColumn[] = [new HashColumn()];
  readonly #node: NodeReader = (level, index) => this.#levels[level]!.at(index);

  static fromLeafHashes(leafHashes: Iterable<Uint8Array>): MerkleTree {
    const tree = new MerkleTree();
    for (const leaf of leafHashes) tree.appendHash(leaf);
    return tree;
  }

  get size(): number {
    return this.#levels[0]!.length;
  }

  /** Appends leaf data; returns its index. */
  append(data: Uint8Array): number {
    return this.appendHash(leafHash(data));
  }

  /** Appends a 32-byte leaf hash; returns its index. */
  appendHash(leaf: Uint8Array): number {
    ensure(leaf.length === HASH_BYTES, 'FIELD_OUT_OF_RANGE', 'a leaf hash has 32 bytes');
    const index = this.size;
    let carry = leaf;
    for (let level = 0; ; level++) {
      const column = this.#levels[level] ?? new HashColumn();
      this.#levels[level] = column;
      column.push(carry);
      if (column.length % 2 === 1) return index;
      carry = nodeHash(column.at(column.length - 2), carry);
    }
  }

  leafHashAt(index: number): Uint8Array {
    ensure(isSize(index) && index < this.size, 'FIELD_OUT_OF_RANGE', 'no such leaf');
    return this.#levels[0]!.at(index);
  }

  /**
   * `count` stored hashes of complete subtrees of 2^level leaves from number `start`: a row of a tlog tile.
   */
  nodes(level: number, start: number, count: number): Uint8Array[] {
    const column = this.#levels[level];
    ensure(
      isSize(level) &&
        isSize(start) &&
        isSize(count) &&
        column !== undefined &&
        start + count <= column.length,
      'FIELD_OUT_OF_RANGE',
      'no such nodes',
    );
    return Array.from({ length: count }, (_, i) => column.at(start + i));
  }

  /** Root of the first `size` leaves. */
  root(size: number = this.size): Uint8Array {
    this.#checkSize(size);
    return size === 0 ? emptyRoot() : rangeHash(this.#node, 0, size);
  }

  /** PATH(index, D[size]) of RFC 6962 §2.1.1, leaf's sibling first. */
  inclusionProof(index: number, size: number = this.size): Uint8Array[] {
    this.#checkSize(size);
    ensure(isSize(index) && index < size, 'FIELD_OUT_OF_RANGE', 'no such leaf in a tree of this size');
    return inclusionPath(this.#node, index, size);
  }

  /** PROOF(oldSize, D[size]) of RFC 6962 §2.1.2; empty for oldSize 0 or oldSize = size. */
  consistencyProof(oldSize: number, size: number = this.size): Uint8Array[] {
    this.#checkSize(size);
    ensure(isSize(oldSize) && oldSize <= size, 'FIELD_OUT_OF_RANGE', 'the old size is larger than the new');
    return consistencyPath(this.#node, oldSize, size);
  }

  #checkSize(size: number): void {
    ensure(isSize(size) && size <= this.size, 'FIELD_OUT_OF_RANGE', 'the tree does not have this size');
  }
}

const treeOf = (leaves: readonly Uint8Array[]): MerkleTree =>
  MerkleTree.fromLeafHashes(leaves.map((leaf) => leafHash(leaf)));

/** MTH of leaf *data* (not hashes); the empty list has the root SHA-256(''). */
export function merkleRoot(leaves: readonly Uint8Array[]): Uint8Array {
  const range = new CompactRange();
  for (const leaf of leaves) range.append(leafHash(leaf));
  return range.root();
}

/** Inclusion proof of leaf number `index` among leaf *data*; FIELD_OUT_OF_RANGE for an index outside. */
export const inclusionProof = (leaves: readonly Uint8Array[], index: number): Uint8Array[] =>
  treeOf(leaves).inclusionProof(index);

/** Consistency proof from the first `oldSize` leaves to all of them. */
export const consistencyProof = (leaves: readonly Uint8Array[], oldSize: number): Uint8Array[] =>
  treeOf(leaves).consistencyProof(oldSize);

function isProof(proof: unknown): proof is readonly Uint8Array[] {
  return (
    Array.isArray(proof) &&
    proof.length <= PROOF_HASHES_MAX &&
    proof.every((item) => item instanceof Uint8Array && item.length === HASH_BYTES)
  );
}

const isHash = (value: unknown): value is Uint8Array =>
  value instanceof Uint8Array && value.length === HASH_BYTES;
const half = (value: number): number => Math.floor(value / 2);

export interface InclusionClaim {
  /** leafHash(data) of the leaf, 32 bytes. */
  readonly leafHash: Uint8Array;
  readonly index: number;
  readonly size: number;
  readonly proof: readonly Uint8Array[];
  readonly root: Uint8Array;
}

/**
 * RFC 9162 §2.1.3.2. True only if the proof shows the leaf at exactly this index of the tree with this
 * root.
 */
export function verifyInclusion(claim: InclusionClaim): boolean {
  const { index, size, proof, root } = claim;
  if (!isSize(size) || !isSize(index) || index >= size) return false;
  if (!isProof(proof) || !isHash(claim.leafHash) || !isHash(root)) return false;
  let position = index;
  let last = size - 1;
  let computed = claim.leafHash;
  // Numbers, not 32-bit operators: an index of 2^32 + i must not be taken for i.
  for (const sibling of proof) {
    if (last === 0) return false;
    if (position % 2 === 1 || position === last) {
      computed = nodeHash(sibling, computed);
      while (position % 2 === 0 && position !== 0) {
        position = half(position);
        last = half(last);
      }
    } else {
      computed = nodeHash(computed, sibling);
    }
    position = half(position);
    last = half(last);
  }
  return last === 0 && equalBytes(computed, root);
}

export interface ConsistencyClaim {
  readonly oldSize: number;
  readonly oldRoot: Uint8Array;
  readonly size: number;
  readonly root: Uint8Array;
  readonly proof: readonly Uint8Array[];
}

/**
 * RFC 9162 §2.1.4.2. True only if the tree of `size` leaves begins with the tree of `oldSize` leaves. Every
 * tree extends the empty one (proof empty); equal sizes need equal roots and an empty proof.
 */
export function verifyConsistency(claim: ConsistencyClaim): boolean {
  const { oldSize, oldRoot, size, root, proof } = claim;
  if (!isSize(oldSize) || !isSize(size) || oldSize > size) return false;
  if (!isProof(proof) || !isHash(oldRoot) || !isHash(root)) return false;
  if (oldSize === 0) return proof.length === 0 && equalBytes(oldRoot, emptyRoot());
  if (oldSize === size) return proof.length === 0 && equalBytes(oldRoot, root);
  let position = oldSize - 1;
  let last = size - 1;
  while (position % 2 === 1) {
    position = half(position);
    last = half(last);
  }
  // When oldSize is a power of two its root is itself the first node of the path.
  const path = position === 0 ? [oldRoot, ...proof] : proof;
  const first = path[0];
  if (first === undefined) return false;
  let oldComputed = first;
  let computed = first;
  for (const sibling of path.slice(1)) {
    if (last === 0) return false;
    if (position % 2 === 1 || position === last) {
      oldComputed = nodeHash(sibling, oldComputed);
      computed = nodeHash(sibling, computed);
      while (position % 2 === 0 && position !== 0) {
        position = half(position);
        last = half(last);
      }
    } else {
      computed = nodeHash(computed, sibling);
    }
    position = half(position);
    last = half(last);
  }
  return last === 0 && equalBytes(oldComputed, oldRoot) && equalBytes(computed, root);
}
