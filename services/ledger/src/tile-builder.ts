import {
  CompactRange,
  encodeEntryBundle,
  entryBundlePath,
  HASH_BYTES,
  hashLeaf,
  tileHashReader,
  tilePath,
  TILE_WIDTH,
  type TileReader,
} from "@redoubt/tlog";

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

/** Appends entries to a copy of `before`, and keeps the hashes that tiles will need. */
export function grow(before: CompactRange, entries: readonly Buffer[]): Growth {
  const range = before.clone();
  const nodes: TileNode[] = [];
  range.appendEntries(entries, (level, index, hash) => {
    if (level % LEVELS_PER_TILE === 0) nodes.push({ level: level / LEVELS_PER_TILE, index, hash });
  });
  return { first: before.size, entries, nodes, range };
}

/** The right edge of a log's tiles: all that is needed to go on from one size to the next (C2SP tlog-tiles). */
export class TileBuilder {
  #range: CompactRange;
  /** Per tile level: the hashes of the tile that is not full yet. */
  readonly #edges: Buffer[][];
  #bundle: Buffer[];

  constructor(range = CompactRange.empty(), edges: Buffer[][] = [], bundle: Buffer[] = []) {
    this.#range = range;
    this.#edges = edges;
    this.#bundle = bundle;
  }

  /**
   * Goes on from tiles that were written before. They may be anybody's: compare `root()` with a signed one, it
   * covers every hash that was read. Throws a RangeError when the entries are not those of the last tile.
   */
  static resume(size: number, readTile: TileReader, bundle: readonly Buffer[]): TileBuilder {
    const read = tileHashReader(readTile, size);
    const hashes: Uint8Array[] = [];
    let start = 0;
    for (const level of setBits(size)) {
      hashes.push(read(level, start / 2 ** level));
      start += 2 ** level;
    }
    const edges: Buffer[][] = [];
    for (let level = 0, count = size; count > 0; level++, count = Math.floor(count / TILE_WIDTH)) {
      const width = count % TILE_WIDTH;
      const tile =
        width > 0 ? readTile(level, Math.floor(count / TILE_WIDTH), width) : Buffer.alloc(0);
      edges.push(splitTile(tile, width));
    }
    const leaves = edges[0] ?? [];
    if (!Buffer.concat(bundle.map((entry) => hashLeaf(entry))).equals(Buffer.concat(leaves)))
      throw new RangeError(`Entries before ${size} are not those of the last tile`);
    return new TileBuilder(CompactRange.from(size, hashes), edges, [...bundle]);
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

  /** The same without hashing again. */
  take({ first, entries, nodes, range }: Growth): TileFile[] {
    if (first !== this.size) throw new TypeError(`Growth from ${this.size}, not from ${first}`);
    const full: TileFile[] = [];
    for (const node of nodes) {
      const tile = this.#fill(node);
      if (tile) full.push(tile);
    }
    let size = first;
    for (const entry of entries) {
      this.#bundle.push(entry);
      size += 1;
      if (this.#bundle.length < TILE_WIDTH) continue;
      const path = entryBundlePath(size / TILE_WIDTH - 1);
      full.push({ path, bytes: encodeEntryBundle(this.#bundle) });
      this.#bundle = [];
    }
    this.#range = range;
    return full;
  }

  #fill({ level, index, hash }: TileNode): TileFile | undefined {
    const edge = (this.#edges[level] ??= []);
    edge.push(hash);
    if (edge.length < TILE_WIDTH) return undefined;
    this.#edges[level] = [];
    return { path: tilePath(level, Math.floor(index / TILE_WIDTH)), bytes: Buffer.concat(edge) };
  }

  /** The files of the right edge, whose names say how much they hold. */
  partials(): TileFile[] {
    const files = this.#edges.flatMap((edge, level) =>
      edge.length === 0
        ? []
        : [
            {
              path: tilePath(level, this.#edgeIndex(level), edge.length),
              bytes: Buffer.concat(edge),
            },
          ],
    );
    if (this.#bundle.length === 0) return files;
    const path = entryBundlePath(this.#edgeIndex(0), this.#bundle.length);
    return [...files, { path, bytes: encodeEntryBundle(this.#bundle) }];
  }

  /** The first hashes of a tile that is not full yet; undefined for any other. */
  partial(level: number, index: number, width: number): Buffer | undefined {
    const edge = this.#edges[level];
    if (!edge || index !== this.#edgeIndex(level) || edge.length < width) return undefined;
    return Buffer.concat(edge.slice(0, width));
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

function splitTile(tile: Uint8Array, width: number): Buffer[] {
  return Array.from({ length: width }, (_, i) =>
    Buffer.from(tile.subarray(i * HASH_BYTES, (i + 1) * HASH_BYTES)),
  );
}
