import { openCheckpoint, signLine, type OpenedCheckpoint } from "@redoubt/tlog";
import { checkBodies } from "./bodies.ts";
import type { Draft, Stage } from "./draft.ts";
import { splitEntries } from "./entries.ts";
import { refusal, sizeRefusal } from "./errors.ts";
import type { LedgerEvents } from "./events.ts";
import type { Log } from "./log.ts";
import type { Store, StoredBatch } from "./store.ts";
import { grow } from "./tile-builder.ts";

/** What a writer sends (docs/spec/logs.md §3). Only its form has been checked. */
export interface SubmittedBatch {
  /** Index of the first entry. */
  readonly first: number;
  /** How many entries. */
  readonly n: number;
  /** The note that the writer signed. */
  readonly checkpoint: string;
  /** An entry bundle. */
  readonly entries: Buffer;
  readonly blobs: Buffer;
}

/**
 * The rules that a batch must meet when its turn comes, in the order of their cost. The stage throws ServiceError
 * `ERR_LEDGER_SIZE`, `_WRITER`, `_ENTRY`, `_ROOT`, `_BODY`.
 */
export function stageBatch(
  batch: SubmittedBatch,
  { store, events }: { readonly store: Store; readonly events: LedgerEvents },
): Stage {
  return (draft) => {
    const { log } = draft;
    if (batch.first < draft.size) return { kind: "held", batch: findResent(batch, draft, store) };
    if (batch.first > draft.size) throw sizeRefusal(draft.size);
    const signed = openWriterCheckpoint(batch.checkpoint, log);
    const entries = splitEntries(batch.entries, batch.n, "issuance");
    const growth = grow(draft.head.range, entries);
    const { range } = growth;
    // P3: the log key never signs a tree that it did not compute, nor one that the writer did not sign.
    if (signed.size !== range.size || !signed.root.equals(range.root())) {
      events.rootMismatch(log.origin, batch.first);
      throw refusal("ERR_LEDGER_ROOT", "Signed root is not that of the entries");
    }
    checkCommitted(batch, entries, log, events);
    const checkpoint = countersign(batch.checkpoint, signed.body, log);
    return { kind: "new", batch: draft.add(growth, { ...batch, checkpoint }) };
  };
}

function checkCommitted(
  { first, blobs }: SubmittedBatch,
  entries: readonly Buffer[],
  { origin }: Log,
  events: LedgerEvents,
): void {
  try {
    checkBodies("issuance", entries, blobs);
  } catch (error) {
    events.bodyMismatch(origin, first);
    throw error;
  }
}

/**
 * docs/spec/logs.md §3: a batch that was sent before, with the same bytes, is answered as it was then.
 * Anything else at that place lost the compare-and-swap (THREAT-07).
 */
function findResent(batch: SubmittedBatch, draft: Draft, store: Store): StoredBatch {
  const held = draft.added(batch.first) ?? store.batchAt(draft.log.origin, batch.first);
  if (
    held?.n !== batch.n ||
    !held.entries.equals(batch.entries) ||
    batch.checkpoint !== withoutLine(held.checkpoint, draft.log)
  )
    throw sizeRefusal(draft.size);
  return held;
}

/** The writer's note with the log's own line before the writer's: the first line says whose checkpoint it is. */
function countersign(note: string, body: string, { identity }: Log): string {
  const writerLine = note.slice(body.length + 1);
  return `${body}\n${signLine(body, identity.key.signer)}${writerLine}`;
}

/** A stored note without the log's own line: the note that the writer sent. */
function withoutLine(checkpoint: string, { identity }: Log): string {
  const { name } = identity.key.verifier;
  const end = checkpoint.indexOf("\n\n") + 2;
  const lines = checkpoint.slice(end).split("\n");
  return `${checkpoint.slice(0, end)}${lines.filter((line) => !line.startsWith(`\u2014 ${name} `)).join("\n")}`;
}

/** THREAT-06: a batch counts only under the signature of the one writer that this log has. */
function openWriterCheckpoint(note: string, log: Log): OpenedCheckpoint {
  const { origin, identity } = log;
  try {
    if (!identity.writer) throw new TypeError(`Log ${origin} has no writer`);
    const checkpoint = openCheckpoint(note, { origin, verifiers: [identity.writer] });
    // What is stored and published is what was checked: no further signatures, no extension lines.
    if (checkpoint.signatureCount === 1 && checkpoint.extensions.length === 0) return checkpoint;
  } catch (cause) {
    throw refusal("ERR_LEDGER_WRITER", "Checkpoint is not signed by the writer", { cause });
  }
  throw refusal("ERR_LEDGER_WRITER", "Checkpoint must have one signature and no extensions");
}
