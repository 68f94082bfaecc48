/**
 * Tiles and entry bundles of a tiled transparency log (c2sp.org/tlog-tiles): paths, content, reading back.
 *
 * A tile of level L holds up to 256 hashes of complete subtrees of 256^L leaves; the rightmost of a level may be
 * partial. An entry bundle holds up to 256 leaves, each behind a big-endian uint16 length.
 * Trusts: nothing; tiles come from outside and are worth what the root of a verified checkpoint says (`TiledTree`).
 * May be called by: everyone.
 */
import { concat, equalBytes } from '../bytes.ts';
import { ensure, PulsefoldError } from '../error.ts';
import {
  consistencyPath,
  emptyRoot,
  HASH_BYTES,
  inclusionPath,
  type NodeReader,
  nodeHash,
  rangeHash,
} from './merkle.ts';

export const TILE_WIDTH = 256;
const TILE_HEIGHT = 8;
/** 256^7 > 2^53. */
const LEVEL_MAX = 6;
export const ENTRY_BYTES_MAX = 65_535;
/** A full bundle of the longest entries. */
export const BUNDLE_BYTES_MAX = TILE_WIDTH * (2 + ENTRY_BYTES_MAX);

export interface Tile {
  /** 0 to 63 in the format, 0 to 6 for trees of up to 2^53 leaves; 'entries' for a bundle. */
  readonly level: number | 'entries';
  readonly index: number;
  /** Hashes or entries in it: 1 to 256. */
  readonly width: number;
}

const malformed = (what: string): PulsefoldError => new PulsefoldError('MALFORMED_MESSAGE', `tile: ${what}`);

/** `tile/<L>/<N>[.p/<W>]`, with N in groups of three digits: 1234067 is x001/x234/067. */
export function tilePath({ level, index, width }: Tile): string {
  ensure(
    (level === 'entries' || (Number.isInteger(level) && level >= 0 && level <= 63)) &&
      Number.isSafeInteger(index) &&
      index >= 0 &&
      Number.isInteger(width) &&
      width >= 1 &&
      width <= TILE_WIDTH,
    'FIELD_OUT_OF_RANGE',
    'tile: level 0-63, index from 0, width 1-256',
  );
  const groups: string[] = [];
  for (let rest = index; groups.length === 0 || rest > 0; rest = Math.floor(rest / 1000))
    groups.unshift(`${groups.length === 0 ? '' : 'x'}${String(rest % 1000).padStart(3, '0')}`);
  return `tile/${level}/${groups.join('/')}${width === TILE_WIDTH ? '' : `.p/${width}`}`;
}

/** Reads a path as `tilePath` writes it, and only in that form. Throws MALFORMED_MESSAGE. */
export function parseTilePath(path: string): Tile {
  const match =
    path.length <= 100
      ? /^tile\/(entries|[0-9]{1,2})\/((?:x[0-9]{3}\/)*[0-9]{3})(?:\.p\/([1-9][0-9]{0,2}))?$/.exec(path)
      : null;
  if (!match) throw malformed('not a tile path');
  const level = match[1] === 'entries' ? 'entries' : Number(match[1]);
  const index = Number(match[2]!.replaceAll(/[x/]/g, ''));
  const width = match[3] === undefined ? TILE_WIDTH : Number(match[3]);
  const canonical =
    Number.isSafeInteger(index) && width <= TILE_WIDTH && (level === 'entries' || level <= 63);
  if (!canonical || tilePath({ level, index, width }) !== path)
    throw malformed('not in the one form of a tile path');
  return { level, index, width };
}

/** floor(size / 256^level): how many hashes that level has in a tree of `size` leaves. */
const hashesAt = (level: number, size: number): number => Math.floor(size / TILE_WIDTH ** level);

function* tilesOfRow(level: number | 'entries', count: number, from: number): Generator<Tile> {
  for (let index = Math.floor(from / TILE_WIDTH); index * TILE_WIDTH < count; index++)
    yield { level, index, width: Math.min(TILE_WIDTH, count - index * TILE_WIDTH) };
}

/**
 * Hash tiles and bundles of a tree of `size` leaves, level by level, bundles last; with `oldSize` only those that a
 * tree of `oldSize` leaves did not have.
 */
export function* tilesOf(size: number, oldSize = 0): Generator<Tile> {
  for (let level = 0; level <= LEVEL_MAX && hashesAt(level, size) > 0; level++)
    if (hashesAt(level, size) > hashesAt(level, oldSize))
      yield* tilesOfRow(level, hashesAt(level, size), hashesAt(level, oldSize));
  if (size > oldSize) yield* tilesOfRow('entries', size, oldSize);
}

/** True for a tile that some tree of at most `size` leaves has: also the partial tiles of earlier checkpoints. */
export const isTileOf = ({ level, index, width }: Tile, size: number): boolean =>
  index * TILE_WIDTH + width <= hashesAt(level === 'entries' ? 0 : level, size);

/** A tile's bytes: `nodes(level, start, count)` gives hashes of complete subtrees of 2^level leaves. */
export function hashTile(
  { level, index, width }: Tile,
  nodes: (level: number, start: number, count: number) => readonly Uint8Array[],
): Uint8Array {
  ensure(level !== 'entries', 'FIELD_OUT_OF_RANGE', 'tile: a bundle holds no hashes');
  return concat(...nodes(level * TILE_HEIGHT, index * TILE_WIDTH, width));
}

/** Leaves as one entry bundle, 1 to 256 of at most 65,535 bytes. */
export function encodeBundle(entries: readonly Uint8Array[]): Uint8Array {
  ensure(
    entries.length >= 1 && entries.length <= TILE_WIDTH,
    'FIELD_OUT_OF_RANGE',
    'entry bundle: 1 to 256 entries',
  );
  return concat(
    ...entries.flatMap((entry) => {
      ensure(
        entry.length <= ENTRY_BYTES_MAX,
        'FIELD_OUT_OF_RANGE',
        `entry bundle: over ${ENTRY_BYTES_MAX} bytes`,
      );
      return [Uint8Array.of(entry.length >>> 8, entry.length & 0xff), entry];
    }),
  );
}

/** Splits a hostile bundle of exactly `width` entries. Throws MALFORMED_MESSAGE. */
export function parseBundle(bytes: Uint8Array, width: number): Uint8Array[] {
  const entries: Uint8Array[] = [];
  let at = 0;
  while (entries.length < width) {
    if (at + 2 > bytes.length) throw malformed('an entry bundle ends early');
    const end = at + 2 + (bytes[at]! << 8) + bytes[at + 1]!;
    if (end > bytes.length) throw malformed('an entry bundle ends early');
    entries.push(bytes.subarray(at + 2, end));
    at = end;
  }
  if (at !== bytes.length) throw malformed(`an entry bundle goes on after its ${width} entries`);
  return entries;
}

/** Fetches the bytes of a hash tile, from a directory or a server. May throw. */
export type TileFetcher = (tile: Tile) => Uint8Array;

/** Hash tiles kept in memory while proofs are computed: 8 KiB each. */
const TILES_KEPT = 256;

/**
 * A tree of `size` leaves read from its tiles. `open` compares their root with that of a verified checkpoint, so what
 * it hands out afterwards are proofs for that checkpoint; a tile that was changed shows up as a proof that does not
 * verify, or here.
 */
export class TiledTree {
  readonly size: number;
  readonly #fetch: TileFetcher;
  readonly #kept = new Map<string, Uint8Array>();

  private constructor(size: number, fetch: TileFetcher) {
    this.size = size;
    this.#fetch = fetch;
  }

  /** Throws LOG_INCONSISTENT if the tiles do not give this root, MALFORMED_MESSAGE for a tile of wrong length. */
  static open(
    checkpoint: { readonly size: number; readonly root: Uint8Array },
    fetch: TileFetcher,
  ): TiledTree {
    const { size, root } = checkpoint;
    ensure(Number.isSafeInteger(size) && size >= 0, 'FIELD_OUT_OF_RANGE', 'tiles: the size is no count');
    const tree = new TiledTree(size, fetch);
    ensure(
      equalBytes(tree.root(), root),
      'LOG_INCONSISTENT',
      'tiles: they do not give the root that the checkpoint signs',
    );
    return tree;
  }

  /** Root of the first `size` leaves. */
  root(size = this.size): Uint8Array {
    this.#check(size);
    return size === 0 ? emptyRoot() : rangeHash(this.#node, 0, size);
  }

  inclusionProof(index: number, size = this.size): Uint8Array[] {
    this.#check(size);
    ensure(
      Number.isSafeInteger(index) && index >= 0 && index < size,
      'FIELD_OUT_OF_RANGE',
      'tiles: no such leaf',
    );
    return inclusionPath(this.#node, index, size);
  }

  consistencyProof(oldSize: number, size = this.size): Uint8Array[] {
    this.#check(size);
    ensure(
      Number.isSafeInteger(oldSize) && oldSize >= 0 && oldSize <= size,
      'FIELD_OUT_OF_RANGE',
      'tiles: the old size is larger than the new',
    );
    return consistencyPath(this.#node, oldSize, size);
  }

  #check(size: number): void {
    ensure(
      Number.isSafeInteger(size) && size >= 0 && size <= this.size,
      'FIELD_OUT_OF_RANGE',
      'tiles: the tree does not have this size',
    );
  }

  readonly #node: NodeReader = (level, index) => {
    // A node of height 8·L + r is the root of 2^r hashes that stand side by side in one tile of level L.
    const tileLevel = Math.floor(level / TILE_HEIGHT);
    const span = 2 ** (level % TILE_HEIGHT);
    const first = index * span;
    const bytes = this.#tile(tileLevel, Math.floor(first / TILE_WIDTH));
    const at = (first % TILE_WIDTH) * HASH_BYTES;
    let row = Array.from({ length: span }, (_, i) =>
      bytes.subarray(at + i * HASH_BYTES, at + (i + 1) * HASH_BYTES),
    );
    while (row.length > 1)
      row = Array.from({ length: row.length / 2 }, (_, i) => nodeHash(row[2 * i]!, row[2 * i + 1]!));
    return row[0]!.slice();
  };

  #tile(level: number, index: number): Uint8Array {
    const key = `${level}/${index}`;
    const kept = this.#kept.get(key);
    if (kept) return kept;
    const width = Math.min(TILE_WIDTH, hashesAt(level, this.size) - index * TILE_WIDTH);
    const bytes = this.#fetch({ level, index, width });
    ensure(
      bytes.length === width * HASH_BYTES,
      'MALFORMED_MESSAGE',
      `${tilePath({ level, index, width })} must have ${width * HASH_BYTES} bytes`,
    );
    if (this.#kept.size >= TILES_KEPT) this.#kept.delete(this.#kept.keys().next().value!);
    this.#kept.set(key, bytes);
    return bytes;
  }
}
