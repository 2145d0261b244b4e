import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createReplayStore, type MemoryReplayStore } from "./replay-store.ts";
import { NOW } from "./testing/fixture.ts";
import { outcome } from "./testing/outcome.ts";

const FULL = ["ERR_REPLAY_STORE", "full"];
/** Of one entry with a key of one character. */
const ENTRY_BYTES = 86;
const standing = (): number => NOW * 1000;

describe("createReplayStore()", () => {
  it("takes a key once, until its time has come", () => {
    let now = NOW;
    const store = createReplayStore({ now: () => now * 1000 + 999 });
    assert.equal(store.add("a", NOW + 10), true);
    assert.equal(store.add("a", NOW + 10), false);
    assert.equal(store.add("a", NOW + 99), false);
    now = NOW + 9;
    assert.equal(store.add("a", NOW + 10), false);
    now = NOW + 10;
    assert.equal(store.add("a", NOW + 20), true);
    assert.equal(store.size, 1);
  });

  it("forgets in the order of endings, not of arrival", () => {
    let now = NOW;
    const store = createReplayStore({ now: () => now * 1000 });
    for (const [key, ends] of [
      ["late", 30],
      ["early", 10],
      ["middle", 20],
    ] as const)
      store.add(key, NOW + ends);
    now = NOW + 10;
    assert.equal(store.add("late", NOW + 40), false);
    assert.equal(store.add("middle", NOW + 40), false);
    assert.equal(store.size, 2);
    assert.equal(store.add("early", NOW + 40), true);
  });

  it("is bounded by count: drops what ended, then refuses what is new, and forgets nothing", () => {
    let now = NOW;
    const store = createReplayStore({ maxEntries: 2, now: () => now * 1000 });
    store.add("a", NOW + 10);
    store.add("b", NOW + 20);
    assert.deepEqual(
      outcome(() => store.add("c", NOW + 30)),
      FULL,
    );
    assert.equal(store.add("a", NOW + 10), false);
    now = NOW + 10;
    assert.equal(store.add("c", NOW + 30), true);
    assert.deepEqual(
      outcome(() => store.add("d", NOW + 30)),
      FULL,
    );
  });

  it("is bounded by bytes, on both sides", () => {
    const exact = createReplayStore({ maxBytes: 2 * ENTRY_BYTES, now: standing });
    exact.add("a", NOW + 10);
    assert.equal(exact.bytes, ENTRY_BYTES);
    assert.equal(exact.add("b", NOW + 10), true);
    const less = createReplayStore({ maxBytes: 2 * ENTRY_BYTES - 1, now: standing });
    less.add("a", NOW + 10);
    assert.deepEqual(
      outcome(() => less.add("b", NOW + 10)),
      FULL,
    );
  });

  it("counts to zero again", () => {
    let now = NOW;
    const store = createReplayStore({ now: () => now * 1000 });
    for (let i = 0; i < 1000; i += 1) store.add(`key ${i}`, NOW + 1 + (i % 300));
    now = NOW + 300;
    assert.equal(store.add("x", NOW + 400), true);
    assert.deepEqual([store.size, store.bytes], [1, ENTRY_BYTES]);
  });

  it("forgets nothing when the clock goes back or gives no time", () => {
    let now = NOW;
    const store = createReplayStore({ now: () => now * 1000 });
    store.add("a", NOW + 10);
    for (now of [NOW - 100, Number.NaN]) assert.equal(store.add("a", NOW + 10), false);
  });

  it("refuses options that are unknown or out of range", () => {
    const untyped: { create(options: unknown): MemoryReplayStore } = { create: createReplayStore };
    for (const options of [
      { max: 1 },
      { maxEntries: 0 },
      { maxEntries: 10_000_001 },
      { maxEntries: Number.POSITIVE_INFINITY },
      { maxBytes: 0.5 },
      { maxBytes: "1" },
      { now: 1 },
    ])
      assert.throws(() => untyped.create(options), TypeError, JSON.stringify(options));
  });
});
