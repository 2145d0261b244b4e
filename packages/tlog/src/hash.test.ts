import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, it } from "node:test";
import fc from "fast-check";
import { refuses } from "./testing/fixture-refusal.ts";
import { EMPTY_ROOT, HASH_BYTES, hashLeaf, hashNode } from "./hash.ts";

const hash32 = fc.uint8Array({ minLength: HASH_BYTES, maxLength: HASH_BYTES });

describe("hashLeaf()", () => {
  it("is SHA-256 over 0x00 and the entry (RFC 6962 §2.1)", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 10_000 }), (entry) => {
        const expected = createHash("sha256").update(Buffer.of(0x00)).update(entry).digest();
        assert.deepEqual(hashLeaf(entry), expected);
      }),
    );
  });

  it("hashes the empty entry and one that does not fit pooled memory", () => {
    for (const entry of [Buffer.alloc(0), Buffer.alloc(65_535, 7), Buffer.alloc(70_000, 7)]) {
      const expected = createHash("sha256").update(Buffer.of(0x00)).update(entry).digest();
      assert.deepEqual(hashLeaf(entry), expected);
    }
  });
});

describe("hashNode()", () => {
  it("is SHA-256 over 0x01 and both hashes (RFC 6962 §2.1)", () => {
    fc.assert(
      fc.property(hash32, hash32, (left, right) => {
        const expected = createHash("sha256").update(Buffer.of(0x01)).update(left).update(right);
        assert.deepEqual(hashNode(left, right), expected.digest());
      }),
    );
  });

  it("gives a hash that a later call does not change", () => {
    const first = hashNode(Buffer.alloc(32, 1), Buffer.alloc(32, 2));
    const copy = Buffer.from(first);
    hashNode(Buffer.alloc(32, 3), Buffer.alloc(32, 4));
    assert.deepEqual(first, copy);
  });

  it("keeps a node from passing for the entry made of the same bytes", () => {
    const [left, right] = [Buffer.alloc(32, 1), Buffer.alloc(32, 2)];
    assert.notDeepEqual(hashNode(left, right), hashLeaf(Buffer.concat([left, right])));
  });

  it("refuses a hash of any other length, on either side", () => {
    const good = Buffer.alloc(32);
    for (const length of [0, 31, 33, 64]) {
      refuses("ERR_TLOG_HASH", () => hashNode(Buffer.alloc(length), good));
      refuses("ERR_TLOG_HASH", () => hashNode(good, Buffer.alloc(length)));
    }
  });
});

describe("EMPTY_ROOT", () => {
  it("is the hash of the empty string", () => {
    assert.deepEqual(EMPTY_ROOT, createHash("sha256").digest());
  });
});
