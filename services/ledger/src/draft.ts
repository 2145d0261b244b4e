import type { Head, Log } from "./log.ts";
import type { NewBatch, StoredBatch } from "./store.ts";
import type { Growth } from "./tile-builder.ts";

/** Sizes at which a restart can begin to read: each time a log crosses a multiple, its compact range is stored. */
export const EDGE_EVERY = 65_536;

/** A batch that a transaction adds, or one that is held already and only answered again. */
export type Staged =
  | { readonly kind: "new"; readonly batch: NewBatch }
  | { readonly kind: "held"; readonly batch: StoredBatch };

/** Checks a request against the draft when its turn comes; throws the refusal. */
export type Stage = (draft: Draft) => Staged;

/** What one transaction is about to add to a log. It becomes the log's head only if the transaction returns. */
export class Draft {
  readonly log: Log;
  readonly #edgeEvery: number;
  readonly #added = new Map<number, NewBatch>();
  readonly #growth: Growth[] = [];
  #head: Head;

  constructor(log: Log, edgeEvery: number) {
    this.log = log;
    this.#edgeEvery = edgeEvery;
    this.#head = log.head;
  }

  get head(): Head {
    return this.#head;
  }

  get size(): number {
    return this.#head.range.size;
  }

  /** What the tiles take over once it is durable; its hashes are computed already. */
  get growth(): readonly Growth[] {
    return this.#growth;
  }

  added(first: number): NewBatch | undefined {
    return this.#added.get(first);
  }

  /** Takes a batch whose entries are `growth`, which continues this draft's range. */
  add(growth: Growth, batch: Omit<NewBatch, "log" | "first" | "n">): NewBatch {
    const { first, range } = growth;
    const crosses =
      Math.floor(first / this.#edgeEvery) !== Math.floor(range.size / this.#edgeEvery);
    const row: NewBatch = {
      ...batch,
      log: this.log.origin,
      first,
      n: range.size - first,
      ...(crosses ? { edge: Buffer.concat(range.hashes()) } : {}),
    };
    this.#added.set(first, row);
    this.#growth.push(growth);
    this.#head = { range, checkpoint: batch.checkpoint };
    return row;
  }
}
