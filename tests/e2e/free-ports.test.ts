import assert from "node:assert/strict";
import { test } from "node:test";
import { freeBasePort, isFree } from "./free-ports.ts";

test("six free ports, and none of them twice", async () => {
  const bases = await Promise.all(Array.from({ length: 50 }, () => freeBasePort()));
  const all = bases.flatMap((base) => [0, 1, 2, 3, 4, 5].map((i) => base + i));
  assert.equal(new Set(all).size, 300);
  for (const base of bases) {
    assert.equal(await isFree(base), true);
    // Another process that tries these six finds this one taken.
    assert.equal(await isFree(base + 6), false);
  }
});
