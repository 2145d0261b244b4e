import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { JsonObject, JsonValue } from "@redoubt/verify/json";
import { ServiceError } from "./errors.ts";
import { MemberReader } from "./members.ts";

function reader(object: JsonObject): MemberReader {
  return new MemberReader(object, "message");
}

function refused(read: () => unknown, message: RegExp): void {
  assert.throws(read, (error) => {
    assert.ok(error instanceof ServiceError);
    assert.equal(error.code, "ERR_REQUEST_MEMBER");
    assert.match(error.message, message);
    return true;
  });
}

interface Case {
  readonly kind: string;
  readonly read: (from: MemberReader) => unknown;
  readonly good: readonly JsonValue[];
  readonly bad: readonly JsonValue[];
}

const cases: readonly Case[] = [
  {
    kind: "string",
    read: (from) => from.string("m", 3, /^[a-z]+$/),
    good: ["a", "abc"],
    bad: ["", "abcd", "A", 1, null, true, ["a"], { a: "a" }],
  },
  {
    kind: "optionalString",
    read: (from) => from.optionalString("m", 3, /^[a-z]+$/),
    good: ["a", "abc"],
    bad: ["", "abcd", "A", 1, null],
  },
  {
    kind: "oneOf",
    read: (from) => from.oneOf("m", ["one", "two"]),
    good: ["one", "two"],
    bad: ["three", "", "One", 1, null, ["one"]],
  },
  {
    kind: "integer",
    read: (from) => from.integer("m", -1, 5),
    good: [-1, 0, 5],
    bad: [-2, 6, 0.5, 2 ** 53, "1", null, true, [1]],
  },
  {
    kind: "optionalInteger",
    read: (from) => from.optionalInteger("m", 0, 5),
    good: [0, 5],
    bad: [-1, 6, "1", null],
  },
  {
    kind: "strings",
    read: (from) => from.strings("m", 2, 3),
    good: [[], ["a"], ["abc", "abc"]],
    bad: [["a", "b", "c"], ["abcd"], [""], [1], [null], [["a"]], "a", { 0: "a" }, null],
  },
  {
    kind: "array",
    read: (from) => from.array("m", 2),
    good: [[], [1, { a: null }]],
    bad: [[1, 2, 3], { length: 0 }, "ab", null, 1],
  },
  {
    kind: "rawObject",
    read: (from) => from.rawObject("m"),
    good: [{}, { a: [1] }],
    bad: [[], null, "a", 1, true],
  },
  {
    kind: "boolean",
    read: (from) => from.boolean("m"),
    good: [true, false],
    bad: [0, 1, "true", null, []],
  },
];

describe("MemberReader", () => {
  for (const { kind, read, good, bad } of cases) {
    it(`${kind}: takes what it names`, () => {
      for (const value of good) {
        const from = reader({ m: value });
        assert.deepEqual(read(from), value);
        from.done();
      }
    });
    it(`${kind}: refuses everything else`, () => {
      for (const value of bad) refused(() => read(reader({ m: value })), /^message: m must be /);
    });
    it(`${kind}: ${kind.startsWith("optional") ? "may" : "must not"} be absent`, () => {
      if (kind.startsWith("optional")) assert.equal(read(reader({})), undefined);
      else refused(() => read(reader({})), /^message: m must be /);
    });
  }

  it("reads no member that is only inherited", () => {
    refused(() => reader({}).rawObject("constructor"), /constructor must be an object/);
    assert.equal(reader({}).has("toString"), false);
  });

  it("names the path of a nested object, whose members must be asked for too", () => {
    const inner = reader({ rule: { a: "x", b: 1 } }).object("rule");
    assert.equal(inner.string("a"), "x");
    refused(() => inner.done(), /^message rule: unknown member b$/);
    refused(() => reader({ rule: [] }).object("rule"), /^message: rule must be an object$/);
  });

  it("reads a list of objects one by one, and nothing else may stand among them", () => {
    const [first, second] = reader({ m: [{ a: "x" }, { b: 1 }] }).objects("m", 2);
    assert.equal(first?.string("a"), "x");
    refused(() => second?.done(), /^message m: unknown member b$/);
    for (const value of [["x"], [{}, null], [[]]])
      refused(() => reader({ m: value }).objects("m", 2), /^message: m must be .*hold objects$/);
    for (const value of [{}, [{}, {}, {}], "x"])
      refused(() => reader({ m: value }).objects("m", 2), /^message: m must be an array of/);
  });

  it("tells null said aloud from any other value, and from absence", () => {
    const from = reader({ m: null });
    assert.equal(from.isNull("m"), true);
    from.done();
    assert.equal(reader({}).isNull("m"), false);
    assert.equal(reader({}).isNull("constructor"), false);
    for (const value of [0, "", "null", false, [], {}])
      assert.equal(reader({ m: value }).isNull("m"), false);
  });

  it("refuses a member that nobody asked for, also one that was only looked for", () => {
    const from = reader({ a: "x", b: 1 });
    assert.equal(from.has("b"), true);
    assert.equal(from.string("a"), "x");
    refused(() => from.done(), /^message: unknown member b$/);
  });

  it("shows a foreign member name short and harmless", () => {
    const name = `${"a".repeat(38)}\u009b\u{1f600}${"b".repeat(100)}`;
    refused(() => reader({ [name]: 1 }).done(), /^message: unknown member a{38}\?\?\.\.\.$/);
  });
});
