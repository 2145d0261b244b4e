import {
  CompactRange,
  entryBundlePath,
  isDatedAhead,
  openCheckpoint,
  parseCheckpoint,
  parseEntryBundle,
  parseNote,
  SIGNATURE_TYPE,
  TILE_WIDTH,
  type Checkpoint,
} from "@redoubt/tlog";
import { finding } from "./finding.ts";
import { missingSigner, type LogKeys } from "./log-keys.ts";
import type { LogSource } from "./log-source.ts";
import { readPartial, TileCheck } from "./tile-check.ts";

export interface CheckedLog {
  readonly origin: string;
  readonly size: number;
  /** base64. */
  readonly root: string;
  readonly tiles: number;
  /** Who signed the checkpoint, of those whose keys were given. */
  readonly signedBy: readonly string[];
  /** When a cosigner last signed it, by its clock. */
  readonly cosignedSeconds: number | null;
  /**
   * `verified`: its own keys signed it, and a witness that the caller knows. `not cosigned`: no such witness did, so
   * that
   * others may be shown another log (THREAT-06). `consistency only`: the caller named no key; the files fit each other.
   */
  readonly label: "verified" | "not cosigned" | "consistency only";
}

export interface CheckOptions {
  /** Keys for an origin; undefined where none are known. */
  readonly keysOf: (origin: string) => LogKeys | undefined;
  readonly expectedOrigin?: string | undefined;
  readonly onProgress: (done: number, total: number) => void;
  /** POSIX seconds. */
  readonly now: number;
}

const PARALLEL = 16;
/** docs/spec/logs.md §1, §4. */
const ENTRY_BYTES = 65;
const ENTRY_TAGS: readonly number[] = [0x01, 0x02];

/**
 * Recomputes a published log from its entries. Whoever publishes controls every byte: what counts is that the
 * entries lead to the tiles, and to a root that was signed by the keys that the caller trusts.
 *
 * @throws ServiceError `ERR_LOG_*`, TlogError
 */
export async function checkLog(source: LogSource, options: CheckOptions): Promise<CheckedLog> {
  const note = await source.read("checkpoint");
  if (!note) throw finding("ERR_LOG_FILE", `${source.name} has no checkpoint`);
  const unverified = parseCheckpoint(parseNote(note).body);
  const { origin } = unverified;
  if (options.expectedOrigin !== undefined && origin !== options.expectedOrigin)
    throw finding("ERR_LOG_SIGNATURE", `${source.name} is not log ${options.expectedOrigin}`);
  const keys = options.keysOf(origin);
  const signatures = keys ? openSigned(note, { origin, keys, now: options.now }) : undefined;
  const tiles = await recompute(source, unverified, options.onProgress);
  return {
    origin,
    size: unverified.size,
    root: unverified.root.toString("base64"),
    tiles,
    signedBy: signatures?.signedBy ?? [],
    cosignedSeconds: signatures?.cosignedSeconds ?? null,
    label: labelOf(signatures),
  };
}

function labelOf(signatures: Pick<CheckedLog, "cosignedSeconds"> | undefined): CheckedLog["label"] {
  if (!signatures) return "consistency only";
  return signatures.cosignedSeconds === null ? "not cosigned" : "verified";
}

function openSigned(
  note: Buffer,
  { origin, keys, now }: { readonly origin: string; readonly keys: LogKeys; readonly now: number },
): Pick<CheckedLog, "signedBy" | "cosignedSeconds"> {
  const { required, optional } = keys;
  const { verified } = openCheckpoint(note, { origin, verifiers: [...required, ...optional] });
  const missing = missingSigner(keys, verified);
  if (missing !== undefined)
    throw finding("ERR_LOG_SIGNATURE", `Checkpoint of ${origin} is not signed by ${missing}`);
  const times = verified.flatMap((one) =>
    one.type === SIGNATURE_TYPE.cosignature ? [one.timeSeconds] : [],
  );
  // THREAT-37: a date that cannot be true yet says nothing of when the witness saw it.
  if (times.some((time) => isDatedAhead(time, now)))
    throw finding("ERR_LOG_SIGNATURE", `Cosignature of ${origin} is dated ahead of this clock`);
  return {
    signedBy: verified.map(({ name }) => name),
    cosignedSeconds: times.length === 0 ? null : Math.max(...times),
  };
}

async function recompute(
  source: LogSource,
  { origin, size, root }: Checkpoint,
  onProgress: CheckOptions["onProgress"],
): Promise<number> {
  const range = CompactRange.empty();
  const tiles = new TileCheck(source);
  let tag: number | undefined;
  while (range.size < size) {
    for (const entries of await readBundles(source, range.size, size)) {
      for (const entry of entries) tag = checkEntry(entry, tag, source);
      range.appendEntries(entries, tiles.visit);
    }
    await tiles.compareFull();
    onProgress(range.size, size);
  }
  await tiles.compareEdge();
  if (!range.root().equals(root))
    throw finding("ERR_LOG_ROOT", `Entries of ${origin} do not lead to the root of its checkpoint`);
  return tiles.checked;
}

/** Reads the next bundles in parallel; `from` must be at the beginning of a bundle. */
function readBundles(source: LogSource, from: number, size: number): Promise<Buffer[][]> {
  const first = from / TILE_WIDTH;
  const count = Math.min(PARALLEL, Math.ceil(size / TILE_WIDTH) - first);
  return Promise.all(
    Array.from({ length: count }, async (_, i) => {
      const index = first + i;
      const width = Math.min(TILE_WIDTH, size - index * TILE_WIDTH);
      const path = entryBundlePath(index, width);
      const entries = parseEntryBundle(await readPartial(source, path, entryBundlePath(index)));
      if (entries.length !== width && entries.length !== TILE_WIDTH)
        throw finding("ERR_LOG_FILE", `${source.name}/${path} has ${entries.length} entries`);
      return entries.slice(0, width);
    }),
  );
}

// THREAT-35: anything but digests in a public entry would say something of somebody. One log has one kind of entry.
function checkEntry(entry: Buffer, expected: number | undefined, { name }: LogSource): number {
  const [tag = 0] = entry;
  if (entry.length !== ENTRY_BYTES || !ENTRY_TAGS.includes(tag) || (expected ?? tag) !== tag)
    throw finding("ERR_LOG_ENTRY", `${name} holds an entry that is not of the form of Redoubt`);
  return tag;
}
