import {
  TlogError,
  verifyCosignature,
  verifyGrowth,
  type CompactRange,
  type VerifierKey,
} from "@redoubt/tlog";
import type { LEDGER, Asked } from "@redoubt/wire";
import type { StatementBodies } from "./bodies.ts";
import { Draft, EDGE_EVERY } from "./draft.ts";
import { refusal, sizeRefusal } from "./errors.ts";
import type { LedgerEvents } from "./events.ts";
import { openFullCheckpoint } from "./history.ts";
import type { Log } from "./log.ts";
import { stageStatement } from "./registry-batch.ts";
import type { NewBatch, Store } from "./store.ts";

/**
 * A page of statements from a copy, and what they must be part of: `note` is the newest checkpoint of the registry that
 * is known, signed by its key and cosigned by the pinned witness; `proof` leads to it from the tree after the page.
 */
type RestoreRequest = Asked<typeof LEDGER.restore>;

export interface RestoreParts {
  readonly store: Store;
  readonly witness: VerifierKey;
  readonly events: LedgerEvents;
}

/**
 * Gives a halted registry back what it lost. Whoever brings the copy is not trusted: nothing is written that is not
 * part of the tree which the log key once signed and the witness cosigned. The log stays halted until the next start
 * has checked what is there now. Rows that could not even be read are set aside and kept.
 *
 * @returns `size`: entries that the registry has now; `wanted`: entries of the cosigned tree
 * @throws ServiceError `ERR_LEDGER_RESTORE`, `ERR_LEDGER_SIZE`
 */
export function restoreRegistry(
  { store, witness, events }: RestoreParts,
  log: Log,
  { note, from, items, proof }: RestoreRequest,
): { readonly size: number; readonly wanted: number } {
  if (log.halted === undefined) throw refused("The registry is not halted");
  const target = openTarget(log, note, witness);
  if (from !== log.size) throw sizeRefusal(log.size);
  const draft = new Draft(log, EDGE_EVERY);
  const batches = items.map((item) => stage(item, draft));
  checkPart(draft.head.range, target, proof);
  if (from === 0 && (store.logRow(log.origin)?.next ?? 0) > 0) store.setAside(log.origin);
  if (store.write(batches).size > 0) throw sizeRefusal(log.size);
  log.advance(draft.head);
  events.registryRestored(log.origin, log.size, target.size);
  return { size: log.size, wanted: target.size };
}

function stage(item: StatementBodies, draft: Draft): NewBatch {
  const staged = stageStatement(item, undefined)(draft);
  if (staged.kind === "new") return staged.batch;
  throw new TypeError("A statement is never held already");
}

function openTarget(
  { identity }: Log,
  note: string,
  witness: VerifierKey,
): { readonly size: number; readonly root: Buffer } {
  try {
    verifyCosignature(note, witness);
    return openFullCheckpoint(note, identity);
  } catch (cause) {
    throw refused("The checkpoint is not signed by the registry and cosigned", { cause });
  }
}

function checkPart(
  range: CompactRange,
  target: { readonly size: number; readonly root: Buffer },
  proof: readonly Buffer[],
): void {
  try {
    if (range.size <= target.size) return verifyGrowth(range.head, target, proof);
  } catch (cause) {
    if (!(cause instanceof TlogError)) throw cause;
  }
  throw refused("The statements are not those of the cosigned tree");
}

function refused(message: string, options: ErrorOptions = {}): Error {
  return refusal("ERR_LEDGER_RESTORE", message, options);
}
