import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { verifyConsistency } from "./consistency.ts";
import { refuses } from "./testing/fixture-refusal.ts";
import { NEEDS_VECTORS, publishedVector, publishedVectors } from "./testing/fixture-vectors.ts";
import { verifyInclusion, verifySubtreeInclusion } from "./inclusion.ts";
import { verifySubtreeConsistency } from "./subtree-consistency.ts";

/** The fields of all four kinds; each file has those of its kind. */
interface Vector {
  readonly desc: string;
  readonly wantErr: boolean;
  readonly proof: readonly string[] | null;
  readonly leafIdx: number;
  readonly treeSize: number;
  readonly start: number;
  readonly end: number;
  readonly size: number;
  readonly size1: number;
  readonly size2: number;
  readonly leafHash: string;
  readonly root: string;
  readonly root1: string;
  readonly root2: string;
}

const bytes = (base64: string): Buffer => Buffer.from(base64, "base64");
const proofOf = (vector: Vector): Buffer[] => (vector.proof ?? []).map(bytes);
const leafOf = (
  vector: Vector,
): { leafHash: Buffer; root: Buffer; proof: Buffer[]; index: number } => ({
  index: vector.leafIdx,
  leafHash: bytes(vector.leafHash),
  root: bytes(vector.root),
  proof: proofOf(vector),
});
const rootsOf = (vector: Vector): { root1: Buffer; root2: Buffer; proof: Buffer[] } => ({
  root1: bytes(vector.root1),
  root2: bytes(vector.root2),
  proof: proofOf(vector),
});

const kinds: readonly [
  folder: string,
  files: number,
  mustFail: number,
  verify: (v: Vector) => void,
][] = [
  ["inclusion", 98, 92, (v) => verifyInclusion({ ...leafOf(v), size: v.treeSize })],
  [
    "consistency",
    98,
    92,
    (v) => verifyConsistency({ ...rootsOf(v), size1: v.size1, size2: v.size2 }),
  ],
  [
    "subtreeinclusion",
    204,
    192,
    (v) => verifySubtreeInclusion({ ...leafOf(v), start: v.start, end: v.end }),
  ],
  [
    "subtreeconsistency",
    118,
    106,
    (v) => verifySubtreeConsistency({ ...rootsOf(v), start: v.start, end: v.end, size: v.size }),
  ],
];

describe("proof vectors of transparency-dev/merkle", () => {
  for (const [folder, files, mustFail, verify] of kinds)
    it(`${folder}: ${files} files, of which ${mustFail} must fail`, (t) => {
      if (publishedVector("manifest.json") === undefined) return t.skip(NEEDS_VECTORS);
      const vectors = publishedVectors(`transparency-dev-merkle/testdata/${folder}`);
      let failed = 0;
      for (const { path, text } of vectors) {
        const vector: Vector = JSON.parse(text);
        if (vector.wantErr) {
          refuses("ERR_TLOG_PROOF", () => verify(vector));
          failed += 1;
        } else assert.doesNotThrow(() => verify(vector), path);
      }
      assert.deepEqual([vectors.length, failed], [files, mustFail]);
    });
});
