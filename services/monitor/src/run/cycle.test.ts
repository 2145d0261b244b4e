import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ReadingPace } from "./cycle.ts";

function quietSince(now: number): ReadingPace {
  const pace = new ReadingPace();
  pace.wasRead(now - 5000, { isCurrent: true, size: 7 });
  pace.wasRead(now, { isCurrent: true, size: 7 });
  return pace;
}

describe("how often the logs are read", () => {
  it("each tick until nothing has happened for five seconds, then every two seconds", () => {
    const pace = new ReadingPace();
    assert.equal(pace.isDue(0, false), true);
    const read: number[] = [];
    for (let now = 0; now <= 11_000; now += 500)
      if (pace.isDue(now, false)) {
        read.push(now);
        pace.wasRead(now, { isCurrent: true, size: 7 });
      }
    const each = Array.from({ length: 10 }, (_, i) => i * 500);
    assert.deepEqual(read, [...each, 6500, 8500, 10_500]);
  });

  it("both sides of the two seconds", () => {
    assert.equal(quietSince(10_000).isDue(11_999, false), false);
    assert.equal(quietSince(10_000).isDue(12_000, false), true);
  });

  it("at once, and for five seconds, when something has to be held against them", () => {
    const pace = quietSince(10_000);
    assert.equal(pace.isDue(10_500, true), true);
    pace.wasRead(10_500, { isCurrent: true, size: 7 });
    pace.wasRead(15_499, { isCurrent: true, size: 7 });
    assert.equal(pace.isDue(15_499, false), true);
    assert.equal(pace.isDue(15_500, false), false);
  });

  for (const what of [
    { isCurrent: true, size: 8 },
    { isCurrent: false, size: 7 },
  ])
    it(`again when a reading ${what.isCurrent ? "brought entries" : "failed"}`, () => {
      const pace = quietSince(10_000);
      pace.wasRead(12_000, what);
      assert.equal(pace.isDue(12_500, false), true);
    });
});
