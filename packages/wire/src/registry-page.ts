import { decodeBase64url } from "@redoubt/verify/base64url";
import type { JsonObject, JsonValue } from "@redoubt/verify/json";
import { isJsonObject, MemberReader } from "@redoubt/base";
import { WireError } from "./errors.ts";

/** One registry entry as the ledger handed it out. */
export interface RegistryFeedItem {
  readonly index: number;
  readonly entry: Buffer;
  readonly statement?: Buffer;
  readonly envelope?: Buffer;
}

/** An answer of the ledger; nothing of it is proven. */
export interface UnverifiedPage {
  readonly items: readonly RegistryFeedItem[];
  readonly bytes: number;
  /** What the ledger says the registry has, under `checkpoint`. */
  readonly size: number;
  readonly checkpoint: string;
}

/** docs/spec/wire.md §4. */
export const MAX_PAGE_ITEMS = 512;
const MAX_STATEMENT_TEXT = 200 * 1024;
const MAX_NOTE_TEXT = 64 * 1024;

/** The answer of `registry` asked for the entries from `from`. */
export function parsePage(head: JsonObject, from: number): UnverifiedPage {
  const reader = new MemberReader(head, "registry page");
  const size = reader.integer("size", 0, Number.MAX_SAFE_INTEGER);
  if (size < from) throw new WireError("ERR_WIRE_FRAME", "Registry is shorter than it was");
  const items = reader
    .array("items", MAX_PAGE_ITEMS)
    .map((item, place) => parseItem(item, from + place));
  if (items.length > size - from || (items.length === 0 && size > from))
    throw new WireError("ERR_WIRE_FRAME", `Registry page: ${items.length} of ${size - from} items`);
  const bytes = items.reduce((sum, item) => sum + byteLength(item), 0);
  const checkpoint = size === 0 ? "" : reader.string("checkpoint", MAX_NOTE_TEXT);
  return { items, bytes, size, checkpoint };
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

function byteLength({ entry, statement, envelope }: RegistryFeedItem): number {
  return entry.length + (statement?.length ?? 0) + (envelope?.length ?? 0);
}
