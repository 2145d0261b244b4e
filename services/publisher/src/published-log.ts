import {
  buildRoot,
  encodeEntryBundle,
  entryBundlePath,
  HASH_BYTES,
  hashLeaf,
  openCheckpoint,
  parseEntryBundle,
  parseTilePath,
  tileHashReader,
  tilePath,
  tileRoot,
  TILE_WIDTH,
  type VerifierKey,
} from "@redoubt/tlog";
import type { FileCache } from "./file-cache.ts";

/** A tree whose checkpoint is published. */
interface Tree {
  readonly note: Buffer;
  readonly size: number;
  readonly root: Buffer;
  /** The tiles of the right edge, by level, once they were found to lead to the root. */
  edge?: Promise<readonly Buffer[]>;
}

export interface PublishedLogOptions {
  readonly origin: string;
  /** Whose signatures every checkpoint of this log has. */
  readonly verifiers: readonly VerifierKey[];
  /** A file below the log's folder; undefined where there is none. */
  readonly read: (path: string) => Promise<Buffer | undefined>;
  /** Holds what was found right; the prefix is this log's. */
  readonly cache: FileCache;
  readonly prefix: string;
}

/** A file that is not what the tree says. It must not be served: caches would keep it as immutable. */
export class DamagedFile extends Error {
  readonly path: string;

  constructor(path: string, options?: ErrorOptions) {
    super(`Damaged or lost: ${path}`, options);
    this.path = path;
  }
}

/**
 * The published files of one log, each checked against the checkpoint that is published with them: a full tile against
 * its hash in the tile above, those of the right edge against the root. A file is checked when it is read from the
 * disk, not when it comes from the cache. What the checkpoint does not cover yet is not served.
 */
export class PublishedLog {
  readonly #options: PublishedLogOptions;
  #tree: Tree | undefined;

  constructor(options: PublishedLogOptions) {
    this.#options = options;
  }

  async checkpoint(): Promise<Buffer | undefined> {
    return (await this.#readTree())?.note;
  }

  /** `path`: of a tile or bundle, in the one form that such a path has. */
  async tile(path: string): Promise<Buffer | undefined> {
    const { cache, prefix } = this.#options;
    const cached = cache.get(prefix + path);
    if (cached) return cached;
    const { level, index, width } = parseTilePath(path);
    const tree = await this.#readTree();
    if (!tree || widthAt(tree.size, level === "entries" ? 0 : level, index) < width)
      return undefined;
    const bytes =
      level === "entries"
        ? await this.#bundle(tree, index, width)
        : (await this.#hashes(tree, level, index)).subarray(0, width * HASH_BYTES);
    cache.set(prefix + path, bytes);
    return bytes;
  }

  async #readTree(): Promise<Tree | undefined> {
    const { origin, verifiers, read } = this.#options;
    const note = await read("checkpoint");
    if (!note) return undefined;
    if (this.#tree?.note.equals(note)) return this.#tree;
    const opened = open(note, origin, verifiers);
    if (opened.verified.length !== verifiers.length) throw new DamagedFile("checkpoint");
    const { size, root } = opened;
    this.#tree = { note, size, root };
    return this.#tree;
  }

  /** All hashes of a tile that this tree has. */
  async #hashes(tree: Tree, level: number, index: number): Promise<Buffer> {
    if (widthAt(tree.size, level, index) < TILE_WIDTH) {
      tree.edge ??= this.#readEdge(tree);
      return (await tree.edge)[level] ?? Buffer.alloc(0);
    }
    const { cache, prefix } = this.#options;
    const path = tilePath(level, index);
    const cached = cache.get(prefix + path);
    if (cached) return cached;
    const bytes = await this.#read(path);
    const above = await this.#hashes(tree, level + 1, Math.floor(index / TILE_WIDTH));
    const at = (index % TILE_WIDTH) * HASH_BYTES;
    const isWhole = bytes.length === TILE_WIDTH * HASH_BYTES;
    if (!isWhole || !above.subarray(at, at + HASH_BYTES).equals(tileRoot(bytes)))
      throw new DamagedFile(path);
    cache.set(prefix + path, bytes);
    return bytes;
  }

  /** Every hash of these tiles counts for the root. */
  async #readEdge(tree: Tree): Promise<readonly Buffer[]> {
    const edge: Buffer[] = [];
    for (let [level, count] = [0, tree.size]; count > 0; count = Math.floor(count / TILE_WIDTH)) {
      const [index, width] = [Math.floor(count / TILE_WIDTH), count % TILE_WIDTH];
      const tile = width > 0 ? await this.#readEdgeTile(level, index, width) : Buffer.alloc(0);
      edge.push(tile);
      level += 1;
    }
    const reader = tileHashReader((level) => edge[level] ?? Buffer.alloc(0), tree.size);
    if (buildRoot(reader, tree.size).equals(tree.root)) return edge;
    // Which of them it is cannot be told: the next reading may find them repaired.
    delete tree.edge;
    throw new DamagedFile(`right edge at ${tree.size}`);
  }

  /** C2SP tlog-tiles: a partial file may be gone once the full one stands. */
  async #readEdgeTile(level: number, index: number, width: number): Promise<Buffer> {
    const { read } = this.#options;
    const path = tilePath(level, index, width);
    const partial = await read(path);
    const tile = partial ?? (await this.#read(tilePath(level, index)));
    if (tile.length !== (partial ? width : TILE_WIDTH) * HASH_BYTES) throw new DamagedFile(path);
    return tile.subarray(0, width * HASH_BYTES);
  }

  async #bundle(tree: Tree, index: number, width: number): Promise<Buffer> {
    const path = entryBundlePath(index, width);
    const found = await this.#options.read(path);
    const entries = parse(path, found ?? (await this.#read(entryBundlePath(index))));
    const hashes = Buffer.concat(entries.slice(0, width).map((entry) => hashLeaf(entry)));
    const tile = await this.#hashes(tree, 0, index);
    const isWhole = found ? entries.length === width : entries.length === TILE_WIDTH;
    if (!isWhole || !tile.subarray(0, width * HASH_BYTES).equals(hashes))
      throw new DamagedFile(path);
    return found ?? encodeEntryBundle(entries.slice(0, width));
  }

  async #read(path: string): Promise<Buffer> {
    const bytes = await this.#options.read(path);
    if (!bytes) throw new DamagedFile(path);
    return bytes;
  }
}

function open(note: Buffer, origin: string, verifiers: readonly VerifierKey[]) {
  try {
    return openCheckpoint(note, { origin, verifiers });
  } catch (cause) {
    throw new DamagedFile("checkpoint", { cause });
  }
}

function parse(path: string, bytes: Buffer): Buffer[] {
  try {
    return parseEntryBundle(bytes);
  } catch (cause) {
    throw new DamagedFile(path, { cause });
  }
}

/** How many hashes a tile holds in a tree of this size; zero or less where there is no such tile. */
function widthAt(size: number, level: number, index: number): number {
  return Math.min(TILE_WIDTH, Math.floor(size / TILE_WIDTH ** level) - index * TILE_WIDTH);
}
