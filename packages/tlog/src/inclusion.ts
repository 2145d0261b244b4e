import { requireHash } from "./hash.ts";
import { rangeHash, requireIndex } from "./hash-reader.ts";
import type { HashReader } from "./hash-reader.ts";
import { requireSubtree, verifySubtreeConsistency } from "./subtree-consistency.ts";
import { splitPoint } from "./tree-size.ts";

export interface Inclusion {
  readonly index: number;
  readonly size: number;
  readonly leafHash: Uint8Array;
  readonly root: Uint8Array;
  /** From the leaf's sibling up to the root's child, as `buildInclusionProof` gives it. */
  readonly proof: readonly Uint8Array[];
}

/** RFC 9162 §2.1.3.2: proves that the leaf is entry `index` of the tree. Throws `ERR_TLOG_PROOF`. */
export function verifyInclusion({ index, size, leafHash, root, proof }: Inclusion): void {
  verifySubtreeInclusion({ index, start: 0, end: size, leafHash, root, proof });
}

export interface SubtreeInclusion {
  /** The position of the leaf in the whole tree. */
  readonly index: number;
  readonly start: number;
  readonly end: number;
  readonly leafHash: Uint8Array;
  /** The root of the subtree `[start, end)`. */
  readonly root: Uint8Array;
  readonly proof: readonly Uint8Array[];
}

/** The same for a subtree `[start, end)` of a larger tree. */
export function verifySubtreeInclusion(claim: SubtreeInclusion): void {
  const { index, start, end, leafHash, root, proof } = claim;
  requireSubtree(start, end, end);
  // Seen from the subtree, this is an ordinary inclusion: the consistency of a subtree that is one leaf. An index outside
  // the subtree gives no such subtree, and is refused.
  const at = index - start;
  for (const hash of [leafHash, root]) requireHash(hash, "ERR_TLOG_PROOF");
  const leaf = { start: at, end: at + 1, size: end - start };
  verifySubtreeConsistency({ ...leaf, root1: leafHash, root2: root, proof });
}

/** RFC 6962 §2.1.1: PATH(index, D[0:size]). */
export function buildInclusionProof(reader: HashReader, index: number, size: number): Buffer[] {
  requireIndex(index, size);
  const proof: Buffer[] = [];
  let [start, end] = [0, size];
  while (end - start > 1) {
    const split = start + splitPoint(end - start);
    if (index < split) {
      proof.push(rangeHash(reader, split, end));
      end = split;
    } else {
      proof.push(rangeHash(reader, start, split));
      start = split;
    }
  }
  return proof.toReversed();
}
