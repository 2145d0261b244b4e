import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { cpSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import type { FakeLog } from "@redoubt/testkit";
import { addSignature, parseVerifierKey, verifyCosignature } from "@redoubt/tlog";
import { brokerLog, type BrokerLog } from "../testing/broker-log.ts";
import { issue } from "../testing/deployment.ts";
import { MonitorWorld } from "../testing/monitor-world.ts";

/** A monitor that has read that the broker has this log. */
async function withBroker(): Promise<[MonitorWorld, BrokerLog]> {
  const world = await MonitorWorld.open();
  const broker = brokerLog(world);
  broker.say();
  await world.tick();
  return [world, broker];
}

function grow(log: FakeLog, grants: number): Buffer[] {
  return Array.from({ length: grants }, () => issue(log));
}

async function read(world: MonitorWorld, { origin }: FakeLog): Promise<unknown> {
  const { logs } = await world.ask("operator", { op: "status" });
  assert.ok(Array.isArray(logs));
  return logs.find(({ log }) => log === origin)?.size;
}

async function kinds(world: MonitorWorld): Promise<readonly unknown[]> {
  return (await world.alarms()).map(({ kind }) => kind);
}

describe("a broker's log", () => {
  it("is cosigned from when the registry names it, as it grows", async () => {
    await using world = await MonitorWorld.open();
    const { log, say } = brokerLog(world);
    grow(log, 1);
    assert.equal((await world.submit(log.note())).status, 404);
    say();
    await world.tick();
    const key = parseVerifierKey(world.keys.witness);
    const first = await world.submit(log.note());
    assert.equal(first.status, 200);
    assert.equal(verifyCosignature(addSignature(log.note(), first.body), key).checkpoint.size, 1);
    grow(log, 3);
    assert.equal((await world.submit(log.note(), 1, log.proveGrowth(1))).status, 200);
    assert.deepEqual(await kinds(world), []);
  });

  it("is followed, and nobody is asked where its entries were delivered", async () => {
    const [opened, { log }] = await withBroker();
    await using world = opened;
    grow(log, 2);
    // What a realm's log holds is awaited meanwhile: the silence is not the monitor's.
    issue(world.deployment.enterprise.log);
    await world.tickFor(120);
    assert.equal(await read(world, log), 2);
    const undelivered = await world.alarms("undelivered");
    assert.deepEqual(
      undelivered.map(({ log: of, count }) => [of, count]),
      [[world.deployment.enterprise.log.origin, 1]],
    );
    for (const kind of ["orphaned", "orphan-used", "bad-entry"])
      assert.deepEqual(await world.alarms(kind), [], kind);
  });

  it("THREAT-06: makes no token an issued one: a delivery of what stands there alone is an alarm", async () => {
    const [opened, { log }] = await withBroker();
    await using world = opened;
    const digests = grow(log, 1);
    await world.tick();
    await world.deliver("issuer-enterprise", digests);
    await world.tickFor(120);
    const [alarm] = await world.alarms("unlogged-delivery");
    assert.equal(alarm?.["severity"], "critical");
  });

  it("THREAT-06: a checkpoint without the broker's signature is refused and is an alarm", async () => {
    const [opened, { log }] = await withBroker();
    await using world = opened;
    grow(log, 2);
    assert.equal((await world.submit(log.note())).status, 200);
    // The ledger enters a lease of its own: its key signs, the broker's does not.
    grow(log, 1);
    const inserted = log.note(3, log.root(), [log.signer]);
    log.cut(2);
    assert.equal((await world.submit(inserted, 2)).status, 403);
    await world.tickFor(12);
    const [alarm] = await world.alarms("unsigned-batch");
    assert.deepEqual([alarm?.["severity"], alarm?.["log"]], ["critical", log.origin]);
  });

  it("THREAT-06: the ledger shows one that the broker did not sign: nothing of it is read, and it is an alarm", async () => {
    const [opened, { log }] = await withBroker();
    await using world = opened;
    grow(log, 2);
    log.shown = log.note(2, log.root(), [log.signer]);
    await world.tick();
    assert.equal((await world.alarms("unsigned-batch")).length, 1);
    assert.equal(await read(world, log), 0);
  });

  it("THREAT-06: two roots for one size halt it, and nothing of it is cosigned again", async () => {
    const [opened, { log }] = await withBroker();
    await using world = opened;
    grow(log, 3);
    assert.equal((await world.submit(log.note())).status, 200);
    assert.equal((await world.submit(log.note(3, randomBytes(32)), 3)).status, 409);
    const [alarm] = await world.alarms("fork");
    assert.deepEqual([alarm?.["severity"], alarm?.["log"]], ["critical", log.origin]);
    assert.equal((await world.submit(log.note(), 3)).status, 403);
    // Realms go on.
    const { log: realms } = world.deployment.enterprise;
    issue(realms);
    assert.equal((await world.submit(realms.note())).status, 200);
  });

  it("THREAT-06: another history than was read is a fork, after a restart, too", async () => {
    const [opened, { log }] = await withBroker();
    await using world = opened;
    grow(log, 2);
    await world.tick();
    assert.equal(await read(world, log), 2);
    await world.stop();
    log.batches.splice(0, 2, ...log.fork(2).batches);
    grow(log, 1);
    await world.start();
    await world.tickFor(2);
    const [alarm] = await world.alarms("fork");
    assert.equal(alarm?.["log"], log.origin);
  });

  it("THREAT-06: newest grants cut are log-shrunk", async () => {
    const [opened, { log }] = await withBroker();
    await using world = opened;
    grow(log, 4);
    await world.tick();
    log.cut(2);
    await world.tick();
    const [alarm] = await world.alarms("log-shrunk");
    assert.deepEqual([alarm?.["severity"], alarm?.["log"]], ["critical", log.origin]);
  });

  it("THREAT-30: a cosignature of ours beyond our memory halts it", async () => {
    const [opened, { log }] = await withBroker();
    await using world = opened;
    grow(log, 2);
    const note = log.note();
    const { status, body } = await world.submit(note);
    assert.equal(status, 200);
    await using restored = new MonitorWorld();
    cpSync(join(world.root, "monitor"), join(restored.root, "monitor"), {
      recursive: true,
      filter: (path) => !path.endsWith("sock") && !path.includes("monitor.db"),
    });
    log.cosigned = addSignature(note, body);
    const { callers: _, ...config } = world.deployment.config;
    await restored.start(config, world.ledger);
    await restored.tickFor(2);
    const [alarm] = await restored.alarms("witness-rollback");
    assert.deepEqual([alarm?.["severity"], alarm?.["log"]], ["critical", log.origin]);
    assert.equal((await restored.submit(note)).status, 403);
  });
});
