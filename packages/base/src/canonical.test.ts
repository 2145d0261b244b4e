import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { isJsonObject, parseJson, type JsonValue } from "@redoubt/verify/json";
import fc from "fast-check";
import { canonicalBytes, encodeCanonical } from "./canonical.ts";

const text = fc.string({ unit: "grapheme", maxLength: 20 });
const name = text.filter((s) => JSON.stringify(s) === `"${s}"` && s !== "__proto__");
const { value: jsonValues } = fc.letrec<{ value: JsonValue }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4, withCrossShrink: true },
    fc.constant(null),
    fc.boolean(),
    fc.maxSafeInteger().map((n) => n + 0),
    text,
    fc.array(tie("value"), { maxLength: 4 }),
    fc.dictionary(name, tie("value"), { maxKeys: 4 }),
  ),
}));

/** Any order of members, all the way down. */
function reversed(value: JsonValue): JsonValue {
  if (Array.isArray(value)) return value.map((item: JsonValue) => reversed(item));
  if (!isJsonObject(value)) return value;
  const members = Object.entries(value).map(([key, member]) => [key, reversed(member)] as const);
  return Object.fromEntries(members.toReversed());
}

describe("canonical JSON", () => {
  it("gives back the value that it encodes, through the strict reader", () => {
    fc.assert(
      fc.property(jsonValues, (value) => {
        assert.deepEqual(parseJson(canonicalBytes(value)), parseJson(JSON.stringify(value)));
      }),
    );
  });

  it("has one encoding for a value, whatever the order of its members", () => {
    fc.assert(
      fc.property(jsonValues, (value) => {
        assert.equal(encodeCanonical(reversed(value)), encodeCanonical(value));
      }),
    );
  });

  it("sorts members by UTF-16 code unit (RFC 8785 §3.2.3)", () => {
    // The example of §3.2.3, but for the name that needs an escape.
    const value = { "\u20ac": 1, "\ufb33": 2, "1": 3, "\u{1f600}": 4, "\u0080": 5, "\u00f6": 6 };
    assert.equal(
      encodeCanonical(value),
      '{"1":3,"\u0080":5,"\u00f6":6,"\u20ac":1,"\u{1f600}":4,"\ufb33":2}',
    );
  });

  it("writes no space, and the escapes of RFC 8785 §3.2.2.2", () => {
    assert.equal(
      encodeCanonical({ b: [1, null, true], a: '\u000f\n"\\\u2028/' }),
      '{"a":"\\u000f\\n\\"\\\\\u2028/","b":[1,null,true]}',
    );
  });

  it("takes the integers up to the safe bound and none beyond", () => {
    for (const n of [0, -1, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER])
      assert.equal(encodeCanonical(n), String(n));
    for (const n of [2 ** 53, -(2 ** 53), 0.5, -0, NaN, Infinity])
      assert.throws(() => encodeCanonical([n]), RangeError, String(n));
  });

  it("refuses text that has no UTF-8", () => {
    assert.throws(() => encodeCanonical({ a: "\ud800" }), RangeError);
    assert.throws(() => encodeCanonical({ "\udc00": 1 }), RangeError);
  });

  for (const member of ['"', "\\", "\n", "\u0000", "__proto__"])
    it(`refuses the member name ${JSON.stringify(member)}, which the strict reader refuses`, () => {
      assert.throws(() => parseJson(`{${JSON.stringify(member)}:1}`));
      assert.throws(() => encodeCanonical({ [member]: 1 }), RangeError);
    });

  // What plain JavaScript can pass although the types do not allow it.
  const foreign: Record<string, unknown>[] = [
    { a: undefined },
    { a: new Date(0) },
    { a: Buffer.of(1) },
    { a: new Map([["b", 1]]) },
    { a: 1n },
    { a: () => 1 },
    { a: Symbol("b") },
  ];
  for (const value of foreign)
    it(`refuses ${typeof value.a} ${Object.prototype.toString.call(value.a)}`, () => {
      assert.throws(() => Reflect.apply(encodeCanonical, undefined, [value]), RangeError);
    });
});
