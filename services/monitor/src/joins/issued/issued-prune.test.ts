import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { join as joinPath } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { describe, it } from "node:test";
import { Database } from "../../store/database.ts";
import { SCHEMA_STEPS } from "../../store/schema.ts";
import { IssuedMemory, REALM } from "../../testing/issued-memory.ts";
import { DELIVERY } from "./batch.ts";
import { KEPT_SECONDS } from "./issued-join.ts";

describe("forgetting what was issued", () => {
  it("keeps a digest for lifetime, tolerance and outage, to the second, and forgets it then", () => {
    using memory = new IssuedMemory();
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
      using memory = new IssuedMemory();
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
    using memory = new IssuedMemory();
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
    using memory = new IssuedMemory();
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
    using memory = new IssuedMemory();
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
    using memory = new IssuedMemory();
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

describe("the monitor's database", () => {
  for (const version of [1, 2])
    it(`is brought up from version ${version} with what it holds`, () => {
      using memory = new IssuedMemory();
      const path = joinPath(memory.folder, "old.db");
      const old = new DatabaseSync(path);
      for (const step of SCHEMA_STEPS.slice(0, version)) old.exec(step);
      old.exec(`PRAGMA user_version = ${version}`);
      old.exec("INSERT INTO follow VALUES (1, 'l', 'enterprise', 2, x'', x'', 0)");
      const insert = old.prepare("INSERT INTO issued VALUES (?, 1, ?, 5, ?)");
      const [open, delivered] = [randomBytes(32), randomBytes(32)];
      insert.run(open, 0, DELIVERY.open);
      insert.run(delivered, 1, DELIVERY.delivered);
      old.close();
      memory.moveTo(path);
      assert.equal(memory.version, SCHEMA_STEPS.length);
      assert.deepEqual([memory.rows, memory.join.held], [2, 1]);
      assert.deepEqual([memory.join.has(open), memory.join.has(delivered)], [true, true]);
      assert.equal(memory.join.deliver(delivered, REALM), 0);
      memory.run(45);
      assert.deepEqual(memory.judged(), [open]);
    });

  it("is made anew with the newest version, and refused from a newer one", () => {
    using memory = new IssuedMemory();
    assert.equal(memory.version, SCHEMA_STEPS.length);
    memory.restart();
    assert.equal(memory.version, SCHEMA_STEPS.length);
    const path = joinPath(memory.folder, "newer.db");
    const newer = new DatabaseSync(path);
    newer.exec(`PRAGMA user_version = ${SCHEMA_STEPS.length + 1}`);
    newer.close();
    assert.throws(() => new Database(path), { code: "ERR_MONITOR_STORE" });
  });
});
