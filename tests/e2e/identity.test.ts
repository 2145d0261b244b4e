import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { MemberReader } from "@redoubt/base";
import { parseJsonObject } from "@redoubt/verify/json";
import { logId } from "@redoubt/tlog";
import { startSystem, type System } from "./system.ts";
import { until } from "./until.ts";

/** In this order, on one system: each key is replaced while nothing runs, and the next start goes on with it. */
describe("pinned keys of ledger and monitor come to an end", () => {
  const root = mkdtempSync(join(tmpdir(), "redoubt-identity-"));
  const folder = join(root, "data");
  let system: System;
  before(async () => {
    system = await startSystem({ folder });
    await tokenIsReported();
    // What a former witness cosigned last of it must verify for ever.
    await ok("recover", "log", "--realm", "consumer", "--reason", "test", "--yes");
  });
  after(async () => {
    await system[Symbol.asyncDispose]();
    rmSync(root, { recursive: true, force: true });
  });

  const run = (...args: readonly string[]) => system.redoubt(["--json", ...args]);
  async function ok(...args: readonly string[]): Promise<MemberReader> {
    const ending = await run(...args);
    assert.equal(ending.code, 0, `${args.join(" ")}: ${ending.stderr}${ending.stdout}`);
    return new MemberReader(parseJsonObject(ending.stdout, { maxDepth: 16 }), args.join(" "));
  }
  async function tokenIsReported(): Promise<void> {
    for (const realm of ["consumer", "enterprise"]) {
      const token = await system.redoubt(["token", "--realm", realm]);
      assert.equal(token.code, 0, token.stderr);
      const reported = await system.redoubt(["verify", "--realm", realm, "--report"], token.stdout);
      assert.equal(reported.code, 0, reported.stderr);
    }
  }
  const replaced = async (): Promise<number> =>
    (await run("alarms", "--all")).stdout.split('"kind":"key-replaced"').length - 1;

  /** Stops, replaces, starts; and everything is as it was. */
  async function replace(what: string, lose: () => void, count: number): Promise<MemberReader> {
    const running = await run("recover", "identity", what, "--reason", "test", "--yes");
    assert.equal(running.code, 1);
    assert.match(running.stderr, /already running/);
    await system.stop();
    lose();
    const done = await ok("recover", "identity", what, "--reason", "test", "--yes");
    system = await startSystem({ folder, port: system.base });
    await tokenIsReported();
    await until("an alarm", replaced, (seen) => seen === count);
    await until(
      "logs that verify",
      () => run("ledger", "verify"),
      ({ code }) => code === 0,
    );
    const critical = await run("alarms");
    assert.doesNotMatch(critical.stdout, /"severity":"critical"/);
    assert.equal((await run("recover")).code, 0);
    return done;
  }
  const lost = (service: string, name: string) => () => {
    for (const suffix of ["", ".pass"]) rmSync(join(folder, service, `${name}${suffix}`));
  };

  it("the witness, planned", async () => {
    const done = await replace("witness", () => undefined, 1);
    assert.match(done.string("key"), /^redoubt\/witness\+/);
    assert.match(done.string("before"), /^redoubt\/witness\+/);
  });
  it("the witness again, lost", async () => {
    await replace("witness", lost("monitor", "witness-2.key"), 2);
  });
  it("the registry log, planned", async () => {
    await replace("registry", () => undefined, 3);
  });
  it("the registry log again, lost", async () => {
    await replace("registry", lost("ledger/keys", `${logId("redoubt.local/registry")}-2`), 4);
  });
  it("acknowledgements and webhooks, lost", async () => {
    await replace("ack", lost("monitor", "ack.key"), 5);
    await replace("events", lost("monitor", "events.key"), 6);
  });
});
