import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { pinOf, testKey } from "./testing/keys.ts";
import { isSoundEd25519 } from "./weak-key.ts";

const P = 2n ** 255n - 19n;

/** RFC 8032 §5.1.2: 32 bytes, little-endian. */
function encode(y: bigint): Buffer {
  return Buffer.from(Buffer.from(y.toString(16).padStart(64, "0"), "hex").toReversed());
}

describe("isSoundEd25519()", () => {
  it("takes real keys", () => {
    for (const name of ["ent-ed25519", "ring-enterprise", "monitor-ack"])
      assert.equal(isSoundEd25519(Buffer.from(pinOf(testKey(name)), "base64url")), true);
  });

  it("refuses points of small order, with either sign of x", () => {
    const order8 = Buffer.from(
      "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
      "hex",
    );
    const y = BigInt(`0x${Buffer.from(order8.toReversed()).toString("hex")}`);
    for (const small of [0n, 1n, P - 1n, y, P - y])
      for (const sign of [0n, 2n ** 255n])
        assert.equal(isSoundEd25519(encode(small + sign)), false, String(small));
  });

  it("refuses the second encoding of every point that has one, and what is on no curve", () => {
    const onCurve = Array.from({ length: 19 }, (_, i) => BigInt(i)).filter((y) =>
      isSoundEd25519(encode(y)),
    );
    assert.equal(onCurve.length > 0 && onCurve.length < 17, true, String(onCurve));
    for (let y = 0n; y < 19n; y += 1n) assert.equal(isSoundEd25519(encode(P + y)), false);
  });
});
