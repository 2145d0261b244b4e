import { byteLength, parseStatement, seesCredentials, seesStatement } from "@redoubt/registry";
import type { Answered, LEDGER } from "@redoubt/wire";
import { splitStatement } from "./bodies.ts";
import { splitEntries } from "./entries.ts";
import { historyError } from "./errors.ts";
import type { Log } from "./log.ts";
import type { Store } from "./store.ts";

/** One entry of the registry as a caller may see it. */
type SeenItem = Answered<typeof LEDGER.registry>["items"][number];

/** docs/spec/wire.md §4: as many as fit, and one at least; a head has room for the largest statement. */
const MAX_ITEM_BYTES = 96 * 1024;
const PAGE = 64;

/** At most `max` entries from `from`, or as many as fit into one answer. */
export function readRegistry(
  store: Store,
  log: Log,
  caller: string,
  { from, max }: { readonly from: number; readonly max: number },
): SeenItem[] {
  const items: SeenItem[] = [];
  const end = Math.min(from + max, log.size);
  let bytes = 0;
  while (from + items.length < end) {
    const at = from + items.length;
    const rows = store.bodies(log.origin, at, Math.min(PAGE, end - at));
    if (rows[0]?.first !== at) throw historyError(`Registry entry ${at} is missing`);
    for (const row of rows) {
      const item = readItem(row, caller);
      bytes += byteLength(item);
      if (items.length > 0 && bytes > MAX_ITEM_BYTES) return items;
      items.push(item);
    }
  }
  return items;
}

function readItem(
  { n, entries, blobs }: { readonly n: number; readonly entries: Buffer; readonly blobs: Buffer },
  caller: string,
): SeenItem {
  const [entry = Buffer.alloc(0)] = splitEntries(entries, n, "registry");
  const { statement, envelope, credentials } = splitStatement(blobs);
  const parsed = parseStatement(statement);
  if (!seesStatement(caller, parsed)) return { entry };
  const isShown = credentials && seesCredentials(caller, parsed);
  return { entry, statement, envelope, ...(isShown && { credentials }) };
}
