import assert from "node:assert/strict";
import { it } from "node:test";
import { nowSeconds, systemClock } from "./clock.ts";

it("whole seconds begin on the second", () => {
  assert.equal(nowSeconds({ now: () => 1999 }), 1);
  assert.equal(nowSeconds({ now: () => 2000 }), 2);
});

it("the system clock is the system's", () => {
  const before = Date.now();
  const now = systemClock.now();
  assert.ok(now >= before && now <= Date.now());
  const start = systemClock.monotonic();
  assert.ok(systemClock.monotonic() >= start);
});
