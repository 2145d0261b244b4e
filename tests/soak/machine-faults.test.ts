import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { fullDisk, hsmGone } from "./machine-faults.ts";
import { Machine } from "./machine.ts";
import { oldCopy } from "./old-copies.ts";
import { soak } from "./soak.ts";

const DISK_BYTES = 128 * 1024 * 1024;

describe("faults of the machine under load", () => {
  it("a full disk, no HSM, an old copy of the monitor: a subset of the long run's", async (t: TestContext) => {
    await using machine = await Machine.start({ diskBytes: DISK_BYTES, hasHsm: true });
    const { missing } = machine;
    for (const [kind, why] of missing) t.diagnostic(`left out: ${kind}: ${why}`);
    const faults = [
      fullDisk(2000),
      hsmGone(2000),
      oldCopy("monitor", { made: "while it runs", by: "SIGTERM" }),
    ].filter(({ kind }) => !missing.has(kind));
    const result = await soak(machine, { faults, onLine: () => undefined, settleMs: 0 });
    assert.deepEqual(result.notBack, []);
    assert.equal(result.rounds, faults.length);
    assert.ok(result.tokens > 100, `only ${result.tokens} tokens`);
    assert.deepEqual(result.lost, []);
    assert.deepEqual(result.falseCritical, []);
    assert.ok(result.expected.some(({ kind }) => kind === "witness-rollback"));
    assert.deepEqual(result.verifier.refusals, []);
  });
});
