import assert from "node:assert/strict";
import { test } from "node:test";
import { clockSteps, type Step } from "./clock-steps.ts";
import { clockViolationsOf } from "./violations.ts";

test("clocks that step and step back lose no token and raise no alarm", async () => {
  const steps: readonly Step[] = [
    { service: "monitor", seconds: 3600 },
    { service: "monitor", seconds: -3600 },
    { service: "signer-consumer", seconds: 20 },
    { service: "signer-enterprise", seconds: -20 },
  ];
  const result = await clockSteps({
    steps,
    holdMs: 1200,
    onLine: () => undefined,
    settleMs: 30_000,
  });
  assert.equal(result.rounds, steps.length);
  assert.deepEqual(clockViolationsOf(result), []);
});
