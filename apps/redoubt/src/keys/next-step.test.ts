import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { type KeyInfo, lifeCycleInput } from "@redoubt/registry";
import { decideNextState, isReadyToSign } from "@redoubt/keys";
import { TestRegistry } from "../testing/registry.ts";
import {
  activeOf,
  nextStep,
  replacedOf,
  standbysOf,
  type KeyFold,
  type StepPolicy,
} from "./next-step.ts";

const POLICY: StepPolicy = {
  prepublishSeconds: 7200,
  activeSeconds: 100_000,
  verifyOnlySeconds: 7200,
  expirySeconds: 600_000,
};

function keyOf({ registry }: TestRegistry, kid: string): KeyInfo {
  const key = registry.keys.get(kid);
  assert.ok(key);
  return key;
}

/** What the signer decides about a key at a time (the rules of the life cycle, not of this module). */
function decidedAt(key: KeyInfo, fold: KeyFold, now: number) {
  const ring = [...fold.keys.values()].filter(
    ({ record }) => fold.ringOf(record) === fold.ringOf(key.record),
  );
  const facts = {
    isFirstOfRing: !fold.hasActivated(key.record),
    ringHasActive: ring.some(({ state }) => state === "active"),
    successorReady: ring.some((other) => isReadyToSign({ ...other.record, ...other }, POLICY, now)),
  };
  return decideNextState(lifeCycleInput(key, facts, POLICY), POLICY, now);
}

function foldOf({ registry }: TestRegistry): KeyFold {
  return registry;
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

test("an active key signs for its time if a standby is ready, else to its age limit", () => {
  const fixed = new TestRegistry();
  const first = fixed.key({}, 5000);
  fixed.step(first, "prepublished", 5000);
  fixed.step(first, "active", 5000);
  const alone = nextStep(keyOf(fixed, first), foldOf(fixed), POLICY);
  assert.deepEqual(alone, { state: "verify-only", at: 5000 + POLICY.expirySeconds });
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

test("a key that was rolled back to is no younger for it", () => {
  const fixed = new TestRegistry();
  const kid = fixed.key({}, 5000);
  for (const [state, at] of [
    ["prepublished", 5000],
    ["active", 5000],
    ["verify-only", 100_000],
    ["active", 104_000],
  ] as const)
    fixed.step(kid, state, at);
  const step = nextStep(keyOf(fixed, kid), foldOf(fixed), POLICY);
  assert.deepEqual(step, { state: "verify-only", at: 5000 + POLICY.expirySeconds });
});

test("what a roll-back could let sign: replaced keys of the ring, until their age limit, and no other", () => {
  const fixed = new TestRegistry();
  const kids = [5000, 6000, 7000].map((at) => {
    const kid = fixed.key({}, 5000);
    fixed.step(kid, "prepublished", 5000);
    fixed.step(kid, "active", at);
    fixed.step(kid, "verify-only", at + 500);
    return kid;
  });
  const [first = "", second = "", third = ""] = kids;
  fixed.step(third, "active", 8000);
  const found = (now: number) =>
    replacedOf(keyOf(fixed, third), foldOf(fixed), POLICY, now).map(({ kid }) => kid);
  assert.deepEqual(found(9000), [second, first]);
  assert.deepEqual(found(5000 + POLICY.expirySeconds - 1), [second, first]);
  assert.deepEqual(found(5000 + POLICY.expirySeconds), [second]);
  fixed.step(second, "tainted", 9000);
  assert.deepEqual(found(9000), [first]);
});

test("THREAT-11: a key that is retained is not said to be withdrawn, before or after it signed", () => {
  const fixed = new TestRegistry();
  const kid = fixed.key({ signUntil: 50_000, verifyUntil: 54_000 }, 5000);
  const late = fixed.key({ signUntil: 6000, verifyUntil: 7000 }, 5000);
  for (const one of [kid, late]) {
    fixed.step(one, "prepublished", 5000);
    const retain = { realm: "enterprise", kid: one, by: "operator", retain: true } as const;
    fixed.state({ type: "key-retain", ...retain, reason: "r" }, 5000);
  }
  fixed.step(kid, "active", 5000);
  assert.equal(nextStep(keyOf(fixed, late), foldOf(fixed), POLICY), undefined);
  fixed.step(kid, "verify-only", 6000);
  assert.equal(nextStep(keyOf(fixed, kid), foldOf(fixed), POLICY), undefined);
});

test("of two standbys the one that is ready first follows; when the other does is not foretold", () => {
  const fixed = new TestRegistry();
  const active = fixed.key({}, 5000);
  fixed.step(active, "prepublished", 5000);
  fixed.step(active, "active", 5000);
  const [second, first] = [fixed.key({}, 5000), fixed.key({}, 5001)];
  fixed.step(first, "prepublished", 6000);
  fixed.step(second, "prepublished", 6001);
  const key = keyOf(fixed, active);
  assert.deepEqual(
    standbysOf(key, foldOf(fixed), POLICY).map(({ kid }) => kid),
    [first, second],
  );
  assert.equal(activeOf(keyOf(fixed, first), foldOf(fixed))?.kid, active);
  const next = (kid: string) => nextStep(keyOf(fixed, kid), foldOf(fixed), POLICY);
  assert.deepEqual(next(first), { state: "active", at: 105_000 });
  assert.deepEqual(next(second), { state: "retired", at: keyOf(fixed, second).record.signUntil });
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
