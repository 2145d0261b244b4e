import { CompactRange } from "@redoubt/tlog";

interface Batch {
  readonly entries: readonly Buffer[];
}

/** The tree over batches of entries: what was hashed is not hashed again while only more comes behind it. */
export class FakeTree<T extends Batch> {
  readonly entries: Buffer[] = [];
  readonly #batches: T[] = [];
  /** By the size of the tree before them. */
  readonly starts = new Map<number, T>();
  /** By the size of the tree that they end. */
  readonly ends = new Map<number, T>();
  readonly #nodes = new Map<string, Buffer>();
  readonly #range = CompactRange.empty();

  /** Takes what came behind; false where something else was changed, and this is no tree of it. */
  follow(batches: readonly T[]): boolean {
    if (this.#batches.some((batch, place) => batch !== batches[place])) return false;
    for (const batch of batches.slice(this.#batches.length)) {
      this.starts.set(this.entries.length, batch);
      for (const entry of batch.entries) this.entries.push(entry);
      this.#range.appendEntries(batch.entries, (level, index, hash) =>
        this.#nodes.set(`${level}/${index}`, hash),
      );
      this.ends.set(this.entries.length, batch);
      this.#batches.push(batch);
    }
    return true;
  }

  /** The compact range of the first `size` entries. */
  range(size: number): CompactRange {
    if (size >= this.#range.size) return this.#range.clone();
    const hashes: Buffer[] = [];
    for (let start = 0, level = 31; level >= 0; level -= 1) {
      if (size - start < 2 ** level) continue;
      hashes.push(this.reader(level, start / 2 ** level));
      start += 2 ** level;
    }
    return CompactRange.from(size, hashes);
  }

  readonly reader = (level: number, index: number): Buffer => {
    const hash = this.#nodes.get(`${level}/${index}`);
    if (!hash) throw new RangeError(`The tree has no node ${level}/${index}`);
    return hash;
  };
}
