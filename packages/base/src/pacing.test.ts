import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { backOffMs } from "./back-off.ts";
import { callerPattern, REALM, UUID } from "./ids.ts";
import { TokenBucket } from "./token-bucket.ts";

describe("back-off", () => {
  it("doubles with each failure, up to its end, and is nothing without one", () => {
    const pace = { firstMs: 20, maxMs: 1000 };
    const waits = [0, 1, 2, 3, 6, 7, 5000].map((failures) => backOffMs(failures, pace));
    assert.deepEqual(waits, [0, 20, 40, 80, 640, 1000, 1000]);
  });
});

describe("a token bucket", () => {
  const LIMIT = { capacity: 10, perSecond: 2 };

  it("gives its capacity at once, and refills over time, never beyond it", () => {
    const bucket = new TokenBucket(LIMIT, 0);
    assert.deepEqual([bucket.take(10, 0), bucket.take(1, 0)], [true, false]);
    assert.deepEqual([bucket.take(2, 999), bucket.take(2, 1000)], [false, true]);
    assert.deepEqual([bucket.take(10, 1e6), bucket.take(1, 1e6)], [true, false]);
  });

  it("is full when nothing of it is used", () => {
    const bucket = new TokenBucket(LIMIT, 0);
    assert.equal(bucket.isFull(0), true);
    bucket.take(1, 0);
    assert.deepEqual([bucket.isFull(499), bucket.isFull(500)], [false, true]);
  });

  it("gains nothing by a clock that goes back", () => {
    const bucket = new TokenBucket(LIMIT, 1000);
    bucket.take(10, 1000);
    assert.equal(bucket.take(1, 0), false);
  });
});

describe("ids", () => {
  it("have one grammar each", () => {
    assert.match("9188040d-6c67-4c5b-b112-36a304b66dad", UUID);
    assert.doesNotMatch("9188040D-6c67-4c5b-b112-36a304b66dad", UUID);
    assert.match("enterprise-2", REALM);
    for (const wrong of ["", "2a", "A", "a_b", "a".repeat(33)]) assert.doesNotMatch(wrong, REALM);
  });

  it("a caller is a service, alone or of one realm", () => {
    const pattern = callerPattern(["operator"], ["signer", "issuer"]);
    for (const caller of ["operator", "signer-a", "issuer-enterprise"])
      assert.match(caller, pattern);
    for (const caller of ["signer", "signer-", "operator-a", "signer-A", "x-a"])
      assert.doesNotMatch(caller, pattern);
  });
});
