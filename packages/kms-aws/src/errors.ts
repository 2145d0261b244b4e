import { KeyError, type KeyErrorCode } from "@redoubt/keys";

/** What a caller is told to wait before it asks again. */
const RETRY_AFTER_SECONDS = 1;

export function custodyError(code: KeyErrorCode, message: string, cause?: unknown): KeyError {
  return new KeyError(code, message, {
    ...(cause !== undefined && { cause }),
    ...(code === "ERR_KEY_BUSY" && { retryAfterSeconds: RETRY_AFTER_SECONDS }),
  });
}
