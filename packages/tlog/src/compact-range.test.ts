import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { CompactRange } from "./compact-range.ts";
import { entry, mth } from "./testing/fixture-tree.ts";
import { refuses } from "./testing/fixture-refusal.ts";
import { ownVector } from "./testing/fixture-vectors.ts";
import { EMPTY_ROOT, hashLeaf, hashNode } from "./hash.ts";
import { MAX_TREE_SIZE } from "./tree-size.ts";

function rangeOf(size: number): CompactRange {
  const range = CompactRange.empty();
  range.appendEntries(entries(0, size));
  return range;
}

function entries(start: number, end: number): Buffer[] {
  return Array.from({ length: end - start }, (_, i) => entry(start + i));
}

function hashesOf(count: number): Buffer[] {
  return Array.from({ length: count }, (_, i) => Buffer.alloc(32, i + 1));
}

describe("CompactRange", () => {
  it("has the roots of the vectors rfc6962-roots.json", () => {
    const { entriesHex, roots }: { entriesHex: string[]; roots: string[] } = JSON.parse(
      ownVector("rfc6962-roots.json"),
    );
    const range = CompactRange.empty();
    assert.equal(range.root().toString("hex"), roots[0]);
    for (const [i, hex] of entriesHex.entries()) {
      range.append(hashLeaf(Buffer.from(hex, "hex")));
      assert.equal(range.root().toString("hex"), roots[i + 1]);
    }
    assert.equal(range.size, 8);
  });

  it("has the root of the recursive definition at every size up to 300", () => {
    const range = CompactRange.empty();
    assert.deepEqual(range.root(), EMPTY_ROOT);
    for (let size = 1; size <= 300; size++) {
      range.append(hashLeaf(entry(size - 1)));
      assert.deepEqual(range.root(), mth(0, size));
    }
  });

  it("has it however the entries come in batches", () => {
    fc.assert(
      fc.property(fc.array(fc.nat(200), { maxLength: 6 }), (batches) => {
        const range = CompactRange.empty();
        for (const batch of batches) range.appendEntries(entries(range.size, range.size + batch));
        assert.deepEqual(range.root(), mth(0, range.size));
      }),
      { numRuns: 50 },
    );
  });

  it("goes on from its size and hashes", () => {
    fc.assert(
      fc.property(fc.nat(600), fc.nat(100), (size, more) => {
        const before = rangeOf(size);
        const restored = CompactRange.from(before.size, before.hashes());
        assert.deepEqual(restored.root(), before.root());
        restored.appendEntries(entries(size, size + more));
        assert.deepEqual(restored.root(), mth(0, size + more));
      }),
      { numRuns: 50 },
    );
  });

  it("refuses a number of hashes that does not fit the size", () => {
    for (const [size, count] of [
      [0, 0],
      [1, 1],
      [7, 3],
      [8, 1],
      [MAX_TREE_SIZE, 53],
    ] as const) {
      assert.equal(CompactRange.from(size, hashesOf(count)).hashes().length, count);
      refuses("ERR_TLOG_RANGE", () => CompactRange.from(size, hashesOf(count + 1)));
      if (count > 0) refuses("ERR_TLOG_RANGE", () => CompactRange.from(size, hashesOf(count - 1)));
    }
  });

  it("refuses a size that is not one", () => {
    for (const size of [-1, 0.5, Number.NaN, Infinity, MAX_TREE_SIZE + 1])
      refuses("ERR_TLOG_RANGE", () => CompactRange.from(size, []));
  });

  it("refuses hashes that have not 32 bytes", () => {
    for (const length of [0, 31, 33]) {
      refuses("ERR_TLOG_RANGE", () => CompactRange.from(1, [Buffer.alloc(length)]));
      refuses("ERR_TLOG_RANGE", () => CompactRange.empty().append(Buffer.alloc(length)));
    }
  });

  it("counts past 32 bits and refuses the entry that a number cannot count", () => {
    const big = CompactRange.from(2 ** 40 - 1, hashesOf(40));
    big.append(Buffer.alloc(32));
    assert.equal(big.size, 2 ** 40);
    const carried = hashesOf(40).reduceRight(
      (right, left) => hashNode(left, right),
      Buffer.alloc(32),
    );
    assert.deepEqual(big.hashes(), [carried]);

    const full = CompactRange.from(MAX_TREE_SIZE, hashesOf(53));
    refuses("ERR_TLOG_RANGE", () => full.append(Buffer.alloc(32)));
    assert.equal(full.size, MAX_TREE_SIZE);
    const last = CompactRange.from(MAX_TREE_SIZE - 1, hashesOf(52));
    last.append(Buffer.alloc(32));
    assert.equal(last.size, MAX_TREE_SIZE);
  });

  it("shares no memory with what it is given and what it gives", () => {
    const leaf = Buffer.from(mth(0, 1));
    const range = CompactRange.empty();
    range.append(leaf);
    leaf.fill(0);
    range.hashes()[0]?.fill(0);
    range.root().fill(0);
    assert.deepEqual(range.root(), mth(0, 1));
    CompactRange.empty().root().fill(0);
    assert.deepEqual(CompactRange.empty().root(), mth(0, 0));
  });

  it("clones into a range of its own", () => {
    const range = rangeOf(5);
    const clone = range.clone();
    clone.appendEntries(entries(5, 9));
    assert.deepEqual([range.size, range.root()], [5, mth(0, 5)]);
    assert.deepEqual([clone.size, clone.root()], [9, mth(0, 9)]);
  });
});

describe("CompactRange visitor", () => {
  it("is told of every complete subtree once, a parent after its children", () => {
    const seen = new Map<string, Buffer>();
    CompactRange.empty().appendEntries(entries(0, 137), (level, index, hash) => {
      const key = `${level}/${index}`;
      assert.equal(seen.has(key), false);
      if (level > 0)
        for (const child of [2 * index, 2 * index + 1])
          assert.equal(seen.has(`${level - 1}/${child}`), true);
      seen.set(key, hash);
    });
    let complete = 0;
    for (let level = 0, width = 1; width <= 137; level++, width *= 2)
      for (let index = 0; (index + 1) * width <= 137; index++, complete++)
        assert.deepEqual(seen.get(`${level}/${index}`), mth(index * width, (index + 1) * width));
    assert.equal(seen.size, complete);
  });

  it("may keep and change what it was given", () => {
    const range = CompactRange.empty();
    for (let i = 0; i < 9; i++) {
      const given: Buffer[] = [];
      range.append(hashLeaf(entry(i)), (_level, _index, hash) => given.push(hash));
      for (const hash of given) hash.fill(0);
    }
    assert.deepEqual(range.root(), mth(0, 9));
  });

  it("leaves the range as it was when it throws", () => {
    const range = rangeOf(7);
    for (const failAt of [0, 1, 2, 3])
      assert.throws(
        () => {
          range.append(hashLeaf(entry(7)), (level) => {
            if (level === failAt) throw new Error("disk full");
          });
        },
        { message: "disk full" },
      );
    assert.deepEqual([range.size, range.root()], [7, mth(0, 7)]);
    range.append(hashLeaf(entry(7)));
    assert.deepEqual(range.root(), mth(0, 8));
  });

  it("must not append to the range it visits", () => {
    const range = rangeOf(2);
    assert.throws(() => {
      range.append(hashLeaf(entry(2)), () => range.append(hashLeaf(entry(2))));
    }, TypeError);
    assert.deepEqual([range.size, range.root()], [3, mth(0, 3)]);
  });
});
