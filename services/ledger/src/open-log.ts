import {
  encodeVerifierKey,
  isDatedAhead,
  openCheckpoint,
  verifyCosignature,
  type VerifierKey,
  logId,
} from "@redoubt/tlog";
import { CompactRange } from "@redoubt/tlog";
import { errorCode, errorLine, nowSeconds, type Clock } from "@redoubt/base";
import { CHECKPOINT_FILE } from "./checkpoint-file.ts";
import { historyError } from "./errors.ts";
import type { LedgerEvents } from "./events.ts";
import { hasSigned, loadHead, logVerifiers, openFullCheckpoint, type Mark } from "./history.ts";
import { Log, type LogIdentity } from "./log.ts";
import { ensureLogKey, hasLogKey, openLogKey, verifyingLogKey, type LogKey } from "./log-key.ts";
import type { Store } from "./store.ts";
import type { TileFolder } from "./tile-folder.ts";

export interface OpenParts {
  readonly store: Store;
  readonly events: LedgerEvents;
  readonly witness: VerifierKey;
  /** The service's own folder. */
  readonly folder: string;
  readonly clock: Clock;
}

export interface LogSpec extends Pick<
  LogIdentity,
  "origin" | "kind" | "writer" | "caller" | "isClosed"
> {
  /** Of the registry, newest first, where it ever had another key. */
  readonly keys?: readonly VerifierKey[];
}

/** Opens a log, or creates it the first time. A log whose history is not what it was is halted; others go on. */
export function openLog(parts: OpenParts, spec: LogSpec, published: TileFolder): Log {
  const { store, events } = parts;
  const identity = identify(parts, spec);
  const log = new Log(identity, { range: CompactRange.empty(), checkpoint: "" });
  try {
    checkFixed(store, identity);
    if (identity.key.isGone === true && spec.isClosed !== true)
      throw historyError(`The key of ${identity.origin} is gone`);
    const shown = readPublished(parts, identity, published);
    const marks = readMarks(parts, identity, shown);
    log.advance(loadHead(store, identity, marks));
    const stored = store.cosigned(log.origin)?.note;
    for (const note of new Set([stored, shown]))
      if (note !== undefined) restoreCosigned(log, note, parts);
    events.opened(log.origin, log.size);
    return log;
  } catch (error) {
    if (errorCode(error) === "ERR_SQLITE_ERROR") throw error;
    log.halt(errorLine(error));
    events.halted(log.origin, errorLine(error));
    return log;
  }
}

function identify({ store, folder }: OpenParts, spec: LogSpec): LogIdentity {
  const { keys, ...fixed } = spec;
  const { origin, writer } = fixed;
  const row = store.logRow(origin);
  const exists = row !== undefined;
  // A log with entries whose key is gone must not get a new one in silence.
  const [current, ...formerKeys] = keys ?? [];
  const number = formerKeys.length + 1;
  const vkey = current ? encodeVerifierKey(current) : row?.vkey;
  const key = exists
    ? openOwnKey(folder, origin, vkey ?? "", number)
    : ensureLogKey(folder, origin);
  if (!exists) store.createLog(origin, writerText(writer), encodeVerifierKey(key.verifier));
  return { ...fixed, id: logId(origin), key, formerKeys };
}

/** The log's key. Where its file is gone, the public half alone: then this log stops, and the others go on. */
function openOwnKey(folder: string, origin: string, vkey: string, number: number): LogKey {
  return hasLogKey(folder, origin, number)
    ? openLogKey(folder, origin, number)
    : verifyingLogKey(vkey);
}

/** docs/spec/wire.md §4: the writer of a log is fixed for ever, and so is its key, except the registry's. */
function checkFixed(store: Store, { origin, writer, key, formerKeys = [] }: LogIdentity): void {
  const row = store.logRow(origin);
  if (row?.writer !== writerText(writer)) throw historyError("Log was made for another writer");
  const vkey = encodeVerifierKey(key.verifier);
  if (row.vkey === vkey) return;
  if (!formerKeys.some((former) => encodeVerifierKey(former) === row.vkey))
    throw historyError("Log was made with another key");
  store.setLogKey(origin, vkey);
}

function writerText(writer: VerifierKey | undefined): string {
  return writer ? encodeVerifierKey(writer) : "";
}

/** Roots that others were shown: the newest cosigned one, and the one in the published folder. */
function readMarks({ store }: OpenParts, identity: LogIdentity, shown: string | undefined): Mark[] {
  const cosigned = store.cosigned(identity.origin)?.note;
  const notes = [
    { note: cosigned, what: "the cosigned checkpoint" },
    { note: shown, what: "the published checkpoint" },
  ];
  return notes.flatMap(({ note, what }) =>
    note === undefined ? [] : [{ ...openFullCheckpoint(note, identity), what }],
  );
}

/** The published checkpoint, if its signatures verify. */
function readPublished(
  { events, witness }: OpenParts,
  identity: LogIdentity,
  published: TileFolder,
): string | undefined {
  try {
    const note = published.readIfThere(CHECKPOINT_FILE)?.toString("utf8");
    if (note === undefined) return undefined;
    openFullCheckpoint(note, identity);
    openCheckpoint(note, {
      origin: identity.origin,
      verifiers: [...logVerifiers(identity), witness],
    });
    return note;
  } catch (error) {
    // Published files are not synced: after a power cut this one may be torn, which proves nothing.
    events.publishedUnusable(identity.origin, error);
    return undefined;
  }
}

/** Takes a note as the log's cosigned checkpoint if the present keys signed it and it is not dated ahead. */
function restoreCosigned(log: Log, note: string, { witness, clock, events }: OpenParts): void {
  const { origin, identity, verifiers } = log;
  const { formerKeys = [] } = identity;
  const opened = openCheckpoint(note, {
    origin,
    verifiers: [...verifiers, ...formerKeys, witness],
  });
  if (![...verifiers, witness].every((key) => hasSigned(opened, key))) return;
  const { timeSeconds, checkpoint } = verifyCosignature(note, witness);
  const now = nowSeconds(clock);
  // THREAT-37: an earlier run may have kept it while this clock was ahead, or this clock was set back since.
  if (isDatedAhead(timeSeconds, now)) events.cosignatureAhead(log.origin, timeSeconds, now);
  log.acceptCosigned({ note, size: checkpoint.size, timeSeconds }, now);
}
