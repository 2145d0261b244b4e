import { setTimeout as pause } from "node:timers/promises";
import { splitEntries } from "./entries.ts";
import { historyError } from "./errors.ts";
import { checkMarks, type Mark } from "./history.ts";
import type { Log } from "./log.ts";
import type { Store } from "./store.ts";
import { TileBuilder, type TileFile } from "./tile-builder.ts";
import type { TileFolder } from "./tile-folder.ts";

/** One turn of the event loop is not held longer than it takes to hash about this many entries. */
const SLICE_ENTRIES = 512;
const SLICE_BATCHES = 8;
/** What the audit leaves to the log's real work, between two slices. */
const AUDIT_PAUSE_MS = 5;

/** Feeds the next stored batches to the builder, up to `until`, and gives the files that they fill. */
export function deriveSlice(
  builder: TileBuilder,
  { store, log, until }: { readonly store: Store; readonly log: Log; readonly until: number },
  marks: Set<Mark> = new Set(),
): TileFile[] {
  const files: TileFile[] = [];
  const start = builder.size;
  for (const { first, n, entries } of store.batches(log.origin, start, SLICE_BATCHES)) {
    if (builder.size >= until || builder.size - start >= SLICE_ENTRIES) break;
    if (first !== builder.size)
      throw historyError(`Batch expected at ${builder.size}, found at ${first}`);
    files.push(...builder.append(splitEntries(entries, n, log.identity.kind)));
    checkMarks(builder.range, marks);
  }
  if (builder.size === start) throw historyError(`Batch expected at ${start}, found none`);
  return files;
}

/**
 * Reads a log from its first entry: a restart reads only from the newest stored edge. THREAT-06: the entries must
 * lead to every mark. Published files that are lost or damaged are written again on the way.
 *
 * @throws ServiceError `ERR_LEDGER_HISTORY`, or what the file system throws
 */
export async function auditLog(
  source: { readonly store: Store; readonly log: Log; readonly folder: TileFolder },
  marks: readonly Mark[],
  { signal, onRepair }: { readonly signal: AbortSignal; readonly onRepair: (path: string) => void },
): Promise<void> {
  const until = Math.max(0, ...marks.map(({ size }) => size));
  const open = new Set(marks);
  const builder = new TileBuilder();
  while (builder.size < until && !signal.aborted) {
    for (const file of deriveSlice(builder, { ...source, until }, open))
      if (await source.folder.repair(file)) onRepair(file.path);
    // oxlint-disable-next-line no-await-in-loop -- the point is to give way
    if (builder.size < until) await pause(AUDIT_PAUSE_MS, undefined, { ref: false });
  }
  if (signal.aborted) return;
  for (const { size, what } of open)
    throw historyError(`No batch ends at ${size}, where ${what} is`);
}
