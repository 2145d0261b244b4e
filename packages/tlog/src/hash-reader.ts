import { TlogError } from "./errors.ts";
import { hashNode, requireHash } from "./hash.ts";
import { isTreeSize } from "./tree-size.ts";

/** Gives the hash of the complete subtree over entries `[index * 2^level, (index + 1) * 2^level)`. */
export type HashReader = (level: number, index: number) => Uint8Array;

/**
 * RFC 6962 §2.1: MTH(D[start:end]), the tree hash of the entries from `start` to below `end`, at least one. `start` must
 * be a multiple of the largest power of two not above `end - start`, as in every part that a proof names: only then is
 * each hash that is read here that of a complete subtree. Throws `ERR_TLOG_HASH` for a hash of a wrong length.
 */
export function rangeHash(reader: HashReader, start: number, end: number): Buffer {
  const parts: Buffer[] = [];
  let at = start;
  while (at < end) {
    const { level, width } = largestComplete(end - at);
    const hash = reader(level, at / width);
    requireHash(hash, "ERR_TLOG_HASH");
    parts.push(Buffer.from(hash));
    at += width;
  }
  return parts.reduceRight((right, left) => hashNode(left, right));
}

function largestComplete(entries: number): { level: number; width: number } {
  let level = 0;
  let width = 1;
  while (width * 2 <= entries) {
    level += 1;
    width *= 2;
  }
  return { level, width };
}

export function requireIndex(index: number, size: number): void {
  if (!isTreeSize(size) || !isTreeSize(index) || index >= size)
    throw new TlogError("ERR_TLOG_PROOF", "Index is not in the tree", {
      found: index,
      expected: `0 to below ${size}`,
    });
}

/** RFC 6962 §2.1: MTH(D[0:size]), the root of the first `size` entries, at least one. */
export function buildRoot(reader: HashReader, size: number): Buffer {
  return rangeHash(reader, 0, size);
}
