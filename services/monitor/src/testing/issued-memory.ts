import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join as joinPath } from "node:path";
import { CompactRange, HASH_BYTES } from "@redoubt/tlog";
import { DELIVERY } from "../joins/issued/batch.ts";
import { IssuedJoin } from "../joins/issued/issued-join.ts";
import { IssuedStore } from "../joins/issued/issued-store.ts";
import { RunningTime } from "../run/times.ts";
import { Database } from "../store/database.ts";

export const REALM = "enterprise";
export const OTHER_REALM = "consumer";

const ROWS = `SELECT (SELECT count(*) FROM issued)
  + (SELECT coalesce(sum(length(digests)), 0) FROM blocks) / ${HASH_BYTES}
  + (SELECT coalesce(sum(length(digests)), 0) FROM shelves) / ${HASH_BYTES} AS n`;

/** One monitor's memory of what was issued, over several runs, at a time that the test sets. */
export class IssuedMemory implements Disposable {
  readonly folder = mkdtempSync(joinPath(tmpdir(), "issued-"));
  path = joinPath(this.folder, "monitor.db");
  wallSeconds = 1_795_000_000;
  #activeSeconds = 0;
  #db: Database | undefined;
  #size = 0;
  join: IssuedJoin;

  constructor() {
    this.join = this.#open();
    const insert = this.#database.prepare("INSERT INTO follow VALUES (?, ?, ?, 0, x'', x'', 0)");
    insert.run(1, "l", REALM);
    insert.run(2, "m", OTHER_REALM);
  }

  get #database(): Database {
    assert.ok(this.#db);
    return this.#db;
  }

  /** Digests in the database, wherever. */
  get rows(): number {
    return Number(this.#database.prepare(ROWS).get()?.["n"]);
  }

  get version(): unknown {
    return this.#database.prepare("PRAGMA user_version").get()?.["user_version"];
  }

  /** A process that starts: its active time begins at 0. */
  restart(): void {
    this.#db?.[Symbol.dispose]();
    this.#activeSeconds = 0;
    this.join = this.#open();
  }

  /** Goes on with another database. */
  moveTo(path: string): void {
    this.path = path;
    this.restart();
  }

  /** The clock goes on, and this process is running. */
  run(seconds: number): void {
    this.wallSeconds += seconds;
    this.#activeSeconds += seconds;
  }

  add(...digests: Buffer[]): void {
    this.addTo(REALM, Buffer.concat(digests));
  }

  addTo(realm: string, digests: Buffer, awaits: "all" | "maybe" | "none" = "all"): void {
    const first = this.#size;
    this.#size += digests.length / HASH_BYTES;
    const [origin, logId] = realm === REALM ? ["l", 1] : ["m", 2];
    const range = CompactRange.empty();
    this.join.add({ origin, logId, realm, first, digests, range, awaits });
  }

  deliver(digests: Buffer, realm = REALM): (number | undefined)[] {
    return Array.from({ length: digests.length / HASH_BYTES }, (_, i) =>
      this.join.deliver(digests, realm, i * HASH_BYTES),
    );
  }

  countOf(table: "issued" | "blocks" | "runs" | "shelves"): number {
    return Number(this.#database.prepare(`SELECT count(*) AS n FROM ${table}`).get()?.["n"]);
  }

  /** What a tick does. */
  tick(verdict: typeof DELIVERY.undelivered | typeof DELIVERY.orphaned = DELIVERY.orphaned): void {
    this.#database.transaction(() => {
      this.join.write();
      this.join.expire(() => verdict);
      this.join.prune();
    });
  }

  /** The process is killed in a tick: nothing of it is in the database. */
  killedInTick(): void {
    assert.throws(
      () =>
        this.#database.transaction(() => {
          this.join.write();
          this.join.prune();
          throw new TypeError("Killed");
        }),
      /Killed/,
    );
    this.restart();
  }

  /** What is overdue now. */
  judged(): Buffer[] {
    const digests: Buffer[] = [];
    this.join.expire((_, digest) => {
      digests.push(digest);
      return DELIVERY.undelivered;
    });
    return digests;
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
