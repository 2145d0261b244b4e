import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { JsonValue } from "./json.ts";
import { ScopeReader } from "./scope-reader.ts";

function textsOf(value: JsonValue): readonly string[] {
  const read = new ScopeReader({ ring: value }, (member, expected) => {
    return new RangeError(`${member}: ${expected}`);
  });
  return read.texts("ring", 3);
}

describe("ScopeReader", () => {
  it("reads one text, or one to four, each within its bound", () => {
    assert.deepEqual(textsOf("abc"), ["abc"]);
    assert.deepEqual(textsOf(["a", "b", "c", "abc"]), ["a", "b", "c", "abc"]);
    for (const value of ["", "abcd", [], ["a", ""], ["a", "abcd"], ["a", 1], [["a"]], 1, null, {}])
      assert.throws(() => textsOf(value), /^RangeError: ring: 1 to 3/, JSON.stringify(value));
    assert.throws(() => textsOf(["a", "b", "c", "d", "e"]), /^RangeError: ring/);
  });
});
