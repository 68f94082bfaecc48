/**
 * A run whose log has 10,000 leaves, cosigned by a witness, and ways to damage its leaf file.
 *
 * May be called by: auditor/*.test.ts.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { cosignNote, openCheckpoint } from '../crypto/log/checkpoint.ts';
import type { Leaf } from '../crypto/log/leaves.ts';
import { leafHash, MerkleTree, verifyInclusion } from '../crypto/log/merkle.ts';
import { cosignerAt, generateCosignerKey, noteVerifier } from '../crypto/log/note-keys.ts';
import { encodeTlogPolicy } from '../crypto/log/tlog-policy.ts';
import { RunFixture } from './testing.ts';
import { type AuditTrust, verifyRunDirectory } from './verify.ts';

export const LEAVES = 10_000;

export class LargeLog {
  readonly directory: string;
  readonly fixture = new RunFixture();
  /** Lines of the honest file, each with its newline. */
  readonly lines: readonly Buffer[];
  readonly #witness = generateCosignerKey('w.example/1', 'cosignature-ed25519');

  constructor(directory: string) {
    this.directory = directory;
    // What the fixture's round needs stands somewhere in the middle, among leaves of other people.
    const filler = (n: number): Leaf => ({
      kind: 'withdrawal',
      version: 1,
      timeMs: n,
      commitment: n.toString(16).padStart(64, '0'),
    });
    const own = this.fixture.leaves;
    const before = Array.from({ length: 5_000 }, (_, n) => filler(n));
    const after = Array.from({ length: LEAVES - before.length - own.length }, (_, n) => filler(5_000 + n));
    this.fixture.leaves = [...before, ...own, ...after];
    this.fixture.write(directory);
    const path = join(directory, 'log', 'checkpoint');
    writeFileSync(path, cosignNote(readFileSync(path, 'utf8'), cosignerAt(this.#witness, 9)));
    const file = readFileSync(this.#path);
    const lines: Buffer[] = [];
    for (let start = 0, end = file.indexOf(0x0a); end >= 0; start = end + 1, end = file.indexOf(0x0a, start))
      lines.push(file.subarray(start, end + 1));
    this.lines = lines;
  }

  get #path(): string {
    return join(this.directory, 'log', 'leaves.ndjson');
  }

  /** Pins log and witness. */
  get policy(): string {
    return encodeTlogPolicy({
      logs: [{ key: this.fixture.signer }],
      witnesses: [{ name: 'w', key: this.#witness }],
      lines: ['quorum w'],
    });
  }

  /** Error codes of an audit with these lines in place of the honest ones. */
  auditOf(lines: readonly Uint8Array[], trust: AuditTrust = { policy: this.policy }): string[] {
    writeFileSync(this.#path, Buffer.concat(lines));
    return this.audit(trust);
  }

  audit(trust: AuditTrust = { policy: this.policy }): string[] {
    const { findings } = verifyRunDirectory(this.directory, trust);
    return findings.filter(({ severity }) => severity === 'error').map(({ code }) => code);
  }

  /** The lines with one bit of leaf `position` flipped, not in its newline. */
  flipped(position: number, bit: number): Buffer[] {
    const line = Buffer.from(this.lines[position]!);
    const at = bit % ((line.length - 1) * 8);
    line[at >> 3]! ^= 1 << (at & 7);
    return this.lines.toSpliced(position, 1, line) as Buffer[];
  }

  /** Flips `bitsEach` bits of every leaf, one at a time, under the signed root; names the flips that pass as the leaf. */
  flipsUnseen(bitsEach: number): string[] {
    const data = this.lines.map((line) => new Uint8Array(line.subarray(0, -1)));
    const tree = MerkleTree.fromLeafHashes(data.map((leaf) => leafHash(leaf)));
    const note = readFileSync(join(this.directory, 'log', 'checkpoint'), 'utf8');
    const { root, size } = openCheckpoint(note, [noteVerifier(this.fixture.signer)]);
    const unseen: string[] = [];
    for (const [index, leaf] of data.entries()) {
      const claim = { index, size, root, proof: tree.inclusionProof(index) };
      if (!verifyInclusion({ ...claim, leafHash: leafHash(leaf) })) unseen.push(`leaf ${index} is missing`);
      // Another bit of another byte for every leaf and every try.
      for (let attempt = 0; attempt < bitsEach; attempt++) {
        const at = (index * 131 + attempt * 977) % leaf.length;
        const mask = 1 << ((index + attempt) % 8);
        leaf[at]! ^= mask;
        if (verifyInclusion({ ...claim, leafHash: leafHash(leaf) }))
          unseen.push(`mask ${mask} of byte ${at} of leaf ${index}`);
        leaf[at]! ^= mask;
      }
    }
    return unseen;
  }
}
