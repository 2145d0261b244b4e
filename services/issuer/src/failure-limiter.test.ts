import assert from "node:assert/strict";
import { test } from "node:test";
import { FailureLimiter } from "./failure-limiter.ts";

function limiterAt(start: number) {
  const clock = { time: start, monotonic: () => clock.time };
  const limiter = new FailureLimiter(clock, { burst: 3, intervalMs: 100, slots: 4096 });
  return { clock, limiter };
}

test("a burst, then one for each interval", () => {
  const { clock, limiter } = limiterAt(1000);
  const wait = (): number => limiter.waitMs("t", "c", "a");
  for (let i = 0; i < 3; i++) {
    assert.equal(wait(), 0);
    limiter.fail("t", "c", "a");
  }
  assert.equal(wait(), 100);
  clock.time += 99;
  assert.equal(wait(), 1);
  clock.time += 1;
  assert.equal(wait(), 0);
  limiter.fail("t", "c", "a");
  assert.equal(wait(), 100);
  clock.time += 10_000;
  assert.equal(wait(), 0);
});

test("tenant, client and address are told apart", () => {
  const { limiter } = limiterAt(0);
  for (let i = 0; i < 10; i++) limiter.fail("t", "c", "a");
  assert.ok(limiter.waitMs("t", "c", "a") > 0);
  const others: readonly (readonly [string, string, string])[] = [
    ["t2", "c", "a"],
    ["t", "c2", "a"],
    ["t", "c", "a2"],
    ["tc", "", "a"],
    ["t", "ca", ""],
  ];
  // Slots are shared by a keyed hash: of five pairs at most one may collide with probability 5/4096.
  assert.ok(others.filter((other) => limiter.waitMs(...other) > 0).length <= 1);
});

test("memory does not grow with the number of names", () => {
  const { limiter } = limiterAt(0);
  for (let i = 0; i < 1024; i++) limiter.fail("t", `client-${i}`, "a");
  // Spread evenly over 4096 slots: three failures seldom meet in one.
  const blocked = Array.from({ length: 1024 }, (_, i) => limiter.waitMs("t", `client-${i}`, "a"));
  assert.ok(blocked.filter((wait) => wait > 0).length < 1024 / 8);
});
