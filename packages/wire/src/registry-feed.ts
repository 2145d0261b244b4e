import { decodeBase64url } from "@redoubt/verify/base64url";
import type { JsonValue } from "@redoubt/verify/json";
import { isJsonObject, MemberReader } from "@redoubt/base";
import { CompactRange, hashLeaf, openCheckpoint, type VerifierKey } from "@redoubt/tlog";
import type { SocketClient } from "./client.ts";
import { WireError } from "./errors.ts";

/** One registry entry as the ledger handed it out, already proven to stand in the signed tree. */
export interface RegistryFeedItem {
  readonly index: number;
  readonly entry: Buffer;
  readonly statement?: Buffer;
  readonly envelope?: Buffer;
}

export interface RegistryFeedOptions {
  readonly client: SocketClient;
  readonly log: string;
  readonly logKey: VerifierKey;
  /** Takes each item in order, once. */
  readonly onItem: (item: RegistryFeedItem) => void;
}

const PAGE = 512;
const MAX_STATEMENT_TEXT = 200 * 1024;
const MAX_NOTE_TEXT = 64 * 1024;

/**
 * Reads the registry log through a ledger's socket. The ledger is not trusted: a page counts only when its entries
 * lead from the tree that we hold to the root that the registry's key signed.
 */
export class RegistryFeed {
  readonly #options: RegistryFeedOptions;
  #range = CompactRange.empty();
  #checkpoint = "";
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

  /** The signed checkpoint of exactly `size`; empty before the first entry. */
  get checkpoint(): string {
    return this.#checkpoint;
  }

  /**
   * Reads until nothing is new; resolves with the number of items taken. Calls take turns, so that two callers never
   * deliver one item twice, and each has read at least what was there when it called.
   */
  poll(): Promise<number> {
    const turn = this.#turn.then(() => this.#read());
    this.#turn = turn.catch(() => 0);
    return turn;
  }

  async #read(): Promise<number> {
    const range = this.#range.clone();
    const unproven: RegistryFeedItem[] = [];
    let page = await this.#page(range.size);
    while (page.items.length > 0) {
      for (const { entry } of page.items) range.append(hashLeaf(entry));
      unproven.push(...page.items);
      if (range.size >= page.size) break;
      page = await this.#page(range.size);
    }
    if (unproven.length === 0) return 0;
    this.#check(page.checkpoint, range, page.size);
    this.#range = range;
    this.#checkpoint = page.checkpoint;
    for (const item of unproven) this.#options.onItem(item);
    return unproven.length;
  }

  /** Resolves when the registry may have grown, or after `timeoutMs`. */
  async wait(timeoutMs: number): Promise<void> {
    const { client, log } = this.#options;
    await client.request({ op: "wait", log, size: this.size, timeoutMs });
  }

  async #page(from: number): Promise<Page> {
    const { client, log } = this.#options;
    const { head } = await client.request({ op: "registry", from, max: PAGE });
    const reader = new MemberReader(head, "registry page");
    const size = reader.integer("size", 0, Number.MAX_SAFE_INTEGER);
    if (size < from)
      throw new WireError("ERR_WIRE_FRAME", `Registry ${log} is shorter than it was`);
    const items = reader.array("items", PAGE).map((item, place) => parseItem(item, from + place));
    // Empty before the first entry, so no length is demanded here; the check below wants a real one.
    const checkpoint = size === 0 ? "" : reader.string("checkpoint", MAX_NOTE_TEXT);
    return { items, size, checkpoint };
  }

  #check(note: string, range: CompactRange, size: number): void {
    const { log, logKey } = this.#options;
    const { size: signedSize, root } = openCheckpoint(note, { origin: log, verifiers: [logKey] });
    if (signedSize !== size || range.size !== size || !range.root().equals(root))
      throw new WireError("ERR_WIRE_FRAME", `Registry ${log} does not lead to its signed root`);
  }
}

interface Page {
  readonly items: readonly RegistryFeedItem[];
  readonly size: number;
  readonly checkpoint: string;
}

function parseItem(value: JsonValue, index: number): RegistryFeedItem {
  if (!isJsonObject(value)) throw new WireError("ERR_WIRE_FRAME", "Registry item is not an object");
  const reader = new MemberReader(value, "registry item");
  const entry = decodeBase64url(reader.string("entry", 128), { maxBytes: 65 });
  const statement = reader.optionalString("statement", MAX_STATEMENT_TEXT);
  const envelope = reader.optionalString("envelope", 2048);
  return {
    index,
    entry,
    ...(statement === undefined ? {} : { statement: decodeBase64url(statement) }),
    ...(envelope === undefined ? {} : { envelope: decodeBase64url(envelope) }),
  };
}
