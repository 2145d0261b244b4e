import assert from "node:assert/strict";
import { it } from "node:test";
import { errorCode } from "@redoubt/base";
import { issue } from "../testing/deployment.ts";
import { MonitorWorld } from "../testing/monitor-world.ts";

/** Fills what is left of the pages that the database has. */
async function fill(world: MonitorWorld): Promise<void> {
  world.fillDisk(true);
  for (let i = 0; i < 400 && world.monitor.status()["ready"] === true; i += 1) {
    for (let n = 0; n < 20; n += 1) issue(world.deployment.enterprise.log);
    await world.tick(3000);
  }
}

it("P12: a full disk ends nothing: refused with a code until there is room, and nothing acknowledged is lost", async () => {
  await using world = await MonitorWorld.open();
  const { log } = world.deployment.enterprise;
  const kept = issue(log);
  await world.post("/add-checkpoint", `old 0\n\n${log.note()}`);
  await world.deliver("issuer-enterprise", [kept]);
  await fill(world);
  const status = world.monitor.status();
  assert.equal(status["ready"], false);
  assert.match(String(status["reason"]), /^ERR_MONITOR_DISK_FULL: .*full/);
  for (let round = 0; round < 3; round += 1) {
    const client = world.client("operator");
    const asked = client.request({ op: "alarms", limit: 10 });
    assert.equal(await asked.catch(errorCode), "ERR_MONITOR_DISK_FULL");
    const health = await world.post("/health", "", {}, "GET");
    assert.deepEqual([health.status, JSON.parse(health.body).status], [503, "full"]);
    const refused = await world.post("/add-checkpoint", `old 1\n\n${log.note()}`);
    assert.deepEqual([refused.status, refused.headers["retry-after"]], [503, "5"]);
    await world.tick();
  }
  assert.equal(world.events.filter(({ name }) => name === "disk_full").length, 1);
  world.fillDisk(false);
  await world.tick();
  for (let i = 0; i < 20 && world.monitor.status()["ready"] !== true; i += 1) await world.tick();
  assert.equal(world.monitor.status()["ready"], true);
  assert.equal(world.events.filter(({ name }) => name === "disk_has_room").length, 1);
  assert.equal(world.events.filter(({ name }) => name === "tick_failed").length, 0);
  // The witness remembers what it cosigned, and the join what was delivered.
  assert.equal((await world.post("/add-checkpoint", `old 0\n\n${log.note()}`)).body, "1\n");
  await world.tickFor(60);
  const [undelivered] = await world.alarms("undelivered");
  assert.ok(undelivered);
  assert.equal(JSON.stringify(undelivered).includes(kept.toString("base64url")), false);
});

it("a monitor that is started on a full disk waits for room", async () => {
  await using world = await MonitorWorld.open();
  await fill(world);
  await world.stop();
  await world.start();
  for (let round = 0; round < 3; round += 1) {
    assert.match(String(world.monitor.status()["reason"]), /^ERR_MONITOR_DISK_FULL/);
    await world.tick();
  }
  world.fillDisk(false);
  for (let i = 0; i < 20 && world.monitor.status()["ready"] !== true; i += 1) await world.tick();
  assert.equal(world.monitor.status()["ready"], true);
});

it("space is alarmed before it ends, and the alarms end with the want", async () => {
  await using world = await MonitorWorld.open();
  const open = async (): Promise<unknown[]> =>
    (await world.alarms())
      .filter(({ closed }) => closed === undefined)
      .map(({ kind, severity }) => [kind, severity]);
  for (const [freeBytes, expected] of [
    [1e10, []],
    [9e9, [["disk-low", "warning"]]],
    [
      1e9,
      [
        ["disk-low", "warning"],
        ["disk-critical", "critical"],
      ],
    ],
    [5e9, [["disk-low", "warning"]]],
    [5e10, []],
  ] as const) {
    world.freeBytes = freeBytes;
    await world.tick();
    assert.deepEqual(await open(), expected, String(freeBytes));
  }
});
