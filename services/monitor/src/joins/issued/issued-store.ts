import type { CompactRange } from "@redoubt/tlog";
import { FollowStore } from "../../follow/follow-store.ts";
import { bytesOf, integerOf, textOf, type Database } from "../../store/database.ts";
import { DELIVERY, type Delivery } from "./batch.ts";
import { PackedStore } from "./packed-store.ts";

export interface OpenRow {
  readonly digest: Buffer;
  readonly origin: string;
  readonly realm: string;
  readonly isBefore: boolean;
}

/** Digests with a row each: those that were open when they were written, whatever became of them. */
export class IssuedStore {
  /** All the others. */
  readonly packed: PackedStore;
  readonly #follow: FollowStore;
  readonly #insert;
  readonly #update;
  readonly #get;
  readonly #open;
  readonly #prune;

  constructor(db: Database) {
    this.packed = new PackedStore(db);
    this.#follow = new FollowStore(db);
    this.#insert = db.prepare("INSERT OR IGNORE INTO issued VALUES (?, ?, ?, ?, ?)");
    this.#update = db.prepare("UPDATE issued SET delivered = ? WHERE digest = ?");
    this.#get = db.prepare(
      "SELECT i.delivered, f.realm FROM issued i JOIN follow f ON f.id = i.log WHERE i.digest = ?",
    );
    this.#open = db.prepare(
      `SELECT i.digest, f.log, f.realm, i.idx < coalesce(f.baseline, 0) AS before
       FROM issued i JOIN follow f ON f.id = i.log WHERE i.delivered = 0 ORDER BY i.log, i.idx`,
    );
    this.#prune = db.prepare(
      `DELETE FROM issued WHERE digest IN (SELECT digest FROM issued
       WHERE at < ? AND delivered <> ${DELIVERY.open} ORDER BY at LIMIT ?)`,
    );
  }

  insert(digest: Buffer, logId: number, index: number, at: number, delivery: number): void {
    this.#insert.run(digest, logId, index, at, delivery);
  }

  update(digest: Buffer, delivery: Delivery): void {
    this.#update.run(delivery, digest);
  }

  find(digest: Buffer): { readonly realm: string; readonly delivery: number } | undefined {
    const row = this.#get.get(digest);
    if (!row) return undefined;
    return { realm: textOf(row, "realm"), delivery: integerOf(row, "delivered") };
  }

  /** Entries that an earlier run stored and nobody delivered yet. */
  open(): OpenRow[] {
    return this.#open.all().map((row) => ({
      digest: bytesOf(row, "digest"),
      origin: textOf(row, "log"),
      realm: textOf(row, "realm"),
      isBefore: integerOf(row, "before") === 1,
    }));
  }

  /**
   * Forgets at most `limit` of those that were written before this time, oldest first; never an open one.
   *
   * @returns how many
   */
  prune(before: number, limit: number): number {
    return Number(this.#prune.run(before, limit).changes);
  }

  saveRange(logId: number, range: CompactRange): void {
    this.#follow.save(logId, range);
  }
}
