import { CompactRange, hashLeaf } from "@redoubt/tlog";
import type { Registry, RegistryItem } from "@redoubt/keys";
import type { Alarms } from "../alarms/alarms.ts";
import type { Witness } from "../witness/witness.ts";
import type { FollowStore } from "./follow-store.ts";
import type { ReadOutcome } from "./issuance-follower.ts";
import { readItems, type LedgerPort } from "./ledger-port.ts";
import { LogReader, type LogReaderParts } from "./log-reader.ts";

export interface RegistryParts extends LogReaderParts {
  readonly ledger: LedgerPort;
  readonly alarms: Alarms;
  readonly witness: Witness;
  readonly registry: Registry;
  readonly store: FollowStore;
}

const MAX_READS = 256;

/**
 * Folds the registry log. It is read from its beginning at every start, because the fold lives in memory; what was
 * read before must come out the same.
 */
export class RegistryFollower {
  readonly #parts: RegistryParts;
  readonly #reader: LogReader;
  readonly #id: number;
  /** How far an earlier run read, and what it found there. */
  readonly #before: { readonly size: number; readonly root: Buffer };

  constructor(parts: RegistryParts) {
    const { store, keys } = parts;
    const { id, range, root } = store.load(keys.origin) ?? store.create(keys.origin, "");
    this.#parts = parts;
    this.#id = id;
    this.#before = { size: range.size, root };
    this.#reader = new LogReader(parts, CompactRange.empty());
  }

  get size(): number {
    return this.#reader.size;
  }

  async read(): Promise<ReadOutcome> {
    for (let reads = 0; reads < MAX_READS; reads++) {
      const outcome = await this.#readOnce();
      if (outcome === "behind") continue;
      if (outcome === "current") await this.#reader.settleClaims();
      return outcome;
    }
    return "behind";
  }

  async #readOnce(): Promise<ReadOutcome> {
    const { ledger, store } = this.#parts;
    const first = this.#reader.size;
    const reply = await readItems(ledger, first);
    if (reply.size < this.#before.size && first === 0) return this.#shrunk(reply.size);
    const leaves = reply.items.map(({ entry }) => hashLeaf(entry));
    if (!this.#isAsBefore(first, leaves, reply.checkpoint)) return "distrusted";
    const range = await this.#reader.accept(reply, leaves);
    if (!range) return "distrusted";
    for (const item of reply.items) this.#fold(item);
    if (range.size > this.#before.size && leaves.length > 0) store.save(this.#id, range);
    return range.size < reply.size ? "behind" : "current";
  }

  /** THREAT-06: a registry that was rewritten while this process was down. */
  #isAsBefore(first: number, leaves: readonly Buffer[], note: string): boolean {
    const { size, root } = this.#before;
    if (size <= first || size > first + leaves.length) return true;
    const range = this.#reader.copy();
    for (const leaf of leaves.slice(0, size - first)) range.append(leaf);
    if (range.root().equals(root)) return true;
    const { witness, keys } = this.#parts;
    witness.halt(keys.origin, note, "registry differs from what was read before");
    return false;
  }

  #shrunk(size: number): ReadOutcome {
    const { alarms, keys } = this.#parts;
    const detail = { read: this.#before.size, now: size };
    alarms.raiseState({ kind: "log-shrunk", subject: keys.origin, log: keys.origin, detail });
    return "distrusted";
  }

  #fold(item: RegistryItem): void {
    const { registry, alarms, keys } = this.#parts;
    const result = registry.apply(item);
    // What an earlier run folded it also reported.
    if (result.kind === "applied" || item.index < this.#before.size) return;
    const [code, reason] =
      result.kind === "void" ? [result.code, result.reason] : ["hidden", "body is withheld"];
    alarms.raise({
      kind: "void-statement",
      subject: `${keys.origin} ${item.index}`,
      log: keys.origin,
      detail: { index: item.index, code, reason: reason.slice(0, 512) },
    });
  }
}
