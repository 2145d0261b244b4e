import assert from "node:assert/strict";
import { test } from "node:test";
import { activeOf, nextStep, standbys } from "@redoubt/keys";
import type { KeyInfo } from "@redoubt/registry";
import { TestRegistry } from "../testing/registry.ts";
import { ringOf } from "./ring-of.ts";

const POLICY = {
  prepublishSeconds: 7200,
  activeSeconds: 100_000,
  verifyOnlySeconds: 7200,
  expirySeconds: 600_000,
  standby: 1,
};

function fixture() {
  const fixed = new TestRegistry();
  const { registry } = fixed;
  const active = fixed.key({}, 5000);
  fixed.step(active, "prepublished", 5000);
  fixed.step(active, "active", 5000);
  const [second, first] = [fixed.key({}, 5000), fixed.key({}, 5001)];
  fixed.step(first, "prepublished", 6000);
  fixed.step(second, "prepublished", 6001);
  const keyOf = (kid: string): KeyInfo => registry.keys.get(kid) ?? assert.fail();
  return { fixed, registry, active, first, second, keyOf };
}

test("the ring of a key is all of its keys in the registry, and no drill's", () => {
  const { fixed, registry, active, first, second, keyOf } = fixture();
  const drill = fixed.key(
    {
      custody: "drill",
      audiences: ["urn:redoubt:drill"],
      tenants: { ids: ["6ad6ba1a-1a51-4a31-a3a8-5b7b3a7e0001"] },
      signUntil: 6000,
      verifyUntil: 6500,
    },
    5000,
  );
  fixed.step(drill, "prepublished", 5000);
  for (const kid of [active, first, second]) {
    const ring = ringOf(keyOf(kid), registry, POLICY);
    assert.deepEqual(
      ring.keys.map((key) => key.kid),
      [active, second, first],
    );
    assert.equal(activeOf(ring)?.kid, active);
    assert.deepEqual(
      standbys(ring, 6000).map(({ key }) => key.kid),
      [first, second],
    );
  }
  const drills = ringOf(keyOf(drill), registry, POLICY);
  assert.deepEqual(
    drills.keys.map(({ kid }) => kid),
    [drill],
  );
  assert.deepEqual(nextStep(keyOf(drill), drills, 6000), { state: "retired", at: 6500 });
});

test("a key is taken to be in custody unless its signer says that it is not", () => {
  const { registry, active, keyOf } = fixture();
  const key = keyOf(active);
  for (const held of [true, null, false]) {
    const signers = new Map([[active, { state: "active", held }]]);
    const step = nextStep(key, ringOf(key, registry, POLICY, signers), 6000);
    assert.deepEqual(step, { state: "verify-only", at: held === false ? 5000 : 105_000 });
  }
});
