import assert from "node:assert/strict";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, before, describe, it } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { isJsonObject, parseJsonObject, type JsonObject } from "@redoubt/verify/json";
import { endpointsOf, TokenLoad, type TokenEndpoint } from "../soak/token-load.ts";
import { RedoubtProcess } from "./redoubt-process.ts";
import { startSystem, type System } from "./system.ts";
import { until } from "./until.ts";

const PLAIN = { recursive: true, filter: (path: string) => !path.endsWith("/sock") };

/** A system whose processes are stopped and started again on a folder that a test exchanges parts of. */
class Deployment implements AsyncDisposable {
  readonly root: string = mkdtempSync(join(tmpdir(), "redoubt-restore-"));
  readonly folder: string = join(this.root, "data");
  base = 0;
  endpoints: readonly TokenEndpoint[] = [];
  #system: System | undefined;
  #raw: RedoubtProcess | undefined;

  async start(): Promise<void> {
    const port = this.base === 0 ? {} : { port: this.base };
    this.#system = await startSystem({ folder: this.folder, ...port });
    this.base = this.#system.base;
    this.endpoints = endpointsOf(this.#system);
  }

  /** As `start`, where it may never be ready. */
  startRaw(): void {
    const args = ["--json", "--data", this.folder, "up"];
    this.#raw = new RedoubtProcess(args, { isTied: true });
  }

  async stop(): Promise<void> {
    await this.#system?.stop();
    this.#system = undefined;
    this.#raw?.kill("SIGINT");
    await this.#raw?.ended;
    this.#raw = undefined;
  }

  copy(name: string): void {
    cpSync(this.folder, join(this.root, name), PLAIN);
  }

  restore(name: string, services: readonly string[]): void {
    for (const service of services) {
      rmSync(join(this.folder, service), { recursive: true });
      cpSync(join(this.root, name, service), join(this.folder, service), PLAIN);
    }
  }

  async status(): Promise<Readonly<Record<string, JsonObject>>> {
    const url = `http://127.0.0.1:${this.base + 4}/status.json`;
    const text = await fetch(url).then(
      (answer) => answer.text(),
      () => "{}",
    );
    const page = Object.entries(parseJsonObject(text, { maxBytes: 1024 * 1024 }));
    return Object.fromEntries(
      page.map(([name, value]) => [name, isJsonObject(value) ? value : {}]),
    );
  }

  recover(args: readonly string[]) {
    return this.redoubt(["recover", ...args]);
  }

  redoubt(args: readonly string[]) {
    return new RedoubtProcess(["--json", "--data", this.folder, ...args]).ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    rmSync(this.root, { recursive: true, force: true });
  }
}

/** Tokens from every issuer. */
async function issue(deployment: Deployment, count: number): Promise<void> {
  const load = new TokenLoad(deployment.endpoints);
  load.start(4);
  while (load.received.size < count) await pause(10);
  await load.stop();
  await until(
    "everything is cosigned",
    () => deployment.status(),
    ({ ledger }) => {
      const logs = ledger?.["logs"];
      return Array.isArray(logs) && logs.filter(isJsonObject).every(isCosigned);
    },
  );
}

function isCosigned(log: JsonObject): boolean {
  return log["closed"] === true || log["size"] === log["cosignedSize"];
}

/** Both signers work, or say why not. */
function isDecided(status: Readonly<Record<string, JsonObject>>): boolean {
  return SIGNERS.every((name) => {
    const { ready, trouble } = status[name] ?? {};
    return ready === true || (typeof trouble === "string" && !PASSING.includes(trouble));
  });
}

const SIGNERS = ["signer-consumer", "signer-enterprise"];
/** While processes start. */
const PASSING = ["ERR_WIRE_CONNECT", "ERR_WIRE_CLOSED", "ERR_WIRE_TIMEOUT", "ERR_WITNESS_AWAY"];
const PARTS: Readonly<Record<string, readonly string[]>> = {
  ledger: ["ledger"],
  signers: SIGNERS,
  issuers: ["issuer-consumer", "issuer-enterprise"],
  monitor: ["monitor"],
};

type Expected = "issues" | "recover log" | "recover witness";

/**
 * A tree that is older than what the witness or the signer remembers is not gone on with. Where everybody who could
 * remember is old, nobody can know.
 */
function expected(old: readonly string[]): Expected {
  const is = (part: string): boolean => old.includes(part);
  if (is("ledger")) return is("monitor") && is("signers") ? "issues" : "recover log";
  return is("monitor") ? "recover witness" : "issues";
}

/** The command that is named does it, and says what first. */
async function recovered(deployment: Deployment, answer: Expected): Promise<void> {
  const { code, stdout } = await deployment.recover(["check"]);
  assert.equal(code, answer === "issues" ? 0 : 2, stdout);
  if (answer === "issues") return;
  assert.match(stdout, new RegExp(`redoubt ${answer}`));
  const why = ["--reason", "test", "--yes"];
  if (answer === "recover witness") {
    const early = await deployment.recover(["log", "--realm", "enterprise", ...why]);
    assert.equal(early.code, 1);
    assert.match(early.stdout, /ERR_RECOVER.*recover witness comes first/);
  }
  const commands =
    answer === "recover witness"
      ? [["witness", ...why]]
      : ["consumer", "enterprise"].map((realm) => ["log", "--realm", realm, ...why]);
  for (const args of commands) {
    const done = await deployment.recover(args);
    assert.equal(done.code, 0, done.stderr);
    assert.match(done.stderr, answer === "recover witness" ? /goes on from/ : /takes its place/);
  }
  const load = new TokenLoad(deployment.endpoints);
  load.start(1);
  const isMore = await load.more(5, 20_000);
  await load.stop();
  assert.ok(isMore, JSON.stringify(await deployment.status()));
  await until(
    "nothing stands still",
    () => deployment.recover(["check"]),
    (end) => end.code === 0,
  );
}

function subsets(names: readonly string[]): string[][] {
  return names.reduce<string[][]>(
    (all, name) => [...all, ...all.map((one) => [...one, name])],
    [[]],
  );
}

describe("THREAT-38: old copies of each part, each pair, each three, and all", () => {
  const deployment = new Deployment();
  before(async () => {
    await deployment.start();
    await issue(deployment, 50);
    await deployment.stop();
    deployment.copy("old");
    await deployment.start();
    await issue(deployment, 77);
    await deployment.stop();
    deployment.copy("new");
  });
  after(() => deployment[Symbol.asyncDispose]());
  for (const old of subsets(Object.keys(PARTS)).slice(1))
    it(`${old.join(" + ")}: ${expected(old)}`, async () => {
      const answer = expected(old);
      deployment.restore("new", [...Object.values(PARTS).flat(), "up", "publisher"]);
      deployment.restore(
        "old",
        old.flatMap((part) => PARTS[part] ?? []),
      );
      const load = new TokenLoad(deployment.endpoints);
      deployment.startRaw();
      load.start(2);
      try {
        await until("the signers' word", () => deployment.status(), isDecided);
        if (answer === "issues")
          await until(
            "tokens",
            () => load.received.size,
            (n) => n > 20,
          );
        else await pause(1500);
        await load.stop();
        // A witness that forgot says what it holds before it notices: the tree is the true one, and goes on.
        if (answer === "recover log") assert.equal(load.received.size, 0);
        await recovered(deployment, answer);
      } finally {
        await load.stop();
        await deployment.stop();
      }
    });

  it("one flipped bit in the newest batch of each issuance log: recover log, and nothing looks like a forgery", async () => {
    deployment.restore("new", [...Object.values(PARTS).flat(), "up", "publisher"]);
    flipNewest(join(deployment.folder, "ledger", "ledger.db"));
    deployment.startRaw();
    try {
      await until(
        "the ledger's word",
        () => deployment.recover(["check"]),
        ({ stdout }) => stdout.match(/the ledger has halted it/g)?.length === 2,
      );
      await recovered(deployment, "recover log");
      const { stdout } = await deployment.redoubt(["alarms"]);
      for (const kind of ["forged", "fork", "undelivered", "log-cut", "orphan-used"])
        assert.ok(!stdout.includes(`"${kind}"`), stdout);
      const verified = await deployment.redoubt(["ledger", "verify"]);
      assert.equal(verified.code, 0, verified.stdout + verified.stderr);
    } finally {
      await deployment.stop();
    }
  });
});

/** In the last entry of each log but the registry. */
function flipNewest(path: string): void {
  const database = new DatabaseSync(path);
  const newest = "first=(select max(first) from batch as b where b.log=batch.log)";
  const rows = database
    .prepare(`select log, first, entries from batch where ${newest}`)
    .all()
    .filter(({ entries }) => entries instanceof Uint8Array && entries[2] === 1);
  assert.equal(rows.length, 2);
  for (const { log = 0, first = 0, entries } of rows) {
    assert.ok(entries instanceof Uint8Array);
    entries[entries.length - 1] = (entries.at(-1) ?? 0) ^ 1;
    const change = "update batch set entries=? where log=? and first=?";
    database.prepare(change).run(entries, log, first);
  }
  database.close();
}
