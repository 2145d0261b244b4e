import {
  CompactRange,
  encodeCheckpoint,
  HASH_BYTES,
  openCheckpoint,
  signNote,
  type Checkpoint,
  type OpenedCheckpoint,
  type VerifierKey,
} from "@redoubt/tlog";
import { splitEntries, type LogKind } from "./entries.ts";
import { historyError } from "./errors.ts";
import type { Head, LogIdentity } from "./log.ts";
import type { Store, StoredEntries } from "./store.ts";

/** A root that somebody was already shown, so that the history must lead to it. */
export interface Mark {
  readonly size: number;
  readonly root: Buffer;
  /** Whose memory it is, for the message. */
  readonly what: string;
}

/** The largest batches hold 4096 entries: a page is at most a few megabytes. */
const PAGE_BATCHES = 16;

export function logVerifiers({ key, writer }: LogIdentity): readonly VerifierKey[] {
  return writer ? [key.verifier, writer] : [key.verifier];
}

/** A checkpoint of the log, signed by everybody who has to sign its checkpoints (docs/spec/logs.md §3). */
export function openFullCheckpoint(note: string, identity: LogIdentity): Checkpoint {
  const { origin, formerKeys = [] } = identity;
  const now = logVerifiers(identity);
  const checkpoint = openCheckpoint(note, { origin, verifiers: [...now, ...formerKeys] });
  const isSigned = (by: VerifierKey): boolean => hasSigned(checkpoint, by);
  if (now.every(isSigned) || formerKeys.some(isSigned)) return checkpoint;
  throw historyError(`Checkpoint of ${origin} lacks a signature`);
}

/** The newest checkpoint under the log's present key: where a former key of the registry signed it, it is signed anew. */
function underCurrentKey(note: string, { size, root }: Checkpoint, identity: LogIdentity): string {
  const { origin, key, formerKeys = [] } = identity;
  const verifiers = [key.verifier, ...formerKeys];
  if (hasSigned(openCheckpoint(note, { origin, verifiers }), key.verifier)) return note;
  return signNote(encodeCheckpoint({ origin, size, root }), [key.signer]);
}

export function hasSigned({ verified }: OpenedCheckpoint, { name, keyId }: VerifierKey): boolean {
  return verified.some((by) => by.name === name && by.keyId === keyId);
}

/** Appends a stored batch to the range that it must continue. Whoever has the database controls the row. */
export function replayBatch(range: CompactRange, batch: StoredEntries, kind: LogKind): void {
  if (batch.first !== range.size)
    throw historyError(`Batch expected at ${range.size}, found at ${batch.first}`);
  range.appendEntries(splitEntries(batch.entries, batch.n, kind));
}

/**
 * THREAT-06, THREAT-07, THREAT-30: reads a log back and requires that its rows lead to the newest stored
 * checkpoint, signed by log key and writer, and to every mark. The stored edge needs no check of its own: a wrong
 * one leads to a wrong root. A mark below the edge is compared with the stored checkpoint of its size; whether the
 * rows lead to that checkpoint is left to the audit.
 *
 * @throws ServiceError `ERR_LEDGER_HISTORY` (or the error of a malformed note)
 */
export function loadHead(store: Store, identity: LogIdentity, marks: readonly Mark[]): Head {
  const stored = store.logRow(identity.origin);
  if (!stored) throw historyError("Log is not in the database");
  const range = CompactRange.from(stored.edgeSize, splitHashes(stored.edge));
  const open = new Set(marks.filter(({ size }) => size > range.size));
  for (const mark of marks) if (mark.size <= range.size) checkStoredMark(store, identity, mark);
  for (const batch of batchesFrom(store, identity.origin, range.size)) {
    replayBatch(range, batch, identity.kind);
    checkMarks(range, open);
  }
  if (range.size !== stored.next)
    throw historyError(`Database counts ${stored.next} entries, batches end at ${range.size}`);
  for (const { what, size } of open)
    throw historyError(`Log of ${range.size} entries, ${what} has ${size}`);
  if (range.size === 0) return { range, checkpoint: "" };
  const last = store.batchEndingAt(identity.origin, range.size);
  if (!last) throw historyError("Newest batch is missing");
  const newest = openFullCheckpoint(last.checkpoint, identity);
  if (newest.size !== range.size || !newest.root.equals(range.root()))
    throw historyError("Entries do not lead to the newest checkpoint");
  return { range, checkpoint: underCurrentKey(last.checkpoint, newest, identity) };
}

function checkStoredMark(store: Store, identity: LogIdentity, { size, root, what }: Mark): void {
  const batch = store.batchEndingAt(identity.origin, size);
  if (!batch) throw historyError(`No batch ends at ${size}, where ${what} is`);
  if (!openFullCheckpoint(batch.checkpoint, identity).root.equals(root))
    throw historyError(`Root at ${size} is not that of ${what}`);
}

/** Compares the range with the marks at its size, and takes them off the list. */
export function checkMarks(range: CompactRange, open: Set<Mark>): void {
  for (const mark of open) {
    if (mark.size !== range.size) continue;
    if (!mark.root.equals(range.root()))
      throw historyError(`Root at ${mark.size} is not that of ${mark.what}`);
    open.delete(mark);
  }
}

function* batchesFrom(store: Store, origin: string, from: number): Generator<StoredEntries> {
  let page = store.batches(origin, from, PAGE_BATCHES).filter(({ first }) => first >= from);
  while (page.length > 0) {
    yield* page;
    const next = page.reduce((end, { first, n }) => Math.max(end, first + n), 0);
    page = store.batches(origin, next, PAGE_BATCHES).filter(({ first }) => first >= next);
  }
}

function splitHashes(edge: Buffer): Buffer[] {
  const hashes: Buffer[] = [];
  for (let at = 0; at < edge.length; at += HASH_BYTES)
    hashes.push(edge.subarray(at, at + HASH_BYTES));
  return hashes;
}
