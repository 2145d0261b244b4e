import { HASH_BYTES } from "@redoubt/tlog";
import { DELIVERY } from "../issued/batch.ts";
import { PackedStore } from "../issued/packed-store.ts";
import { Packs, settledBatch } from "../issued/packs.ts";
import { PlaceTable } from "../issued/place-table.ts";
import type { Database } from "../../store/database.ts";

const TABLES = { blocks: "seen_blocks", runs: "seen_runs", shelves: "seen_shelves" };
/** Places of digests that are forgotten or on the shelves, before they are cleared away. */
const MAX_STALE = 65_536;
const FORGOTTEN_AT_ONCE = 5000;

/** Digests that some verifier reported: a token counts once, whoever sees it (kept as design note 0014 says). */
export class SeenDigests {
  readonly #store: PackedStore;
  readonly #packs: Packs;
  readonly #logOf;
  #places = new PlaceTable();
  #clearAt = 0;

  constructor(db: Database) {
    this.#store = new PackedStore(db, TABLES);
    this.#packs = new Packs(this.#store);
    this.#logOf = db.prepare("SELECT min(id) AS id FROM follow WHERE realm = ?");
    this.#clearStale();
  }

  has(digest: Buffer): boolean {
    const place = this.#places.find(digest);
    return place?.batch.isForgotten === false || this.#store.realmOf(digest) !== undefined;
  }

  /**
   * Within a transaction: these were seen, at this running time.
   *
   * @param digests of this realm, of 32 bytes each; each once, and none that is known
   */
  add(realm: string, digests: Buffer, at: number): void {
    const { id = 0 } = this.#logOf.get(realm) ?? {};
    const batch = settledBatch({ origin: "", realm, digests, delivery: DELIVERY.delivered });
    this.#packs.write(batch, Number(id), at);
    for (let offset = 0; offset < digests.length / HASH_BYTES; offset++)
      this.#places.set(batch, offset);
    if (this.#packs.shelve() || this.#places.size >= this.#clearAt) this.#clearStale();
  }

  /** Within a transaction: forgets a bounded number of those that were seen before this running time. */
  prune(before: number): void {
    this.#store.prune(before);
    this.#packs.forget(before, FORGOTTEN_AT_ONCE);
  }

  #clearStale(): void {
    this.#places = new PlaceTable();
    for (const batch of this.#packs.batches)
      for (let offset = 0; offset < batch.delivery.length; offset++)
        this.#places.set(batch, offset);
    this.#clearAt = 2 * this.#places.size + MAX_STALE;
  }
}
