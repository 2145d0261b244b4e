import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { encodeBase64url } from "@redoubt/verify/base64url";
import { AlarmStore } from "../../alarms/alarm-store.ts";
import { Alarms } from "../../alarms/alarms.ts";
import { IssuedJoin } from "../issued/issued-join.ts";
import { IssuedStore } from "../issued/issued-store.ts";
import { RunningTime } from "../../run/times.ts";
import { Database } from "../../store/database.ts";
import { issue } from "../../testing/deployment.ts";
import { MonitorWorld } from "../../testing/monitor-world.ts";
import { Deliveries, type DeliveryReport } from "./deliveries.ts";
import { DeliveryStore } from "./delivery-store.ts";
import { Gaps } from "./gaps.ts";

const ISSUER = "issuer-enterprise";

function issueMany(world: MonitorWorld, count: number): Buffer[] {
  const { log } = world.deployment.enterprise;
  return Array.from({ length: count }, () => issue(log));
}

async function counts(world: MonitorWorld): Promise<Record<string, unknown>> {
  const alarms = await world.alarms();
  return Object.fromEntries(alarms.map(({ kind, count }) => [kind, count]));
}

/** Without the alarm that nobody submits checkpoints in these tests. */
async function joinCounts(world: MonitorWorld): Promise<Record<string, unknown>> {
  const { "witness-late": _, "jwks-unreachable": __, ...rest } = await counts(world);
  return rest;
}

async function report(world: MonitorWorld, digests: readonly Buffer[]): Promise<void> {
  const items = digests.map((digest) => ({
    digest: encodeBase64url(digest),
    kid: "k",
    at: 5,
    count: 1,
  }));
  const body = JSON.stringify({ v: 1, session: "s".repeat(22), seq: 1, items });
  const { status } = await world.postAs("shop", "/reports", body, "secret");
  assert.equal(status, 200);
}

describe("join 2: logged without delivered", () => {
  it("THREAT-28: a digest that no issuer received is a critical alarm that names it, ≤ 60 s", async () => {
    await using world = await MonitorWorld.open();
    await world.deliver(ISSUER, []);
    const [good, forged] = issueMany(world, 2);
    assert.ok(good && forged);
    await world.tick();
    await world.deliver(ISSUER, [good], { seq: 2 });
    await world.tickFor(43);
    assert.deepEqual(await joinCounts(world), {});
    await world.tickFor(3);
    const [alarm] = await world.alarms("undelivered");
    assert.equal(alarm?.["severity"], "critical");
    assert.equal(alarm["digest"], encodeBase64url(forged));
    assert.equal(alarm["log"], world.deployment.enterprise.log.origin);
    assert.equal(alarm["count"], 1);
  });

  it("many digests are one alarm: the first 256 of them, and how many", async () => {
    await using world = await MonitorWorld.open();
    await world.deliver(ISSUER, []);
    issueMany(world, 300);
    await world.tickFor(47);
    const [alarm] = await world.alarms("undelivered");
    const digests = alarm?.["digests"];
    assert.ok(Array.isArray(digests));
    assert.deepEqual([alarm?.["count"], digests.length], [300, 256]);
  });

  it("deliveries before, with and after the reading of their entries are no alarm", async () => {
    await using world = await MonitorWorld.open();
    await world.deliver(ISSUER, []);
    const early = randomBytes(32);
    world.ledger.isDown = true;
    await world.deliver(ISSUER, [early], { seq: 2 });
    await world.tickFor(5);
    world.ledger.isDown = false;
    issue(world.deployment.enterprise.log, early);
    const [together, late] = issueMany(world, 2);
    assert.ok(together && late);
    await world.deliver(ISSUER, [together], { seq: 3 });
    await world.tickFor(40);
    await world.deliver(ISSUER, [late], { seq: 4 });
    await world.tickFor(60);
    assert.deepEqual(await joinCounts(world), {});
  });

  it("THREAT-28: an issuer of another realm cannot deliver for this one", async () => {
    await using world = await MonitorWorld.open();
    await world.deliver(ISSUER, []);
    const [digest] = issueMany(world, 1);
    assert.ok(digest);
    await world.deliver("issuer-consumer", [digest]);
    await world.tickFor(50);
    assert.deepEqual(await joinCounts(world), { undelivered: 1, "unlogged-delivery": 1 });
  });

  it("P3: a token that was delivered and is in no log is a critical alarm", async () => {
    await using world = await MonitorWorld.open();
    const digest = randomBytes(32);
    await world.deliver(ISSUER, [digest]);
    await world.tickFor(44);
    assert.deepEqual(await joinCounts(world), {});
    await world.tickFor(2);
    const [alarm] = await world.alarms("unlogged-delivery");
    assert.deepEqual(
      [alarm?.["severity"], alarm?.["digest"]],
      ["critical", encodeBase64url(digest)],
    );
  });

  it("the acknowledgement comes after the delivery is durable, and a repetition changes nothing", async () => {
    await using world = await MonitorWorld.open();
    const digests = issueMany(world, 3);
    const client = world.client(ISSUER);
    const head = { op: "delivered", session: "s", seq: 1, digests: digests.map(encodeBase64url) };
    let isAcknowledged = false;
    const answer = client.request(head).then((reply) => {
      isAcknowledged = true;
      return reply;
    });
    await client.request({ op: "event", kind: "ping" });
    assert.equal(isAcknowledged, false);
    await world.tick();
    assert.deepEqual((await answer).head, { seq: 1 });
    assert.deepEqual(await world.deliver(ISSUER, digests, { session: "s" }), { seq: 1 });
    await world.tickFor(50);
    assert.deepEqual(await joinCounts(world), { event: 1 });
  });
});

interface Bench extends Disposable {
  readonly deliveries: Deliveries;
  readonly alarms: Alarms;
  /** As a process that starts on the same database. */
  readonly reopen: () => Deliveries;
  readonly forward: (ms: number) => void;
}

/** Deliveries on a database of their own, and nothing in any log. */
function openBench(limits = { waiting: 100, held: 200 }): Bench {
  const folder = mkdtempSync(join(tmpdir(), "deliveries-"));
  const db = new Database(join(folder, "monitor.db"));
  let now = 0;
  const [clock, active, events] = [{ now: () => now }, () => now, () => undefined];
  const store = new DeliveryStore(db);
  const alarms = new Alarms({ store: new AlarmStore(db), active, clock, events });
  const reopen = (): Deliveries =>
    new Deliveries({
      store,
      gaps: new Gaps(store),
      join: new IssuedJoin({
        store: new IssuedStore(db),
        running: new RunningTime(db, clock, active),
        active,
      }),
      alarms,
      clock,
      active,
      events,
      isHidden: () => false,
      coverage: { delivered: () => undefined, prune: () => undefined },
      limits,
    });
  return {
    deliveries: reopen(),
    alarms,
    reopen,
    forward: (ms) => {
      now += ms;
    },
    [Symbol.dispose]: () => {
      db[Symbol.dispose]();
      rmSync(folder, { recursive: true });
    },
  };
}

function reportOf(caller: string, count: number): DeliveryReport {
  const realm = caller.slice(caller.indexOf("-") + 1);
  const digests = randomBytes(count * 32);
  return {
    caller,
    sender: caller,
    realm,
    session: "s",
    seq: 1,
    digests,
    lost: 0,
    forgotten: 0,
    audiences: [],
    isResumed: false,
    isClosing: false,
  };
}

const BUSY = { code: "ERR_MONITOR_BUSY", fields: { retryAfterSeconds: 1 } };

describe("THREAT-36: places for deliveries", () => {
  it("one caller's reports that wait take nothing of another's", () => {
    using bench = openBench();
    const { deliveries } = bench;
    // A place for each digest, and one for the report.
    void deliveries.take(reportOf(ISSUER, 98));
    assert.throws(() => deliveries.take(reportOf(ISSUER, 1)), BUSY);
    void deliveries.take(reportOf(ISSUER, 0));
    assert.throws(() => deliveries.take(reportOf(ISSUER, 0)), BUSY);
    void deliveries.take(reportOf("issuer-consumer", 99));
    void deliveries.take(reportOf("drill-enterprise", 99));
  });

  it("what was collected keeps its places until it is settled", () => {
    using bench = openBench();
    const { deliveries } = bench;
    void deliveries.take(reportOf(ISSUER, 99));
    const waiting = deliveries.collect();
    assert.throws(() => deliveries.take(reportOf(ISSUER, 0)), BUSY);
    deliveries.settle(waiting, true);
    void deliveries.take(reportOf(ISSUER, 0));
  });

  it("one caller's losses are its own, an alarm that names it, and over when they are decided", () => {
    using bench = openBench();
    const { deliveries, alarms, forward } = bench;
    void deliveries.take(reportOf(ISSUER, 99));
    deliveries.settle(deliveries.collect(), true);
    assert.equal(alarms.isOpen("deliveries-full", ISSUER), false);
    assert.throws(() => deliveries.take(reportOf(ISSUER, 1)), BUSY);
    void deliveries.take(reportOf("issuer-consumer", 99));
    deliveries.settle(deliveries.collect(), true);
    assert.equal(alarms.isOpen("deliveries-full", ISSUER), true);
    assert.equal(alarms.isOpen("deliveries-full", "issuer-consumer"), false);
    deliveries.settle([], true);
    assert.equal(alarms.isOpen("deliveries-full", ISSUER), true, "nothing came free so far");
    forward(45_001);
    deliveries.settle([], true);
    deliveries.settle([], true);
    assert.equal(alarms.isOpen("deliveries-full", ISSUER), false);
    assert.equal(deliveries.waiting, 0);
    void deliveries.take(reportOf(ISSUER, 99));
  });

  it("a whole report takes places as long as one digest of it is not final, also after a restart", () => {
    using bench = openBench({ waiting: 1000, held: 100 });
    void bench.deliveries.take(reportOf(ISSUER, 99));
    bench.deliveries.settle(bench.deliveries.collect(), true);
    for (const deliveries of [bench.deliveries, bench.reopen()]) {
      assert.equal(deliveries.waiting, 99);
      assert.throws(() => deliveries.take(reportOf(ISSUER, 0)), BUSY);
      void deliveries.take(reportOf("drill-enterprise", 99));
    }
  });

  it("over the socket: a full caller is told to come again, and another is acknowledged", async () => {
    await using world = await MonitorWorld.open();
    world.ledger.isDown = true;
    const lost = Array.from({ length: 4096 }, () => randomBytes(32));
    for (let seq = 1; seq <= 48; seq += 1) {
      for (const digest of lost) digest.writeUInt32BE(seq);
      await world.deliver(ISSUER, lost, { seq });
    }
    await assert.rejects(world.deliver(ISSUER, lost, { seq: 49 }), { code: "ERR_MONITOR_BUSY" });
    const [digest] = issueMany(world, 1);
    assert.ok(digest);
    assert.deepEqual(await world.deliver("issuer-consumer", [digest]), { seq: 1 });
    await world.tick();
    const full = await world.alarms("deliveries-full");
    assert.deepEqual(
      full.map(({ severity, detail }) => [severity, detail]),
      [["critical", { caller: ISSUER }]],
    );
  });
});

function fullOf(from: string): object {
  return { from, event: "connections-full", detail: "enterprise" };
}

describe("gaps of issuers", () => {
  it("an issuer that comes back without a farewell: its open entries are orphans, later ones are not", async () => {
    await using world = await MonitorWorld.open();
    await world.deliver(ISSUER, [], { session: "one" });
    issueMany(world, 3);
    await world.tickFor(2);
    await world.deliver(ISSUER, [], { session: "two" });
    await world.tickFor(10);
    issueMany(world, 2);
    await world.tickFor(60);
    assert.deepEqual(await joinCounts(world), { orphaned: 3, undelivered: 2 });
    assert.equal((await world.alarms("orphaned"))[0]?.["severity"], "notice");
  });

  it("P4: kill -9 of an issuer that kept what it received is no alarm, and is counted", async () => {
    await using world = await MonitorWorld.open();
    await world.deliver(ISSUER, [], { session: "one" });
    issueMany(world, 3);
    await world.tickFor(2);
    await world.deliver(ISSUER, [], { session: "two", resumed: true });
    await world.tickFor(10);
    assert.equal(world.monitor.status()["orphaned"], 0);
    await world.tickFor(60);
    assert.deepEqual(await joinCounts(world), {});
    assert.equal(world.monitor.status()["orphaned"], 3);
    const [line] = world.events.filter(({ name }) => name === "entries_orphaned");
    assert.equal(line?.fields["count"], 3);
    // After its end it explains nothing.
    issueMany(world, 2);
    await world.tickFor(60);
    assert.deepEqual(await joinCounts(world), { undelivered: 2 });
  });

  it("THREAT-28: more than can have been in flight is told", async () => {
    await using world = await MonitorWorld.open();
    await world.deliver(ISSUER, [], { session: "one" });
    issueMany(world, 1030);
    await world.tickFor(2);
    await world.deliver(ISSUER, [], { session: "two", resumed: true });
    await world.tickFor(60);
    assert.deepEqual(await joinCounts(world), { orphaned: 6 });
    assert.equal(world.monitor.status()["orphaned"], 1024);
  });

  for (const when of ["before", "after"] as const)
    it(`THREAT-28: an orphan that a verifier validates ${when} it is one is an alarm; an unknown one is not`, async () => {
      await using world = await MonitorWorld.open({}, ({ deployment }) =>
        deployment.addReporter("shop", "secret"),
      );
      await world.deliver(ISSUER, [], { session: "one" });
      const [orphan, delivered] = issueMany(world, 2);
      const { log } = world.deployment.consumer;
      await world.deliver("issuer-consumer", [], { session: "one" });
      const unknown = issue(log);
      assert.ok(orphan && delivered);
      await world.tickFor(2);
      if (when === "before") await report(world, [orphan, delivered, unknown]);
      await world.deliver(ISSUER, [delivered], { session: "two", resumed: true });
      await world.deliver("issuer-consumer", [], { session: "two" });
      await world.tickFor(50);
      if (when === "after") await report(world, [orphan, delivered, unknown]);
      await world.tick();
      const used = await world.alarms("orphan-used");
      assert.deepEqual(
        used.map(({ severity, digest, reporter, count }) => [severity, digest, reporter, count]),
        [["critical", orphan.toString("base64url"), "shop", 1]],
      );
    });

  it("THREAT-28: neither a second entry nor a restart hides what an orphan is, nor evidence that comes first", async () => {
    await using world = await MonitorWorld.open({}, ({ deployment }) =>
      deployment.addReporter("shop", "secret"),
    );
    const { log } = world.deployment.enterprise;
    await world.deliver(ISSUER, [], { session: "one" });
    const twice = issue(log);
    await world.tickFor(5);
    issue(log, twice);
    await world.tick();
    await world.deliver(ISSUER, [], { session: "one", seq: 2, lost: 1 });
    await world.tickFor(60);
    await world.stop();
    await world.start();
    await world.tick();
    await report(world, [twice]);
    const used = await world.alarms("orphan-used");
    assert.deepEqual(
      used.map(({ digest }) => digest),
      [encodeBase64url(twice)],
    );
  });

  it("THREAT-28: what is used beyond what can have been in flight is an alarm too", async () => {
    await using world = await MonitorWorld.open({}, ({ deployment }) =>
      deployment.addReporter("shop", "secret"),
    );
    await world.deliver(ISSUER, [], { session: "one" });
    const last = issueMany(world, 1025).at(-1);
    assert.ok(last);
    await world.tickFor(2);
    await world.deliver(ISSUER, [], { session: "two", resumed: true });
    await world.tickFor(60);
    await report(world, [last]);
    assert.deepEqual(await joinCounts(world), { orphaned: 1, "orphan-used": 1 });
  });

  it("what an issuer could not keep is told, and nobody is said to hold a token that he must not", async () => {
    await using world = await MonitorWorld.open();
    await world.deliver(ISSUER, []);
    issueMany(world, 3);
    await world.tick();
    await world.deliver(ISSUER, [], { seq: 2, forgotten: 2 });
    await world.tickFor(60);
    assert.deepEqual(await joinCounts(world), { orphaned: 2, undelivered: 1 });
  });

  it("an orphan that the new session delivers after all is delivered", async () => {
    await using world = await MonitorWorld.open();
    await world.deliver(ISSUER, [], { session: "one" });
    const digests = issueMany(world, 3);
    await world.tickFor(2);
    await world.deliver(ISSUER, digests, { session: "two" });
    await world.tickFor(60);
    assert.deepEqual(await joinCounts(world), {});
  });

  it("THREAT-28: a replica that starts or says goodbye opens no gap for the others; one that is killed, its own", async () => {
    await using world = await MonitorWorld.open();
    const unclean = (): unknown[] =>
      world.events
        .filter(({ name }) => name === "issuer_session")
        .map(({ fields }) => [fields["caller"], fields["unclean"]]);
    await world.deliver(ISSUER, [], { session: "a1" });
    issueMany(world, 2);
    await world.tickFor(2);
    await world.deliver(ISSUER, [], { session: "b1", replica: 2 });
    await world.deliver(ISSUER, [], { session: "b1", replica: 2, seq: 2, closing: true });
    await world.deliver(ISSUER, [], { session: "b2", replica: 2 });
    await world.deliver(ISSUER, [], { session: "c1", replica: 16 });
    await world.deliver(ISSUER, [], { session: "a1", seq: 2 });
    await world.tickFor(60);
    assert.deepEqual(await joinCounts(world), { undelivered: 2 });
    issueMany(world, 3);
    await world.tickFor(2);
    await world.deliver(ISSUER, [], { session: "b3", replica: 2, resumed: true });
    await world.tickFor(60);
    assert.deepEqual(await joinCounts(world), { undelivered: 2 });
    assert.equal(world.monitor.status()["orphaned"], 3);
    assert.deepEqual(unclean(), [
      [ISSUER, false],
      [`${ISSUER}/2`, false],
      [`${ISSUER}/2`, false],
      [`${ISSUER}/16`, false],
      [`${ISSUER}/2`, true],
    ]);
  });

  it("tokens that one replica received are delivered, whichever asked; there are 16 at most", async () => {
    await using world = await MonitorWorld.open();
    await world.deliver(ISSUER, []);
    const [one, two] = issueMany(world, 2);
    assert.ok(one && two);
    await world.deliver(ISSUER, [one], { session: "b", replica: 2 });
    await world.deliver(ISSUER, [two], { seq: 2 });
    for (const replica of [0, 1, 17, 2.5, "2"])
      await assert.rejects(world.deliver(ISSUER, [], { session: "c", replica }));
    await world.tickFor(60);
    assert.deepEqual(await joinCounts(world), {});
  });

  it("a replica that says that its trouble is over ends its own alarm, as its next process does", async () => {
    await using world = await MonitorWorld.open();
    const say = (fields: object) =>
      world.ask(ISSUER, { op: "event", kind: "connections-full", detail: "enterprise", ...fields });
    await say({});
    await say({ replica: 2 });
    const open = async (): Promise<unknown[]> =>
      (await world.alarms("event"))
        .filter(({ closed }) => closed === undefined)
        .map(({ detail }) => detail);
    assert.deepEqual(await open(), [fullOf(ISSUER), fullOf(`${ISSUER}/2`)]);
    await say({ replica: 2, over: true });
    assert.deepEqual(await open(), [fullOf(ISSUER)]);
    await world.deliver(ISSUER, [], { session: "b", replica: 2 });
    assert.deepEqual(await open(), [fullOf(ISSUER)]);
    await world.deliver(ISSUER, [], { session: "a" });
    assert.deepEqual(await open(), []);
  });

  it("after a farewell nothing is excused", async () => {
    await using world = await MonitorWorld.open();
    await world.deliver(ISSUER, [], { session: "one" });
    issueMany(world, 1);
    await world.deliver(ISSUER, [], { session: "one", seq: 2, closing: true });
    await world.deliver(ISSUER, [], { session: "two" });
    await world.tickFor(60);
    assert.deepEqual(await joinCounts(world), { undelivered: 1 });
  });

  it("a lost connection excuses as many entries as were lost, and only once", async () => {
    await using world = await MonitorWorld.open();
    await world.deliver(ISSUER, []);
    issueMany(world, 3);
    await world.tick();
    await world.deliver(ISSUER, [], { seq: 2, lost: 2 });
    // Sent again: the loss is not counted twice.
    await world.deliver(ISSUER, [], { seq: 2, lost: 2 });
    await world.tickFor(60);
    assert.deepEqual(await joinCounts(world), { undelivered: 1 });
    assert.equal(world.monitor.status()["orphaned"], 2);
  });

  it("THREAT-28: a gap of one realm does not excuse another, nor entries after it", async () => {
    await using world = await MonitorWorld.open();
    await world.deliver(ISSUER, []);
    await world.deliver("issuer-consumer", [], { lost: 100 });
    await world.tickFor(20);
    issueMany(world, 1);
    issue(world.deployment.consumer.log);
    await world.tickFor(60);
    const logs = (await world.alarms("undelivered")).map(({ log }) => log);
    const { consumer, enterprise } = world.deployment;
    assert.deepEqual(new Set(logs), new Set([consumer.log.origin, enterprise.log.origin]));
    assert.deepEqual(await world.alarms("orphaned"), []);
  });

  it("entries read after an outage of the ledger are excused by the gap that was before them", async () => {
    await using world = await MonitorWorld.open();
    await world.deliver(ISSUER, [], { session: "one" });
    issueMany(world, 2);
    world.ledger.isDown = true;
    await world.deliver(ISSUER, [], { session: "two" });
    await world.tickFor(20);
    world.ledger.isDown = false;
    await world.tickFor(60);
    assert.deepEqual(await joinCounts(world), { orphaned: 2 });
  });
});

describe("restart of the monitor", () => {
  it("acknowledged deliveries, open entries and gaps survive a crash", async () => {
    await using world = await MonitorWorld.open();
    await world.deliver(ISSUER, [], { session: "one" });
    const [read, early, open] = [...issueMany(world, 1), randomBytes(32), ...issueMany(world, 1)];
    assert.ok(read && early && open);
    await world.deliver(ISSUER, [read, early], { session: "one", seq: 2 });
    await world.crash((from, to) =>
      cpSync(`${from}/monitor`, `${to}/monitor`, {
        recursive: true,
        filter: (path) => !path.endsWith("sock"),
      }),
    );
    issue(world.deployment.enterprise.log, early);
    await world.start();
    await world.tickFor(44);
    assert.deepEqual(await joinCounts(world), {});
    await world.tickFor(5);
    assert.deepEqual(
      (await world.alarms("undelivered")).map(({ digest, count }) => [digest, count]),
      [[encodeBase64url(open), 1]],
    );
  });

  it("issuer and monitor killed together: orphans, no critical alarm", async () => {
    await using world = await MonitorWorld.open();
    await world.deliver(ISSUER, [], { session: "one" });
    issueMany(world, 5);
    await world.tickFor(4);
    issueMany(world, 2);
    await world.tick();
    await world.crash((from, to) =>
      cpSync(`${from}/monitor`, `${to}/monitor`, {
        recursive: true,
        filter: (path) => !path.endsWith("sock"),
      }),
    );
    world.ledger.isDown = true;
    await world.start();
    await world.deliver(ISSUER, [], { session: "two" });
    await world.tickFor(5);
    world.ledger.isDown = false;
    await world.tickFor(60);
    assert.deepEqual(await joinCounts(world), { orphaned: 7 });
  });

  it("a first look at a log with entries: a notice, no alarm for what nobody reports again", async () => {
    await using world = await MonitorWorld.open({}, (one) => issueMany(one, 12));
    await world.tickFor(60);
    assert.deepEqual(await joinCounts(world), { orphaned: 12 });
    issueMany(world, 1);
    await world.tickFor(47);
    assert.deepEqual(await joinCounts(world), { orphaned: 12, undelivered: 1 });
  });

  it("P4: a fresh system whose first tokens come before the first look raises nothing, also over a kill", async () => {
    const tokens: Buffer[] = [];
    await using world = await MonitorWorld.open({}, (one) => tokens.push(...issueMany(one, 5)));
    await world.tickFor(5);
    await world.crash((from, to) =>
      cpSync(`${from}/monitor`, `${to}/monitor`, {
        recursive: true,
        filter: (path) => !path.endsWith("sock"),
      }),
    );
    await world.start();
    await world.deliver(ISSUER, tokens.slice(1));
    await world.tickFor(60);
    // The fifth that nobody delivers: nobody can know, because the monitor was not there.
    assert.deepEqual(await joinCounts(world), { orphaned: 1 });
  });

  it("a pause of the whole machine is not held against anybody", async () => {
    await using world = await MonitorWorld.open();
    await world.deliver(ISSUER, []);
    const digests = issueMany(world, 2);
    await world.tick();
    await world.tick(3_600_000);
    await world.deliver(ISSUER, digests, { seq: 2 });
    await world.tickFor(50);
    assert.deepEqual(await joinCounts(world), {});
  });
});
