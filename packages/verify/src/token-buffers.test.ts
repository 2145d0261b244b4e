import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { TokenBuffers } from "./token-buffers.ts";
import { TokenError } from "./token-error.ts";
import { decodeSegment, parseSegment } from "./token-json.ts";

const MAX = 64;
const ALPHABET = Array.from("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_");

/** What a reader makes of a segment: its answer, or the code and part of its refusal. */
function outcome(read: () => unknown): unknown {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof TokenError)) throw error;
    return `${error.code} ${error.part ?? ""}`;
  }
}

function assertAgrees(buffers: TokenBuffers, text: string): void {
  buffers.load(text);
  assert.deepEqual(
    outcome(() => Buffer.from(buffers.signature(text))),
    outcome(() => decodeSegment(text, "signature")),
    text,
  );
  assert.deepEqual(
    outcome(() => buffers.payload(text)),
    outcome(() => parseSegment(decodeSegment(text, "payload"), "payload")),
    text,
  );
}

describe("TokenBuffers", () => {
  it("reads segments as the careful decoder does: every text of up to three characters", () => {
    const buffers = new TokenBuffers(MAX);
    // Both alphabets, each kind of spare bits, padding, white space, junk, a letter that Node folds to A.
    const characters = Array.from("AQgEBx0-_+/= \n.\u0000\u00e9\u0141\ud800");
    for (const a of ["", ...characters])
      for (const b of ["", ...characters])
        for (const c of ["", ...characters]) assertAgrees(buffers, a + b + c);
  });

  it("reads segments as the careful decoder does: longer texts", () => {
    const buffers = new TokenBuffers(MAX);
    const character = fc.oneof(
      { weight: 30, arbitrary: fc.constantFrom(...ALPHABET) },
      { weight: 1, arbitrary: fc.string({ unit: "binary", minLength: 1, maxLength: 1 }) },
    );
    fc.assert(
      fc.property(fc.array(character, { maxLength: MAX / 2 }), (list) => {
        assertAgrees(buffers, list.join(""));
      }),
      { numRuns: 2000 },
    );
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 2 }), (value) => {
        const text = Buffer.from(JSON.stringify(value)).toString("base64url");
        if (text.length <= MAX) assertAgrees(buffers, text);
      }),
    );
  });

  it("takes no text for ASCII that only just fits, or just does not", () => {
    const buffers = new TokenBuffers(MAX);
    for (const odd of ["\u00e9", "\u0141", "\u{20ac}", "\ud800", "\u{1f600}"])
      for (const length of [MAX - 1, MAX]) {
        const fill = "A".repeat(length - odd.length);
        for (const text of [odd + fill, fill + odd]) {
          buffers.load(text);
          assert.equal(
            outcome(() => buffers.signature(text)),
            "ERR_TOKEN_NOT_CANONICAL signature",
          );
        }
      }
    assertAgrees(buffers, "A".repeat(MAX));
  });

  it("does not keep what the token before was", () => {
    const buffers = new TokenBuffers(MAX);
    buffers.load("Zm9v.AQID");
    assert.deepEqual([...buffers.signature("AQID")], [1, 2, 3]);
    buffers.load("Z\u0141");
    assert.equal(
      outcome(() => buffers.signature("Z\u0141")),
      "ERR_TOKEN_NOT_CANONICAL signature",
    );
    buffers.load("Zm8.BAUG");
    assert.deepEqual([...buffers.signature("BAUG")], [4, 5, 6]);
    assert.deepEqual([...buffers.signature("BAU")], [4, 5]);
    assert.equal(buffers.signingInput(3).toString("latin1"), "Zm8");
  });

  it("can be wiped", () => {
    const buffers = new TokenBuffers(MAX);
    buffers.load("Zm8.BAUG");
    const signature = buffers.signature("BAUG");
    const input = buffers.signingInput(8);
    buffers.wipe();
    assert.deepEqual(
      [...signature, ...input],
      Array.from({ length: 11 }, () => 0),
    );
  });
});
