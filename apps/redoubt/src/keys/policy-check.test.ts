import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { checkPolicy, checkPolicyFile, policyText } from "./policy-check.ts";

const MANY = { tenants: "many", maxLifetimeSeconds: 3600 } as const;
const rotateAfter = (timeAfterCreate: string) => ({
  trigger: { timeAfterCreate },
  action: { type: "Rotate" },
});
const check = (policy: unknown, subject = MANY) =>
  checkPolicy(Buffer.from(JSON.stringify(policy)), subject);

test("a good policy: every time that follows, its labels and its notes", () => {
  const good = check({
    lifetimeActions: [
      rotateAfter("P10D"),
      { trigger: { timeBeforeExpiry: "P2D" }, action: { type: "Notify" } },
    ],
    attributes: { expiryTime: "P28D" },
    redoubt: { standby: 2 },
  });
  const text = policyText(good);
  for (const pattern of [
    /^The policy is good:$/m,
    /^signs for +P10D /m,
    /^stops at +P14D /m,
    /^alarm at +P11DT4H48M +of age \(80 %\)$/m,
    /^notify at +P12D /m,
    /^published +PT6H /m,
    /^verifies for +PT2H /m,
    /^standbys +2$/m,
    /^Note: expiryTime P28D: signing ends after P14D \(NIST IR 8587\)$/m,
  ])
    assert.match(text, pattern);
  const long = check({
    lifetimeActions: [rotateAfter("P20D")],
    redoubt: { unsafeLongLived: true },
  });
  assert.match(policyText(long), /^Label: unsafe: keys sign for up to P40D/m);
  assert.doesNotMatch(policyText(check({})), /notify at|Label/);
});

test("a bad policy: every problem, each on a line of its own", () => {
  const bad = check({ lifetimeActions: [rotateAfter("P20D")], redoubt: { standby: 9, x: 1 } });
  assert.equal(bad.valid, false);
  const problems = bad.valid ? [] : bad.problems;
  assert.deepEqual(problems, [
    "redoubt: unknown member x",
    "redoubt.standby: expected an integer of 1 to 3",
    // The semicolon in brackets is part of one problem.
    "Rotate after P20D: keys of many must rotate within P14D (NIST IR 8587; redoubt.unsafeLongLived)",
  ]);
  assert.match(policyText(bad), /^3 problems:\n {2}redoubt: unknown/);
  assert.match(policyText(check({ x: 1 })), /^1 problem:\n {2}policy: unknown member x$/);
});

test("whose keys they are decides: a month is good for one tenant's", () => {
  const policy = { lifetimeActions: [rotateAfter("P30D")] };
  assert.equal(check(policy).valid, false);
  const one = { tenants: "one", maxLifetimeSeconds: 3600 } as const;
  assert.equal(checkPolicy(Buffer.from(JSON.stringify(policy)), one).valid, true);
});

test("what is no JSON is a problem of the policy; what cannot be read is the command's", () => {
  assert.deepEqual(checkPolicy(Buffer.from("{"), MANY), {
    valid: false,
    problems: ["not a strict JSON object"],
  });
  const folder = mkdtempSync(join(tmpdir(), "redoubt-policy-"));
  try {
    const file = join(folder, "p.json");
    writeFileSync(file, "{}");
    assert.equal(checkPolicyFile(file, MANY).valid, true);
    writeFileSync(file, " ".repeat(64 * 1024 + 1));
    assert.throws(() => checkPolicyFile(file, MANY), {
      code: "ERR_OPTION",
      message: /larger than/,
    });
    for (const missing of [join(folder, "none.json"), folder])
      assert.throws(() => checkPolicyFile(missing, MANY), {
        code: "ERR_OPTION",
        message: /cannot be read \((ENOENT|EISDIR)\)/,
      });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});
