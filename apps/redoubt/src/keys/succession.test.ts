import assert from "node:assert/strict";
import { test } from "node:test";
import { errorLine, ServiceError } from "@redoubt/base";
import type { KeyInfo } from "@redoubt/registry";
import { TestRegistry } from "../testing/registry.ts";
import { ringOf } from "./ring-of.ts";
import { checkTaint, taintWarning } from "./succession.ts";

const POLICY = {
  prepublishSeconds: 21_600,
  activeSeconds: 100_000,
  verifyOnlySeconds: 7200,
  expirySeconds: 600_000,
  standby: 1,
};
const READY_AT = 5060 + POLICY.prepublishSeconds;

/** A ring on its first day: one key that signs, one standby that was published a minute later. */
function firstDay() {
  const fixed = new TestRegistry();
  const keys = [5000, 5060].map((at) => {
    const kid = fixed.key({}, at);
    fixed.step(kid, "prepublished", at);
    if (at === 5000) fixed.step(kid, "active", at);
    return kid;
  });
  const infoOf = (kid = ""): KeyInfo => fixed.registry.keys.get(kid) ?? assert.fail();
  const [active, standby] = [infoOf(keys[0]), infoOf(keys[1])];
  const at = (nowSeconds: number) => ({ ...ringOf(active, fixed.registry, POLICY), nowSeconds });
  return { fixed, active, standby, at };
}

test("P6: a taint that no ready standby follows needs a word for its price, and says when it needs none", () => {
  const { active, standby, at } = firstDay();
  const early = at(READY_AT - 3600);
  assert.throws(
    () => checkTaint(active, early, {}),
    (error) => {
      const line = errorLine(error);
      assert.ok(error instanceof ServiceError && error.code === "ERR_SIGNER_NO_STANDBY");
      assert.match(
        line,
        /No standby is ready before 1970-01-01T07:24:20Z \(in 60 min\): try again then/,
      );
      assert.match(line, /--early: .*older key set may refuse its tokens for up to 60 min/);
      assert.match(line, /--stop-issuing: .*issues nothing until a standby is ready/);
      return true;
    },
  );
  assert.equal(checkTaint(active, early, { early: true }), 3600);
  assert.equal(checkTaint(active, early, { stopIssuing: true }), 0);
  // Both sides of the boundary; and keys that sign nothing have no price.
  assert.throws(() => checkTaint(active, at(READY_AT - 1), {}), { code: "ERR_SIGNER_NO_STANDBY" });
  for (const choice of [{}, { early: true }])
    assert.equal(checkTaint(active, at(READY_AT), choice), 0);
  assert.equal(checkTaint(standby, early, {}), 0);
  // A realm whose policy is not here is its signer's to judge.
  assert.equal(checkTaint(active, { ...early, policy: undefined }, {}), 0);
});

test("P6: without any standby there is nothing that could sign early", () => {
  const { fixed, active, standby, at } = firstDay();
  fixed.step(standby.kid, "tainted", 5070);
  const now = at(6000);
  const refused = { code: "ERR_SIGNER_NO_STANDBY", message: /No standby is published/ };
  assert.throws(() => checkTaint(active, now, {}), refused);
  assert.throws(() => checkTaint(active, now, { early: true }), refused);
  assert.equal(checkTaint(active, now, { stopIssuing: true }), 0);
});

test("the warning says what follows the choice that was made", () => {
  const { active, standby, at } = firstDay();
  const now = at(READY_AT - 3600);
  const text = (choice: object) => taintWarning(active, now, choice).join("\n");
  assert.match(text({ stopIssuing: true }), /no standby is ready: .* will issue nothing/);
  assert.match(
    text({ early: true }),
    new RegExp(`${standby.kid} signs at once, and .*may refuse its tokens for up to 60 min`),
  );
  const ready = taintWarning(active, at(READY_AT), {}).join("\n");
  assert.match(ready, /takes over at once/);
});
