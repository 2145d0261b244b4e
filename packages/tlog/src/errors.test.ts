import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { TlogError } from "./errors.ts";

describe("TlogError", () => {
  it("names what was found and what was expected, in the message and as fields", () => {
    const error = new TlogError("ERR_TLOG_HASH", "Hash has a wrong length", {
      found: 31,
      expected: 32,
    });
    assert.equal(error.message, "Hash has a wrong length: found 31, expected 32");
    assert.deepEqual([error.name, error.code], ["TlogError", "ERR_TLOG_HASH"]);
    assert.deepEqual([error.found, error.expected], [31, 32]);
    assert.equal(error instanceof Error, true);
  });

  it("leaves out what it was not given", () => {
    const bare = new TlogError("ERR_TLOG_TILE", "Not a tile");
    assert.equal(bare.message, "Not a tile");
    assert.equal(Object.hasOwn(bare, "cause"), false);
    assert.equal(
      new TlogError("ERR_TLOG_TILE", "Not a tile", { found: 0 }).message,
      "Not a tile: found 0",
    );
    assert.equal(
      new TlogError("ERR_TLOG_TILE", "Not a tile", { expected: "1" }).message,
      "Not a tile: expected 1",
    );
  });

  it("keeps the cause", () => {
    const cause = new Error("deeper");
    assert.equal(new TlogError("ERR_TLOG_VKEY", "Key is malformed", { cause }).cause, cause);
  });
});
