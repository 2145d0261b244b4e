import { TlogError } from "./errors.ts";
import { rangeHash } from "./hash-reader.ts";
import type { HashReader } from "./hash-reader.ts";
import { verifySubtreeConsistency } from "./subtree-consistency.ts";
import { isTreeSize, splitPoint } from "./tree-size.ts";

export interface Consistency {
  readonly size1: number;
  readonly root1: Uint8Array;
  readonly size2: number;
  readonly root2: Uint8Array;
  readonly proof: readonly Uint8Array[];
}

/**
 * RFC 9162 §2.1.4.2: proves that the tree of size2 continues the tree of size1. Throws `ERR_TLOG_PROOF`.
 * `size1` must not be 0: an empty tree is the beginning of every tree, so such a proof would prove nothing.
 */
export function verifyConsistency({ size1, root1, size2, root2, proof }: Consistency): void {
  requireSizes(size1, size2);
  verifySubtreeConsistency({ start: 0, end: size1, size: size2, root1, root2, proof });
}

/** RFC 6962 §2.1.2: PROOF(size1, D[0:size2]). Empty if the sizes are equal. */
export function buildConsistencyProof(reader: HashReader, size1: number, size2: number): Buffer[] {
  requireSizes(size1, size2);
  const proof: Buffer[] = [];
  let [start, end] = [0, size2];
  while (end !== size1) {
    const split = start + splitPoint(end - start);
    if (size1 <= split) {
      proof.push(rangeHash(reader, split, end));
      end = split;
    } else {
      proof.push(rangeHash(reader, start, split));
      start = split;
    }
  }
  // The verifier has the root of [0, size1) already; of a right part it needs the hash.
  if (start > 0) proof.push(rangeHash(reader, start, end));
  return proof.toReversed();
}

function requireSizes(size1: number, size2: number): void {
  if (!isTreeSize(size1) || !isTreeSize(size2) || size1 === 0 || size1 > size2)
    throw new TlogError("ERR_TLOG_PROOF", "No consistency from the first size to the second", {
      found: `${size1} to ${size2}`,
    });
}
