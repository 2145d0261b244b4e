import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";
import { Database } from "../../store/database.ts";
import { SeenDigests } from "./seen-digests.ts";

const REALM = "enterprise";

/** A database with one log, and what was seen in it over several runs. */
class Memory implements Disposable {
  readonly #folder = mkdtempSync(join(tmpdir(), "seen-"));
  #db = this.#open();
  seen = new SeenDigests(this.#db);

  constructor() {
    this.#db.prepare("INSERT INTO follow VALUES (1, 'l', ?, 0, x'', x'', 0)").run(REALM);
  }

  restart(): void {
    this.#db[Symbol.dispose]();
    this.#db = this.#open();
    this.seen = new SeenDigests(this.#db);
  }

  add(digests: Buffer, at = 0): void {
    this.#db.transaction(() => {
      this.seen.add(REALM, digests, at);
    });
  }

  rowsOf(table: "seen_blocks" | "seen_runs" | "seen_shelves"): number {
    return Number(this.#db.prepare(`SELECT count(*) AS n FROM ${table}`).get()?.["n"]);
  }

  #open(): Database {
    return new Database(join(this.#folder, "monitor.db"));
  }

  [Symbol.dispose](): void {
    this.#db[Symbol.dispose]();
    rmSync(this.#folder, { recursive: true });
  }
}

function areSeen({ seen }: Memory, digests: Buffer): boolean[] {
  const step = 32 * 997;
  const places = Array.from({ length: Math.ceil(digests.length / step) }, (_, i) => i * step);
  return places.map((at) => seen.has(digests.subarray(at, at + 32)));
}

describe("digests that were seen", () => {
  it("are known at once, on the shelves and after a restart", () => {
    using memory = new Memory();
    const digests = randomBytes(32 * 70_000);
    assert.equal(areSeen(memory, digests).includes(true), false);
    for (let at = 0; at < digests.length; at += 32 * 1000)
      memory.add(digests.subarray(at, at + 32 * 1000));
    assert.equal(areSeen(memory, digests).includes(false), false);
    assert.equal(memory.rowsOf("seen_runs"), 1);
    assert.ok(memory.rowsOf("seen_blocks") > 0);
    memory.restart();
    assert.equal(areSeen(memory, digests).includes(false), false);
    assert.equal(memory.seen.has(randomBytes(32)), false);
  });

  it("are forgotten when they are old, in blocks and on the shelves", () => {
    using memory = new Memory();
    const [shelved, old, young] = [randomBytes(32 * 66_000), randomBytes(32), randomBytes(32)];
    memory.add(shelved, 10);
    memory.add(old, 20);
    memory.add(young, 30);
    memory.seen.prune(20);
    assert.deepEqual(areSeen(memory, shelved).includes(true), false);
    assert.deepEqual([memory.seen.has(old), memory.seen.has(young)], [true, true]);
    memory.seen.prune(21);
    assert.deepEqual([memory.seen.has(old), memory.seen.has(young)], [false, true]);
    assert.deepEqual([memory.rowsOf("seen_shelves"), memory.rowsOf("seen_blocks")], [0, 1]);
  });

  it("that were forgotten can be seen again", () => {
    using memory = new Memory();
    const digest = randomBytes(32);
    memory.add(digest, 10);
    memory.seen.prune(11);
    assert.equal(memory.seen.has(digest), false);
    memory.add(digest, 20);
    assert.equal(memory.seen.has(digest), true);
  });
});
