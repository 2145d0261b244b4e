import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ExpiringMap } from "./expiring-map.ts";

function weighs(bytes: number) {
  return { expiresAt: 100, bytes };
}

describe("ExpiringMap", () => {
  it("forgets at the end of an entry's time, not before", () => {
    const map = new ExpiringMap<string>(10);
    map.set("a", "A", { expiresAt: 100 }, 0);
    assert.deepEqual(
      [map.get("a", 99), map.get("a", 100), map.get("b", 0)],
      ["A", undefined, undefined],
    );
  });

  it("is bounded, and the oldest goes first", () => {
    const map = new ExpiringMap<number>(3);
    for (const key of ["a", "b", "c"]) map.set(key, 1, { expiresAt: 100 }, 0);
    assert.equal(map.size, 3);
    map.set("d", 1, { expiresAt: 100 }, 0);
    assert.equal(map.size, 3);
    assert.deepEqual(
      ["a", "b", "c", "d"].map((key) => map.get(key, 0)),
      [undefined, 1, 1, 1],
    );
  });

  it("an entry that is set again is new", () => {
    const map = new ExpiringMap<number>(2);
    map.set("a", 1, { expiresAt: 100 }, 0);
    map.set("b", 1, { expiresAt: 100 }, 0);
    map.set("a", 2, { expiresAt: 200 }, 0);
    assert.equal(map.get("b", 0), 1);
    map.set("c", 1, { expiresAt: 100 }, 0);
    assert.deepEqual(
      ["a", "b", "c"].map((key) => map.get(key, 0)),
      [2, undefined, 1],
    );
  });

  it("frees what has expired when something comes in", () => {
    const map = new ExpiringMap<number>(10);
    for (const key of ["a", "b", "c"]) map.set(key, 1, { expiresAt: 100 }, 0);
    map.set("d", 1, { expiresAt: 200 }, 99);
    assert.equal(map.size, 4);
    map.set("e", 1, { expiresAt: 200 }, 100);
    assert.equal(map.size, 2);
  });

  it("is bounded by what its entries weigh, too", () => {
    const map = new ExpiringMap<number>(10, 100);
    map.set("a", 1, weighs(60), 0);
    map.set("b", 1, weighs(40), 0);
    assert.equal(map.size, 2);
    map.set("c", 1, weighs(1), 0);
    assert.deepEqual([map.get("a", 0), map.get("b", 0), map.get("c", 0)], [undefined, 1, 1]);
    map.set("b", 2, weighs(99), 0);
    assert.deepEqual([map.get("b", 0), map.get("c", 0)], [2, 1]);
    map.delete("b");
    map.set("d", 1, weighs(99), 0);
    assert.deepEqual([map.get("c", 0), map.get("d", 0)], [1, 1]);
  });
});
