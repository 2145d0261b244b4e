import { errorCode, errorLine, ServiceError } from "@redoubt/base";

/** Why the ledger refused (docs/spec/wire.md §4); stable. */
export type LedgerErrorCode =
  | "ERR_LEDGER_SIZE"
  | "ERR_LEDGER_ROOT"
  | "ERR_LEDGER_WRITER"
  | "ERR_LEDGER_ENTRY"
  | "ERR_LEDGER_BODY"
  | "ERR_LEDGER_FULL"
  | "ERR_LEDGER_IO"
  | "ERR_LEDGER_CLOSED"
  | "ERR_LEDGER_HALTED"
  | "ERR_LEDGER_HISTORY"
  | "ERR_LEDGER_RESTORE"
  | "ERR_LEDGER_DENIED"
  | "ERR_LEDGER_NOT_FOUND";

export function refusal(
  code: LedgerErrorCode,
  message: string,
  options: ErrorOptions & { readonly fields?: Readonly<Record<string, unknown>> } = {},
): ServiceError<LedgerErrorCode> {
  return new ServiceError(code, message, options);
}

/** The compare-and-swap was lost; the answer says what the size really is. */
export function sizeRefusal(size: number): ServiceError<LedgerErrorCode> {
  return refusal("ERR_LEDGER_SIZE", `Log has ${size} entries`, { fields: { size } });
}

/** The stored log contradicts itself, or what others hold of it: it is halted, and nothing is repaired. */
export function historyError(message: string, cause?: unknown): ServiceError<LedgerErrorCode> {
  return refusal("ERR_LEDGER_HISTORY", message, cause === undefined ? {} : { cause });
}

/** Whether an error says that stored rows are not the log's, whichever check found it. */
export function isHistoryError(error: unknown): boolean {
  const code = errorCode(error);
  return code === "ERR_LEDGER_HISTORY" || code === "ERR_LEDGER_ENTRY";
}

/** A failed write as its callers see it, and what it means for this process. */
export interface StorageFailure {
  readonly refusal: ServiceError<LedgerErrorCode>;
  /** The operating system may have dropped dirty pages: only a restart reads what really is on disk. */
  readonly isFatal: boolean;
}

// https://sqlite.org/rescode.html: primary result codes, the low byte of an extended one.
const SQLITE_BUSY = 5;
const SQLITE_FULL = 13;

/**
 * THREAT-05. Full and busy pass by themselves, and SQLite took its changes back. Everything else is treated as a
 * failed sync: a second fsync may report success for data that the first one lost, so nothing is tried again here.
 */
export function storageFailure(error: unknown): StorageFailure {
  const result = sqliteResult(error);
  const why = { cause: error };
  if (result === SQLITE_FULL)
    return { refusal: refusal("ERR_LEDGER_FULL", "Disk is full", why), isFatal: false };
  const fault = refusal("ERR_LEDGER_IO", "Storage failed", why);
  return { refusal: fault, isFatal: result !== SQLITE_BUSY };
}

export function describeFailure(error: unknown): Readonly<Record<string, unknown>> {
  return { code: errorCode(error), result: sqliteResult(error), message: errorLine(error) };
}

function sqliteResult(error: unknown): number | undefined {
  if (typeof error !== "object" || error === null || !("errcode" in error)) return undefined;
  return typeof error.errcode === "number" ? error.errcode % 256 : undefined;
}
