import {
  CompactRange,
  entryBundlePath,
  HASH_BYTES,
  hashLeaf,
  tileHashReader,
  tilePath,
  TILE_WIDTH,
  type TileReader,
} from "@redoubt/tlog";
import { BUNDLED_ENTRY_BYTES, ENTRY_PREFIX } from "./entries.ts";

/** A file below the folder of one log. */
export interface TileFile {
  readonly path: string;
  readonly bytes: Buffer;
}

/** A hash that stands in a tile: nodes of the other levels are computed from these by whoever needs them. */
export interface TileNode {
  /** Of tiles, not of nodes. */
  readonly level: number;
  readonly index: number;
  readonly hash: Buffer;
}

/** Entries by which a log grew, with what was computed for them before they were committed. */
export interface Growth {
  readonly first: number;
  readonly entries: readonly Buffer[];
  readonly nodes: readonly TileNode[];
  /** After these entries; never changed. */
  readonly range: CompactRange;
}

const LEVELS_PER_TILE = 8;
const NOTHING = new Uint8Array();

/** Appends entries to a copy of `before`, and keeps the hashes that tiles will need. */
export function grow(before: CompactRange, entries: readonly Buffer[]): Growth {
  const range = before.clone();
  const nodes: TileNode[] = [];
  range.appendEntries(entries, (level, index, hash) => {
    if (level % LEVELS_PER_TILE === 0) nodes.push({ level: level / LEVELS_PER_TILE, index, hash });
  });
  return { first: before.size, entries, nodes, range };
}

/** Records of one length that a file holds side by side, in memory of its own. */
class Packed {
  readonly #bytes: Buffer;
  readonly #width: number;
  #count = 0;

  constructor(width: number) {
    this.#width = width;
    this.#bytes = Buffer.allocUnsafeSlow(TILE_WIDTH * width);
  }

  get count(): number {
    return this.#count;
  }

  get isFull(): boolean {
    return this.#count === TILE_WIDTH;
  }

  push(record: Uint8Array, prefix: Uint8Array = NOTHING): void {
    if (prefix.length + record.length !== this.#width)
      throw new TypeError(`Record of ${record.length} bytes, not of ${this.#width}`);
    const at = this.#count * this.#width;
    this.#bytes.set(prefix, at);
    this.#bytes.set(record, at + prefix.length);
    this.#count += 1;
  }

  /** A view, which is never written to again. */
  first(count: number): Buffer {
    return this.#bytes.subarray(0, count * this.#width);
  }
}

/** The right edge of a log's tiles: all that is needed to go on from one size to the next (C2SP tlog-tiles). */
export class TileBuilder {
  #range = CompactRange.empty();
  /** Per tile level: the hashes of the tile that is not full yet. */
  readonly #edges: Packed[] = [];
  #bundle = new Packed(BUNDLED_ENTRY_BYTES);

  /**
   * Goes on from tiles that were written before. Anybody may have changed them: the caller compares `range.root()`,
   * which covers every hash that was read, with a signed root. Throws a RangeError when the entries are not those of
   * the last tile.
   */
  static resume(size: number, readTile: TileReader, bundle: readonly Buffer[]): TileBuilder {
    const read = tileHashReader(readTile, size);
    const hashes: Uint8Array[] = [];
    let start = 0;
    for (const level of setBits(size)) {
      hashes.push(read(level, start / 2 ** level));
      start += 2 ** level;
    }
    const builder = new TileBuilder();
    for (let level = 0, count = size; count > 0; level++, count = Math.floor(count / TILE_WIDTH)) {
      const width = count % TILE_WIDTH;
      if (width === 0) continue;
      const tile = readTile(level, Math.floor(count / TILE_WIDTH), width);
      for (let i = 0; i < width; i++)
        builder.#edge(level).push(tile.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES));
    }
    const { count } = builder.#edge(0);
    const leaves = builder.#edge(0).first(count);
    if (!Buffer.concat(bundle.map((entry) => hashLeaf(entry))).equals(leaves))
      throw new RangeError(`Entries before ${size} are not those of the last tile`);
    for (const entry of bundle) builder.#bundle.push(entry, ENTRY_PREFIX);
    builder.#range = CompactRange.from(size, hashes);
    return builder;
  }

  get size(): number {
    return this.#range.size;
  }

  get range(): CompactRange {
    return this.#range;
  }

  /** Takes entries and gives the files that they fill. */
  append(entries: readonly Buffer[]): TileFile[] {
    return this.take(grow(this.#range, entries));
  }

  /** Takes entries that `grow` has hashed already, and gives the files that they fill. */
  take({ first, entries, nodes, range }: Growth): TileFile[] {
    if (first !== this.size) throw new TypeError(`Growth from ${this.size}, not from ${first}`);
    const full: TileFile[] = [];
    for (const { level, index, hash } of nodes) {
      const edge = this.#edge(level);
      edge.push(hash);
      if (!edge.isFull) continue;
      const path = tilePath(level, Math.floor(index / TILE_WIDTH));
      full.push({ path, bytes: edge.first(TILE_WIDTH) });
      this.#edges[level] = new Packed(HASH_BYTES);
    }
    let size = first;
    for (const entry of entries) {
      this.#bundle.push(entry, ENTRY_PREFIX);
      size += 1;
      if (!this.#bundle.isFull) continue;
      full.push({
        path: entryBundlePath(size / TILE_WIDTH - 1),
        bytes: this.#bundle.first(TILE_WIDTH),
      });
      this.#bundle = new Packed(BUNDLED_ENTRY_BYTES);
    }
    this.#range = range;
    return full;
  }

  /** The files of the right edge, whose names say how much they hold. */
  partials(): TileFile[] {
    const files: TileFile[] = [];
    for (const [level, edge] of this.#edges.entries())
      if (edge.count > 0)
        files.push({
          path: tilePath(level, this.#edgeIndex(level), edge.count),
          bytes: edge.first(edge.count),
        });
    const { count } = this.#bundle;
    if (count > 0)
      files.push({
        path: entryBundlePath(this.#edgeIndex(0), count),
        bytes: this.#bundle.first(count),
      });
    return files;
  }

  /** The first hashes of a tile that is not full yet; undefined for any other. */
  partial(level: number, index: number, width: number): Buffer | undefined {
    const edge = this.#edges[level];
    if (!edge || index !== this.#edgeIndex(level) || edge.count < width) return undefined;
    return edge.first(width);
  }

  #edge(level: number): Packed {
    return (this.#edges[level] ??= new Packed(HASH_BYTES));
  }

  #edgeIndex(level: number): number {
    return Math.floor(this.size / TILE_WIDTH ** (level + 1));
  }
}

/** The levels of the complete subtrees of a tree, largest first. */
function setBits(size: number): number[] {
  const levels: number[] = [];
  for (let level = 0, rest = size; rest > 0; level++, rest = Math.floor(rest / 2))
    if (rest % 2 === 1) levels.unshift(level);
  return levels;
}
