import { TlogError } from "./errors.ts";
import { HASH_BYTES, hashNode } from "./hash.ts";
import type { HashReader } from "./hash-reader.ts";
import { TILE_WIDTH } from "./tile.ts";
import { isTreeSize } from "./tree-size.ts";

/** Gives the bytes of a hash tile: those of `width` hashes, or of the full tile that has replaced it since. */
export type TileReader = (level: number, index: number, width: number) => Uint8Array;

/** A tile holds 8 levels of the tree: 256 hashes. */
const LEVELS_PER_TILE = 8;

/**
 * Reads the hashes of the tree of `size` entries from its tiles, for `build…Proof`. It asks for no tile that this tree
 * does not have. Each hash reads one tile anew: where that is slow, pass a `readTile` that caches. Tiles are not
 * trusted: a wrong one gives a proof that does not verify. Throws `ERR_TLOG_TILE`.
 */
export function tileHashReader(readTile: TileReader, size: number): HashReader {
  if (!isTreeSize(size)) throw missing();
  return (level, index) => {
    if (!isTreeSize(level) || !isTreeSize(index)) throw missing();
    const tileLevel = Math.floor(level / LEVELS_PER_TILE);
    // The node stands for `count` neighbours among the hashes that the tiles of this level hold.
    const count = 2 ** (level % LEVELS_PER_TILE);
    const first = index * count;
    const available = Math.floor(size / TILE_WIDTH ** tileLevel);
    if (first + count > available) throw missing();
    const tileIndex = Math.floor(first / TILE_WIDTH);
    const width = Math.min(available - tileIndex * TILE_WIDTH, TILE_WIDTH);
    const tile = readTile(tileLevel, tileIndex, width);
    requireWidth(tile, width);
    return foldHashes(tile, first % TILE_WIDTH, count);
  };
}

/** The hash of a full tile: the one that stands for it in the tile above. Throws `ERR_TLOG_TILE` for any other. */
export function tileRoot(tile: Uint8Array): Uint8Array {
  requireWidth(tile, TILE_WIDTH);
  return foldHashes(tile, 0, TILE_WIDTH);
}

/** The root over `count` hashes of a tile, a power of two. */
function foldHashes(tile: Uint8Array, first: number, count: number): Uint8Array {
  if (count === 1) return tile.subarray(first * HASH_BYTES, (first + 1) * HASH_BYTES);
  const half = count / 2;
  return hashNode(foldHashes(tile, first, half), foldHashes(tile, first + half, half));
}

function requireWidth(tile: Uint8Array, width: number): void {
  if (tile.length !== width * HASH_BYTES && tile.length !== TILE_WIDTH * HASH_BYTES)
    throw new TlogError("ERR_TLOG_TILE", "Tile has a wrong length", {
      found: tile.length,
      expected: width * HASH_BYTES,
    });
}

function missing(): TlogError {
  return new TlogError("ERR_TLOG_TILE", "The tree has no such complete subtree");
}
