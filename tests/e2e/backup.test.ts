import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  existsSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { parseJsonObject } from "@redoubt/verify/json";
import { endpointsOf, TokenLoad } from "../soak/token-load.ts";
import { RedoubtProcess } from "./redoubt-process.ts";
import { redoubt, startSystem } from "./system.ts";
import { until } from "./until.ts";

const guide = readFileSync(new URL("../../docs/guide/backup.md", import.meta.url), "utf8");

/** The command of the guide that begins like this, without what runs it. */
function command(begins: string): string[] {
  const line = guide.split("\n").find((one) => one.startsWith(`npm run -s redoubt -- ${begins}`));
  if (line === undefined) return assert.fail(`The guide has no command ${begins}`);
  const words = line.slice("npm run -s redoubt -- ".length).match(/"[^"]*"|\S+/g) ?? [];
  return words.map((word) => word.replaceAll('"', ""));
}

describe("docs/guide/backup.md: a copy of a running system, and its restoration", () => {
  const root = mkdtempSync(join(tmpdir(), "redoubt-backup-"));
  const [folder, copy] = [join(root, "data"), join(root, "copy")];
  let base = 0;
  after(() => rmSync(root, { recursive: true, force: true }));

  it("the copy is made under load, whole and private, and never over another", async () => {
    await using system = await startSystem({ folder });
    ({ base } = system);
    await withTokens(system, async (load) => {
      assert.ok(await load.more(50, 20_000));
      const made = await system.redoubt(["--json", ...command("backup").slice(0, 1), copy]);
      assert.equal(made.code, 0, made.stderr);
      assert.ok(await load.more(50, 20_000));
    });
    const again = await system.redoubt(["--json", "backup", copy]);
    assert.equal(again.code, 1);
    assert.match(again.stdout, /ERR_BACKUP.*not there yet/);
    checkPrivate(copy);
  });

  it("all parts: nobody remembers more than the copy", async () => {
    renameSync(folder, join(root, "lost"));
    copyAll(copy, folder);
    await goesOn(folder, base, "nothing or witness");
  });

  const parts: readonly (readonly [string, Wanted])[] = [
    ["monitor", "witness"],
    ["signer-enterprise", "nothing"],
    ["issuer-enterprise", "nothing"],
    ["publisher", "nothing"],
    ["ledger", "registry"],
  ];
  for (const [name, wanted] of parts)
    it(`${name} alone: ${wanted}`, () => part(root, name, wanted, base));
});

async function part(root: string, name: string, wanted: Wanted, base: number): Promise<void> {
  const folder = join(root, "data");
  rmSync(join(folder, name), { recursive: true });
  copyAll(join(root, "copy", name), join(folder, name));
  await goesOn(folder, base, wanted);
}

/** As the guide says: with the modes. */
function copyAll(from: string, to: string): void {
  execFileSync("cp", ["-a", from, to]);
}

type Place = Parameters<typeof endpointsOf>[0];
type Wanted = "nothing" | "nothing or witness" | "witness" | "registry";

/** Starts it, does what `recover` names, and gets tokens; nothing of that looks like a forgery. */
async function goesOn(folder: string, base: number, wanted: Wanted): Promise<void> {
  const supervisor = new RedoubtProcess(["--data", folder, "up"], { isTied: true });
  try {
    await settle({ folder, base }, wanted);
  } finally {
    supervisor.kill("SIGINT");
    await supervisor.ended;
  }
}

async function settle(place: Place, wanted: Wanted): Promise<void> {
  const run = (args: readonly string[]) => redoubt(["--json", "--data", place.folder, ...args]);
  await until(
    "what recover says",
    () => run(command("recover")),
    ({ code, stdout }) =>
      (code === 0 && wanted.startsWith("nothing")) ||
      (code === 2 && stdout.includes(`recover ${wanted.replace("nothing or ", "")}`)),
  );
  // Whether the ledger's copy is newer than the monitor's hangs on a second; said twice, it does no harm.
  if (wanted.endsWith("witness")) await must(run([...command("recover witness"), "--yes"]));
  if (wanted === "registry") {
    await must(run([...command("recover registry"), "--yes"]));
    for (const realm of ["consumer", "enterprise"])
      await must(run([...command("recover log"), "--realm", realm, "--yes"]));
  }
  await withTokens(place, async (load) => assert.ok(await load.more(30, 20_000)));
  await until(
    "nothing stands still",
    () => run(["recover"]),
    ({ code }) => code === 0,
  );
  await pause(1000);
  const { stdout } = await run(["alarms"]);
  for (const kind of ["forged", "fork", "undelivered", "log-cut", "orphan-used"])
    assert.ok(!stdout.includes(`"${kind}"`), stdout);
}

/** While clients of every realm ask for tokens. */
async function withTokens(place: Place, work: (load: TokenLoad) => Promise<void>): Promise<void> {
  const load = new TokenLoad(endpointsOf(place));
  load.start(3);
  try {
    await work(load);
  } finally {
    await load.stop();
  }
}

async function must(ending: ReturnType<typeof redoubt>): Promise<void> {
  const { code, stdout, stderr } = await ending;
  assert.equal(code, 0, `${stdout} ${stderr}`);
  parseJsonObject(stdout);
}

/** THREAT-32: what was closed to others is so in the copy, and no socket, lock or log is in it. */
function checkPrivate(copy: string): void {
  for (const name of readdirSync(copy, { recursive: true, encoding: "utf8" })) {
    const { mode } = lstatSync(join(copy, name));
    if (!/^(?:ledger\/published|publisher\/www)/.test(name)) assert.equal(mode & 0o077, 0, name);
    assert.ok(!/-wal$|sock$|lock\.db$|deliveries\.journal$|(?:^|\/)logs\//.test(name), name);
  }
  assert.ok(existsSync(join(copy, "ledger", "ledger.db")));
}
