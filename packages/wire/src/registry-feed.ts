import {
  CompactRange,
  hashLeaf,
  openCheckpoint,
  verifyConsistency,
  type VerifierKey,
} from "@redoubt/tlog";
import { WireError } from "./errors.ts";
import { LEDGER, MAX_STATEMENTS } from "./protocol/ledger.ts";
import { ask, type Requester } from "./protocol/operation.ts";
import {
  byteLength,
  placeItems,
  type RegistryFeedItem,
  type UnverifiedPage,
} from "./registry-page.ts";

export interface RegistryFeedOptions {
  readonly client: Requester;
  readonly log: string;
  readonly logKey: VerifierKey;
  /** Takes each item in order, once; it is proven to stand in the signed tree. */
  readonly onItem: (item: RegistryFeedItem) => void;
}

// THREAT-26: what a ledger can make its readers hold without having proven any of it.
const MAX_UNPROVEN_ITEMS = 4096;
const MAX_UNPROVEN_BYTES = 2 * 1024 * 1024;

/**
 * Reads the registry log through a ledger's socket. The ledger is not trusted: entries count only when they lead
 * from the tree that we hold to a root that the registry's key signed. What does not fit into the bounds at once
 * is read in steps, each proven to be the beginning of that root's tree.
 */
export class RegistryFeed {
  readonly #options: RegistryFeedOptions;
  #range = CompactRange.empty();
  #turn: Promise<number> = Promise.resolve(0);

  constructor(options: RegistryFeedOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#range.size;
  }

  get root(): Buffer {
    return this.#range.root();
  }

  /**
   * Reads until nothing is new; resolves with the number of items taken. Calls take turns, so that two callers never
   * deliver one item twice, and each has read at least what was there when it called. After an error, what was
   * proven before it stays taken.
   */
  poll(): Promise<number> {
    const turn = this.#turn.then(() => this.#read());
    this.#turn = turn.catch(() => 0);
    return turn;
  }

  async #read(): Promise<number> {
    const from = this.size;
    while (await this.#step());
    return this.size - from;
  }

  /** Takes what the bounds allow; whether there may be more. */
  async #step(): Promise<boolean> {
    const { client } = this.#options;
    const range = this.#range.clone();
    const unproven: RegistryFeedItem[] = [];
    let bytes = 0;
    let page: UnverifiedPage;
    do {
      page = await ask(client, LEDGER.registry, { from: range.size, max: MAX_STATEMENTS });
      for (const item of placeItems(page, range.size)) {
        range.append(hashLeaf(item.entry));
        unproven.push(item);
        bytes += byteLength(item);
      }
    } while (
      range.size < page.size &&
      unproven.length < MAX_UNPROVEN_ITEMS &&
      bytes < MAX_UNPROVEN_BYTES
    );
    if (unproven.length === 0) return false;
    await this.#prove(range, page);
    this.#range = range;
    for (const item of unproven) this.#options.onItem(item);
    return range.size < page.size;
  }

  /** Resolves when the registry may have grown, or after `timeoutMs`. */
  async wait(timeoutMs: number): Promise<void> {
    const { client, log } = this.#options;
    await ask(client, LEDGER.wait, { log, size: this.size, timeoutMs });
  }

  /** That the entries read so far are the beginning of the signed tree, or all of it. */
  async #prove(range: CompactRange, { checkpoint, size: saidSize }: UnverifiedPage): Promise<void> {
    const { client, log, logKey } = this.#options;
    const { size, root } = openCheckpoint(checkpoint, { origin: log, verifiers: [logKey] });
    const isWhole = range.size === size;
    if (size !== saidSize || (isWhole && !range.root().equals(root)))
      throw new WireError("ERR_WIRE_FRAME", `Registry ${log} does not lead to its signed root`);
    if (isWhole) return;
    // Every size of the registry is one at which a batch ends, so the ledger can prove each.
    const sizes = { size1: range.size, size2: size };
    const { proof } = await ask(client, LEDGER.proveGrowth, { log, ...sizes });
    verifyConsistency({ ...sizes, root1: range.root(), root2: root, proof });
  }
}
