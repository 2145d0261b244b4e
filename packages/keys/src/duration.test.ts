import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { formatDuration, parseDuration } from "./duration.ts";
import { KeyError } from "./errors.ts";

const DAY = 86_400;

describe("ISO 8601 durations", () => {
  for (const [text, seconds] of [
    ["P7D", 7 * DAY],
    ["P1W", 7 * DAY],
    ["P1M", 30 * DAY],
    ["P1Y", 365 * DAY],
    ["P12M", 360 * DAY],
    ["P1Y10D", 375 * DAY],
    ["PT48H", 2 * DAY],
    ["PT6H", 21_600],
    ["PT1M", 60],
    ["P1M", 2_592_000],
    ["P1DT2H3M4S", DAY + 7384],
    ["P10Y", 3650 * DAY],
    ["PT1S", 1],
  ] as const)
    it(`${text} is ${seconds} s`, () => assert.equal(parseDuration(text), seconds));

  const WRONG = [
    "",
    "P",
    "PT",
    "P1DT",
    "7D",
    "P-1D",
    "-P1D",
    "+P1D",
    "P1.5D",
    "PT1,5H",
    "P1W2D",
    "P1H",
    "PT1D",
    "P1D1M",
    "PT1S1H",
    "p7d",
    " P7D",
    "P7D ",
    "P7D\n",
    "P0D",
    "PT0S",
    "P10Y1D",
    "P3651D",
    "P99999Y",
    "P100000D",
    `P${"1".repeat(100)}D`,
    "P٧D",
  ];
  it("any other text is refused", () => {
    for (const text of WRONG)
      assert.throws(() => parseDuration(text), { code: "ERR_ROTATION_POLICY" }, text);
  });

  it("round trip, in one spelling", () => {
    for (const [seconds, text] of [
      [36_000 + 10 * DAY, "P10DT10H"],
      [0, "PT0S"],
      [59, "PT59S"],
      [DAY - 1, "PT23H59M59S"],
    ] as const)
      assert.equal(formatDuration(seconds), text);
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 3650 * DAY }), (seconds) => {
        assert.equal(parseDuration(formatDuration(seconds)), seconds);
      }),
    );
  });

  it("never throws anything but its own error", () => {
    const near = fc.stringMatching(/^P?[0-9YMWDTHS.,-]{0,50}$/);
    fc.assert(
      fc.property(fc.oneof(fc.string(), near), (text) => {
        try {
          assert.ok(parseDuration(text) > 0);
        } catch (error) {
          assert.ok(error instanceof KeyError);
        }
      }),
    );
  });
});
