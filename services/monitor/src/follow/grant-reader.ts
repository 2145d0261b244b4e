import { type CompactRange } from "@redoubt/tlog";
import { MAX_ENTRIES } from "@redoubt/wire";
import { readEntries, type UnverifiedEntries } from "./unverified-pages.ts";
import type { FollowStore } from "./follow-store.ts";
import { LogReader, type LogPages, type LogReaderParts } from "./log-reader.ts";

export interface GrantParts extends LogReaderParts {
  readonly store: FollowStore;
}

/** Follows a broker's log: that it only grows is all that is asked of it, since a lease is no token that somebody delivers. */
export function grantReader(parts: GrantParts): LogReader<UnverifiedEntries> {
  const { store, ledger, keys } = parts;
  const { id, range, root } = store.load(keys.origin) ?? store.create(keys.origin, "");
  const pages: LogPages<UnverifiedEntries> = {
    maxPages: 32,
    fetch: (from) => readEntries(ledger, keys.origin, from, MAX_ENTRIES),
    take: (_page, _first, grown: CompactRange) => store.save(id, grown),
    forgot: () => undefined,
  };
  return new LogReader(parts, pages, { range, before: { size: range.size, root } });
}
