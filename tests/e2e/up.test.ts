import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it, test, type TestContext } from "node:test";
import { promisify } from "node:util";
import { MemberReader } from "@redoubt/base";
import { isJsonObject, parseJson, parseJsonObject, type JsonValue } from "@redoubt/verify/json";
import { freeBasePort } from "./free-ports.ts";
import { RedoubtProcess } from "./redoubt-process.ts";
import { redoubt, startSystem, survivors, type Ending, type System } from "./system.ts";
import { SETTLE_MS, until } from "./until.ts";

const shell = promisify(execFile);

function temporaryFolder(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "redoubt-up-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

function failsInOneLine(ending: Ending, pattern: RegExp): void {
  assert.equal(ending.code, 1, ending.stderr);
  assert.match(ending.stderr, pattern);
  assert.match(ending.stderr, /^redoubt: [^\n]+\n$/);
}

function readers(value: JsonValue): MemberReader[] {
  assert.ok(Array.isArray(value));
  return value.map((item: JsonValue) => new MemberReader(isJsonObject(item) ? item : {}, "item"));
}

/** Kids of all keys, and the size of each log but the broker's: each start asks for leases. */
async function identity(system: System) {
  const keys = readers(parseJson((await system.redoubt(["--json", "keys", "list"])).stdout));
  const status = new MemberReader(
    parseJsonObject((await system.redoubt(["--json", "status"])).stdout, { maxDepth: 16 }),
    "status",
  );
  const sizes = readers(status.array("logs", 16)).map(
    (log) => [log.string("log"), log.integer("size", 0, 10_000)] as const,
  );
  return {
    kids: keys.map((key) => key.string("kid")).toSorted(),
    sizes: new Map(sizes.filter(([log]) => log !== "redoubt.local/broker")),
  };
}

describe("redoubt up", () => {
  let system: System;
  before(async () => {
    system = await startSystem({ leases: true });
  });
  after(() => system[Symbol.asyncDispose]());

  it("announces, as one line of JSON, a command that gets a token", async () => {
    const { stdout } = await shell("/bin/sh", ["-c", system.announcement.token]);
    const answer = new MemberReader(parseJsonObject(stdout), "token answer");
    assert.match(answer.string("access_token", 4096), /^[\w-]+\.[\w-]+\.[\w-]+$/);
    assert.equal(system.supervisor.stdout.trim().split("\n").length, 1);
    assert.equal(system.announcement.data, system.folder);
  });

  it("announces issuers whose metadata and keys are there", async () => {
    assert.equal(system.announcement.issuers.length, 2);
    for (const { issuer } of system.announcement.issuers) {
      const metadata = await fetch(`${issuer}/.well-known/openid-configuration`);
      const reader = new MemberReader(parseJsonObject(await metadata.text()), "metadata");
      assert.equal(reader.string("issuer"), issuer);
      const keys = await fetch(reader.string("jwks_uri"));
      assert.equal(Array.isArray(parseJsonObject(await keys.text())["keys"]), true);
    }
  });

  it("announces a status page, on loopback, for whoever asks by its own name", async () => {
    const page = await fetch(system.announcement.status);
    assert.equal(page.status, 200);
    assert.match(page.headers.get("content-security-policy") ?? "", /default-src 'none'/);
    assert.equal((await fetch(system.announcement.status, { method: "POST" })).status, 405);
    assert.equal(Object.keys(await system.status()).length, 11);
  });

  it("a second start on the same folder fails in one line, and harms nothing", async () => {
    const pids = await system.pids();
    const args = ["--data", system.folder, "up"];
    failsInOneLine(await redoubt(args), /already running on .*: stop it first/);
    failsInOneLine(await redoubt([...args, "--port", "7999"]), /was made for port|already running/);
    assert.deepEqual(await system.pids(), pids);
    assert.equal((await system.redoubt(["status"])).code, 0);
  });

  it("P5: keys are with the gateways from the first one on, and each use has a lease", async () => {
    for (const realm of ["consumer", "enterprise"]) {
      assert.deepEqual(readdirSync(join(system.folder, `signer-${realm}`, "custody")), []);
      assert.notDeepEqual(readdirSync(join(system.folder, `custody-${realm}`, "keys")), []);
    }
    const { stdout, code } = await system.redoubt(["status"]);
    assert.equal(code, 0, stdout);
    assert.match(stdout, /hardware: none/);
    const plain = ["--data", system.folder, "up", "--no-leases"];
    failsInOneLine(await redoubt(plain), /has leases, and keeps them/);
    assert.equal((await system.redoubt(["drill", "storm-0558"])).code, 0);
  });

  it("THREAT-32: the data folder is closed to everybody else, and every secret in it", () => {
    assert.equal(statSync(system.folder).mode & 0o077, 0);
    for (const entry of readdirSync(system.folder, { recursive: true, withFileTypes: true }))
      if (entry.isFile() && /secret|[.]key|[.]pass|config[.]json|demo[.]json/.test(entry.name))
        assert.equal(statSync(join(entry.parentPath, entry.name)).mode & 0o077, 0, entry.name);
  });
});

test("a taken port is named in one line, and nothing is made", async (t) => {
  const folder = join(temporaryFolder(t), "data");
  const base = await freeBasePort();
  const squatter = createServer();
  await new Promise<void>((resolve) => {
    squatter.listen({ port: base + 3, host: "127.0.0.1" }, () => resolve());
  });
  try {
    const ending = await redoubt(["--data", folder, "up", "--port", String(base)]);
    failsInOneLine(
      ending,
      new RegExp(`Port ${base + 3} is taken: choose six free ports with --port`),
    );
    assert.equal(existsSync(folder), false);
  } finally {
    await new Promise<void>((resolve) => {
      squatter.close(() => resolve());
    });
  }
});

test("a folder that is not ours is refused in one line, and left as it is", async (t) => {
  const folder = temporaryFolder(t);
  writeFileSync(join(folder, "diary.txt"), "mine");
  failsInOneLine(await redoubt(["--data", folder, "up"]), /is not complete: move it away/);
  failsInOneLine(await redoubt(["--data", join(folder, "diary.txt"), "up"]), /is not a folder/);
  assert.deepEqual(readdirSync(folder), ["diary.txt"]);
});

test("stopped while it starts, it leaves no process behind", async (t) => {
  const folder = join(temporaryFolder(t), "data");
  const base = await freeBasePort();
  const up = new RedoubtProcess(["--data", folder, "up", "--port", String(base)], { isTied: true });
  const lock = join(folder, "up", "lock.db");
  await until(
    "the folder is locked",
    () => existsSync(lock) || !up.isRunning,
    (isSo) => isSo,
  );
  const page = `http://127.0.0.1:${base + 4}/status.json`;
  const pids = await until(
    "eleven processes have started",
    async () => {
      const answer = await fetch(page).catch(() => undefined);
      return answer ? servicePids(parseJsonObject(await answer.text())) : [];
    },
    (started) => started.length === 11 || !up.isRunning,
  );
  up.kill("SIGINT");
  const ending = await up.ended;
  assert.equal(ending.code, 0, ending.stderr);
  assert.deepEqual(await survivors(pids, SETTLE_MS), []);
});

function servicePids(page: ReturnType<typeof parseJsonObject>): number[] {
  return Object.values(page).flatMap((value) => {
    const pid = isJsonObject(value) ? value["pid"] : undefined;
    return typeof pid === "number" ? [pid] : [];
  });
}

describe("a data folder outlives its processes", () => {
  const folder = join(mkdtempSync(join(tmpdir(), "redoubt-life-")), "data");
  let running: System | undefined;
  let known: Awaited<ReturnType<typeof identity>>;
  let token = "";
  after(async () => {
    await running?.stop();
    rmSync(join(folder, ".."), { recursive: true, force: true });
  });

  it("Ctrl-C ends every process, and the supervisor with exit code 0", async () => {
    running = await startSystem({ folder, leases: true });
    token = (await running.redoubt(["token"])).stdout.trim();
    known = await identity(running);
    const pids = await running.pids();
    assert.equal(pids.length, 12);
    const ending = await running.stop();
    assert.deepEqual({ code: ending.code, signal: ending.signal }, { code: 0, signal: null });
    // A slow machine is told what is waited for.
    assert.equal(ending.stderr.replaceAll(/^Waiting for .*\n/gm, ""), "");
    assert.deepEqual(await survivors(pids, SETTLE_MS), []);
    const status = await running.redoubt(["status"]);
    failsInOneLine(status, /Redoubt is not running on .*: start it with npm start/);
  });

  it("a second start finds the same keys and the same logs", async () => {
    const { base } = running ?? assert.fail("not started");
    running = await startSystem({ folder, port: base });
    assert.deepEqual(await identity(running), known);
    // docs/spec/reports.md §4: after a clean stop there is no gap in which a forgery would be a notice only.
    const sessions = readFileSync(join(folder, "up", "logs", "monitor.security.ndjson"), "utf8")
      .split("\n")
      .filter((line) => line.includes('"issuer_session"'));
    assert.equal(sessions.length, 4);
    for (const line of sessions) assert.match(line, /"unclean":false/);
    assert.equal((await running.redoubt(["verify"], token)).code, 0);
    assert.equal((await running.redoubt(["ledger", "prove", token])).code, 0);
  });

  it("kill -9 of the supervisor leaves no process behind, and loses nothing", async () => {
    const system = running ?? assert.fail("not started");
    const last = (await system.redoubt(["token"])).stdout.trim();
    const pids = await system.pids();
    assert.equal(pids.length, 12);
    system.supervisor.kill("SIGKILL");
    assert.deepEqual(await survivors(pids, SETTLE_MS), []);
    running = await startSystem({ folder, port: system.base });
    assert.deepEqual((await identity(running)).kids, known.kids);
    for (const text of [token, last])
      assert.equal((await running.redoubt(["ledger", "prove", text])).code, 0);
    assert.equal((await running.redoubt(["ledger", "verify"])).code, 0);
  });
});
