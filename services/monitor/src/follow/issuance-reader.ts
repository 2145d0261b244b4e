import type { Registry } from "@redoubt/registry";
import { HASH_BYTES, type CompactRange } from "@redoubt/tlog";
import { MAX_ENTRIES } from "@redoubt/wire";
import type { IssuedJoin } from "../joins/issued/issued-join.ts";
import type { FollowStore, Followed } from "./follow-store.ts";
import { readEntries, type UnverifiedEntries } from "./unverified-pages.ts";
import { LogReader, type LogPages, type LogReaderParts } from "./log-reader.ts";

export interface IssuanceParts extends LogReaderParts {
  readonly realm: string;
  readonly registry: Registry;
  readonly join: IssuedJoin;
  readonly store: FollowStore;
}

const MAX_PAGES = 32;
/**
 * When this monitor looks at a log for the first time, issuers may still report the deliveries of so many of its
 * newest entries.
 */
const RECENT_ENTRIES = 8192;
const ENTRY_BYTES = 65;
const ISSUANCE_TAG = 0x01;

/** Hands the digests of one issuance log to the join, from where an earlier run wrote them. */
export function issuanceReader(parts: IssuanceParts): LogReader<UnverifiedEntries> {
  const { store, keys } = parts;
  const followed = store.load(keys.origin) ?? store.create(keys.origin, parts.realm);
  const { range, root } = followed;
  const pages = new IssuancePages(parts, followed);
  return new LogReader(parts, pages, { range, before: { size: range.size, root } });
}

class IssuancePages implements LogPages<UnverifiedEntries> {
  readonly maxPages = MAX_PAGES;
  readonly #parts: IssuanceParts;
  readonly #id: number;

  constructor(parts: IssuanceParts, { id }: Followed) {
    this.#parts = parts;
    this.#id = id;
  }

  /**
   * Entries before this place were logged before the first look at this log, or an earlier run read them and its
   * memory is lost. Most of their deliveries were reported to that run, or to nobody.
   */
  get #baseline(): number | undefined {
    return this.#parts.store.baseline(this.#id);
  }

  fetch(from: number): Promise<UnverifiedEntries> {
    const { ledger, keys } = this.#parts;
    // A page ends where the first look was: only of the entries after it are all deliveries awaited.
    const before = (this.#baseline ?? 0) - from;
    const max = before > 0 ? Math.min(before, MAX_ENTRIES) : MAX_ENTRIES;
    return readEntries(ledger, keys.origin, from, max);
  }

  take({ entries, size }: UnverifiedEntries, first: number, range: CompactRange): void {
    const { keys, join, realm } = this.#parts;
    const baseline = this.#baseline ?? this.#setBaseline(size);
    if (entries.length === 0) return;
    const isRecent = first + RECENT_ENTRIES >= baseline;
    const awaits = first >= baseline ? "all" : isRecent ? "maybe" : "none";
    if (awaits === "none") this.#noteUnwatched(entries.length);
    join.add({
      origin: keys.origin,
      logId: this.#id,
      realm,
      first,
      digests: this.#digestsOf(first, entries),
      range,
      awaits,
      mayRepeat: first < this.#repeatable(),
    });
  }

  forgot(size: number): void {
    this.#parts.store.raiseBaseline(this.#parts.keys.origin, size);
  }

  #setBaseline(size: number): number {
    this.#parts.store.setBaseline(this.#id, size);
    return size;
  }

  /** How many of the first entries may be repeated from the closed log that this one succeeds. */
  #repeatable(): number {
    const { registry, keys, store } = this.#parts;
    const closed = [...registry.closedLogs.values()];
    const before = closed.find(({ successor }) => successor === keys.origin);
    if (!before) return 0;
    const read = store.load(before.log)?.range.size ?? 0;
    return RECENT_ENTRIES + Math.max(0, read - before.size);
  }

  #noteUnwatched(count: number): void {
    const { origin } = this.#parts.keys;
    const detail = { why: "logged before the monitor first looked, or while it forgot" };
    this.#parts.alarms.raise({
      kind: "orphaned",
      subject: `${origin} before`,
      log: origin,
      detail,
      count,
    });
  }

  /** The digests, 32 bytes each; zeros for what is no issuance entry, with an alarm. */
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
