import { parseStatement } from "@redoubt/keys";
import { encodeBase64url } from "@redoubt/verify/base64url";
import { splitBlobs } from "@redoubt/wire";
import { seesBody } from "./access.ts";
import { splitEntries } from "./entries.ts";
import { historyError } from "./errors.ts";
import type { Log } from "./log.ts";
import type { Store } from "./store.ts";

/** One entry of the registry as a caller may see it, base64url. */
export interface RegistryItemHead {
  readonly entry: string;
  readonly statement?: string;
  readonly envelope?: string;
}

/** docs/spec/wire.md §4: as many as fit, and one at least; a head has room for the largest statement. */
const MAX_ITEM_CHARS = 128 * 1024;
const PAGE = 64;

/** At most `max` entries from `from`, or as many as fit into one answer. */
export function readRegistry(
  store: Store,
  log: Log,
  caller: string,
  { from, max }: { readonly from: number; readonly max: number },
): RegistryItemHead[] {
  const items: RegistryItemHead[] = [];
  const end = Math.min(from + max, log.size);
  let chars = 0;
  while (from + items.length < end) {
    const at = from + items.length;
    const rows = store.bodies(log.origin, at, Math.min(PAGE, end - at));
    if (rows[0]?.first !== at) throw historyError(`Registry entry ${at} is missing`);
    for (const row of rows) {
      const item = readItem(row, caller);
      chars += Object.values<string>({ ...item }).reduce((sum, text) => sum + text.length, 0);
      if (items.length > 0 && chars > MAX_ITEM_CHARS) return items;
      items.push(item);
    }
  }
  return items;
}

function readItem(
  { n, entries, blobs }: { readonly n: number; readonly entries: Buffer; readonly blobs: Buffer },
  caller: string,
): RegistryItemHead {
  const [entry = Buffer.alloc(0)] = splitEntries(entries, n, "registry");
  const [statement, envelope] = splitBlobs(blobs, 2);
  if (!statement || !envelope) throw historyError("Registry bodies are missing");
  const item = { entry: encodeBase64url(entry) };
  if (!seesBody(caller, parseStatement(statement).type)) return item;
  return {
    ...item,
    statement: encodeBase64url(statement),
    envelope: encodeBase64url(envelope),
  };
}
