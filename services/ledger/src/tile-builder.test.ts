import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { CompactRange, parseTilePath, tilePath, type TileReader } from "@redoubt/tlog";
import { grow, TileBuilder, type TileFile } from "./tile-builder.ts";

/** Entries that are cheap and all different. */
function entriesOf(from: number, to: number): Buffer[] {
  return Array.from({ length: to - from }, (_, i) => {
    const entry = Buffer.alloc(65, 1);
    entry.writeUInt32BE(from + i, 1);
    return entry;
  });
}

function write(files: Map<string, Buffer>, written: readonly TileFile[]): void {
  for (const { path, bytes } of written) files.set(path, bytes);
}

function build(size: number): { builder: TileBuilder; files: Map<string, Buffer> } {
  const files = new Map<string, Buffer>();
  const builder = new TileBuilder();
  write(files, builder.append(entriesOf(0, size)));
  write(files, builder.partials());
  return { builder, files };
}

const pathsAt = (size: number): string[] => [...build(size).files.keys()].toSorted();

const readerOf =
  (files: ReadonlyMap<string, Buffer>): TileReader =>
  (level, index, width) => {
    const tile = files.get(tilePath(level, index, width)) ?? files.get(tilePath(level, index));
    assert.ok(tile, `no tile ${level}/${index} of width ${width}`);
    return tile;
  };

test("the files of a log are those of C2SP tlog-tiles, at every border", () => {
  assert.deepEqual(pathsAt(0), []);
  assert.deepEqual(pathsAt(255), ["tile/0/000.p/255", "tile/entries/000.p/255"]);
  assert.deepEqual(pathsAt(256), ["tile/0/000", "tile/1/000.p/1", "tile/entries/000"]);
  assert.deepEqual(pathsAt(257), [
    "tile/0/000",
    "tile/0/001.p/1",
    "tile/1/000.p/1",
    "tile/entries/000",
    "tile/entries/001.p/1",
  ]);
});

test("a third level of tiles begins at 65536 entries", () => {
  const { files, builder } = build(65_536 + 300);
  const paths = [...files.keys()];
  assert.ok(paths.every((path) => parseTilePath(path)));
  const upper = paths.filter((path) => !path.startsWith("tile/0/") && !path.includes("entries"));
  assert.deepEqual(upper.toSorted(), ["tile/1/000", "tile/1/001.p/1", "tile/2/000.p/1"]);
  assert.equal(paths.filter((path) => path.startsWith("tile/0/")).length, 258);
  const bundle = entriesOf(65_536 + 256, 65_536 + 300);
  const resumed = TileBuilder.resume(65_536 + 300, readerOf(files), bundle);
  assert.deepEqual(resumed.range.root(), builder.range.root());
  assert.deepEqual(resumed.partials(), builder.partials());
});

test("a builder that goes on from its files ends where one that never stopped does", () => {
  const sizes = fc.tuple(fc.integer({ min: 1, max: 1100 }), fc.integer({ min: 0, max: 600 }));
  fc.assert(
    fc.property(sizes, ([size, more]) => {
      const { files } = build(size);
      const resumed = TileBuilder.resume(
        size,
        readerOf(files),
        entriesOf(size - (size % 256), size),
      );
      write(files, resumed.append(entriesOf(size, size + more)));
      write(files, resumed.partials());
      const whole = build(size + more);
      assert.deepEqual(resumed.range.root(), whole.builder.range.root());
      for (const [path, bytes] of whole.files) assert.deepEqual(files.get(path), bytes, path);
    }),
    { numRuns: 25 },
  );
});

test("growth that was hashed elsewhere gives the same files, however it is cut", () => {
  const cuts = fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(cuts, (counts) => {
      const files = new Map<string, Buffer>();
      const builder = new TileBuilder();
      let range = CompactRange.empty();
      for (const count of counts) {
        const growth = grow(range, entriesOf(range.size, range.size + count));
        assert.equal(range.size, growth.first, "what was there before is not changed");
        range = growth.range;
        write(files, builder.take(growth));
      }
      write(files, builder.partials());
      const whole = build(range.size);
      assert.deepEqual([builder.size, builder.range.root()], [range.size, range.root()]);
      assert.deepEqual(files, whole.files);
    }),
    { numRuns: 25 },
  );
});

test("a builder takes only growth that continues it, and changes nothing of it", () => {
  const builder = build(300).builder;
  const size = (from: number) => grow(build(from).builder.range, entriesOf(from, from + 1));
  for (const from of [0, 299, 301]) assert.throws(() => builder.take(size(from)), TypeError);
  assert.deepEqual(builder.partials(), build(300).builder.partials());
  const growth = size(300);
  builder.take(growth);
  builder.append(entriesOf(301, 700));
  assert.equal(growth.range.size, 301);
});

test("every changed byte of a right edge is refused, or changes the root that it leads to", () => {
  const { files, builder } = build(300);
  const bundle = entriesOf(256, 300);
  for (const path of ["tile/0/001.p/44", "tile/1/000.p/1"]) {
    const damaged = new Map(files);
    const bytes = Buffer.from(files.get(path) ?? "");
    bytes[5] = (bytes[5] ?? 0) ^ 1;
    damaged.set(path, bytes);
    const resume = (): TileBuilder => TileBuilder.resume(300, readerOf(damaged), bundle);
    if (path.startsWith("tile/0/")) assert.throws(resume, RangeError);
    else assert.notDeepEqual(resume().range.root(), builder.range.root(), path);
  }
  assert.throws(() => TileBuilder.resume(300, readerOf(files), entriesOf(257, 301)), RangeError);
  assert.throws(() => TileBuilder.resume(300, readerOf(files), entriesOf(256, 299)), RangeError);
});
