import { BUNDLED_ENTRY_BYTES } from "./entries.ts";
import type { Log } from "./log.ts";
import type { Store } from "./store.ts";

/**
 * How many batches are read first; each further page has twice as many. A batch may hold one entry or thousands, and
 * so at most about as much is read in vain as is used.
 */
const FIRST_PAGE_BATCHES = 4;

/** A bundle of at most `max` entries from `from`: what the database holds, to be checked against a checkpoint. */
export function readEntries(
  store: Store,
  log: Log,
  { from, max }: { readonly from: number; readonly max: number },
): { readonly count: number; readonly bundle: Buffer } {
  const end = Math.min(from + max, log.size);
  const parts: Buffer[] = [];
  let at = from;
  for (let batches = FIRST_PAGE_BATCHES; at < end; batches *= 2) {
    const page = store.batches(log.origin, at, batches);
    const start = at;
    for (const { first, n, entries } of page) {
      if (at >= end || first > at) break;
      const upTo = Math.min(first + n, end);
      parts.push(
        entries.subarray((at - first) * BUNDLED_ENTRY_BYTES, (upTo - first) * BUNDLED_ENTRY_BYTES),
      );
      at = upTo;
    }
    // Rows are missing: the answer ends here, because later entries would seem to stand in their places.
    if (at === start) break;
  }
  return { count: Math.max(0, at - from), bundle: Buffer.concat(parts) };
}
