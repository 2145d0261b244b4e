import { HASH_BYTES, hashLeaf } from "@redoubt/tlog";
import type { Alarms } from "../alarms/alarms.ts";
import type { IssuedJoin } from "../issued/issued-join.ts";
import type { FollowStore } from "./follow-store.ts";
import { readEntries, type LedgerPort } from "./ledger-port.ts";
import { LogReader, type LogReaderParts } from "./log-reader.ts";

export type ReadOutcome = "current" | "behind" | "distrusted";

export interface IssuanceParts extends Omit<LogReaderParts, "ledger"> {
  readonly ledger: LedgerPort;
  readonly alarms: Alarms;
  readonly realm: string;
  readonly join: IssuedJoin;
  readonly store: FollowStore;
}

const MAX_READS = 32;
const ENTRY_BYTES = 65;
const ISSUANCE_TAG = 0x01;

/** Reads one issuance log to its end and hands its digests to the join. */
export class IssuanceFollower {
  readonly realm: string;
  readonly #parts: IssuanceParts;
  readonly #reader: LogReader;
  readonly #id: number;
  /** Entries from before the first look at this log: nobody will report their delivery again. */
  #baseline: number | undefined;

  constructor(parts: IssuanceParts) {
    const { store, keys } = parts;
    const followed = store.load(keys.origin) ?? store.create(keys.origin, parts.realm);
    this.realm = parts.realm;
    this.#parts = parts;
    this.#id = followed.id;
    this.#reader = new LogReader(parts, followed.range);
    this.#baseline = followed.baseline;
  }

  get size(): number {
    return this.#reader.size;
  }

  /** @throws when the ledger cannot be read */
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
    const { ledger, keys, join } = this.#parts;
    const first = this.#reader.size;
    const reply = await readEntries(ledger, keys.origin, first);
    const range = await this.#reader.accept(reply, reply.entries.map(hashLeaf));
    if (!range) return "distrusted";
    const baseline = this.#baseline ?? this.#setBaseline(reply.size);
    const isWatched = first >= baseline;
    if (!isWatched) this.#noteUnwatched(reply.entries.length);
    if (reply.entries.length > 0)
      join.add({
        log: keys.origin,
        logId: this.#id,
        realm: this.realm,
        first,
        digests: this.#digestsOf(first, reply.entries),
        range,
        isWatched,
      });
    return range.size < reply.size ? "behind" : "current";
  }

  #setBaseline(size: number): number {
    this.#parts.store.setBaseline(this.#id, size);
    this.#baseline = size;
    return size;
  }

  #noteUnwatched(count: number): void {
    const { origin } = this.#parts.keys;
    const detail = { why: "logged before the monitor first looked" };
    this.#parts.alarms.raise({
      kind: "orphaned",
      subject: `${origin} before`,
      log: origin,
      detail,
      count,
    });
  }

  /** The digests, 32 bytes each; zeros for an entry that is none of ours, with an alarm. */
  #digestsOf(first: number, entries: readonly Buffer[]): Buffer {
    const digests = Buffer.alloc(entries.length * HASH_BYTES);
    let bad = 0;
    for (const [i, entry] of entries.entries()) {
      if (entry.length === ENTRY_BYTES && entry[0] === ISSUANCE_TAG)
        entry.copy(digests, i * HASH_BYTES, 1, 1 + HASH_BYTES);
      else bad += 1;
    }
    const { alarms, keys } = this.#parts;
    // docs/spec/logs.md §1: the writer signed something that is no issuance entry.
    if (bad > 0)
      alarms.raise({
        kind: "bad-entry",
        subject: keys.origin,
        log: keys.origin,
        detail: { first, read: entries.length },
        count: bad,
      });
    return digests;
  }
}
