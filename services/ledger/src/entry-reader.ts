import { BUNDLED_ENTRY_BYTES } from "./entries.ts";
import type { Log } from "./log.ts";
import type { Store } from "./store.ts";

const PAGE_BATCHES = 64;

/** A bundle of at most `max` entries from `from`: what the database holds, to be checked against a checkpoint. */
export function readEntries(
  store: Store,
  log: Log,
  { from, max }: { readonly from: number; readonly max: number },
): { readonly count: number; readonly bundle: Buffer } {
  const end = Math.min(from + max, log.size);
  const parts: Buffer[] = [];
  let at = from;
  while (at < end) {
    const page = store.batches(log.origin, at, PAGE_BATCHES);
    const start = at;
    for (const { first, n, entries } of page) {
      if (at >= end || first > at) break;
      const upTo = Math.min(first + n, end);
      parts.push(
        entries.subarray((at - first) * BUNDLED_ENTRY_BYTES, (upTo - first) * BUNDLED_ENTRY_BYTES),
      );
      at = upTo;
    }
    // A gap that somebody else made ends the answer: what follows could not be told from what should be here.
    if (at === start) break;
  }
  return { count: Math.max(0, at - from), bundle: Buffer.concat(parts) };
}
