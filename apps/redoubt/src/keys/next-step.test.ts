import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  decideNextState,
  isReadyToSign,
  ringGroup,
  type KeyInfo,
  type LifeCyclePolicy,
} from "@redoubt/keys";
import { TestRegistry } from "../testing/registry.ts";
import { nextStep, type KeyFold } from "./next-step.ts";

const POLICY: LifeCyclePolicy = {
  prepublishSeconds: 7200,
  activeSeconds: 100_000,
  verifyOnlySeconds: 7200,
};

function keyOf({ registry }: TestRegistry, kid: string): KeyInfo {
  const key = registry.keys.get(kid);
  assert.ok(key);
  return key;
}

/** What the signer decides about a key at a time (the rules of the life cycle, not of this module). */
function decidedAt(key: KeyInfo, { keys, hasActivated }: KeyFold, now: number) {
  const ring = [...keys.values()].filter((o) => ringGroup(o.record) === ringGroup(key.record));
  return decideNextState(
    {
      ...key.record,
      state: key.state,
      stateAt: key.stateAt,
      isFirstOfRing: !hasActivated(key.record),
      ringHasActive: ring.some(({ state }) => state === "active"),
      successorReady: ring.some((other) =>
        isReadyToSign({ ...other.record, ...other }, POLICY, now),
      ),
    },
    POLICY,
    now,
  );
}

function foldOf({ registry }: TestRegistry): KeyFold {
  return { keys: registry.keys, hasActivated: (record) => registry.hasActivated(record) };
}

test("the first key of a ring is published and signs at once", () => {
  const fixed = new TestRegistry();
  const kid = fixed.key({}, 5000);
  assert.deepEqual(nextStep(keyOf(fixed, kid), foldOf(fixed), POLICY), {
    state: "prepublished",
    at: 5000,
  });
  fixed.step(kid, "prepublished", 5001);
  assert.deepEqual(nextStep(keyOf(fixed, kid), foldOf(fixed), POLICY), {
    state: "active",
    at: 5001,
  });
});

test("an active key signs for its time if a standby is ready, else as long as its record allows", () => {
  const fixed = new TestRegistry();
  const first = fixed.key({}, 5000);
  fixed.step(first, "prepublished", 5000);
  fixed.step(first, "active", 5000);
  const alone = nextStep(keyOf(fixed, first), foldOf(fixed), POLICY);
  assert.deepEqual(alone, { state: "verify-only", at: 1_005_000 });
  const standby = fixed.key({}, 90_000);
  fixed.step(standby, "prepublished", 101_000);
  // 5000 + 100 000 is over before caches know the standby.
  const step = nextStep(keyOf(fixed, first), foldOf(fixed), POLICY);
  assert.deepEqual(step, { state: "verify-only", at: 101_000 + 7200 });
  assert.deepEqual(nextStep(keyOf(fixed, standby), foldOf(fixed), POLICY), {
    state: "active",
    at: 101_000 + 7200,
  });
});

test("a key that is out of use is retired, destroyed or revoked, and then nothing more", () => {
  const fixed = new TestRegistry();
  const kid = fixed.key({ signUntil: 50_000, verifyUntil: 54_000 }, 5000);
  for (const [state, at, next, nextAt] of [
    ["prepublished", 5000, "active", 5000],
    ["active", 5000, "verify-only", 50_000],
    ["verify-only", 50_000, "retired", 54_000],
    ["retired", 54_000, "destroyed", 54_000],
    ["destroyed", 54_001, undefined, 0],
    ["tainted", 54_002, "revoked", 54_002],
    ["revoked", 54_003, undefined, 0],
  ] as const) {
    fixed.step(kid, state, at);
    const step = nextStep(keyOf(fixed, kid), foldOf(fixed), POLICY);
    assert.deepEqual(step, next === undefined ? undefined : { state: next, at: nextAt }, state);
  }
});

test("a drill key is never said to become active", () => {
  const fixed = new TestRegistry();
  const kid = fixed.key(
    {
      custody: "drill",
      audiences: ["urn:redoubt:drill"],
      tenants: { ids: ["6ad6ba1a-1a51-4a31-a3a8-5b7b3a7e0001"] },
      signUntil: 6000,
      verifyUntil: 6500,
    },
    5000,
  );
  fixed.step(kid, "prepublished", 5000);
  const step = nextStep(keyOf(fixed, kid), foldOf(fixed), POLICY);
  assert.deepEqual(step, { state: "retired", at: 6000 });
});

test("property: at the time that is told the life cycle takes exactly that step, and not a second earlier", () => {
  const times = fc.record({
    active: fc.integer({ min: 5000, max: 400_000 }),
    standby: fc.option(fc.integer({ min: 5000, max: 900_000 }), { nil: undefined }),
    signUntil: fc.integer({ min: 450_000, max: 900_000 }),
  });
  fc.assert(
    fc.property(times, ({ active, standby, signUntil }) => {
      const fixed = new TestRegistry();
      const first = fixed.key({ signUntil, verifyUntil: signUntil + 5000 }, 4000);
      fixed.step(first, "prepublished", 4000);
      fixed.step(first, "active", active);
      if (standby !== undefined) fixed.step(fixed.key({}, standby), "prepublished", standby);
      const key = keyOf(fixed, first);
      const step = nextStep(key, foldOf(fixed), POLICY);
      assert.ok(step);
      assert.equal(decidedAt(key, foldOf(fixed), step.at), step.state);
      assert.equal(decidedAt(key, foldOf(fixed), step.at - 1), undefined);
    }),
    { numRuns: 40 },
  );
});
