import assert from "node:assert/strict";
import { test } from "node:test";
import { encodeCheckpoint, parseCheckpoint } from "./checkpoint.ts";
import { CompactRange } from "./compact-range.ts";
import { EMPTY_ROOT, hashLeaf } from "./hash.ts";
import { ownBytes } from "./own-bytes.ts";

test("what is kept of a tree has memory of its own", () => {
  const range = CompactRange.empty();
  for (const byte of [1, 2, 3]) range.append(hashLeaf(Buffer.of(byte)));
  const body = encodeCheckpoint({ origin: "log", size: 3, root: range.root() });
  const kept = {
    copy: ownBytes(Buffer.from("a pooled buffer")),
    nothing: ownBytes(Buffer.alloc(0)),
    root: range.root(),
    first: range.hashes()[0] ?? Buffer.alloc(0),
    empty: CompactRange.empty().root(),
    read: parseCheckpoint(body).root,
  };
  for (const [what, bytes] of Object.entries(kept))
    assert.equal(bytes.buffer.byteLength, bytes.byteLength, what);
  assert.equal(kept.copy.toString(), "a pooled buffer");
  assert.deepEqual(kept.read, range.root());
  assert.deepEqual(kept.empty, EMPTY_ROOT);
});
