import { TlogError } from "./errors.ts";
import { isTreeSize } from "./tree-size.ts";

/** C2SP tlog-tiles: hashes of a full hash tile, and entries of a full bundle. */
export const TILE_WIDTH = 256;

/** C2SP tlog-tiles: the largest level that a tile path can name. */
const MAX_TILE_LEVEL = 63;

/** One step of growth is bounded, because the size it grows to may come from a peer: 2^26 entries. */
export const MAX_TILE_GROWTH: number = 2 ** 26;

/** Hash `i` of the tile is the root of the complete subtree over 256^level entries at `index * 256 + i`. */
export interface Tile {
  readonly level: number;
  readonly index: number;
  /** 256, or 1 to 255 for a partial tile. */
  readonly width: number;
}

/** Where a resource lies: a hash tile, or a bundle of entries. */
export interface TilePath {
  readonly level: number | "entries";
  readonly index: number;
  readonly width: number;
}

/** The path of a hash tile below the prefix of the log: `tile/<level>/<index>[.p/<width>]`. */
export function tilePath(level: number, index: number, width: number = TILE_WIDTH): string {
  if (!isTreeSize(level) || level > MAX_TILE_LEVEL) throw malformed();
  return `tile/${level}/${indexPath(index, width)}`;
}

/** The path of a bundle of entries: `tile/entries/<index>[.p/<width>]`. */
export function entryBundlePath(index: number, width: number = TILE_WIDTH): string {
  return `tile/entries/${indexPath(index, width)}`;
}

/** The one resource that a path names. The path may come from a request: everything but the exact form is refused. */
export function parseTilePath(path: string): TilePath {
  const match =
    /^tile\/(entries|[0-9]{1,2})\/((?:x[0-9]{3}\/){0,5}[0-9]{3})(?:\.p\/([0-9]{1,3}))?$/.exec(path);
  if (match === null) throw malformed();
  const [, unit = "", groups = "", partial] = match;
  const level = unit === "entries" ? unit : Number(unit);
  const index = Number(groups.replaceAll(/[x/]/g, ""));
  const width = partial === undefined ? TILE_WIDTH : Number(partial);
  // Only the path that we would write ourselves: no second name for one resource (leading zeroes, `.p/256`).
  const canonical =
    level === "entries" ? entryBundlePath(index, width) : tilePath(level, index, width);
  if (canonical !== path) throw malformed();
  return { level, index, width };
}

/** The hash tiles, full ones and the partial one of each level, that differ between two sizes of one tree. */
export function tilesToWrite(oldSize: number, newSize: number): Tile[] {
  if (!isTreeSize(oldSize) || !isTreeSize(newSize) || oldSize > newSize)
    throw new TlogError("ERR_TLOG_TILE", "A tree does not grow that way", {
      found: `${oldSize} to ${newSize}`,
    });
  if (newSize - oldSize > MAX_TILE_GROWTH)
    throw new TlogError("ERR_TLOG_TILE", "Too many entries for one step", {
      found: newSize - oldSize,
      expected: MAX_TILE_GROWTH,
    });
  const tiles: Tile[] = [];
  let [before, after] = [oldSize, newSize];
  for (let level = 0; before < after; level++) {
    for (let index = Math.floor(before / TILE_WIDTH); index * TILE_WIDTH < after; index++)
      tiles.push({ level, index, width: Math.min(after - index * TILE_WIDTH, TILE_WIDTH) });
    // Only full tiles are hashed into the level above.
    [before, after] = [Math.floor(before / TILE_WIDTH), Math.floor(after / TILE_WIDTH)];
  }
  return tiles;
}

/** Three digits an element, which keeps folders small: 1234067 is `x001/x234/067`. */
function indexPath(index: number, width: number): string {
  if (!isTreeSize(index) || !Number.isInteger(width) || width < 1 || width > TILE_WIDTH)
    throw malformed();
  let path = digits(index % 1000);
  for (let rest = Math.floor(index / 1000); rest > 0; rest = Math.floor(rest / 1000))
    path = `x${digits(rest % 1000)}/${path}`;
  return width === TILE_WIDTH ? path : `${path}.p/${width}`;
}

function digits(group: number): string {
  return String(group).padStart(3, "0");
}

function malformed(): TlogError {
  return new TlogError("ERR_TLOG_TILE", "Not a tile of a log");
}
