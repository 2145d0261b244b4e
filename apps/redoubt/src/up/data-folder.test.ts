import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test, type TestContext } from "node:test";
import { errorCode, errorLine } from "@redoubt/base";
import { callersOf, servicesOf } from "../layout.ts";
import { SETTINGS_FILE, writeSettings } from "../settings.ts";
import { testCluster, testSettings } from "../testing/settings.ts";
import {
  checkDataFolder,
  createDataFolder,
  isMissingOrEmpty,
  lockDataFolder,
} from "./data-folder.ts";

function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "redoubt-data-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** The folders of a data folder, as set-up makes them; the check looks at no file but the settings. */
function makeFolders(folder: string, clusters: readonly string[] = []): void {
  mkdirSync(join(folder, "up"), { recursive: true, mode: 0o700 });
  for (const service of servicesOf({ clusters, leased: [] })) {
    mkdirSync(join(folder, service, "s"), { recursive: true, mode: 0o700 });
    for (const caller of callersOf(service, { clusters, leased: [] }))
      mkdirSync(join(folder, service, "s", caller), { mode: 0o700 });
  }
  writeSettings(folder, { ...testSettings(), clusters: clusters.map(testCluster) });
}

function dataFolder(t: TestContext): string {
  const folder = join(temporaryFolder(t), "data");
  makeFolders(folder);
  return folder;
}

function refuses(folder: string, code: string, pattern: RegExp): void {
  assert.throws(
    () => checkDataFolder(folder),
    (error) => {
      assert.equal(errorCode(error), code);
      assert.match(errorLine(error), pattern);
      return true;
    },
  );
}

test("the folders of a cluster are looked at, too", (t) => {
  for (const part of ["signer-prod/s/kube-front", "kube-front-prod", "monitor/s/kube-front-prod"]) {
    const folder = join(temporaryFolder(t), "data");
    makeFolders(folder, ["prod"]);
    assert.equal(checkDataFolder(folder).clusters[0]?.realm, "prod");
    rmSync(join(folder, part), { recursive: true });
    refuses(folder, "ERR_DATA_INCOMPLETE", new RegExp(`${part} is missing`));
  }
});

test("a whole data folder passes", (t) => {
  checkDataFolder(dataFolder(t));
});

const INNER = [
  "",
  "up",
  "ledger",
  "monitor",
  "signer-enterprise",
  "publisher",
  "ledger/s",
  "ledger/s/operator",
  "signer-consumer/s/issuer",
] as const;

for (const inner of INNER) {
  test(`THREAT-32: a loose mode of ${inner || "the folder itself"} is refused`, (t) => {
    const folder = dataFolder(t);
    for (const mode of [0o750, 0o705, 0o710, 0o701, 0o777]) {
      chmodSync(join(folder, inner), mode);
      refuses(folder, "ERR_FILE_MODE", /open to others: make it mode 0700/);
    }
    chmodSync(join(folder, inner), 0o700);
    checkDataFolder(folder);
  });

  test(`THREAT-32: a link in place of ${inner || "the folder itself"} is refused`, (t) => {
    const folder = dataFolder(t);
    const elsewhere = join(dirname(folder), "elsewhere");
    makeFolders(elsewhere);
    rmSync(join(folder, inner), { recursive: true });
    symlinkSync(join(elsewhere, inner), join(folder, inner));
    refuses(folder, "ERR_FILE_KIND", /Not a folder/);
  });

  test(`a data folder without ${inner || "anything"} is not complete`, (t) => {
    const folder = dataFolder(t);
    rmSync(join(folder, inner), { recursive: true });
    refuses(folder, "ERR_DATA_INCOMPLETE", /not complete/);
  });
}

test("a half-written data folder, without settings, says what to do", (t) => {
  const folder = dataFolder(t);
  rmSync(join(folder, SETTINGS_FILE));
  refuses(
    folder,
    "ERR_DATA_INCOMPLETE",
    /move it away and start again, or name another with --data/,
  );
});

test("somebody else's folder is not taken over", (t) => {
  const folder = temporaryFolder(t);
  writeFileSync(join(folder, "diary.txt"), "mine");
  assert.equal(isMissingOrEmpty(folder), false);
  refuses(folder, "ERR_DATA_INCOMPLETE", /not complete/);
  assert.deepEqual(readdirSync(folder), ["diary.txt"]);
});

test("a file, or a link to a folder, is no data folder", (t) => {
  const parent = temporaryFolder(t);
  writeFileSync(join(parent, "file"), "");
  mkdirSync(join(parent, "target"));
  symlinkSync(join(parent, "target"), join(parent, "link"));
  for (const name of ["file", "link"])
    assert.throws(() => isMissingOrEmpty(join(parent, name)), {
      code: "ERR_DATA_FOLDER",
      message: /is not a folder: name another with --data/,
    });
  assert.throws(() => isMissingOrEmpty(join(parent, "file", "data")), { code: "ERR_DATA_FOLDER" });
});

test("nothing at all and an empty folder are where a new one may be made", (t) => {
  const parent = temporaryFolder(t);
  assert.equal(isMissingOrEmpty(join(parent, "data")), true);
  mkdirSync(join(parent, "data"));
  assert.equal(isMissingOrEmpty(join(parent, "data")), true);
});

test("a new data folder appears whole, closed to others, and its parents with it", async (t) => {
  const folder = join(temporaryFolder(t), "a", "b", "data");
  await createDataFolder(folder, async (temporary) => {
    assert.equal(existsSync(folder), false);
    makeFolders(temporary);
  });
  checkDataFolder(folder);
  assert.deepEqual(readdirSync(dirname(folder)), ["data"]);
});

test("a set-up that fails leaves nothing behind, and says why in one line", async (t) => {
  const parent = temporaryFolder(t);
  const failing = createDataFolder(join(parent, "data"), async (temporary) => {
    makeFolders(temporary);
    throw Object.assign(new Error("Disk is full"), { code: "ENOSPC" });
  });
  await assert.rejects(failing, { code: "ERR_DATA_FOLDER", message: /cannot be used \(ENOSPC\)/ });
  assert.deepEqual(readdirSync(parent), []);
});

test("an empty folder becomes a data folder; one that was filled meanwhile is left alone", async (t) => {
  const folder = join(temporaryFolder(t), "data");
  mkdirSync(folder, { mode: 0o755 });
  await createDataFolder(folder, async (temporary) => makeFolders(temporary));
  checkDataFolder(folder);
  const second = createDataFolder(folder, async (temporary) => {
    mkdirSync(join(temporary, "up"));
  });
  await assert.rejects(second, { code: "ERR_DATA_FOLDER", message: /\(ENOTEMPTY\)/ });
  checkDataFolder(folder);
  assert.deepEqual(readdirSync(dirname(folder)), ["data"]);
});

test("what an earlier set-up left behind when it was killed does not stop the next", async (t) => {
  const parent = temporaryFolder(t);
  const folder = join(parent, "data");
  // A process id comes again, in a container above all.
  mkdirSync(`${folder}.new-${process.pid}`, { mode: 0o700 });
  mkdirSync(`${folder}.new-`, { mode: 0o700 });
  await createDataFolder(folder, async (temporary) => makeFolders(temporary));
  checkDataFolder(folder);
});

test("a folder that cannot be written says so", async (t) => {
  // Root may write anywhere that holds files; the process table holds none.
  const isRoot = process.getuid?.() === 0;
  const parent = isRoot ? "/proc" : temporaryFolder(t);
  if (!isRoot) chmodSync(parent, 0o500);
  const failing = createDataFolder(join(parent, "redoubt-data"), async () => undefined);
  await assert.rejects(failing, {
    code: "ERR_DATA_FOLDER",
    message: /cannot be used \((EACCES|ENOENT|EROFS|EPERM)\): name another with --data/,
  });
});

test("one process holds the lock at a time, and gives it back", (t) => {
  const folder = dataFolder(t);
  const first = lockDataFolder(folder);
  assert.throws(() => lockDataFolder(folder), { code: "ERR_ALREADY_RUNNING" });
  first[Symbol.dispose]();
  lockDataFolder(folder)[Symbol.dispose]();
});

test("the lock of another process holds, and ends with that process however it ends", async (t) => {
  const folder = dataFolder(t);
  const holder = spawn(
    process.execPath,
    [
      "--input-type=module",
      "--eval",
      `import { lockDataFolder } from ${JSON.stringify(new URL("data-folder.ts", import.meta.url).href)};
       globalThis.lock = lockDataFolder(process.argv[1]);
       console.log("locked");
       setInterval(() => undefined, 1000);`,
      folder,
    ],
    { stdio: ["ignore", "pipe", "inherit"] },
  );
  const ended = new Promise<void>((resolve) => {
    holder.once("close", () => resolve());
  });
  try {
    const [line] = await holder.stdout.take(1).toArray();
    assert.equal(String(line), "locked\n");
    assert.throws(() => lockDataFolder(folder), {
      code: "ERR_ALREADY_RUNNING",
      message: /already running on .*: stop it first, or name another folder with --data/,
    });
  } finally {
    holder.kill("SIGKILL");
    await ended;
  }
  lockDataFolder(folder)[Symbol.dispose]();
});

test("a lock file that is not ours to open is a clear refusal", (t) => {
  const folder = dataFolder(t);
  mkdirSync(join(folder, "up", "lock.db"));
  assert.throws(() => lockDataFolder(folder), { code: "ERR_DATA_FOLDER" });
});
