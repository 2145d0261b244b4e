import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join as joinPath } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, it } from "node:test";
import { CompactRange } from "@redoubt/tlog";
import { Database } from "../store/database.ts";
import { SCHEMA_STEPS } from "../store/schema.ts";
import { IssuedJoin, KEPT_SECONDS } from "./issued-join.ts";
import { DELIVERY, IssuedStore } from "./issued-store.ts";
import { RunningTime } from "./running-time.ts";

const REALM = "enterprise";

/** One monitor's memory of what was issued, over several runs, at a time that the test sets. */
class Memory implements Disposable {
  readonly folder = mkdtempSync(joinPath(tmpdir(), "issued-"));
  readonly path = joinPath(this.folder, "monitor.db");
  wallSeconds = 1_795_000_000;
  #activeSeconds = 0;
  #db: Database | undefined;
  #size = 0;
  join: IssuedJoin;

  constructor() {
    this.join = this.#open();
    this.#database.prepare("INSERT INTO follow VALUES (1, 'l', ?, 0, x'', x'', 0)").run(REALM);
  }

  get #database(): Database {
    assert.ok(this.#db);
    return this.#db;
  }

  get rows(): number {
    return Number(this.#database.prepare("SELECT count(*) AS n FROM issued").get()?.["n"]);
  }

  /** A process that starts: its active time begins at 0. */
  restart(): void {
    this.#db?.[Symbol.dispose]();
    this.#activeSeconds = 0;
    this.join = this.#open();
  }

  /** The clock goes on, and this process is running. */
  run(seconds: number): void {
    this.wallSeconds += seconds;
    this.#activeSeconds += seconds;
  }

  add(...digests: Buffer[]): void {
    const first = this.#size;
    this.#size += digests.length;
    this.join.add({
      log: "l",
      logId: 1,
      realm: REALM,
      first,
      digests: Buffer.concat(digests),
      range: CompactRange.empty(),
      isWatched: true,
    });
  }

  /** What a tick does. */
  tick(verdict: typeof DELIVERY.undelivered | typeof DELIVERY.orphaned = DELIVERY.orphaned): void {
    this.#database.transaction(() => {
      this.join.write();
      this.join.expire(() => verdict);
      this.join.prune();
    });
  }

  #open(): IssuedJoin {
    this.#db = new Database(this.path);
    const active = (): number => this.#activeSeconds * 1000;
    const running = new RunningTime(this.#db, { now: () => this.wallSeconds * 1000 }, active);
    return new IssuedJoin({ store: new IssuedStore(this.#db), running, active });
  }

  [Symbol.dispose](): void {
    this.#db?.[Symbol.dispose]();
    rmSync(this.folder, { recursive: true });
  }
}

describe("forgetting what was issued", () => {
  it("keeps a digest for lifetime, tolerance and outage, to the second, and forgets it then", () => {
    using memory = new Memory();
    const [old, young] = [randomBytes(32), randomBytes(32)];
    memory.add(old);
    assert.notEqual(memory.join.deliver(old, REALM), undefined);
    memory.tick();
    memory.run(1);
    memory.add(young);
    assert.notEqual(memory.join.deliver(young, REALM), undefined);
    memory.tick();
    assert.equal(KEPT_SECONDS, 86_400 + 300 + 7 * 86_400);
    memory.run(KEPT_SECONDS - 1);
    memory.tick();
    // On the boundary: a late report is no miss, and a late delivery is not unlogged.
    assert.equal(memory.join.has(old), true);
    assert.equal(memory.join.deliver(old, REALM), 0);
    memory.run(1);
    memory.tick();
    assert.deepEqual([memory.join.has(old), memory.join.has(young)], [false, true]);
    assert.equal(memory.join.deliver(old, REALM), undefined);
    memory.run(1);
    memory.tick();
    assert.deepEqual([memory.join.has(young), memory.rows], [false, 0]);
  });

  for (const verdict of [DELIVERY.undelivered, DELIVERY.orphaned] as const)
    it(`keeps what was ${verdict === DELIVERY.undelivered ? "undelivered" : "orphaned"} as long, for a late delivery of it`, () => {
      using memory = new Memory();
      const digest = randomBytes(32);
      memory.add(digest);
      memory.run(45);
      memory.tick(verdict);
      memory.run(KEPT_SECONDS);
      memory.tick();
      assert.equal(memory.join.deliver(digest, REALM), 0);
      memory.tick();
      assert.equal(memory.rows, 1);
      memory.run(1);
      memory.tick();
      assert.equal(memory.rows, 0);
    });

  it("THREAT-28: never forgets an entry whose delivery is still awaited", () => {
    using memory = new Memory();
    const digest = randomBytes(32);
    memory.add(digest);
    memory.run(3);
    memory.tick();
    memory.run(KEPT_SECONDS + 1);
    memory.join.prune();
    assert.equal(memory.rows, 1);
    // A run that begins then reads it back as open, and judges it after a deadline of its own.
    memory.restart();
    memory.join.prune();
    memory.run(44);
    const judged: Buffer[] = [];
    const judge = (): void =>
      memory.join.expire((_, one) => {
        judged.push(one);
        return DELIVERY.undelivered;
      });
    judge();
    assert.deepEqual(judged, []);
    memory.run(1);
    judge();
    assert.deepEqual(judged, [digest]);
  });

  it("THREAT-29: counts neither the time while it was down nor a clock that is set forward or back", () => {
    using memory = new Memory();
    const digest = randomBytes(32);
    memory.add(digest);
    memory.join.deliver(digest, REALM);
    memory.tick();
    memory.wallSeconds += 10 * KEPT_SECONDS;
    memory.restart();
    memory.tick();
    assert.equal(memory.join.has(digest), true);
    memory.wallSeconds -= 20 * KEPT_SECONDS;
    memory.run(KEPT_SECONDS);
    memory.tick();
    memory.restart();
    memory.tick();
    assert.equal(memory.join.has(digest), true);
    memory.run(1);
    memory.tick();
    assert.equal(memory.join.has(digest), false);
  });

  it("a run that ends within a minute of its last note keeps rows longer, never shorter", () => {
    using memory = new Memory();
    const digest = randomBytes(32);
    memory.add(digest);
    memory.join.deliver(digest, REALM);
    memory.tick();
    memory.run(59);
    memory.tick();
    memory.restart();
    memory.run(KEPT_SECONDS);
    memory.tick();
    assert.equal(memory.join.has(digest), true);
    memory.run(1);
    memory.tick();
    assert.equal(memory.join.has(digest), false);
  });

  it("forgets a bounded number at once, oldest first", () => {
    using memory = new Memory();
    const digests = Array.from({ length: 5001 }, () => randomBytes(32));
    const [newest] = digests.slice(-1);
    assert.ok(newest);
    memory.add(...digests.slice(0, -1));
    for (const digest of digests.slice(0, -1)) memory.join.deliver(digest, REALM);
    memory.tick();
    memory.run(1);
    memory.add(newest);
    memory.join.deliver(newest, REALM);
    memory.tick();
    memory.run(KEPT_SECONDS + 1);
    memory.tick();
    assert.deepEqual([memory.rows, memory.join.has(newest)], [1, true]);
    memory.tick();
    assert.equal(memory.rows, 0);
  });
});

function versionOf(path: string): unknown {
  using db = new DatabaseSync(path);
  return db.prepare("PRAGMA user_version").get()?.["user_version"];
}

describe("the monitor's database", () => {
  it("is brought up from an older version with what it holds, and refused from a newer one", () => {
    using memory = new Memory();
    const path = joinPath(memory.folder, "old.db");
    const old = new DatabaseSync(path);
    old.exec(SCHEMA_STEPS[0] ?? "");
    old.exec("PRAGMA user_version = 1");
    old.exec("INSERT INTO issued VALUES (x'00', 1, 0, 5, 1)");
    old.close();
    const upgraded = new Database(path);
    assert.equal(upgraded.prepare("SELECT at FROM issued").get()?.["at"], 5);
    upgraded[Symbol.dispose]();
    assert.equal(versionOf(path), SCHEMA_STEPS.length);
    new Database(path)[Symbol.dispose]();
    const fresh = joinPath(memory.folder, "fresh.db");
    new Database(fresh)[Symbol.dispose]();
    assert.equal(versionOf(fresh), SCHEMA_STEPS.length);
    const newer = new DatabaseSync(path);
    newer.exec(`PRAGMA user_version = ${SCHEMA_STEPS.length + 1}`);
    newer.close();
    assert.throws(() => new Database(path), { code: "ERR_MONITOR_STORE" });
  });
});
