import { splitEntries } from "./entries.ts";
import { historyError } from "./errors.ts";
import type { Log } from "./log.ts";
import type { Store } from "./store.ts";
import type { TileBuilder, TileFile } from "./tile-builder.ts";

/** One turn of the event loop is not held longer than it takes to hash about this many entries. */
const SLICE_ENTRIES = 512;
const SLICE_BATCHES = 8;

/** Feeds the next stored batches to the builder, up to `until`, and gives the files that they fill. */
export function deriveSlice(
  builder: TileBuilder,
  { store, log, until }: { readonly store: Store; readonly log: Log; readonly until: number },
): TileFile[] {
  const files: TileFile[] = [];
  const start = builder.size;
  for (const { first, n, entries } of store.batches(log.origin, start, SLICE_BATCHES)) {
    if (builder.size >= until || builder.size - start >= SLICE_ENTRIES) break;
    if (first !== builder.size)
      throw historyError(`Batch expected at ${builder.size}, found at ${first}`);
    files.push(...builder.append(splitEntries(entries, n, log.identity.kind)));
  }
  if (builder.size === start) throw historyError(`Batch expected at ${start}, found none`);
  return files;
}
