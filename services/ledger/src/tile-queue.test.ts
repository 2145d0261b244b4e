import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import type { TileFile } from "./tile-builder.ts";
import { TileFolder } from "./tile-folder.ts";
import { TileQueue } from "./tile-queue.ts";

const filesOf = (from: number, to: number): TileFile[] =>
  Array.from({ length: to - from }, (_, i) => ({
    path: `tile/${from + i}`,
    bytes: Buffer.from(`file ${from + i}`),
  }));

test("P12: the queue says when it has many files, and when it takes no more", () => {
  const queue = new TileQueue(new TileFolder("nowhere"));
  queue.add(filesOf(0, 15));
  assert.equal(queue.hasMany, false);
  queue.add(filesOf(15, 16));
  assert.equal(queue.hasMany, true);
  queue.add(filesOf(16, 255));
  assert.equal(queue.isFull, false);
  queue.add(filesOf(255, 256));
  assert.equal(queue.isFull, true);
});

test("what cannot be written stays, can be read, and is written in order later", async () => {
  const folder = mkdtempSync(join(tmpdir(), "tiles-"));
  try {
    const queue = new TileQueue(new TileFolder(folder));
    writeFileSync(join(folder, "tile"), "in the way");
    queue.add(filesOf(0, 3));
    await assert.rejects(queue.write({ isNew: true }), { code: /^E(?:EXIST|NOTDIR)$/ });
    assert.equal(queue.read("tile/2").toString(), "file 2");
    rmSync(join(folder, "tile"));
    const writing = queue.write({ isNew: true });
    queue.add(filesOf(3, 4));
    await writing;
    for (const { path, bytes } of filesOf(0, 4)) {
      assert.deepEqual(readFileSync(join(folder, path)), bytes);
      assert.deepEqual(queue.read(path), bytes);
    }
    assert.throws(() => queue.read("tile/4"), { code: "ENOENT" });
  } finally {
    rmSync(folder, { recursive: true });
  }
});
