import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { joinBlobs, splitBlobs } from "./blobs.ts";
import { WireError } from "./errors.ts";

describe("blobs", () => {
  it("round trip", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 50 }), { maxLength: 20 }), (blobs) => {
        assert.deepEqual(
          splitBlobs(joinBlobs(blobs)),
          blobs.map((b) => Buffer.from(b)),
        );
      }),
    );
  });

  it("throw nothing but WireError for any bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        try {
          splitBlobs(Buffer.from(bytes));
        } catch (error) {
          assert.ok(error instanceof WireError);
        }
      }),
    );
  });

  it("are refused for a length cut short, a blob cut short, and one too many", () => {
    const two = joinBlobs([Buffer.of(1, 2), Buffer.of(3)]);
    const refused = { name: "WireError", code: "ERR_WIRE_FRAME" };
    assert.equal(splitBlobs(two, 2).length, 2);
    assert.throws(() => splitBlobs(two, 1), refused);
    for (const end of [1, 3, 5, 7, 9, 10])
      assert.throws(() => splitBlobs(two.subarray(0, end)), refused, String(end));
  });
});
