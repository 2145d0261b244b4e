import assert from "node:assert/strict";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { generateKeyPairSync } from "node:crypto";
import { reporterPublicKey, signStatement, type StatementBody } from "@redoubt/registry";
import { FakeLog } from "@redoubt/testkit";
import { addSignature } from "@redoubt/tlog";
import { encodeBase64url } from "@redoubt/verify/base64url";
import { parseJsonObject, type JsonObject } from "@redoubt/verify/json";
import { issue, REGISTRY, START_SECONDS } from "../testing/deployment.ts";
import { MonitorWorld } from "../testing/monitor-world.ts";

function grow(log: FakeLog, entries: number): Buffer[] {
  return Array.from({ length: entries }, () => issue(log));
}

/** As the ledger does: the witness is brought to the newest checkpoint. */
async function cosign(world: MonitorWorld, log: FakeLog, oldSize: number): Promise<void> {
  const note = log.note();
  const lines = log.proveGrowth(oldSize).map((node) => node.toString("base64"));
  const body = [`old ${oldSize}`, ...lines, "", note].join("\n");
  const answer = await world.post("/add-checkpoint", body);
  assert.equal(answer.status, 200);
  log.cosigned = addSignature(note, answer.body);
}

/**
 * A monitor whose log grew from 3 to 8 entries, and whose folder is then a copy from when it had 3. `uncosigned`: more
 * that it had read.
 */
async function restored(
  prepare?: (world: MonitorWorld) => Promise<void>,
  uncosigned = 0,
): Promise<MonitorWorld> {
  const world = await MonitorWorld.open();
  const { log } = world.deployment.enterprise;
  await world.deliver("issuer-enterprise", grow(log, 3));
  await cosign(world, log, 0);
  await cosign(world, world.ledger.registry, 0);
  await world.tickFor(5);
  const backup = mkdtempSync(join(tmpdir(), "backup-"));
  const plain = { recursive: true, filter: (path: string) => !path.endsWith("sock") };
  await world.stop();
  cpSync(join(world.root, "monitor"), backup, plain);
  await world.start();
  await prepare?.(world);
  grow(log, 5);
  await world.tick();
  await cosign(world, log, 3);
  const more = grow(log, uncosigned);
  await world.tick();
  if (uncosigned > 0) await world.deliver("issuer-enterprise", more, { seq: 2 });
  await world.crash((_, to) => cpSync(backup, join(to, "monitor"), plain));
  rmSync(backup, { recursive: true });
  await world.start();
  await world.tickFor(2);
  return world;
}

async function withReporter(world: MonitorWorld): Promise<void> {
  const { registry } = world.ledger;
  world.deployment.addReporter("api", "secret");
  await world.tick();
  await cosign(world, registry, registry.size - 1);
}

function forward(
  world: MonitorWorld,
  log: FakeLog,
  change: {
    readonly size?: number;
    readonly proofFrom?: number;
    readonly at?: number;
    readonly note?: string;
    readonly body?: StatementBody;
    readonly key?: ReturnType<typeof generateKeyPairSync>["privateKey"];
  } = {},
): Promise<JsonObject> {
  const { size = log.size, proofFrom = 3, at = START_SECONDS + 60 } = change;
  const root = encodeBase64url(log.root(size));
  const said = {
    type: "witness-forward",
    log: log.origin,
    size,
    root,
    reason: "restored",
  } as const;
  const { key = world.deployment.operator.privateKey, body = said } = change;
  const { statement, envelope } = signStatement(body, { name: "operator", privateKey: key }, at);
  return world.ask("operator", {
    op: "witness-forward",
    statement: encodeBase64url(statement),
    envelope: encodeBase64url(envelope),
    note: change.note ?? log.cosigned,
    proof: log.proveGrowth(proofFrom, size).map(encodeBase64url),
  });
}

async function report(world: MonitorWorld, digests: readonly Buffer[]): Promise<JsonObject> {
  const items = digests.map((digest) => ({
    digest: encodeBase64url(digest),
    kid: "k",
    at: 5,
    count: 1,
  }));
  const session = encodeBase64url(Buffer.alloc(16, 1));
  const body = JSON.stringify({ v: 1, session, seq: 1, items });
  return parseJsonObject((await world.postAs("api", "/reports", body, "secret")).body);
}

async function halted(world: MonitorWorld, log: string): Promise<unknown> {
  const { logs } = await world.ask("operator", { op: "status" });
  assert.ok(Array.isArray(logs));
  const found = logs.find(
    (one): one is JsonObject =>
      typeof one === "object" && one !== null && "log" in one && one["log"] === log,
  );
  return found?.["halted"];
}

describe("THREAT-38: a monitor that is an old copy", () => {
  it("goes on where the operator moves it, to what it cosigned itself", async () => {
    await using world = await restored();
    const { log } = world.deployment.enterprise;
    assert.equal(await halted(world, log.origin), "witness-rollback");
    const moved = await forward(world, log);
    assert.deepEqual([moved["from"], moved["to"]], [3, 8]);
    await world.tickFor(2);
    assert.equal(await halted(world, log.origin), null);
    const [alarm] = await world.alarms("witness-moved");
    assert.deepEqual([alarm?.["severity"], alarm?.["log"]], ["warning", log.origin]);
    grow(log, 1);
    await cosign(world, log, 8);
    assert.deepEqual(await world.alarms("fork"), []);
  });

  it("a token that was issued while it forgot is no forgery, and its delivery is not missed", async () => {
    await using world = await restored();
    const { log } = world.deployment.enterprise;
    await forward(world, log);
    await world.tickFor(60);
    assert.deepEqual(await world.alarms("undelivered"), []);
    // Deliveries of what is logged from now on are awaited as before.
    grow(log, 1);
    await world.tickFor(60);
    assert.equal((await world.alarms("undelivered")).length, 1);
  });

  it("what was delivered to it and not cosigned when its memory was lost is not missed either", async () => {
    await using world = await restored(undefined, 4);
    const { log } = world.deployment.enterprise;
    await forward(world, log, { size: 8 });
    await world.tickFor(60);
    assert.deepEqual(await world.alarms("undelivered"), []);
    grow(log, 1);
    await world.tickFor(60);
    assert.equal((await world.alarms("undelivered"))[0]?.["count"], 1);
  });

  it("what an issuer lost explains nothing that was delivered to the memory that is lost", async () => {
    await using world = await restored(withReporter);
    const { registry } = world.ledger;
    await forward(world, registry, { proofFrom: registry.size - 1 });
    await world.tickFor(2);
    const { log } = world.deployment.enterprise;
    await forward(world, log, { size: 8 });
    await world.tickFor(2);
    const used = log.entries.slice(3, 8).map((entry) => entry.subarray(1, 33));
    assert.deepEqual((await report(world, used))["evidenceWanted"], []);
    await world.deliver("issuer-enterprise", [], { seq: 2, lost: 3 });
    await world.tickFor(60);
    assert.deepEqual(await world.alarms("orphan-used"), []);
    assert.equal((await world.alarms("orphaned"))[0]?.["count"], 5);
  });

  it("concludes nothing from what it does not remember, however long nobody moves it, and everything then", async () => {
    await using world = await restored(withReporter);
    const { log } = world.deployment.enterprise;
    await forward(world, world.ledger.registry, { proofFrom: world.ledger.registry.size - 1 });
    const [used, foreign] = [issue(log), Buffer.alloc(32, 7)];
    await world.deliver("issuer-enterprise", [used], { session: "session-2" });
    const answer = await report(world, [used, foreign]);
    assert.deepEqual(answer["evidenceWanted"], []);
    await world.tickFor(60);
    const about = ["forged", "unproven-miss", "unlogged-delivery", "undelivered"];
    const kinds = async () => {
      const alarms = await world.alarms();
      return about.filter((kind) => alarms.some((alarm) => alarm.kind === kind));
    };
    assert.deepEqual(await kinds(), []);
    await forward(world, log, { size: 8 });
    await world.tickFor(60);
    assert.deepEqual(await kinds(), ["unproven-miss"]);
    const [miss] = await world.alarms("unproven-miss");
    assert.deepEqual([miss?.["digest"], miss?.["count"]], [encodeBase64url(foreign), 1]);
  });

  it("moves only forward, and only as the operator, the log, the writer and it itself have signed", async () => {
    await using world = await restored();
    const { log } = world.deployment.enterprise;
    const refused = { code: "ERR_MONITOR_RECOVER" };
    const { privateKey } = generateKeyPairSync("ed25519");
    await assert.rejects(forward(world, log, { key: privateKey }), refused);
    await assert.rejects(forward(world, log, { note: log.note() }), refused);
    await assert.rejects(
      forward(world, log, { note: log.note(8, undefined, [log.signer]) }),
      refused,
    );
    await assert.rejects(forward(world, log, { size: 7 }), refused);
    await assert.rejects(forward(world, log, { proofFrom: 4 }), refused);
    await assert.rejects(forward(world, log, { at: START_SECONDS - 1 }), refused);
    const body = { type: "reporter", reporter: "x", status: "active" } as const;
    const publicKey = reporterPublicKey("A".repeat(43));
    await assert.rejects(forward(world, log, { body: { ...body, publicKey } }), refused);
    const unknown = new FakeLog("example.test/none");
    await assert.rejects(forward(world, unknown, { note: log.cosigned, proofFrom: 0 }), refused);
    assert.equal(await halted(world, log.origin), "witness-rollback");
    const three = log.note(3);
    await forward(world, log);
    const old = await world.post("/add-checkpoint", `old 3\n\n${three}`);
    assert.equal(old.status, 409);
    await assert.rejects(forward(world, log, { size: 3, note: three, proofFrom: 8 }), refused);
  });

  it("a log that is halted for a fork is not moved: it must be closed", async () => {
    await using world = await restored();
    const { log } = world.deployment.consumer;
    grow(log, 2);
    await cosign(world, log, 0);
    const other = log.fork(2);
    await world.post("/add-checkpoint", `old 2\n\n${other.note()}`);
    assert.equal(await halted(world, log.origin), "fork");
    await assert.rejects(forward(world, log, { proofFrom: 2 }), /must be closed/);
  });

  it("the registry is moved as any other log, and then followed", async () => {
    await using world = await restored(async (one) => {
      one.deployment.addReporter("late", "secret");
      await one.tick();
      await cosign(one, one.ledger.registry, one.ledger.registry.size - 1);
    });
    const { registry } = world.ledger;
    assert.equal(await halted(world, REGISTRY), "witness-rollback");
    await forward(world, registry, { proofFrom: registry.size - 1 });
    await world.tickFor(2);
    assert.equal(await halted(world, REGISTRY), null);
    const { reporters } = await world.ask("operator", { op: "status" });
    assert.match(JSON.stringify(reporters), /late/);
  });
});

async function close(world: MonitorWorld, size: number): Promise<FakeLog> {
  const { deployment } = world;
  const { realm, log } = deployment.enterprise;
  const next = deployment.addLog(deployment.enterprise, `${log.origin}-2`);
  const root = encodeBase64url(log.root(size));
  const closing = { realm, log: log.origin, size, root, successor: next.origin, reason: "bit" };
  deployment.say({ type: "log-closed", ...closing });
  await world.tickFor(2);
  return next;
}

describe("a log that the operator closed", () => {
  it("is said once, ends its alarms, and is neither cosigned nor waited for", async () => {
    await using world = await MonitorWorld.open();
    const { log } = world.deployment.enterprise;
    grow(log, 3);
    await cosign(world, log, 0);
    await world.tick();
    world.ledger.halted.add(log.origin);
    await world.tickFor(2);
    assert.equal((await world.alarms("audit-blind"))[0]?.["closed"], undefined);
    const next = await close(world, 3);
    assert.equal((await world.alarms("audit-blind"))[0]?.["closed"], "recovered");
    const [alarm] = await world.alarms("log-closed");
    assert.deepEqual([alarm?.["severity"], alarm?.["count"]], ["warning", 1]);
    const detail = { size: 3, cosigned: 3, read: 3, successor: next.origin, reason: "bit" };
    assert.deepEqual(alarm?.["detail"], detail);
    assert.equal((await world.post("/add-checkpoint", `old 3\n\n${log.note()}`)).status, 403);
    await world.stop();
    await world.start();
    await world.tickFor(120);
    assert.equal((await world.alarms("log-closed"))[0]?.["count"], 1);
    const late = await world.alarms("witness-late");
    assert.deepEqual(
      late.map((one) => one["log"]),
      [REGISTRY],
    );
    const { ready } = await world.ask("operator", { op: "status" });
    assert.equal(ready, true);
  });

  it("THREAT-06: at less than what was cosigned is critical", async () => {
    await using world = await MonitorWorld.open();
    const { log } = world.deployment.enterprise;
    grow(log, 3);
    await cosign(world, log, 0);
    await close(world, 2);
    const [alarm] = await world.alarms("log-cut");
    assert.deepEqual([alarm?.["severity"], alarm?.["log"]], ["critical", log.origin]);
  });

  it("a token whose entry is on its way into the next log is no miss", async () => {
    await using world = await MonitorWorld.open({}, ({ deployment }) => {
      deployment.addReporter("api", "secret");
    });
    const { log } = world.deployment.enterprise;
    grow(log, 3);
    await cosign(world, log, 0);
    const next = await close(world, 3);
    const [lost, foreign] = [Buffer.alloc(32, 8), Buffer.alloc(32, 7)];
    const { evidenceWanted } = await report(world, [lost, foreign]);
    assert.deepEqual(evidenceWanted, []);
    await world.tickFor(5);
    issue(next, lost);
    await world.tickFor(60);
    const [miss] = await world.alarms("unproven-miss");
    assert.deepEqual([miss?.["digest"], miss?.["count"]], [encodeBase64url(foreign), 1]);
  });

  it("what is carried into the next log is not awaited again, and what was never delivered stays so", async () => {
    await using world = await MonitorWorld.open();
    const { log } = world.deployment.enterprise;
    const delivered = grow(log, 3);
    await cosign(world, log, 0);
    const carried = grow(log, 4);
    await world.tick();
    await world.deliver("issuer-enterprise", [...delivered, ...carried.slice(0, 3)]);
    await world.tickFor(60);
    assert.equal((await world.alarms("undelivered"))[0]?.["count"], 1);
    const next = await close(world, 3);
    for (const digest of carried) issue(next, digest);
    const fresh = issue(next);
    await world.tickFor(60);
    const alarms = await world.alarms("undelivered");
    assert.deepEqual(
      alarms.map(({ log: origin, count, digest }) => [origin, count, digest]),
      [
        [log.origin, 1, encodeBase64url(carried[3] ?? Buffer.alloc(0))],
        [next.origin, 1, encodeBase64url(fresh)],
      ],
    );
  });
});
