import { TlogError } from "./errors.ts";
import { EMPTY_ROOT, HASH_BYTES, hashLeaf, hashNode, requireHash } from "./hash.ts";
import { ownBytes } from "./own-bytes.ts";
import { isTreeSize, MAX_TREE_SIZE } from "./tree-size.ts";

/**
 * Told of every node that is final: the hash of entries `[index * 2^level, (index + 1) * 2^level)`.
 * Called in order of completion, leaf first, before the entry counts: if it throws, the entry is not appended.
 * It must not change the range, nor the hash before the append is over; it may keep the hash.
 */
export type NodeVisitor = (level: number, index: number, hash: Buffer) => void;

const LEVELS = 53;

/** Size and root of a tree. */
export interface TreeHead {
  readonly size: number;
  readonly root: Buffer;
}

/**
 * A log reduced to its size and the roots of its complete subtrees, at most 53 hashes: enough to append
 * and to know every later root. Whoever keeps one cannot be shown another past (P3, THREAT-06).
 */
export class CompactRange {
  #size = 0;
  /** One slot per level, like the digits of a binary counter; a slot counts only if its bit of `#size` is set. */
  readonly #slots = Buffer.alloc(LEVELS * HASH_BYTES);

  static empty(): CompactRange {
    return new CompactRange();
  }

  /** Restores what `size` and `hashes()` gave. Throws `ERR_TLOG_RANGE` if they cannot belong together. */
  static from(size: number, hashes: readonly Uint8Array[]): CompactRange {
    if (!isTreeSize(size)) throw new TlogError("ERR_TLOG_RANGE", "Tree size is not a safe integer");
    const range = new CompactRange();
    const left = [...hashes];
    for (const level of completeLevels(size)) {
      const hash = left.pop();
      if (hash === undefined) throw wrongCount(size, hashes.length);
      requireHash(hash, "ERR_TLOG_RANGE");
      range.#slots.set(hash, level * HASH_BYTES);
    }
    if (left.length > 0) throw wrongCount(size, hashes.length);
    range.#size = size;
    return range;
  }

  get size(): number {
    return this.#size;
  }

  get head(): TreeHead {
    return { size: this.size, root: this.root() };
  }

  /** The roots of the complete subtrees, largest first. */
  hashes(): Buffer[] {
    return completeLevels(this.#size)
      .toReversed()
      .map((level) => ownBytes(this.#slot(level)));
  }

  append(leafHash: Uint8Array, visit?: NodeVisitor): void {
    requireHash(leafHash, "ERR_TLOG_RANGE");
    this.#push(Buffer.from(leafHash), visit);
  }

  appendEntries(entries: readonly Uint8Array[], visit?: NodeVisitor): void {
    for (const entry of entries) this.#push(hashLeaf(entry), visit);
  }

  /** RFC 6962 §2.1: the Merkle tree hash of all entries so far. */
  root(): Buffer {
    let root: Buffer | undefined;
    for (const level of completeLevels(this.#size)) {
      const left = this.#slot(level);
      root = root === undefined ? left : hashNode(left, root);
    }
    return ownBytes(root ?? EMPTY_ROOT);
  }

  clone(): CompactRange {
    const range = new CompactRange();
    range.#slots.set(this.#slots);
    range.#size = this.#size;
    return range;
  }

  #push(leafHash: Buffer, visit: NodeVisitor | undefined): void {
    const size = this.#size;
    if (size === MAX_TREE_SIZE) throw new TlogError("ERR_TLOG_RANGE", "Tree is full");
    let hash = leafHash;
    let index = size;
    let level = 0;
    visit?.(level, index, hash);
    // An odd index closes a pair, whose node may close the pair above it, and so on.
    while (index % 2 === 1) {
      hash = hashNode(this.#slot(level), hash);
      index = (index - 1) / 2;
      level += 1;
      visit?.(level, index, hash);
    }
    if (this.#size !== size) throw new TypeError("A visitor must not change the range it visits");
    // Nothing is changed before this line, and the slot did not count until now.
    this.#slots.set(hash, level * HASH_BYTES);
    this.#size = size + 1;
  }

  #slot(level: number): Buffer {
    return this.#slots.subarray(level * HASH_BYTES, (level + 1) * HASH_BYTES);
  }
}

/** The levels at which a tree of `size` entries has a complete subtree of its own, lowest first. */
function completeLevels(size: number): number[] {
  const levels: number[] = [];
  for (let level = 0, rest = size; rest > 0; level++, rest = Math.floor(rest / 2))
    if (rest % 2 === 1) levels.push(level);
  return levels;
}

function wrongCount(size: number, found: number): TlogError {
  const expected = completeLevels(size).length;
  return new TlogError("ERR_TLOG_RANGE", "Number of hashes does not fit the size", {
    found,
    expected,
  });
}
