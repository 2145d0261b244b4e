import { WireError, type Answered, type LEDGER } from "@redoubt/wire";

/** An answer of the ledger; nothing of it is proven. */
export type UnverifiedPage = Answered<typeof LEDGER.registry>;

/** One registry entry as the ledger handed it out. */
export type ShownItem = UnverifiedPage["items"][number] & { readonly index: number };

/** The items of the page that was asked for from `from`: at least one where there is more. */
export function placeItems({ items, size }: UnverifiedPage, from: number): ShownItem[] {
  if (size < from) throw new WireError("ERR_WIRE_FRAME", "Registry is shorter than it was");
  if (items.length > size - from || (items.length === 0 && size > from))
    throw new WireError("ERR_WIRE_FRAME", `Registry page: ${items.length} of ${size - from} items`);
  return items.map((item, place) => ({ ...item, index: from + place }));
}

/** How many bytes one item carries: entry, bodies and credentials. */
export function byteLength({ entry, ...bodies }: Omit<ShownItem, "index">): number {
  const { statement, envelope, credentials } = bodies;
  return [statement, envelope, credentials].reduce(
    (bytes, body) => bytes + (body?.length ?? 0),
    entry.length,
  );
}
