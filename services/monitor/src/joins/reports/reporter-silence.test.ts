import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { encodeBase64url } from "@redoubt/verify/base64url";
import type { ReporterStatement } from "@redoubt/registry";
import { MonitorWorld } from "../../testing/monitor-world.ts";

interface Frame {
  readonly reporter?: string;
  readonly secret?: string;
  readonly session?: number;
  readonly seq?: number;
  readonly closing?: unknown;
}

function open(): Promise<MonitorWorld> {
  return MonitorWorld.open({}, ({ deployment }) => {
    deployment.addReporter("shop", "s");
    deployment.addReporter("quiet", "s");
  });
}

/** The HTTP status of the answer to an empty report. */
async function send(world: MonitorWorld, frame: Frame = {}): Promise<number> {
  const { reporter = "shop", secret = "s", session = 1, seq = 1, ...more } = frame;
  const name = encodeBase64url(Buffer.alloc(16, session));
  const body = JSON.stringify({ v: 1, session: name, seq, items: [], ...more });
  const answer = await world.postAs(reporter, "/reports", body, secret);
  return answer.status;
}

async function pass(world: MonitorWorld, minutes: number): Promise<void> {
  for (let i = 0; i < minutes * 30; i++) await world.tick(2000);
}

/** Reporters of open alarms. */
async function silent(world: MonitorWorld): Promise<unknown[]> {
  const alarms = await world.alarms("reporter-silent");
  return alarms.filter(({ closed }) => closed === undefined).map(({ reporter }) => reporter);
}

/** As the registry has it from now on; what was said before stays on its log. */
function enable(
  { deployment }: MonitorWorld,
  reporter: string,
  status: ReporterStatement["status"],
): void {
  deployment.addReporter(reporter, "s", status);
}

describe("P4: reporter-silent is an alarm of those that are expected", () => {
  it("nobody waits for a reporter that never reported: status says so", async () => {
    await using world = await open();
    await pass(world, 60);
    assert.deepEqual(await world.alarms("reporter-silent"), []);
    const { reporters, neverReported } = world.monitor.status();
    assert.ok(Array.isArray(reporters));
    assert.deepEqual(
      reporters.map(({ lastReport }) => lastReport),
      [null, null],
    );
    assert.equal(neverReported, 2);
    await send(world);
    assert.equal(world.monitor.status()["neverReported"], 1);
  });

  it("from its first report on it is expected: 15 min of silence, ended by a report", async () => {
    await using world = await open();
    await pass(world, 20);
    await send(world);
    await pass(world, 14.9);
    assert.deepEqual(await silent(world), []);
    await pass(world, 0.2);
    assert.deepEqual(await silent(world), ["shop"]);
    await send(world, { seq: 2 });
    await world.tick();
    const alarms = await world.alarms("reporter-silent");
    assert.deepEqual(
      alarms.map(({ closed }) => closed),
      ["recovered"],
    );
  });

  it("a disabled reporter is never silent, and has 15 min when it is enabled again", async () => {
    await using world = await open();
    await send(world);
    enable(world, "shop", "disabled");
    await pass(world, 20);
    assert.deepEqual(await world.alarms("reporter-silent"), []);
    enable(world, "shop", "active");
    await pass(world, 14.9);
    assert.deepEqual(await silent(world), []);
    await pass(world, 0.3);
    assert.deepEqual(await silent(world), ["shop"]);
  });

  it("disabling a silent reporter ends its alarm; with a new secret it is expected again", async () => {
    await using world = await open();
    await send(world);
    await pass(world, 15.1);
    assert.deepEqual(await silent(world), ["shop"]);
    enable(world, "shop", "disabled");
    await pass(world, 20);
    assert.deepEqual(await silent(world), []);
    assert.equal(await send(world, { seq: 2 }), 401);
    assert.equal(world.monitor.status()["neverReported"], 1);
    world.deployment.addReporter("shop", "new");
    await pass(world, 1);
    assert.equal(await send(world, { seq: 2 }), 401);
    assert.equal(await send(world, { seq: 2, secret: "new" }), 200);
    await pass(world, 15.1);
    assert.deepEqual(await silent(world), ["shop"]);
    assert.equal((await world.alarms("reporter-silent")).length, 2);
  });

  it("after a goodbye it is not expected until it reports again", async () => {
    await using world = await open();
    await send(world);
    await send(world, { seq: 2, closing: true });
    await pass(world, 60);
    assert.deepEqual(await world.alarms("reporter-silent"), []);
    await send(world, { session: 2 });
    await pass(world, 15.1);
    assert.deepEqual(await silent(world), ["shop"]);
  });

  it("a goodbye ends the alarm", async () => {
    await using world = await open();
    await send(world);
    await pass(world, 15.1);
    assert.deepEqual(await silent(world), ["shop"]);
    await send(world, { seq: 2, closing: true });
    await world.tick();
    assert.deepEqual(await silent(world), []);
    await pass(world, 20);
    assert.equal((await world.alarms("reporter-silent")).length, 1);
  });

  it("the goodbye of one session does not excuse another", async () => {
    await using world = await open();
    await send(world, { session: 1 });
    await pass(world, 14.9);
    await send(world, { session: 2, closing: true });
    await pass(world, 15.1);
    assert.deepEqual(await silent(world), ["shop"]);
  });

  it("a session of which nothing came for 15 min does not count beside a goodbye", async () => {
    await using world = await open();
    await send(world, { session: 1 });
    await pass(world, 14);
    await send(world, { session: 2 });
    await pass(world, 1.1);
    await send(world, { session: 2, seq: 2, closing: true });
    await pass(world, 20);
    assert.deepEqual(await world.alarms("reporter-silent"), []);
  });

  it("many short sessions do not push out one that is open", async () => {
    await using world = await open();
    await send(world, { session: 1 });
    for (let session = 2; session < 102; session++) {
      await world.tick(1000);
      assert.equal(await send(world, { session, closing: true }), 200);
    }
    await pass(world, 15.1);
    assert.deepEqual(await silent(world), ["shop"]);
  });

  it("over a restart: expected as before, and counted from the start", async () => {
    await using world = await open();
    await send(world, { reporter: "shop" });
    await send(world, { reporter: "quiet", closing: true });
    await pass(world, 10);
    await world.stop();
    world.clock.advance(3_600_000);
    await world.start();
    await pass(world, 14.9);
    assert.deepEqual(await world.alarms("reporter-silent"), []);
    await pass(world, 0.2);
    assert.deepEqual(await silent(world), ["shop"]);
  });

  it("THREAT-31: a goodbye with a wrong credential, or of another reporter, does nothing", async () => {
    await using world = await open();
    await send(world);
    assert.equal(await send(world, { seq: 2, secret: "wrong", closing: true }), 401);
    assert.equal(await send(world, { reporter: "quiet", seq: 2, closing: true }), 200);
    await pass(world, 15.1);
    assert.deepEqual(await silent(world), ["shop"]);
  });

  it("a repeated goodbye is answered again, and changes nothing", async () => {
    await using world = await open();
    assert.equal(await send(world, { closing: true }), 200);
    assert.equal(await send(world, { session: 2 }), 200);
    assert.equal(await send(world, { closing: true }), 200);
    assert.equal(await send(world, { closing: false }), 409);
    await pass(world, 15.1);
    assert.deepEqual(await silent(world), ["shop"]);
  });

  it("closing is true or false", async () => {
    await using world = await open();
    for (const closing of [1, "true", null, {}]) assert.equal(await send(world, { closing }), 400);
    assert.equal(await send(world, { closing: false }), 200);
    await pass(world, 15.1);
    assert.deepEqual(await silent(world), ["shop"]);
  });
});
