import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { asciiJson, instant, printable, span, table } from "./table.ts";

test("columns are as wide as their widest cell, and no line ends in spaces", () => {
  const text = table([
    ["ID", "NAME", "X"],
    ["1", "a", ""],
    ["10", "bcdef", "y"],
  ]);
  assert.equal(text, ["ID  NAME   X", "1   a", "10  bcdef  y"].join("\n"));
  assert.equal(table([]), "");
});

test("what somebody else named cannot act on the terminal", () => {
  assert.equal(printable("\u001b[2Jall good\u202e\r\n"), "?[2Jall good???");
  assert.equal(printable("\u{1f600}"), "?");
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (text) => {
      assert.match(printable(text), /^[ -~]*$/);
      assert.match(table([[text, text]]), /^[ -~]*$/);
    }),
  );
});

test("JSON for a terminal is printable and still the same JSON", () => {
  fc.assert(
    fc.property(fc.jsonValue({ stringUnit: "binary" }), (value) => {
      const text = asciiJson(value);
      assert.match(text, /^[\n -~]*$/);
      assert.deepEqual(JSON.parse(text), JSON.parse(JSON.stringify(value)));
    }),
  );
});

test("a span is said in the largest unit of which there are two", () => {
  const cases: readonly (readonly [number, string])[] = [
    [-5, "0 s"],
    [0, "0 s"],
    [119, "119 s"],
    [120, "2 min"],
    [7199, "120 min"],
    [7200, "2 h"],
    [172_799, "48 h"],
    [172_800, "2 d"],
  ];
  for (const [seconds, text] of cases) assert.equal(span(seconds), text);
});

test("an instant is UTC to the second; one that no calendar has is a question mark", () => {
  assert.equal(instant(1_795_479_844), "2026-11-24T00:24:04Z");
  assert.equal(instant(Number.MAX_SAFE_INTEGER), "?");
});
