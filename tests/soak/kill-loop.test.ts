import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { SERVICES } from "@redoubt/cli";
import { Machine } from "./machine.ts";
import { killed, stopped, strangers } from "./process-faults.ts";
import { soak } from "./soak.ts";
import { BLIND_LIMIT_SECONDS } from "./violations.ts";

const LEASED = ["broker", "custody-consumer", "signer-consumer", "custody-enterprise"] as const;

describe("faults under load", () => {
  it("THREAT-05: every token that a client holds is in the log, and every process comes back", async () => {
    await using machine = await Machine.start();
    const faults = [
      ...SERVICES.map(killed),
      stopped("monitor", 2000),
      strangers("monitor", "silent", 1000),
    ];
    // What is left to be judged takes a minute: the long run waits for it.
    const result = await soak(machine, { faults, onLine: () => undefined, settleMs: 0 });
    assert.deepEqual(result.notBack, []);
    assert.equal(result.rounds, faults.length);
    assert.ok(result.tokens > 100, `only ${result.tokens} tokens`);
    assert.deepEqual(result.lost, []);
    assert.deepEqual(result.falseCritical, []);
    assert.ok(result.blind.seconds <= BLIND_LIMIT_SECONDS, JSON.stringify(result.blind));
    assert.ok(result.verifier.verified > 0);
    assert.deepEqual(result.verifier.refusals, []);
  });

  it("P5: with leases that are renewed every five seconds nothing is lost, whoever of their processes is killed", async () => {
    await using machine = await Machine.start({ leaseSeconds: 10 });
    const result = await soak(machine, {
      faults: LEASED.map(killed),
      onLine: () => undefined,
      settleMs: 0,
    });
    assert.deepEqual(result.notBack, []);
    assert.ok(result.tokens > 50, `only ${result.tokens} tokens`);
    assert.deepEqual(result.lost, []);
    assert.deepEqual(result.falseCritical, []);
    assert.deepEqual(result.verifier.refusals, []);
  });
});
