import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { shownLines } from "./shown-text.ts";

describe("shownLines()", () => {
  it("shows plain ASCII as it is, in quotes", () => {
    assert.deepEqual(shownLines("Name", "anna o'hara <a@b.test> ~"), [
      'Name: "anna o\'hara <a@b.test> ~"',
    ]);
  });

  it("spells, on a line of its own, whatever is not plain ASCII", () => {
    for (const [value, shown, spelled] of [
      ["Ännä", "Ännä", "\\u{c4}nn\\u{e4}"],
      // A Cyrillic letter that looks like a Latin one.
      ["\u0430nna", "\u0430nna", "\\u{430}nna"],
      ["山田", "山田", "\\u{5c71}\\u{7530}"],
      ["אב", "אב", "\\u{5d0}\\u{5d1}"],
    ] as const)
      assert.deepEqual(shownLines("Name", value), [`Name: "${shown}"`, `  spelled "${spelled}"`]);
  });

  it("THREAT-20: shows what would reorder, hide, join or break a line only as its number", () => {
    const hidden = [
      "\u0000\u0007\n\r\t\u001b\u007f\u0085\u009b\u00a0\u00ad\u034f\u0301\u061c\u115f\u1160",
      "\u180e\u200b\u200c\u200d\u200e\u200f\u2028\u2029\u202a\u202e\u2060\u2066\u2067\u2069",
      "\u2800\u3000\u3164\ufe0f\ufeff\uffa0\ufff9\ufffd\u{1d173}\u{1f600}\u{e0041}\u{10ffff}",
    ];
    for (const character of hidden.join("")) {
      const number = character.codePointAt(0)?.toString(16);
      assert.deepEqual(shownLines("Name", `a${character}b`), [
        `Name: "a\\u{${number}}b"`,
        `  spelled "a\\u{${number}}b"`,
      ]);
    }
  });

  it("lets no value end its quotes, or pass for an escape", () => {
    assert.deepEqual(shownLines("Name", 'a" \\u{41}'), ['Name: "a\\" \\\\u{41}"']);
  });

  it("makes one or two lines of any value, and different ones of different values", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), fc.string({ unit: "binary" }), (one, other) => {
        const lines = shownLines("Name", one);
        assert.ok(
          lines.length <= 2 &&
            lines.every((line) => !/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\u00a0]/u.test(line)),
        );
        assert.match(lines.at(-1) ?? "", /^[ -~]*$/);
        assert.equal(lines.join("\n") === shownLines("Name", other).join("\n"), one === other);
      }),
    );
  });
});
