import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import {
  Base64urlError,
  decodeBase64url,
  encodeBase64url,
  type Base64urlErrorCode,
  type Base64urlLimits,
} from "./base64url.ts";

function refuses(text: string, code: Base64urlErrorCode, limits: Base64urlLimits = {}): void {
  assert.throws(
    () => decodeBase64url(text, limits),
    (error) => error instanceof Base64urlError && error.code === code,
    `expected ${code} for ${text}`,
  );
}

describe("decodeBase64url()", () => {
  it("RFC 4648 §10 test vectors without padding", () => {
    for (const [text, plain] of Object.entries({
      "": "",
      Zg: "f",
      Zm8: "fo",
      Zm9v: "foo",
      Zm9vYg: "foob",
      Zm9vYmE: "fooba",
      Zm9vYmFy: "foobar",
    }))
      assert.equal(decodeBase64url(text).toString("latin1"), plain);
    assert.deepEqual(decodeBase64url("-_8"), Buffer.of(0xfb, 0xff));
  });

  it("gives memory of its own, however short the text", () => {
    for (const text of ["", "Zg", "Zm9vYmFy", "A".repeat(4000)])
      assert.equal(decodeBase64url(text).buffer.byteLength, Math.floor((text.length * 3) / 4));
  });

  it("THREAT-08: refuses the other alphabet, padding, white space and letters that Node folds", () => {
    for (const text of [
      "+_8",
      "-/8",
      "Zg==",
      "Zg=",
      " Zg",
      "Zg\n",
      "Z g",
      "Zm8!",
      "Zm\u0141v",
      "Zm9\u{1f600}",
    ])
      refuses(text, "ERR_BASE64URL_ALPHABET");
  });

  it("refuses a length of 1 modulo 4", () => {
    refuses("Z", "ERR_BASE64URL_LENGTH");
    refuses("Zm9vY", "ERR_BASE64URL_LENGTH");
  });

  it("refuses every spare bit that is not zero", () => {
    for (const text of ["Zh", "Zi", "Zk", "Zo", "Zm9", "Zm-"])
      refuses(text, "ERR_BASE64URL_SPARE_BITS");
  });

  it("holds an exact size and a largest size, on both sides", () => {
    assert.equal(decodeBase64url("AQI", { bytes: 2 }).length, 2);
    refuses("AQ", "ERR_BASE64URL_SIZE", { bytes: 2 });
    refuses("AQID", "ERR_BASE64URL_SIZE", { bytes: 2 });
    assert.equal(decodeBase64url("AQID", { maxBytes: 3 }).length, 3);
    refuses("AQIDBA", "ERR_BASE64URL_SIZE", { maxBytes: 3 });
    refuses("A".repeat(1_398_104), "ERR_BASE64URL_SIZE");
  });

  it("is the inverse of encodeBase64url(), and one text stands for one value", () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        assert.deepEqual(decodeBase64url(encodeBase64url(bytes)), Buffer.from(bytes));
      }),
    );
    fc.assert(
      fc.property(fc.stringMatching(/^[\w-]{0,12}$/), (text) => {
        let bytes: Buffer;
        try {
          bytes = decodeBase64url(text);
        } catch (error) {
          assert.equal(error instanceof Base64urlError, true);
          return;
        }
        assert.equal(encodeBase64url(bytes), text);
      }),
    );
  });

  it("throws nothing but Base64urlError for any text", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), (text) => {
        try {
          decodeBase64url(text);
        } catch (error) {
          assert.equal(error instanceof Base64urlError, true);
        }
      }),
    );
  });
});

describe("encodeBase64url()", () => {
  it("encodes the view, not its whole buffer", () => {
    assert.equal(encodeBase64url(Uint8Array.of(9, 1, 2, 9).subarray(1, 3)), "AQI");
  });
});
