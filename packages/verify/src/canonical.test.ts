import assert from "node:assert/strict";
import { it } from "node:test";
import fc from "fast-check";
import { canonicalJson } from "./canonical.ts";
import { parseJson } from "./json.ts";

it("canonicalJson() sorts members by code unit at every depth, and leaves lists as they are", () => {
  const value = {
    b: [{ z: 1, a: "x" }, 2, true],
    a: null,
    "\ue000": 1,
    "\u{1f600}": 2,
    B: {},
    "10": 1,
    "9": 2,
  };
  assert.equal(
    canonicalJson(value),
    '{"10":1,"9":2,"B":{},"a":null,"b":[{"a":"x","z":1},2,true],"\u{1f600}":2,"\ue000":1}',
  );
});

it("canonicalJson() writes what reads back as the same, whatever the order of members was", () => {
  const names = fc.stringMatching(/^[a-z0-9]{1,3}$/);
  const values = fc.dictionary(names, fc.oneof(fc.integer(), fc.boolean(), names, fc.array(names)));
  fc.assert(
    fc.property(values, (value) => {
      const reversed = Object.fromEntries(Object.entries(value).toReversed());
      assert.equal(canonicalJson(reversed), canonicalJson(value));
      assert.deepEqual(parseJson(canonicalJson(value)), { ...value });
    }),
  );
});
