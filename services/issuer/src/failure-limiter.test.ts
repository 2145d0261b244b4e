import assert from "node:assert/strict";
import { test } from "node:test";
import { FailureLimiter } from "./failure-limiter.ts";

function limiterAt(start: number) {
  const clock = { time: start, monotonic: () => clock.time };
  const limiter = new FailureLimiter(clock, { burst: 3, intervalMs: 100, slots: 4096 });
  return { clock, limiter };
}

test("THREAT-34: a burst, then one for each interval", () => {
  const { clock, limiter } = limiterAt(1000);
  const fail = (): number => limiter.fail("t", "c", "a").waitMs;
  for (let i = 0; i < 3; i++) {
    assert.equal(limiter.isSpent("t", "c", "a"), false);
    assert.equal(fail(), 0);
  }
  assert.equal(limiter.isSpent("t", "c", "a"), true);
  assert.equal(fail(), 100);
  clock.time += 99;
  assert.equal(fail(), 1);
  clock.time += 1;
  assert.equal(limiter.isSpent("t", "c", "a"), false);
  assert.equal(fail(), 0);
  assert.equal(fail(), 100);
  clock.time += 10_000;
  assert.equal(fail(), 0);
});

test("THREAT-39: whoever goes on failing waits no longer for it", () => {
  const { limiter } = limiterAt(0);
  for (let i = 0; i < 1000; i++) limiter.fail("t", "c", "a");
  assert.equal(limiter.fail("t", "c", "a").waitMs, 100);
});

test("THREAT-39: a burst starts once, however long it lasts, and anew when all was forgiven", () => {
  const { clock, limiter } = limiterAt(0);
  const starts = (): boolean => limiter.fail("t", "c", "a").startsBurst;
  assert.deepEqual([starts(), starts(), starts(), starts()], [false, false, false, true]);
  for (let i = 0; i < 50; i++) {
    clock.time += 50;
    assert.equal(starts(), false);
  }
  // One millisecond before all is forgiven it still is the same burst.
  clock.time += 299;
  assert.deepEqual([starts(), starts(), starts(), starts()], [false, false, false, false]);
  clock.time += 300;
  assert.deepEqual([starts(), starts(), starts(), starts()], [false, false, false, true]);
});

test("tenant, client and address are told apart", () => {
  const { limiter } = limiterAt(0);
  for (let i = 0; i < 10; i++) limiter.fail("t", "c", "a");
  assert.ok(limiter.isSpent("t", "c", "a"));
  const others: readonly (readonly [string, string, string])[] = [
    ["t2", "c", "a"],
    ["t", "c2", "a"],
    ["t", "c", "a2"],
    ["tc", "", "a"],
    ["t", "ca", ""],
  ];
  // Slots are shared by a keyed hash: of five pairs at most one may collide with probability 5/4096.
  assert.ok(others.filter((other) => limiter.isSpent(...other)).length <= 1);
});

test("memory does not grow with the number of names", () => {
  const { limiter } = limiterAt(0);
  for (let i = 0; i < 1024; i++) limiter.fail("t", `client-${i}`, "a");
  // Spread evenly over 4096 slots: three failures seldom meet in one.
  const spent = Array.from({ length: 1024 }, (_, i) => limiter.isSpent("t", `client-${i}`, "a"));
  assert.ok(spent.filter(Boolean).length < 1024 / 8);
});
