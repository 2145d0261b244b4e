import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { isProven } from "./json-proof.ts";
import { JsonError } from "./json-error.ts";
import { scanJson } from "./json-scan.ts";
import type { JsonValue } from "./json.ts";

const MAX_DEPTH = 8;

function proves(text: string, maxDepth = MAX_DEPTH): boolean {
  const value: JsonValue = JSON.parse(text);
  return isProven(value, text, maxDepth);
}

function scans(text: string): boolean {
  try {
    scanJson(text, MAX_DEPTH);
    return true;
  } catch (error) {
    if (error instanceof JsonError) return false;
    throw error;
  }
}

describe("isProven()", () => {
  it("proves plain documents, whatever their white space, numbers and order of members", () => {
    for (const text of [
      "{}",
      "[]",
      "1",
      '"x"',
      "null",
      '{"b":1,"a":"x","17":null,"":[true,"y",{"a":"x"}]}',
      ' { "a" : 1e3 ,\n"c": -0.50 } ',
      '{"a":":","b":"{[,","é":"\u{1f600}"}',
      '["__proto__"]',
      '{"constructor":1,"toString":2}',
    ])
      assert.equal(proves(text), true, text);
  });

  it("THREAT-08: proves no document with a duplicate member, at any level and with any value", () => {
    for (const value of ["1", "null", '"x"', "[]", '["x","y"]', '{"a":"x"}'])
      for (const text of [
        `{"a":${value},"a":1}`,
        `{"a":1,"a":${value}}`,
        `{"a" :1, "b":2, "a"\n:${value}}`,
        `[{"x":[{"a":${value},"a":${value}}]}]`,
        `{"17":${value},"17":${value}}`,
        `{"":${value},"":2}`,
      ])
        assert.equal(proves(text), false, text);
  });

  it("leaves escapes, __proto__ and numbers beyond a double to the scanner", () => {
    for (const text of [
      String.raw`{"a":"\n"}`,
      String.raw`{"\u0061":1}`,
      '{"__proto__":1}',
      '[{"a":{"__proto__":{}}}]',
      '{"a":1e400}',
      '{"a":[-1e400]}',
    ])
      assert.equal(proves(text), false, text);
  });

  it("bounds depth, on both sides", () => {
    assert.equal(proves('[{"a":[]}]', 3), true);
    assert.equal(proves('[{"a":[]}]', 2), false);
    assert.equal(proves("1", 0), true);
    assert.equal(proves("[]", 0), false);
  });

  it("is not fooled by members that somebody put into Object.prototype", () => {
    Reflect.set(Object.prototype, "polluted", "x");
    try {
      assert.equal(proves('{"a":1}'), false);
      // The inherited name and string would make up for those that the parser dropped.
      assert.equal(proves('{"a":"x","a":"y"}'), false);
    } finally {
      Reflect.deleteProperty(Object.prototype, "polluted");
    }
    assert.equal(proves('{"a":1}'), true);
  });

  it("proves only what the scanner accepts", () => {
    const name = fc.constantFrom("a", "b", "__proto__", "0", "é");
    const scalar = fc.constantFrom("1", "1e400", "null", '"x"', '""', '":"', String.raw`"\\"`);
    const { value } = fc.letrec<{ value: string }>((tie) => ({
      value: fc.oneof(
        { maxDepth: 9, depthSize: "max" },
        scalar,
        fc.array(tie("value"), { maxLength: 3 }).map((items) => `[${items.join(",")}]`),
        fc
          .array(fc.tuple(name, fc.constantFrom(":", " : "), tie("value")), { maxLength: 4 })
          .map((list) => `{${list.map(([n, colon, v]) => `"${n}"${colon}${v}`).join(",")}}`),
      ),
    }));
    let proven = 0;
    let refused = 0;
    fc.assert(
      fc.property(value, (text) => {
        const isAccepted = scans(text);
        if (proves(text)) {
          proven += 1;
          assert.equal(isAccepted, true);
        } else if (!isAccepted) refused += 1;
        // Nothing but an escape keeps a good document from being proven.
        else assert.equal(text.includes("\\"), true);
      }),
      { numRuns: 3000 },
    );
    assert.equal(proven > 100 && refused > 100, true, `${proven} proven, ${refused} refused`);
  });
});
