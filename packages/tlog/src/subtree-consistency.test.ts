import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { refuses } from "./testing/fixture-refusal.ts";
import { isSubtree, mth, subtreeProof } from "./testing/fixture-tree.ts";
import { EMPTY_ROOT } from "./hash.ts";
import { verifySubtreeConsistency } from "./subtree-consistency.ts";
import type { SubtreeConsistency } from "./subtree-consistency.ts";
import { MAX_TREE_SIZE } from "./tree-size.ts";

function claimOf(start: number, end: number, size: number): SubtreeConsistency {
  const proof = subtreeProof([start, end], [0, size]);
  return { start, end, size, root1: mth(start, end), root2: mth(0, size), proof };
}

describe("verifySubtreeConsistency()", () => {
  it("accepts every subtree of every tree up to 48 entries, and no other root of it", () => {
    let accepted = 0;
    for (let size = 1; size <= 48; size++)
      for (let start = 0; start < size; start++)
        for (let end = start + 1; end <= size; end++) {
          if (!isSubtree(start, end)) continue;
          const claim = claimOf(start, end, size);
          verifySubtreeConsistency(claim);
          accepted += 1;
          const other = mth(0, size + 1);
          refuses("ERR_TLOG_PROOF", () => verifySubtreeConsistency({ ...claim, root1: other }));
          refuses("ERR_TLOG_PROOF", () => verifySubtreeConsistency({ ...claim, root2: other }));
          for (const place of claim.proof.keys()) {
            const proof = claim.proof.with(place, other);
            refuses("ERR_TLOG_PROOF", () => verifySubtreeConsistency({ ...claim, proof }));
          }
        }
    assert.ok(accepted > 3000);
  });

  it("refuses every range that is not a subtree", () => {
    for (let end = 1; end <= 20; end++)
      for (let start = 0; start < end; start++) {
        if (isSubtree(start, end)) continue;
        const claim = {
          start,
          end,
          size: 20,
          root1: mth(start, end),
          root2: mth(0, 20),
          proof: [],
        };
        refuses("ERR_TLOG_PROOF", () => verifySubtreeConsistency(claim), /Not a subtree/);
      }
  });

  it("refuses numbers that are not places in a tree", () => {
    const claim = claimOf(0, 2, 5);
    for (const wrong of [
      { start: -1 },
      { start: 0.5 },
      { start: 3 },
      { end: 6 },
      { end: Infinity },
      { end: Number.NaN },
      { size: 1 },
      { size: 5.5 },
      { size: MAX_TREE_SIZE + 1 },
    ])
      refuses(
        "ERR_TLOG_PROOF",
        () => verifySubtreeConsistency({ ...claim, ...wrong }),
        /Not a subtree/,
      );
  });

  it("holds an empty subtree to the empty root and an empty proof, and says nothing of the tree", () => {
    const claim = { start: 3, end: 3, size: 5, root1: EMPTY_ROOT, root2: mth(0, 5), proof: [] };
    verifySubtreeConsistency(claim);
    verifySubtreeConsistency({ ...claim, root2: mth(0, 6) });
    refuses("ERR_TLOG_PROOF", () => verifySubtreeConsistency({ ...claim, root1: mth(0, 5) }));
    refuses("ERR_TLOG_PROOF", () => verifySubtreeConsistency({ ...claim, proof: [EMPTY_ROOT] }));
  });

  it("only compares roots where there is nothing to hash, as the published vectors do", () => {
    const placeholder = Buffer.from("any bytes");
    const claim = { start: 0, end: 1, size: 1, root1: placeholder, root2: placeholder, proof: [] };
    verifySubtreeConsistency(claim);
    refuses("ERR_TLOG_PROOF", () => verifySubtreeConsistency({ ...claim, root2: mth(0, 1) }));
    const pair = { ...claim, size: 2, proof: [mth(1, 2)] };
    refuses("ERR_TLOG_PROOF", () => verifySubtreeConsistency(pair), /length/);
  });

  it("hashes no proof of more than 63 hashes", () => {
    const claim = claimOf(0, 1, 48);
    const most = Array.from({ length: 63 }, () => mth(0, 1));
    refuses("ERR_TLOG_PROOF", () => verifySubtreeConsistency({ ...claim, proof: most }), /lead/);
    const more = [...most, mth(0, 1)];
    refuses("ERR_TLOG_PROOF", () => verifySubtreeConsistency({ ...claim, proof: more }), /long/);
  });
});
