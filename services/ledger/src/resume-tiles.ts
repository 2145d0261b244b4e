import { hashLeaf, tilePath, tileRoot, TILE_WIDTH, type TileReader } from "@redoubt/tlog";
import { splitEntries } from "./entries.ts";
import { historyError } from "./errors.ts";
import type { Log } from "./log.ts";
import type { Store } from "./store.ts";
import { TileBuilder } from "./tile-builder.ts";
import type { TileFolder } from "./tile-folder.ts";

/**
 * Goes on from written tiles at a size at which a batch ends. Files prove nothing: what they hold must lead to the
 * root that is known from elsewhere. A partial file is not durable and may be torn or gone; what it held then comes
 * from the full tiles below it, and from the database.
 *
 * @throws ServiceError `ERR_LEDGER_HISTORY`, or what the file system throws, when neither leads there
 */
export function resumeTiles(
  source: { readonly store: Store; readonly log: Log; readonly folder: TileFolder },
  { size, root }: { readonly size: number; readonly root: Buffer },
): TileBuilder {
  const bundle = readStored(source, size - (size % TILE_WIDTH), size);
  for (const read of [fromFiles(source.folder), fromBelow(source.folder, bundle)]) {
    const builder = tryResume(size, read, bundle);
    if (builder?.range.root().equals(root)) return builder;
  }
  throw historyError(`Tiles do not lead to the root at ${size}`);
}

function tryResume(
  size: number,
  read: TileReader,
  bundle: readonly Buffer[],
): TileBuilder | undefined {
  try {
    return TileBuilder.resume(size, read, bundle);
  } catch {
    // Lost or torn, as anything may be that is only derived.
    return undefined;
  }
}

function fromFiles(folder: TileFolder): TileReader {
  return (level, index, width) =>
    folder.readIfThere(tilePath(level, index, width)) ?? folder.read(tilePath(level, index));
}

/** Only the tiles of the right edge are asked for, one of each level. */
function fromBelow(folder: TileFolder, bundle: readonly Buffer[]): TileReader {
  const edges = [Buffer.concat(bundle.map((entry) => hashLeaf(entry)))];
  return (level, index, width) =>
    (edges[level] ??= Buffer.concat(
      Array.from({ length: width }, (_, i) =>
        tileRoot(folder.read(tilePath(level - 1, index * TILE_WIDTH + i))),
      ),
    ));
}

function readStored(
  { store, log }: { readonly store: Store; readonly log: Log },
  from: number,
  to: number,
): Buffer[] {
  if (from === to) return [];
  const entries: Buffer[] = [];
  for (const { first, n, entries: bundle } of store.batches(log.origin, from, to - from)) {
    const batch = splitEntries(bundle, n, log.identity.kind);
    entries.push(...batch.slice(Math.max(0, from - first), Math.max(0, to - first)));
  }
  return entries;
}
