import { HASH_BYTES } from "@redoubt/tlog";
import { digestsWith, type Batch, DELIVERY } from "./batch.ts";
import type { Block, PackedStore } from "./packed-store.ts";

interface Pack {
  readonly block: Block;
  readonly batch: Batch;
}

/** That makes 64 to a shelf. A shelf is one row, and writing it costs as much as a row for one digest. */
const SHELVED_AT_ONCE = 65_536;
/**
 * Where few tokens are issued, each block holds one digest. All blocks are read at a start, so there must not be
 * many.
 */
const MAX_BLOCKS = 4096;

/** Settled digests that are not on the shelves yet: durable in blocks, and all of them in memory. */
export class Packs {
  readonly #store: PackedStore;
  #packs: Pack[] = [];
  #digests = 0;

  constructor(store: PackedStore) {
    this.#store = store;
    for (const block of store.blocks()) this.#add({ block, batch: settledBatch(block) });
  }

  /** In the order of reading. */
  get batches(): Batch[] {
    return this.#packs.map(({ batch }) => batch);
  }

  /** Within a transaction: the digests of the batch that are settled now. */
  write(batch: Batch, logId: number, at: number): void {
    const { origin, realm } = batch;
    for (const delivery of [DELIVERY.delivered, DELIVERY.orphaned, DELIVERY.unknown]) {
      const digests = digestsWith(batch, delivery);
      if (digests.length === 0) continue;
      const id = this.#store.append(logId, at, delivery, digests);
      this.#add({ block: { id, logId, origin, realm, at, delivery, digests }, batch });
    }
  }

  /** Within a transaction: puts all on the shelves, if there are enough; says whether it did. */
  shelve(): boolean {
    if (this.#digests < SHELVED_AT_ONCE && this.#packs.length < MAX_BLOCKS) return false;
    this.#store.shelve(this.#packs.map(({ block }) => block));
    this.#packs = [];
    this.#digests = 0;
    return true;
  }

  /**
   * Within a transaction: forgets those that were written before this time, until `limit` is reached.
   *
   * @returns how many digests
   */
  forget(before: number, limit: number): number {
    let count = 0;
    let end = 0;
    for (const { block, batch } of this.#packs) {
      if (block.at >= before || count >= limit) break;
      this.#store.removeBlock(block.id);
      batch.isForgotten = true;
      count += block.digests.length / HASH_BYTES;
      end += 1;
    }
    if (end > 0) this.#packs = this.#packs.slice(end);
    this.#digests -= count;
    return count;
  }

  #add(pack: Pack): void {
    this.#packs.push(pack);
    this.#digests += pack.block.digests.length / HASH_BYTES;
  }
}

/** A batch of settled digests alone: an earlier run read them, or their delivery was never awaited. */
export function settledBatch({
  origin,
  realm,
  digests,
  delivery,
}: Pick<Block, "origin" | "realm" | "digests" | "delivery">): Batch {
  return {
    origin,
    realm,
    digests,
    id: 0,
    readAt: -1,
    deadline: Infinity,
    delivery: new Uint8Array(digests.length / HASH_BYTES).fill(delivery),
    open: 0,
    unwritten: undefined,
    usedBy: new Map(),
    isBefore: false,
    isForgotten: false,
  };
}
