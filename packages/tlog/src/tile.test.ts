import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { refuses, survives } from "./testing/fixture-refusal.ts";
import { NEEDS_VECTORS, ownVector, publishedVector } from "./testing/fixture-vectors.ts";
import {
  entryBundlePath,
  MAX_TILE_GROWTH,
  parseTilePath,
  TILE_WIDTH,
  tilePath,
  tilesToWrite,
} from "./tile.ts";
import type { TilePath } from "./tile.ts";
import { MAX_TREE_SIZE } from "./tree-size.ts";

const index = fc.oneof(fc.nat(3000), fc.maxSafeNat());
const width = fc.integer({ min: 1, max: TILE_WIDTH });

/** The paths of all tiles of a tree, by the definition. */
function tilesAt(size: number): string[] {
  const paths: string[] = [];
  for (let level = 0, left = size; left > 0; level++, left = Math.floor(left / TILE_WIDTH))
    for (let n = 0; n * TILE_WIDTH < left; n++)
      paths.push(tilePath(level, n, Math.min(TILE_WIDTH, left - n * TILE_WIDTH)));
  return paths;
}

describe("tilePath() and entryBundlePath()", () => {
  it("write what tile-paths.json has, and parseTilePath() reads it", () => {
    const { valid }: { valid: (TilePath & { path: string })[] } = JSON.parse(
      ownVector("tile-paths.json"),
    );
    assert.ok(valid.length > 5);
    for (const { path, ...tile } of valid) {
      assert.equal(
        tile.level === "entries"
          ? entryBundlePath(tile.index, tile.width)
          : tilePath(tile.level, tile.index, tile.width),
        path,
      );
      assert.deepEqual(parseTilePath(path), tile);
    }
  });

  it("name the full tile where no width is given", () => {
    assert.equal(tilePath(1, 2), "tile/1/002");
    assert.equal(entryBundlePath(2), "tile/entries/002");
  });

  it("write the example paths of the specification", (t) => {
    const examples = publishedVector("c2sp/examples.json");
    if (examples === undefined) return t.skip(NEEDS_VECTORS);
    const { tile_paths: paths }: { tile_paths: { index: number; path: string }[] } =
      JSON.parse(examples);
    assert.equal(paths.length, 1);
    for (const example of paths) assert.equal(tilePath(0, example.index), `tile/0/${example.path}`);
  });

  it("refuse what names no tile", () => {
    for (const level of [-1, 64, 0.5, Number.NaN])
      refuses("ERR_TLOG_TILE", () => tilePath(level, 0));
    for (const wrong of [-1, 0.5, Number.NaN, MAX_TREE_SIZE + 1]) {
      refuses("ERR_TLOG_TILE", () => tilePath(0, wrong));
      refuses("ERR_TLOG_TILE", () => entryBundlePath(wrong));
    }
    for (const wrong of [-1, 0, 257, 1.5, Number.NaN]) {
      refuses("ERR_TLOG_TILE", () => tilePath(0, 0, wrong));
      refuses("ERR_TLOG_TILE", () => entryBundlePath(0, wrong));
    }
    assert.equal(tilePath(63, MAX_TREE_SIZE, 255), "tile/63/x009/x007/x199/x254/x740/991.p/255");
  });
});

describe("parseTilePath()", () => {
  it("refuses every other spelling in tile-paths.json", () => {
    const { invalid }: { invalid: string[] } = JSON.parse(ownVector("tile-paths.json"));
    assert.ok(invalid.length > 20);
    for (const path of invalid) refuses("ERR_TLOG_TILE", () => parseTilePath(path));
  });

  it("reads back every path", () => {
    fc.assert(
      fc.property(fc.nat(63), index, width, (level, n, w) => {
        assert.deepEqual(parseTilePath(tilePath(level, n, w)), { level, index: n, width: w });
        assert.deepEqual(parseTilePath(entryBundlePath(n, w)), {
          level: "entries",
          index: n,
          width: w,
        });
      }),
    );
  });

  it("reads no path that is not the one it would write, and throws only its own error", () => {
    const piece = fc.constantFrom(
      "tile",
      "entries",
      "/",
      "x",
      ".p",
      "0",
      "00",
      "067",
      "256",
      "x001",
      "-",
      "\n",
      "..",
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 9 }), (pieces) => {
        const path = pieces.join("");
        const tile = survives(() => parseTilePath(path));
        if (tile === undefined) return;
        const again =
          tile.level === "entries"
            ? entryBundlePath(tile.index, tile.width)
            : tilePath(tile.level, tile.index, tile.width);
        assert.equal(again, path);
      }),
      { numRuns: 2000 },
    );
  });
});

describe("tilesToWrite()", () => {
  it("names the tiles that the specification counts", (t) => {
    const examples = publishedVector("c2sp/examples.json");
    if (examples === undefined) return t.skip(NEEDS_VECTORS);
    const { tile_counts: counts }: { tile_counts: Record<string, number>[] } = JSON.parse(examples);
    assert.equal(counts.length, 2);
    for (const { size = 0, ...expected } of counts) {
      const found: Record<string, number> = {};
      for (const tile of tilesToWrite(0, size))
        if (tile.width < TILE_WIDTH) found[`partial_l${tile.level}`] = tile.width;
        else found[`full_l${tile.level}`] = (found[`full_l${tile.level}`] ?? 0) + 1;
      assert.deepEqual(found, expected);
    }
  });

  it("names exactly the tiles that differ between the two sizes", () => {
    const size = fc.oneof(
      fc.nat(2000),
      fc.nat(200_000),
      fc.constantFrom(255, 256, 257, 65_535, 65_536, 65_537),
    );
    fc.assert(
      fc.property(size, size, (a, b) => {
        const [oldSize, newSize] = [Math.min(a, b), Math.max(a, b)];
        const before = new Set(tilesAt(oldSize));
        const paths = tilesToWrite(oldSize, newSize).map((tile) =>
          tilePath(tile.level, tile.index, tile.width),
        );
        assert.deepEqual(
          paths,
          tilesAt(newSize).filter((path) => !before.has(path)),
        );
      }),
    );
  });

  it("has nothing to write where nothing grew", () => {
    for (const size of [0, 1, 256, MAX_TREE_SIZE]) assert.deepEqual(tilesToWrite(size, size), []);
  });

  it("refuses to shrink, and sizes that are not sizes", () => {
    for (const [before, after] of [
      [2, 1],
      [-1, 1],
      [0, 1.5],
      [0, Number.NaN],
      [0, Infinity],
    ] as const)
      refuses("ERR_TLOG_TILE", () => tilesToWrite(before, after));
  });

  it("bounds one step", () => {
    const from = MAX_TREE_SIZE - MAX_TILE_GROWTH;
    refuses("ERR_TLOG_TILE", () => tilesToWrite(from - 1, MAX_TREE_SIZE), /Too many entries/);
    const last = tilesToWrite(from, MAX_TREE_SIZE).at(-1);
    assert.deepEqual(last, { level: 3, index: 2 ** 21 - 1, width: 255 });
  });
});
