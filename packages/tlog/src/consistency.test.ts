import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { buildConsistencyProof, verifyConsistency } from "./consistency.ts";
import type { Consistency } from "./consistency.ts";
import { refuses, survives } from "./testing/fixture-refusal.ts";
import { entry, flipBit, mth, naiveReader, subtreeProof } from "./testing/fixture-tree.ts";
import type { HashReader } from "./hash-reader.ts";
import { rangeHash } from "./hash-reader.ts";
import { hashLeaf, hashNode } from "./hash.ts";
import { MAX_TREE_SIZE } from "./tree-size.ts";

const ALL_SIZES = 130;

function consistency(size1: number, size2: number): Consistency {
  const proof = buildConsistencyProof(naiveReader, size1, size2);
  return { size1, root1: mth(0, size1), size2, root2: mth(0, size2), proof };
}

/** A tree whose fifth entry is another one: all its hashes are right, but its past is not that of the honest tree. */
const forged: HashReader = (level, index) =>
  level > 0
    ? hashNode(forged(level - 1, 2 * index), forged(level - 1, 2 * index + 1))
    : hashLeaf(index === 4 ? Buffer.from("forged") : entry(index));

describe("buildConsistencyProof()", () => {
  it(`gives PROOF of RFC 6962 for every pair of sizes up to ${ALL_SIZES}`, () => {
    for (let size2 = 1; size2 <= ALL_SIZES; size2++)
      for (let size1 = 1; size1 <= size2; size1++)
        assert.deepEqual(
          buildConsistencyProof(naiveReader, size1, size2),
          subtreeProof([0, size1], [0, size2]),
        );
  });

  it("refuses sizes between which there is no proof", () => {
    for (const [size1, size2] of [
      [0, 0],
      [0, 1],
      [2, 1],
      [-1, 1],
      [1, 1.5],
      [1, MAX_TREE_SIZE + 1],
    ] as const)
      refuses("ERR_TLOG_PROOF", () => buildConsistencyProof(naiveReader, size1, size2));
  });
});

describe("verifyConsistency()", () => {
  it(`accepts every pair of sizes up to ${ALL_SIZES}`, () => {
    for (let size2 = 1; size2 <= ALL_SIZES; size2++)
      for (let size1 = 1; size1 <= size2; size1++) verifyConsistency(consistency(size1, size2));
  });

  it("accepts larger trees and refuses each wrong size and root (THREAT-06)", () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 5000 }), fc.nat(), (size2, any) => {
        const claim = consistency(1 + (any % (size2 - 1)), size2);
        verifyConsistency(claim);
        const { size1, root1, root2 } = claim;
        for (const wrong of [
          { size1: size1 + 1 },
          { size2: size1 },
          { root1: root2 },
          { root2: root1 },
          { root1: root2, root2: root1 },
        ])
          refuses("ERR_TLOG_PROOF", () => verifyConsistency({ ...claim, ...wrong }));
      }),
      { numRuns: 60 },
    );
  });

  it("refuses a rewritten history, whatever the rewriter's own tree proves (THREAT-06)", () => {
    for (let size1 = 5; size1 <= 8; size1++) {
      const proof = buildConsistencyProof(forged, size1, 8);
      const root2 = rangeHash(forged, 0, 8);
      const claim = { size1, size2: 8, root2, proof };
      verifyConsistency({ ...claim, root1: rangeHash(forged, 0, size1) });
      refuses("ERR_TLOG_PROOF", () => verifyConsistency({ ...claim, root1: mth(0, size1) }));
    }
  });

  it("refuses every proof with one bit flipped", () => {
    for (const [size1, size2] of [
      [1, 2],
      [3, 7],
      [6, 8],
      [7, 130],
      [64, 130],
      [129, 130],
    ] as const) {
      const claim = consistency(size1, size2);
      for (const [place, hash] of claim.proof.entries())
        for (let bit = 0; bit < 256; bit++) {
          const proof = claim.proof.with(place, flipBit(hash, bit));
          refuses("ERR_TLOG_PROOF", () => verifyConsistency({ ...claim, proof }));
        }
    }
  });

  it("refuses a proof with a hash too many or too few", () => {
    for (const [size1, size2] of [
      [1, 1],
      [64, 130],
      [77, 130],
    ] as const) {
      const claim = consistency(size1, size2);
      const { proof, root1 } = claim;
      for (const wrong of [
        ...(proof.length > 0 ? [[], proof.slice(1), proof.slice(0, -1)] : []),
        [...proof, root1],
        [root1, ...proof],
        Array.from({ length: 64 }, () => root1),
      ])
        refuses("ERR_TLOG_PROOF", () => verifyConsistency({ ...claim, proof: wrong }));
    }
  });

  it("refuses one size with two roots", () => {
    const claim = consistency(5, 5);
    verifyConsistency(claim);
    refuses("ERR_TLOG_PROOF", () => verifyConsistency({ ...claim, root2: mth(0, 6) }));
  });

  it("refuses to prove anything from the empty tree", () => {
    const empty = { size1: 0, root1: mth(0, 0), proof: [] };
    refuses("ERR_TLOG_PROOF", () => verifyConsistency({ ...empty, size2: 0, root2: mth(0, 0) }));
    refuses("ERR_TLOG_PROOF", () => verifyConsistency({ ...empty, size2: 1, root2: mth(0, 1) }));
  });

  it("never answers with anything but its own error", () => {
    const number = fc.oneof(fc.nat(9), fc.double(), fc.maxSafeInteger());
    const hash = fc.uint8Array({ maxLength: 33 });
    fc.assert(
      fc.property(
        number,
        number,
        hash,
        hash,
        fc.array(hash, { maxLength: 70 }),
        (size1, size2, root1, root2, proof) => {
          survives(() => verifyConsistency({ size1, size2, root1, root2, proof }));
        },
      ),
      { numRuns: 500 },
    );
  });
});
