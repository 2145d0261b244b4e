import { ServiceError } from "@redoubt/base";
import { TlogError } from "@redoubt/tlog";

/** What is wrong with a published log. */
export type FindingCode =
  | "ERR_LOG_BODY"
  | "ERR_LOG_FILE"
  | "ERR_LOG_ENTRY"
  | "ERR_LOG_ROOT"
  | "ERR_LOG_SIGNATURE"
  | "ERR_LOG_TILE"
  | "ERR_LOG_PROOF"
  | "ERR_LOG_MISSING";

export function finding(code: FindingCode, message: string): ServiceError<FindingCode> {
  return new ServiceError(code, message);
}

/** Whether an error says that the log itself is wrong; any other means that it could not be decided. */
export function isFinding(error: unknown): error is ServiceError | TlogError {
  if (error instanceof TlogError) return true;
  return error instanceof ServiceError && error.code.startsWith("ERR_LOG_");
}
