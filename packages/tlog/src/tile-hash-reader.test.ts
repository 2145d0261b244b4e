import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { CompactRange } from "./compact-range.ts";
import { buildConsistencyProof, verifyConsistency } from "./consistency.ts";
import { refuses } from "./testing/fixture-refusal.ts";
import { entry, mth, path } from "./testing/fixture-tree.ts";
import { HASH_BYTES, hashLeaf } from "./hash.ts";
import { buildInclusionProof, verifyInclusion } from "./inclusion.ts";
import { tileHashReader } from "./tile-hash-reader.ts";
import type { TileReader } from "./tile-hash-reader.ts";
import { TILE_WIDTH, tilePath, tilesToWrite } from "./tile.ts";

/** The tiles of a tree as a publisher writes them: from the nodes that a compact range completes. */
function writeTiles(size: number): { tiles: Map<string, Buffer>; roots: Buffer[] } {
  const levels: Buffer[][] = [];
  const roots: Buffer[] = [];
  const range = CompactRange.empty();
  for (let i = 0; i < size; i++) {
    roots.push(i < 1500 ? range.root() : Buffer.alloc(0));
    range.append(hashLeaf(entry(i)), (level, index, hash) => {
      if (level % 8 === 0) (levels[level / 8] ??= [])[index] = hash;
    });
  }
  roots[size] = range.root();
  const tiles = new Map<string, Buffer>();
  for (const { level, index, width } of tilesToWrite(0, size)) {
    const hashes = (levels[level] ?? []).slice(index * TILE_WIDTH, index * TILE_WIDTH + width);
    tiles.set(tilePath(level, index, width), Buffer.concat(hashes));
  }
  return { tiles, roots };
}

function readerOf(tiles: ReadonlyMap<string, Buffer>): TileReader {
  return (level, index, width) => {
    const tile = tiles.get(tilePath(level, index, width));
    assert(tile !== undefined, "asked for a tile that the tree does not have");
    return tile;
  };
}

describe("tileHashReader()", () => {
  it("gives every complete subtree, and refuses those that the tree does not have", () => {
    for (const size of [1, 255, 256, 257, 1000]) {
      const read = tileHashReader(readerOf(writeTiles(size).tiles), size);
      for (let level = 0, width = 1; level < 12; level++, width *= 2) {
        const complete = Math.floor(size / width);
        for (let index = 0; index < complete; index++)
          assert.deepEqual(
            Buffer.from(read(level, index)),
            mth(index * width, (index + 1) * width),
          );
        refuses("ERR_TLOG_TILE", () => read(level, complete));
      }
    }
  });

  it("serves proofs from the tiles of a tree with three levels of tiles", () => {
    const size = 70_000;
    const { tiles, roots } = writeTiles(size);
    assert.equal(tiles.size, 273 + 1 + 1 + 1 + 1);
    const read = tileHashReader(readerOf(tiles), size);
    const root = roots[size] ?? Buffer.alloc(0);
    for (const index of [0, 255, 256, 65_535, 65_536, 69_887, 69_888, size - 1]) {
      const proof = buildInclusionProof(read, index, size);
      verifyInclusion({ index, size, leafHash: hashLeaf(entry(index)), root, proof });
    }
    for (const size1 of [1, 255, 256, 257, 1024, 1499]) {
      const proof = buildConsistencyProof(read, size1, size);
      verifyConsistency({
        size1,
        root1: roots[size1] ?? Buffer.alloc(0),
        size2: size,
        root2: root,
        proof,
      });
    }
  });

  it("serves proofs of a smaller tree from the tiles of a larger one", () => {
    const read = tileHashReader(readerOf(writeTiles(700).tiles), 700);
    for (let size = 1; size <= 700; size += 77)
      assert.deepEqual(buildInclusionProof(read, size - 1, size), path(size - 1, 0, size));
  });

  it("accepts the full tile in place of the partial one, which may be deleted", () => {
    const full = writeTiles(TILE_WIDTH).tiles.get("tile/0/000") ?? Buffer.alloc(0);
    const read = tileHashReader(() => full, 100);
    assert.deepEqual(buildInclusionProof(read, 5, 100), path(5, 0, 100));
    refuses("ERR_TLOG_TILE", () => read(0, 100));
  });

  it("refuses a tile of any other length", () => {
    for (const hashes of [0, 99, 101, 255, 257]) {
      const read = tileHashReader(() => Buffer.alloc(hashes * HASH_BYTES), 100);
      refuses("ERR_TLOG_TILE", () => read(0, 0));
    }
    const odd = tileHashReader(() => Buffer.alloc(100 * HASH_BYTES + 1), 100);
    refuses("ERR_TLOG_TILE", () => odd(0, 0));
  });

  it("makes of a wrong tile a proof that does not verify", () => {
    const { tiles, roots } = writeTiles(300);
    tiles.get("tile/0/000")?.fill(0, 64, 65);
    const proof = buildInclusionProof(tileHashReader(readerOf(tiles), 300), 4, 300);
    const root = roots[300] ?? Buffer.alloc(0);
    refuses("ERR_TLOG_PROOF", () =>
      verifyInclusion({ index: 4, size: 300, leafHash: hashLeaf(entry(4)), root, proof }),
    );
  });

  it("refuses numbers that are not places in a tree", () => {
    refuses("ERR_TLOG_TILE", () => tileHashReader(readerOf(new Map()), -1));
    const read = tileHashReader(readerOf(new Map()), 1000);
    for (const wrong of [-1, 0.5, Number.NaN, Infinity, 2 ** 52]) {
      refuses("ERR_TLOG_TILE", () => read(wrong, 0));
      refuses("ERR_TLOG_TILE", () => read(0, wrong));
    }
  });
});
