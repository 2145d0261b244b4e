import assert from "node:assert/strict";
import { it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import type { JsonObject } from "@redoubt/verify/json";
import { parseJsonObject } from "@redoubt/verify/json";
import { endpointsOf, TokenLoad } from "../soak/token-load.ts";
import { startSystem, type System } from "./system.ts";
import { until } from "./until.ts";

/** More than one page of a reader, and no page ends where a batch does. */
const TOKENS = 6000;

it("P4: a monitor that was stopped says so, and reads what was logged meanwhile when it goes on", async () => {
  await using system = await startSystem();
  const [endpoint] = endpointsOf(system);
  assert.ok(endpoint);
  const pid = await system.pidOf("monitor");
  process.kill(pid, "SIGSTOP");
  try {
    const stopped = await monitorWhen(system, ({ ready }) => ready === false);
    assert.equal(stopped["reason"], "does not answer");
    const load = new TokenLoad([endpoint]);
    load.start(32);
    while (load.received.size < TOKENS) await pause(20);
    await load.stop();
    const { stdout, code } = await system.redoubt(["status"]);
    assert.match(stdout, /monitor +NOT READY/);
    assert.match(stdout, /monitor is not ready: does not answer/);
    assert.equal(code, 2);
  } finally {
    process.kill(pid, "SIGCONT");
  }
  const sizes = await logSizes(system);
  assert.ok(Math.max(...sizes.values()) >= TOKENS);
  const back = await monitorWhen(system, (status) => status.ready === true && reads(status, sizes));
  // Neither the pause nor what was logged in it is a reason to wake somebody.
  assert.deepEqual([back["open"], back["restarts"]], [0, 0]);
});

function monitorWhen(system: System, fits: (status: JsonObject) => boolean): Promise<JsonObject> {
  return until("the monitor's status", async () => (await system.status())["monitor"] ?? {}, fits);
}

function reads({ logs }: JsonObject, sizes: ReadonlyMap<string, number>): boolean {
  if (!Array.isArray(logs)) return false;
  const read = new Map(logs.map((log) => (isLog(log) ? [log.log, log.size] : ["", 0])));
  return [...sizes].every(([log, size]) => read.get(log) === size);
}

async function logSizes(system: System): Promise<ReadonlyMap<string, number>> {
  const { stdout } = await system.redoubt(["--json", "status"]);
  const { logs } = parseJsonObject(stdout, { maxBytes: 1024 * 1024 });
  if (!Array.isArray(logs)) return assert.fail(stdout);
  return new Map(logs.filter(isLog).map(({ log, size }) => [log, size]));
}

function isLog(value: unknown): value is { readonly log: string; readonly size: number } {
  return (
    typeof value === "object" &&
    value !== null &&
    "log" in value &&
    typeof value.log === "string" &&
    "size" in value &&
    typeof value.size === "number"
  );
}
