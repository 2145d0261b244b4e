import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { startSystem } from "../e2e/system.ts";
import { KILLABLE, killLoop } from "./kill-loop.ts";

describe("kill -9 under load", () => {
  it("THREAT-05: every token that a client holds is in the log, and every process comes back", async () => {
    await using system = await startSystem();
    const result = await killLoop(system, KILLABLE.length, () => undefined);
    assert.equal(result.rounds, KILLABLE.length);
    assert.ok(result.tokens > 100, `only ${result.tokens} tokens`);
    assert.deepEqual(result.missing, []);
  });
});
