import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { refuses, survives } from "./testing/fixture-refusal.ts";
import { flipBit, mth, naiveReader, path } from "./testing/fixture-tree.ts";
import type { HashReader } from "./hash-reader.ts";
import { rangeHash } from "./hash-reader.ts";
import { hashNode } from "./hash.ts";
import { buildInclusionProof, verifyInclusion, verifySubtreeInclusion } from "./inclusion.ts";
import type { Inclusion } from "./inclusion.ts";
import { MAX_TREE_SIZE } from "./tree-size.ts";

const ALL_SIZES = 130;

function inclusion(index: number, size: number): Inclusion {
  const proof = buildInclusionProof(naiveReader, index, size);
  return { index, size, leafHash: mth(index, index + 1), root: mth(0, size), proof };
}

describe("buildInclusionProof()", () => {
  it(`gives PATH of RFC 6962 for every index of every size up to ${ALL_SIZES}`, () => {
    for (let size = 1; size <= ALL_SIZES; size++)
      for (let index = 0; index < size; index++)
        assert.deepEqual(buildInclusionProof(naiveReader, index, size), path(index, 0, size));
  });

  it("reads one node for each hash of the proof in a full tree", () => {
    const read: string[] = [];
    const counting: HashReader = (level, index) => {
      read.push(`${level}/${index}`);
      return mth(0, 1);
    };
    assert.equal(buildInclusionProof(counting, 5, 2 ** 20).length, 20);
    assert.deepEqual(read.slice(-4), ["3/1", "2/0", "1/3", "0/4"]);
    assert.equal(read.length, 20);
  });

  it("refuses an index that is not in the tree", () => {
    assert.equal(buildInclusionProof(naiveReader, 4, 5).length, 1);
    for (const [index, size] of [
      [5, 5],
      [-1, 5],
      [0, 0],
      [0.5, 5],
      [Number.NaN, 5],
      [0, 2 ** 53],
    ] as const)
      refuses("ERR_TLOG_PROOF", () => buildInclusionProof(naiveReader, index, size));
  });

  it("refuses a reader that gives something else than hashes", () => {
    for (const length of [0, 31, 33]) {
      const reader: HashReader = () => Buffer.alloc(length);
      refuses("ERR_TLOG_HASH", () => buildInclusionProof(reader, 0, 2));
    }
  });
});

describe("verifyInclusion()", () => {
  it(`accepts every entry of every size up to ${ALL_SIZES}`, () => {
    for (let size = 1; size <= ALL_SIZES; size++)
      for (let index = 0; index < size; index++) verifyInclusion(inclusion(index, size));
  });

  it("accepts entries of larger trees and refuses them one place further", () => {
    fc.assert(
      fc.property(fc.integer({ min: 2, max: 5000 }), fc.nat(), (size, any) => {
        const claim = inclusion(any % size, size);
        verifyInclusion(claim);
        refuses("ERR_TLOG_PROOF", () =>
          verifyInclusion({ ...claim, index: (claim.index + 1) % size }),
        );
      }),
      { numRuns: 60 },
    );
  });

  it("reaches the largest tree", () => {
    // Where all leaves are equal, the hash of a complete subtree depends on its level only.
    const levels = [mth(0, 1)];
    for (let level = 1; level < 53; level++)
      levels.push(hashNode(levels[level - 1] ?? mth(0, 0), levels[level - 1] ?? mth(0, 0)));
    const equalLeaves: HashReader = (level) => levels[level] ?? mth(0, 0);
    for (const size of [2 ** 32 + 1, 2 ** 52, 2 ** 52 + 1, MAX_TREE_SIZE])
      for (const index of [0, 2 ** 31, 2 ** 32 - 1, 2 ** 32, size - 2, size - 1]) {
        const proof = buildInclusionProof(equalLeaves, index, size);
        const root = rangeHash(equalLeaves, 0, size);
        const claim = { index, size, leafHash: mth(0, 1), root, proof };
        verifyInclusion(claim);
        refuses("ERR_TLOG_PROOF", () => verifyInclusion({ ...claim, leafHash: mth(1, 2) }));
      }
  });

  it("refuses every proof with one bit flipped, and a leaf or root with one", () => {
    for (const [index, size] of [
      [0, 2],
      [3, 7],
      [6, 7],
      [77, 130],
    ] as const) {
      const claim = inclusion(index, size);
      for (const [place, hash] of claim.proof.entries())
        for (let bit = 0; bit < 256; bit++) {
          const proof = claim.proof.with(place, flipBit(hash, bit));
          refuses("ERR_TLOG_PROOF", () => verifyInclusion({ ...claim, proof }));
        }
      for (let bit = 0; bit < 256; bit++) {
        const leafHash = flipBit(claim.leafHash, bit);
        refuses("ERR_TLOG_PROOF", () => verifyInclusion({ ...claim, leafHash }));
        const root = flipBit(claim.root, bit);
        refuses("ERR_TLOG_PROOF", () => verifyInclusion({ ...claim, root }));
      }
    }
  });

  it("refuses a proof with a hash too many, too few, or in the wrong place", () => {
    const claim = inclusion(77, 130);
    const { proof, root } = claim;
    const [first = root, second = root, ...rest] = proof;
    for (const wrong of [
      [],
      proof.slice(1),
      proof.slice(0, -1),
      [...proof, root],
      [root, ...proof],
      [second, first, ...rest],
      Array.from({ length: 64 }, () => root),
    ])
      refuses("ERR_TLOG_PROOF", () => verifyInclusion({ ...claim, proof: wrong }));
  });

  it("refuses hashes that have not 32 bytes", () => {
    const single = inclusion(0, 1);
    const pair = inclusion(0, 2);
    for (const length of [0, 31, 33]) {
      const hash = Buffer.alloc(length);
      // Equal, so that nothing but the length is wrong.
      refuses(
        "ERR_TLOG_PROOF",
        () => verifyInclusion({ ...single, leafHash: hash, root: hash }),
        /length/,
      );
      refuses("ERR_TLOG_PROOF", () => verifyInclusion({ ...pair, leafHash: hash }), /length/);
      refuses("ERR_TLOG_PROOF", () => verifyInclusion({ ...pair, root: hash }), /length/);
      refuses("ERR_TLOG_PROOF", () => verifyInclusion({ ...pair, proof: [hash] }), /length/);
    }
  });

  it("refuses an index or a size that is not one", () => {
    const claim = inclusion(1, 2);
    for (const wrong of [-1, 0.5, 2, Number.NaN, Infinity])
      refuses("ERR_TLOG_PROOF", () => verifyInclusion({ ...claim, index: wrong }));
    for (const wrong of [-1, 0, 1, 1.5, Number.NaN, Infinity, MAX_TREE_SIZE + 1])
      refuses("ERR_TLOG_PROOF", () => verifyInclusion({ ...claim, size: wrong }));
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
        (index, size, leafHash, root, proof) => {
          survives(() => verifyInclusion({ index, size, leafHash, root, proof }));
        },
      ),
      { numRuns: 500 },
    );
  });
});

describe("verifySubtreeInclusion()", () => {
  it("accepts a leaf of a subtree, by its place in the whole tree", () => {
    for (const [start, end] of [
      [0, 8],
      [8, 16],
      [4, 7],
      [8, 13],
      [12, 13],
    ] as const)
      for (let index = start; index < end; index++) {
        const claim = {
          index,
          start,
          end,
          leafHash: mth(index, index + 1),
          root: mth(start, end),
          proof: path(index, start, end),
        };
        verifySubtreeInclusion(claim);
        for (const outside of [start - 1, end])
          refuses("ERR_TLOG_PROOF", () => verifySubtreeInclusion({ ...claim, index: outside }));
      }
  });

  it("refuses a range that is no subtree", () => {
    const claim = {
      index: 4,
      start: 3,
      end: 5,
      leafHash: mth(4, 5),
      root: mth(3, 5),
      proof: [mth(3, 4)],
    };
    refuses("ERR_TLOG_PROOF", () => verifySubtreeInclusion(claim), /Not a subtree/);
    refuses(
      "ERR_TLOG_PROOF",
      () => verifySubtreeInclusion({ ...claim, start: 5, end: 4 }),
      /Not a subtree/,
    );
  });
});
