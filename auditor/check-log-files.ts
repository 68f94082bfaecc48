/**
 * The parts of an exported log beside leaves and checkpoint: tiles and entry bundles (c2sp.org/tlog-tiles), and the
 * cosignatures of witnesses.
 *
 * Every file under log/tile must be what the leaves give, so that whoever reads tiles reads the log that was audited.
 * Trusts: the policy that it is given; one in the run directory is checked and not believed. May be called by:
 * verify.ts.
 */
import { type Dirent, existsSync, readdirSync } from 'node:fs';
import { join, relative, sep } from 'node:path';
import { equalBytes, toHex } from '../crypto/bytes.ts';
import { type NoteVerifier, noteKeyId, parseSignedNote, verifyNote } from '../crypto/log/checkpoint.ts';
import { leafHash, type MerkleTree } from '../crypto/log/merkle.ts';
import {
  BUNDLE_BYTES_MAX,
  hashTile,
  isTileOf,
  parseBundle,
  parseTilePath,
  TILE_WIDTH,
  type Tile,
  tilePath,
  tilesOf,
} from '../crypto/log/tiles.ts';
import { openCheckpointUnder, POLICY_BYTES_MAX, parseTlogPolicy } from '../crypto/log/tlog-policy.ts';
import type { Findings } from './findings.ts';
import { readCapped } from './run-directory.ts';

/** True if the run directory has the log as tiles, too. */
export const hasTiles = (directory: string): boolean => existsSync(join(directory, 'log', 'tile'));

/** Compares every file under log/tile with the leaves, and asks that all that the tree needs are there. */
export function checkTiles(directory: string, tree: MerkleTree, findings: Findings): void {
  const wanted = new Set([...tilesOf(tree.size)].map(tilePath));
  for (const path of filesUnder(join(directory, 'log'), 'tile')) {
    wanted.delete(path);
    const fault = faultOf(directory, path, tree, findings);
    if (fault) findings.error('TILE_MISMATCH', `log/${path}: ${fault}`);
  }
  for (const path of wanted) findings.error('FILE_MISSING', `log/${path} is not in the run directory`);
}

function* filesUnder(base: string, name: string): Generator<string> {
  const entries: Dirent[] = readdirSync(join(base, name), { withFileTypes: true, recursive: true });
  for (const entry of entries)
    if (!entry.isDirectory()) yield relative(base, join(entry.parentPath, entry.name)).split(sep).join('/');
}

function faultOf(directory: string, path: string, tree: MerkleTree, findings: Findings): string | undefined {
  let tile: Tile;
  try {
    tile = parseTilePath(path);
  } catch {
    return 'no tile has this name';
  }
  if (!isTileOf(tile, tree.size)) return `a log of ${tree.size} leaves has no such tile`;
  const bytes = readCapped(join(directory, 'log', path), BUNDLE_BYTES_MAX, `log/${path}`, findings);
  if (bytes === undefined) return undefined;
  if (tile.level === 'entries') return bundleFault(tile, bytes, tree);
  const expected = hashTile(tile, (level, start, count) => tree.nodes(level, start, count));
  return equalBytes(bytes, expected) ? undefined : 'its hashes are not those of the leaves';
}

function bundleFault({ index, width }: Tile, bytes: Uint8Array, tree: MerkleTree): string | undefined {
  let entries: Uint8Array[];
  try {
    entries = parseBundle(bytes, width);
  } catch (error) {
    return (error as Error).message;
  }
  const start = index * TILE_WIDTH;
  const wrong = entries.findIndex((entry, i) => !equalBytes(leafHash(entry), tree.leafHashAt(start + i)));
  return wrong < 0 ? undefined : `entry ${start + wrong} is not the leaf of that number`;
}

/**
 * Verifies cosignatures on the checkpoint; returns the names of the witnesses that signed. With a pinned policy its
 * quorum must be met; without one the keys in log/policy are tried, which shows damage but proves no witness.
 */
export function checkWitnesses(
  directory: string,
  note: string,
  { policy, logs }: { readonly policy: string | undefined; readonly logs: readonly NoteVerifier[] },
  findings: Findings,
): string[] {
  try {
    if (policy !== undefined)
      return openCheckpointUnder(note, parseTlogPolicy(policy), logs).cosigners.map(({ name }) => name);
  } catch (error) {
    findings.error('WITNESS_QUORUM', `witnesses: ${(error as Error).message}`);
    return [];
  }
  if (!existsSync(join(directory, 'log', 'policy'))) return [];
  return checkOwnPolicy(directory, note, logs, findings);
}

function checkOwnPolicy(
  directory: string,
  note: string,
  logs: readonly NoteVerifier[],
  findings: Findings,
): string[] {
  const bytes = readCapped(join(directory, 'log', 'policy'), POLICY_BYTES_MAX, 'log/policy', findings);
  if (bytes === undefined) return [];
  try {
    const own = parseTlogPolicy(bytes);
    const known = [...logs, ...own.witnesses.map(({ verifier }) => verifier)];
    const { signedBy } = verifyNote(note, known);
    const ids = new Set(known.map((key) => `${key.name} ${toHex(noteKeyId(key))}`));
    for (const { name, keyId } of parseSignedNote(note).signatures)
      findings.require(
        ids.has(`${name} ${keyId}`),
        'CHECKPOINT_SIGNATURE',
        `log/checkpoint: a signature of ${name} is of no key in log/policy`,
      );
    const names = own.witnesses.filter(({ verifier }) => signedBy.includes(verifier)).map(({ name }) => name);
    if (names.length > 0)
      findings.warn(
        'TRUST_NOT_PINNED',
        `no witness policy was given: ${names.length} cosignatures verify against keys in the run directory`,
      );
    return names;
  } catch (error) {
    findings.error('CHECKPOINT_SIGNATURE', `log/policy: ${(error as Error).message}`);
    return [];
  }
}
