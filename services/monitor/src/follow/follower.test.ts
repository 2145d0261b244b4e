import assert from "node:assert/strict";
import { createPublicKey, generateKeyPairSync, randomBytes, type KeyObject } from "node:crypto";
import { cpSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { reporterPublicKey, signStatement } from "@redoubt/registry";
import { DemoRoots } from "@redoubt/registry/testing/demo-roots";
import { addSignature } from "@redoubt/tlog";
import { encodeBase64url } from "@redoubt/verify/base64url";
import { issue, START_SECONDS, vkeyOf } from "../testing/deployment.ts";
import { MonitorWorld } from "../testing/monitor-world.ts";

async function sizes(world: MonitorWorld): Promise<Record<string, unknown>> {
  const { logs } = await world.ask("operator", { op: "status" });
  assert.ok(Array.isArray(logs));
  return Object.fromEntries(logs.map(({ log, size }) => [log, size]));
}

async function reporters(world: MonitorWorld): Promise<unknown[]> {
  const { reporters: known } = await world.ask("operator", { op: "status" });
  assert.ok(Array.isArray(known));
  return known.map(({ reporter }) => reporter);
}

function issueMany(world: MonitorWorld, count: number): Buffer[] {
  const { log } = world.deployment.enterprise;
  return Array.from({ length: count }, () => issue(log));
}

/** The same identity with an empty memory, as restored from an old copy. */
function withOldMemory(world: MonitorWorld): MonitorWorld {
  const restored = new MonitorWorld();
  cpSync(join(world.root, "monitor"), join(restored.root, "monitor"), {
    recursive: true,
    filter: (path) => !path.endsWith("sock") && !path.includes("monitor.db"),
  });
  return restored;
}

describe("following the logs", () => {
  it("reads every log that the registry names, in pieces too, and again as it grows", async () => {
    await using world = await MonitorWorld.open();
    const { log } = world.deployment.enterprise;
    issueMany(world, 9000);
    await world.tick();
    assert.equal((await sizes(world))[log.origin], 9000);
    issueMany(world, 1);
    await world.tick();
    assert.equal((await sizes(world))[log.origin], 9001);
    assert.deepEqual(await world.alarms("fork"), []);
  });

  it("takes up a log that is registered later", async () => {
    await using world = await MonitorWorld.open();
    const [logKey, writer] = [generateKeyPairSync("ed25519"), generateKeyPairSync("ed25519")];
    const origin = "example.test/enterprise/2027q1";
    world.deployment.say({
      type: "writer",
      realm: "enterprise",
      log: origin,
      writer: vkeyOf(`${origin}/writer`, writer.publicKey),
      logKey: vkeyOf(origin, logKey.publicKey),
    });
    await world.tick();
    // The ledger does not have this log yet: it is read as empty.
    assert.equal((await sizes(world))[origin], 0);
    assert.deepEqual(await world.alarms(), []);
  });

  it("THREAT-06: an entry inserted by the ledger is found at the next reading, and nothing more is believed", async () => {
    await using world = await MonitorWorld.open();
    const { log } = world.deployment.enterprise;
    issueMany(world, 3);
    await world.tick();
    const good = log.note(4, randomBytes(32));
    issueMany(world, 1);
    // Signed by both, over other entries than the ledger hands out.
    log.shown = good;
    await world.tick();
    assert.equal((await world.alarms("fork")).length, 1);
    log.shown = undefined;
    await world.tick();
    assert.equal((await sizes(world))[log.origin], 3);
  });

  it("THREAT-06: rewritten history is found though its checkpoints are signed", async () => {
    await using world = await MonitorWorld.open();
    const { log } = world.deployment.enterprise;
    issueMany(world, 5);
    await world.tick();
    log.batches.splice(1, 1, ...log.fork(1).batches);
    issueMany(world, 1);
    await world.tick();
    assert.equal((await world.alarms("fork")).length, 1);
  });

  it("THREAT-06: a checkpoint without the writer's signature is not believed, and an alarm", async () => {
    await using world = await MonitorWorld.open();
    const { log } = world.deployment.enterprise;
    issueMany(world, 2);
    log.shown = log.note(2, log.root(), [log.signer]);
    await world.tick();
    assert.equal((await world.alarms("unsigned-batch")).length, 1);
    assert.equal((await sizes(world))[log.origin], 0);
    log.shown = undefined;
    await world.tick();
    assert.equal((await sizes(world))[log.origin], 2);
  });

  it("THREAT-06: newest entries cut: log-shrunk, which ends when the entries are back", async () => {
    await using world = await MonitorWorld.open();
    const { log } = world.deployment.enterprise;
    issueMany(world, 4);
    await world.tick();
    const cut = log.batches.splice(2);
    await world.tick();
    await world.tick();
    const [alarm] = await world.alarms("log-shrunk");
    assert.deepEqual([alarm?.["severity"], alarm?.["count"]], ["critical", 1]);
    log.batches.push(...cut);
    await world.tick();
    assert.equal((await world.alarms("log-shrunk"))[0]?.["closed"], "recovered");
    assert.deepEqual(await world.alarms("fork"), []);
  });

  it("THREAT-30: a cosignature of ours beyond our memory halts the log", async () => {
    await using world = await MonitorWorld.open();
    const { log } = world.deployment.enterprise;
    issueMany(world, 2);
    const note = log.note();
    const answer = await world.post("/add-checkpoint", `old 0\n\n${note}`);
    await using restored = withOldMemory(world);
    log.cosigned = addSignature(note, answer.body);
    const { callers: _, ...config } = world.deployment.config;
    await restored.start(config, world.ledger);
    await restored.tick();
    const [alarm] = await restored.alarms("witness-rollback");
    assert.deepEqual([alarm?.["severity"], alarm?.["log"]], ["critical", log.origin]);
    assert.equal((await restored.post("/add-checkpoint", `old 0\n\n${note}`)).status, 403);
    // That the first monitor remembers more is no reason for an alarm at this one.
    await world.tick();
    assert.deepEqual(await world.alarms("witness-rollback"), []);
  });

  it("THREAT-30: the same over HTTP, in the note itself", async () => {
    await using world = await MonitorWorld.open();
    const { log } = world.deployment.enterprise;
    issueMany(world, 2);
    const note = log.note();
    const { body } = await world.post("/add-checkpoint", `old 0\n\n${note}`);
    await using restored = withOldMemory(world);
    const { callers: _, ...config } = world.deployment.config;
    await restored.start(config, world.ledger);
    await restored.tick();
    const cosigned = addSignature(note, body);
    assert.equal((await restored.post("/add-checkpoint", `old 0\n\n${cosigned}`)).status, 403);
    assert.equal((await restored.alarms("witness-rollback")).length, 1);
  });

  it("a cosignature within our memory, and a line under our name that we did not make, change nothing", async () => {
    await using world = await MonitorWorld.open();
    const { log } = world.deployment.enterprise;
    issueMany(world, 2);
    const two = log.note();
    const { body } = await world.post("/add-checkpoint", `old 0\n\n${two}`);
    const cosigned = addSignature(two, body);
    // Shown what it remembers: nothing happens.
    assert.equal((await world.post("/add-checkpoint", `old 2\n\n${cosigned}`)).status, 200);
    // A line under our name that we did not make: ignored.
    issueMany(world, 1);
    const three = log.note();
    const lines = log.proveGrowth(2).map((hash) => hash.toString("base64"));
    const fake = addSignature(three, body);
    const answer = await world.post("/add-checkpoint", ["old 2", ...lines, "", fake].join("\n"));
    assert.equal(answer.status, 200);
    assert.deepEqual(await world.alarms("witness-rollback"), []);
  });

  it("void statements are alarms, once each", async () => {
    await using world = await MonitorWorld.open();
    const { privateKey } = generateKeyPairSync("ed25519");
    const statement = {
      type: "reporter",
      reporter: "x",
      publicKey: reporterPublicKey(encodeBase64url(randomBytes(32))),
      status: "active",
    } as const;
    for (const at of [START_SECONDS, START_SECONDS + 1])
      world.ledger.state(signStatement(statement, { name: "operator", privateKey }, at));
    await world.tick();
    await world.tick();
    const alarms = await world.alarms("void-statement");
    assert.deepEqual(
      alarms.map(({ count, severity }) => [count, severity]),
      [
        [1, "warning"],
        [1, "warning"],
      ],
    );
    await world.stop();
    await world.start();
    await world.tick();
    assert.deepEqual(
      (await world.alarms("void-statement")).map(({ count }) => count),
      [1, 1],
    );
  });

  it("somebody who reads what the log holds of a token is told of, once, also after a restart", async () => {
    await using world = await MonitorWorld.open();
    const { deployment } = world;
    const { realm } = deployment.enterprise;
    const token = "abcdefghijklmnopqrstuv";
    deployment.say({ type: "body-read", realm, by: "jti", token, reason: "ticket 4711" });
    await world.tick();
    await world.stop();
    await world.start();
    await world.tick();
    const [alarm, ...more] = await world.alarms("body-read");
    assert.deepEqual([alarm?.severity, alarm?.count, more.length], ["notice", 1, 0]);
    assert.match(JSON.stringify(alarm?.detail), /ticket 4711/);
  });

  it("another operator or ring key is an alarm, once, also after a restart", async () => {
    await using world = await MonitorWorld.open();
    const { deployment } = world;
    const roots = new DemoRoots();
    const { realm, ring } = deployment.enterprise;
    const name = `${realm}/ring`;
    const delegation = (key: KeyObject) => [{ realm, ring: vkeyOf(name, createPublicKey(key)) }];
    deployment.say(roots.next(START_SECONDS, { realms: delegation(ring) }));
    await world.tick();
    assert.deepEqual(await world.alarms("key-replaced"), []);
    const next = generateKeyPairSync("ed25519");
    const realms = delegation(generateKeyPairSync("ed25519").privateKey);
    const operator = vkeyOf("operator", next.publicKey);
    deployment.say(roots.next(START_SECONDS, { realms, operator }));
    await world.tick();
    await world.stop();
    await world.start();
    await world.tick();
    const alarms = await world.alarms("key-replaced");
    const told = alarms.map(({ count, detail }) => [count, Reflect.get(Object(detail), "who")]);
    assert.deepEqual(told, [
      [1, "operator"],
      [1, `ring ${realm}`],
    ]);
    assert.deepEqual(await world.alarms("void-statement"), []);
  });

  it("THREAT-06: a registry that withholds a body, or shows another, is an alarm and not read past it, until the body comes", async () => {
    await using world = await MonitorWorld.open();
    const { registry } = world.ledger;
    const { size } = registry;
    const { log } = world.deployment.enterprise;
    world.deployment.addReporter("r1", "s1");
    world.deployment.addReporter("r2", "s2");
    world.deployment.addReporter("r3", "s3");
    const batch = registry.batches[size + 1];
    assert.ok(batch?.body?.statement && batch.body.envelope);
    const { statement, envelope } = batch.body;
    const another = registry.batches[size]?.body;
    assert.ok(another?.statement);
    const swapped = { statement: another.statement, envelope };
    for (const body of [{ statement }, {}, { envelope }, swapped, another]) {
      registry.batches[size + 1] = { ...batch, body };
      await world.tick();
    }
    const [alarm, ...others] = await world.alarms();
    assert.deepEqual(others, []);
    assert.deepEqual(
      [alarm?.["kind"], alarm?.["severity"], alarm?.["log"], alarm?.["count"]],
      ["registry-hidden", "critical", registry.origin, 1],
    );
    assert.deepEqual({ ...Object(alarm?.["detail"]) }, { index: size + 1, size: size + 3 });
    assert.deepEqual(await reporters(world), ["r1"]);
    // The other logs go on being judged: one withheld body must not mute them.
    const digest = issue(log);
    await world.tick();
    assert.equal((await sizes(world))[log.origin], 1);
    await world.tickFor(46);
    const [undelivered] = await world.alarms("undelivered");
    assert.equal(undelivered?.["digest"], encodeBase64url(digest));
    registry.batches[size + 1] = batch;
    // While nothing happens, the logs are read only every two seconds.
    await world.tick(2000);
    assert.deepEqual(await reporters(world), ["r1", "r2", "r3"]);
    assert.equal((await world.alarms("registry-hidden"))[0]?.["closed"], "recovered");
    assert.deepEqual(await world.alarms("void-statement"), []);
  });

  it("a body that an earlier run was given is missed too: nothing is judged before the registry is whole", async () => {
    await using world = await MonitorWorld.open();
    const { registry } = world.ledger;
    const [batch] = registry.batches;
    assert.ok(batch);
    await world.stop();
    registry.batches[0] = { ...batch, body: {} };
    await world.start();
    await world.tick();
    assert.equal((await world.alarms("registry-hidden")).length, 1);
    assert.equal((await world.post("/health", "", {}, "GET")).status, 503);
    registry.batches[0] = batch;
    await world.tick();
    assert.equal((await world.post("/health", "", {}, "GET")).status, 200);
    assert.equal((await world.alarms("registry-hidden"))[0]?.["closed"], "recovered");
  });

  it("THREAT-06: a registry that was cut or rewritten while the monitor was down", async () => {
    await using world = await MonitorWorld.open();
    const { registry } = world.ledger;
    await world.stop();
    const cut = registry.batches.splice(2);
    await world.start();
    await world.tick();
    assert.equal((await world.alarms("log-shrunk")).length, 1);
    registry.batches.push(...cut);
    await world.tick();
    assert.equal((await world.alarms("log-shrunk"))[0]?.["closed"], "recovered");
    await world.stop();
    registry.batches.reverse();
    await world.start();
    await world.tick();
    assert.deepEqual(
      (await world.alarms("fork")).map(({ log }) => log),
      [registry.origin],
    );
    assert.equal((await world.post("/health", "", {}, "GET")).status, 503);
  });

  it("entries that are none of ours are an alarm", async () => {
    await using world = await MonitorWorld.open();
    const { log } = world.deployment.enterprise;
    log.append([Buffer.concat([Buffer.of(2), randomBytes(64)]), randomBytes(10)]);
    await world.tick();
    assert.equal((await world.alarms("bad-entry"))[0]?.["count"], 2);
  });

  it("audit-blind after 30 s without the ledger, not before, and ended by its return", async () => {
    await using world = await MonitorWorld.open();
    world.ledger.isDown = true;
    await world.tickFor(29);
    assert.deepEqual(await world.alarms(), []);
    await world.tickFor(2);
    const [alarm] = await world.alarms("audit-blind");
    assert.deepEqual([alarm?.["severity"], alarm?.["count"]], ["critical", 1]);
    assert.equal((await world.post("/health", "", {}, "GET")).status, 503);
    world.ledger.isDown = false;
    await world.tick();
    assert.equal((await world.alarms("audit-blind"))[0]?.["closed"], "recovered");
    assert.equal((await world.post("/health", "", {}, "GET")).status, 200);
  });

  it("a log that the ledger halted is an alarm, and does not keep the others from being judged", async () => {
    await using world = await MonitorWorld.open();
    const { log } = world.deployment.consumer;
    world.ledger.halted.add(log.origin);
    await world.tickFor(40);
    assert.deepEqual(
      (await world.alarms("audit-blind")).map(({ log: of }) => of),
      [log.origin],
    );
  });

  it("answers of the ledger that are malformed are no reason to crash or to conclude anything", async () => {
    await using world = await MonitorWorld.open();
    const { log } = world.deployment.enterprise;
    issueMany(world, 1);
    for (const shown of ["", "x", log.note(0, undefined), log.note(1).slice(0, 40)]) {
      log.shown = shown;
      await world.tick();
      assert.equal((await sizes(world))[log.origin], 0);
    }
    // Signed, but of another size than the answer says.
    const unread = world.events.filter(({ name }) => name === "ledger_unread");
    assert.deepEqual(
      new Set(unread.map(({ fields }) => `${String(fields["log"])} ${String(fields["code"])}`)),
      new Set([`${log.origin} ERR_MONITOR_LEDGER`]),
    );
    log.shown = undefined;
    await world.tick();
    assert.equal((await sizes(world))[log.origin], 1);
    assert.deepEqual(await world.alarms("fork"), []);
  });

  it("witness-late: a log without a cosignature for 60 s, while another goes on", async () => {
    await using world = await MonitorWorld.open();
    const { registry } = world.ledger;
    issueMany(world, 1);
    for (let i = 0; i < 62; i++) {
      await world.tick(1000);
      if (i % 15 === 0)
        await world.post(
          "/add-checkpoint",
          `old ${i === 0 ? 0 : registry.size}\n\n${registry.note()}`,
        );
    }
    assert.deepEqual(
      (await world.alarms("witness-late")).map(({ log }) => log),
      [world.deployment.enterprise.log.origin],
    );
  });
});
