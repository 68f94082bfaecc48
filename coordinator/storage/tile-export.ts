/**
 * Writes a log as the files of a tiled transparency log (c2sp.org/tlog-tiles): `tile/<L>/<N>`, `tile/entries/<N>`.
 *
 * Tiles never change, so what lies there already with the right bytes is left alone; partial tiles of earlier
 * exports stay until their full tile is there, as the document allows. Trusts: the tree it is given.
 * May be called by: append-log.ts.
 */
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { equalBytes } from '../../crypto/bytes.ts';
import { encodeBundle, hashTile, TILE_WIDTH, type Tile, tilePath, tilesOf } from '../../crypto/log/tiles.ts';
import { writeFileAtomicSync } from '../../protos/transport/atomic-file.ts';

export interface TileSource {
  /** Hashes of complete subtrees of 2^level leaves. */
  nodes(level: number, start: number, count: number): Uint8Array[];
  /** Leaves with numbers in [start, end). */
  entries(start: number, end: number): Uint8Array[];
}

/** Brings the tiles in `directory` to a tree of `size` leaves. */
export function writeTiles(directory: string, size: number, source: TileSource): void {
  for (const tile of tilesOf(size)) {
    const path = join(directory, tilePath(tile));
    const bytes = contentOf(tile, source);
    if (existsSync(path) && equalBytes(new Uint8Array(readFileSync(path)), bytes)) continue;
    mkdirSync(dirname(path), { recursive: true });
    writeFileAtomicSync(path, bytes, 0o644);
    if (tile.width === TILE_WIDTH) rmSync(`${path}.p`, { recursive: true, force: true });
  }
}

function contentOf(tile: Tile, source: TileSource): Uint8Array {
  if (tile.level !== 'entries')
    return hashTile(tile, (level, start, count) => source.nodes(level, start, count));
  const start = tile.index * TILE_WIDTH;
  return encodeBundle(source.entries(start, start + tile.width));
}
