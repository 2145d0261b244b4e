import { TlogError } from "./errors.ts";
import { EMPTY_ROOT, hashNode, requireHash } from "./hash.ts";
import { isTreeSize } from "./tree-size.ts";

/** C2SP tlog-witness: no proof has more than 63 hashes, whatever the size of the tree. */
export const MAX_PROOF_HASHES = 63;

export interface SubtreeConsistency {
  /** The subtree holds the entries from `start` to below `end` of a tree of `size` entries. */
  readonly start: number;
  readonly end: number;
  readonly size: number;
  /** The root of the subtree. */
  readonly root1: Uint8Array;
  /** The root of the tree. */
  readonly root2: Uint8Array;
  readonly proof: readonly Uint8Array[];
}

/**
 * Verifies that a tree contains the subtree at the place that is claimed; throws `ERR_TLOG_PROOF` otherwise. The caller
 * trusts one of the two roots; an attacker may have chosen everything else.
 *
 * Every proof of this package is verified here: RFC 6962 consistency is that of the subtree `[0, size1)`, inclusion that
 * of a subtree of one leaf (draft-ietf-plants-merkle-tree-certs §4.4.3, RFC 9162 §2.1.3.2, §2.1.4.2).
 * An empty subtree is part of every tree: its proof says nothing about `root2`.
 */
export function verifySubtreeConsistency(claim: SubtreeConsistency): void {
  requireSubtree(claim.start, claim.end, claim.size);
  requireProofHashes(claim);
  if (claim.start === claim.end) {
    if (claim.proof.length > 0 || !same(claim.root1, EMPTY_ROOT)) throw wrong();
    return;
  }
  climb(claim);
}

/** Where the first and last node of the subtree and the last node of the tree are, at the level reached. */
interface Positions {
  first: number;
  last: number;
  edge: number;
}

function climb({ start, end, size, root1, root2, proof }: SubtreeConsistency): void {
  const at: Positions = { first: start, last: end - 1, edge: size - 1 };
  skipToProof(at);
  const [begin, ...above] = at.first === at.last ? [root1, ...proof] : proof;
  // A subtree of several nodes needs the hash of its last one.
  // mutate: without it the tree's edge is not 0 at the end; the check is for the compiler.
  if (begin === undefined) throw wrong();

  let [subtree, tree] = [begin, begin];
  for (const hash of above) {
    if (at.edge === 0) throw wrong();
    if (isOdd(at.last) || at.last === at.edge) {
      if (at.first < at.last) subtree = hashNode(hash, subtree);
      tree = hashNode(hash, tree);
      // A last node without a right neighbour is its own parent until it becomes a right child.
      while (!isOdd(at.last)) up(at);
    } else {
      tree = hashNode(tree, hash);
    }
    up(at);
  }
  if (at.edge !== 0 || !same(subtree, root1) || !same(tree, root2)) throw wrong();
}

/**
 * Climbs to the node at which the proof begins: the largest complete one that ends where the subtree ends and lies
 * within it. A subtree that ends where the tree ends is climbed to its root.
 */
function skipToProof(at: Positions): void {
  const endsTree = at.last === at.edge;
  while (at.first !== at.last) {
    if (!endsTree && !isOdd(at.last)) return;
    up(at);
  }
}

function up(at: Positions): void {
  at.first = half(at.first);
  at.last = half(at.last);
  at.edge = half(at.edge);
}

/** `[start, end)` is a subtree if `start` is a multiple of the smallest power of two that is not below `end - start`. */
export function requireSubtree(start: number, end: number, size: number): void {
  const ordered = [start, end, size].every(isTreeSize) && start <= end && end <= size;
  if (!ordered || start % powerOfTwoFor(end - start) !== 0)
    throw new TlogError("ERR_TLOG_PROOF", "Not a subtree of the tree");
}

function requireProofHashes({ root1, root2, proof }: SubtreeConsistency): void {
  if (proof.length > MAX_PROOF_HASHES)
    throw new TlogError("ERR_TLOG_PROOF", "Proof is too long", {
      found: proof.length,
      expected: MAX_PROOF_HASHES,
    });
  // Without proof hashes nothing is hashed: the two roots are compared, or `root1` with the empty root.
  if (proof.length > 0)
    for (const hash of [root1, root2, ...proof]) requireHash(hash, "ERR_TLOG_PROOF");
}

function wrong(): TlogError {
  return new TlogError("ERR_TLOG_PROOF", "Proof does not lead from one root to the other");
}

function same(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}

/** The smallest power of two that is not below `n`. */
function powerOfTwoFor(n: number): number {
  let power = 1;
  while (power < n) power *= 2;
  return power;
}

function half(position: number): number {
  return Math.floor(position / 2);
}

function isOdd(position: number): boolean {
  return position % 2 === 1;
}
