import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { encodeChallenge, quotedString } from "./challenge.ts";

describe("challenges", () => {
  it("RFC 9110 §5.6.4: quotes and backslashes are escaped", () => {
    assert.equal(quotedString(String.raw`a "b" \c`), String.raw`"a \"b\" \\c"`);
    assert.equal(
      encodeChallenge("Bearer", { realm: 'x", error="none' }),
      String.raw`Bearer realm="x\", error=\"none"`,
    );
  });

  it("no line end, control character or letter beyond ASCII gets into a header", () => {
    for (const text of ["a\r\nSet-Cookie: b", "a\n", "\u0000", "\u007f", "\u00e9", "\u4e2d"])
      assert.throws(() => quotedString(text), TypeError, JSON.stringify(text));
  });

  it("a scheme without parameters stands alone", () => {
    assert.equal(encodeChallenge("Bearer", {}), "Bearer");
  });
});
