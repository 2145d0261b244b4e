import assert from "node:assert/strict";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { describe, it, type TestContext } from "node:test";
import { readDemo } from "@redoubt/cli";
import { askToken } from "../drills/token-flow.ts";
import { RedoubtProcess } from "./redoubt-process.ts";
import { SmallDisk } from "./small-disk.ts";
import { startSystem, type System } from "./system.ts";
import { SETTLE_MS, until } from "./until.ts";

const DISK_BYTES = 64 * 1024 * 1024;
/** Below a tenth of the disk, above what counts as none. */
const LOW_BYTES = 5 * 1024 * 1024;

async function tokenStatus(system: System): Promise<number> {
  const [client] = readDemo(system.folder).clients.slice(-1);
  assert.ok(client);
  return (await askToken(system.base, client)).status;
}

type Page = Awaited<ReturnType<System["status"]>>;

function untilPage(system: System, what: string, fits: (page: Page) => boolean): Promise<Page> {
  return until(what, () => system.status(), fits);
}

function reasonOf(page: Page, service: string): string {
  const reason = page[service]?.["reason"];
  return typeof reason === "string" ? reason : "";
}

function restartsOf(page: Page): number[] {
  return Object.values(page).map(({ restarts }) => Number(restarts));
}

const isReady = (page: Page): boolean => Object.values(page).every(({ ready }) => ready === true);

describe("P12: a disk that fills", () => {
  it("is alarmed before it is full, ends no process when it is, and all comes back with the room", async (t: TestContext) => {
    using disk = SmallDisk.mount(DISK_BYTES);
    if (!disk) return t.skip("this user may mount nothing");
    await using system = await startSystem({ folder: join(disk.folder, "data") });
    assert.equal(await tokenStatus(system), 200);

    disk.fill(LOW_BYTES);
    await until(
      "alarm of the monitor",
      async () => (await system.redoubt(["alarms", "list", "--json"])).stdout,
      (list) => list.includes('"disk-low"'),
    );
    await until(
      "alarm of the supervisor",
      async () => system.supervisor.stderr,
      (text) => text.includes('"kind":"disk-space","severity":"warning"'),
    );
    assert.equal(await tokenStatus(system), 200);
    assert.match((await system.redoubt(["status"])).stdout, /^Disk: \d MB free \(low\)$/m);

    // What the processes give back is taken, too.
    const filling = setInterval(() => disk.fill(0), 200);
    try {
      await untilPage(system, "monitor on a full disk", (page) =>
        reasonOf(page, "monitor").startsWith("ERR_MONITOR_DISK_FULL"),
      );
      assert.equal(await tokenStatus(system), 503);
      await untilPage(system, "ledger on a full disk", (page) =>
        reasonOf(page, "ledger").startsWith("ERR_LEDGER_FULL"),
      );
      await pause(6000);
      const page = await system.status();
      assert.deepEqual(restartsOf(page), Array(8).fill(0), JSON.stringify(page));
      const { code, stdout } = await system.redoubt(["status"]);
      assert.equal(code, 2);
      assert.match(stdout, /^Alarms cannot be read$/m);
      assert.match(stdout, /disk is full/);
      assert.doesNotMatch(stdout, /No open alarm/);

      // What is started on a full disk waits for room, and says so.
      for (const { pid } of Object.values(page)) process.kill(Number(pid), "SIGKILL");
      await pause(8000);
      const later = await system.status();
      assert.deepEqual(restartsOf(later), Array(8).fill(1), JSON.stringify(later));
      for (const service of ["ledger", "monitor"])
        assert.match(reasonOf(later, service), /^ERR_(?:MONITOR_)?DISK_FULL/);
    } finally {
      clearInterval(filling);
    }
    disk.free();
    const back = await untilPage(system, "everything ready again", isReady);
    assert.deepEqual(restartsOf(back), Array(8).fill(1));
    assert.equal(await tokenStatus(system), 200);
    const alarms = await until(
      "end of the alarm",
      async () => (await system.redoubt(["alarms", "list", "--json"])).stdout,
      (list) => !list.includes('"disk-'),
    );
    assert.doesNotMatch(alarms, /critical/);
  });

  it("a start on it waits for room, however long that takes, and says so", async (t: TestContext) => {
    using disk = SmallDisk.mount(DISK_BYTES);
    if (!disk) return t.skip("this user may mount nothing");
    const folder = join(disk.folder, "data");
    await using system = await startSystem({ folder });
    await system.stop();
    disk.fill(0);
    const again = new RedoubtProcess(["--json", "--data", folder, "up"], { isTied: true });
    try {
      await until(
        "alarm of the supervisor",
        () => again.stderr,
        (text) => text.includes('"kind":"disk-space","severity":"critical","level":"none"'),
      );
      const page = await system.status();
      assert.match(reasonOf(page, "ledger"), /^ERR_DISK_FULL/);
      assert.deepEqual(restartsOf(page), Array(8).fill(0), JSON.stringify(page));
      disk.free();
      await again.line((text) => text.includes('"ready":true'), SETTLE_MS);
      assert.equal(await tokenStatus(system), 200);
    } finally {
      again.kill("SIGINT");
      await again.ended;
    }
  });
});
