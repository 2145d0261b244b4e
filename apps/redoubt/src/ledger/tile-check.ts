import { TILE_WIDTH, tilePath, type NodeVisitor } from "@redoubt/tlog";
import { finding } from "./finding.ts";
import type { LogSource } from "./log-source.ts";

interface DueTile {
  readonly level: number;
  readonly index: number;
  readonly bytes: Buffer;
}

const LEVELS_PER_TILE = 8;

/** Computes the hash tiles of a tree as it grows, and holds the published ones against them. */
export class TileCheck {
  readonly #source: LogSource;
  /** By tile level: the hashes of the tile that is not full yet. */
  readonly #open = new Map<number, Buffer[]>();
  readonly #counts = new Map<number, number>();
  #due: DueTile[] = [];
  #checked = 0;

  constructor(source: LogSource) {
    this.#source = source;
  }

  /** Tiles that were compared. */
  get checked(): number {
    return this.#checked;
  }

  /** Sees every node of the growing tree. */
  readonly visit: NodeVisitor = (treeLevel, _index, hash) => {
    if (treeLevel % LEVELS_PER_TILE !== 0) return;
    const level = treeLevel / LEVELS_PER_TILE;
    const hashes = this.#open.get(level) ?? [];
    hashes.push(Buffer.from(hash));
    this.#open.set(level, hashes);
    if (hashes.length === TILE_WIDTH) this.#close(level, hashes);
  };

  #close(level: number, hashes: readonly Buffer[]): void {
    const index = this.#counts.get(level) ?? 0;
    this.#due.push({ level, index, bytes: Buffer.concat(hashes) });
    this.#counts.set(level, index + 1);
    this.#open.set(level, []);
  }

  /** Compares the full tiles that were completed since the last call. */
  async compareFull(): Promise<void> {
    const due = this.#due;
    this.#due = [];
    await Promise.all(due.map((tile) => this.#compare(tile, TILE_WIDTH)));
  }

  /** Compares the partial tiles of the final size. */
  async compareEdge(): Promise<void> {
    const edge = [...this.#open].filter(([, hashes]) => hashes.length > 0);
    await Promise.all(
      edge.map(([level, hashes]) => {
        const index = this.#counts.get(level) ?? 0;
        return this.#compare({ level, index, bytes: Buffer.concat(hashes) }, hashes.length);
      }),
    );
  }

  async #compare({ level, index, bytes }: DueTile, width: number): Promise<void> {
    const path = tilePath(level, index, width);
    const found = await readPartial(this.#source, path, tilePath(level, index));
    const isSame = found.subarray(0, bytes.length).equals(bytes);
    const isWhole = found.length === bytes.length || found.length === TILE_WIDTH * 32;
    if (!isSame || !isWhole)
      throw finding("ERR_LOG_TILE", `${this.#source.name}/${path} is not what the entries lead to`);
    this.#checked += 1;
  }
}

/** C2SP tlog-tiles: a partial file may be gone once the full one stands. */
export async function readPartial(
  source: LogSource,
  path: string,
  fullPath: string,
): Promise<Buffer> {
  const found = (await source.read(path)) ?? (await source.read(fullPath));
  if (!found) throw finding("ERR_LOG_FILE", `${source.name}/${path} is missing`);
  return found;
}
