import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { parseVerifierKey, verifyCosignature } from "@redoubt/tlog";
import { isJsonObject, parseJsonObject } from "@redoubt/verify/json";
import { compose, type Composed } from "./compose.ts";
import { askToken } from "./token-flow.ts";

const HOUR_MS = 3_600_000;
const ISSUE_MS = 4000;

/** The folders of the published logs that have a checkpoint, by origin. */
function published({ folder }: Composed): ReadonlyMap<string, string> {
  const root = join(folder, "ledger", "published");
  const { logs } = parseJsonObject(readFileSync(join(root, "logs.json")), { maxDepth: 8 });
  assert.ok(Array.isArray(logs));
  const entries = logs.map((log) => {
    assert.ok(isJsonObject(log));
    const { origin, id } = log;
    assert.ok(typeof origin === "string" && typeof id === "string");
    return [origin, join(root, id, "checkpoint")] as const;
  });
  return new Map(entries);
}

describe("a witness in its own time, beside a log that never rests", () => {
  let system: Composed;
  before(async () => {
    system = await compose();
  });
  after(() => system[Symbol.asyncDispose]());

  const issue = async (): Promise<void> => {
    const { demo, settings } = system;
    const client = demo.clients.find(({ realm }) => realm === "enterprise") ?? assert.fail();
    assert.equal((await askToken(settings.port, client)).status, 200);
  };
  const enterpriseNote = (): string => {
    const path = [...published(system)].find(([origin]) => origin.includes("enterprise"))?.[1];
    // The first entries are published a moment after they are durable.
    return path !== undefined && existsSync(path) ? readFileSync(path, "utf8") : "";
  };

  it("THREAT-06: every poll of the published checkpoint has the witness's line", async () => {
    const witness = parseVerifierKey(system.settings.witness);
    const isCosigned = (): boolean => enterpriseNote().includes(`\u2014 ${witness.name} `);
    await issue();
    do await issue();
    while (!isCosigned());
    const sizes = new Set<number>();
    const end = performance.now() + ISSUE_MS;
    const hasGrown = (): boolean => sizes.size >= 3;
    while (performance.now() < end || !hasGrown()) {
      await issue();
      sizes.add(verifyCosignature(enterpriseNote(), witness).checkpoint.size);
    }
  });

  it("THREAT-37: the monitor's clock an hour ahead stops nothing, and leaves nothing behind", async () => {
    const witness = parseVerifierKey(system.settings.witness);
    system.monitorClock.forward(HOUR_MS);
    const end = performance.now() + ISSUE_MS;
    const alarms = () => system.events.filter(({ event }) => event === "cosignature_ahead");
    while (performance.now() < end || alarms().length === 0) await issue();
    assert.ok(alarms().length <= 3, "once for each log that moved");
    assert.ok(alarms().every(({ service }) => service === "ledger"));
    system.monitorClock.forward(-HOUR_MS);
    const { size } = verifyCosignature(enterpriseNote(), witness).checkpoint;
    const seen = () => verifyCosignature(enterpriseNote(), witness);
    do await issue();
    while (seen().checkpoint.size === size);
    assert.ok(seen().timeSeconds <= Date.now() / 1000);
  });
});
