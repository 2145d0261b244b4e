import { KeyError } from "@redoubt/keys";
import { AttemptTimeout, type Verdict } from "@redoubt/custody/call-gate";
import { isRecord } from "./sdk.ts";

/** An answer that says no. The SDK reads `statusCode` too. */
export class HttpFailure extends Error {
  readonly statusCode: number;
  /** `error.innererror.code` of the body: why, where the status alone does not tell. */
  readonly reason: string;
  readonly retryAfterMs: number | undefined;

  constructor(statusCode: number, reason: string, retryAfterMs: number | undefined) {
    super(`Key Vault answered ${statusCode}${reason === "" ? "" : ` (${reason})`}`);
    this.statusCode = statusCode;
    this.reason = reason;
    this.retryAfterMs = retryAfterMs;
  }
}

/** No answer: no connection, one that broke, nobody who gives a token. */
export class Unreachable extends Error {}

/** What a failed call means. */
export function judgeFailure(cause: unknown): Verdict {
  if (cause instanceof KeyError) return { kind: "final", error: cause };
  if (cause instanceof AttemptTimeout || cause instanceof Unreachable)
    return { kind: "again", refused: false, cause };
  if (cause instanceof HttpFailure) return judgeStatus(cause);
  // The SDK's own error, after a token that the vault did not accept.
  if (isRecord(cause) && cause.statusCode === 401) return denied(cause);
  return final("ERR_KEY_CUSTODY", "Custody failed", cause);
}

function judgeStatus(cause: HttpFailure): Verdict {
  const { statusCode, reason, retryAfterMs } = cause;
  if (statusCode === 429)
    return { kind: "again", refused: true, cause, ...(retryAfterMs && { afterMs: retryAfterMs }) };
  if (statusCode === 408 || statusCode >= 500)
    return { kind: "again", refused: false, cause, ...(retryAfterMs && { afterMs: retryAfterMs }) };
  // Soft-deleted, or on its way there: gone for everybody who may not recover keys.
  if (statusCode === 404 || (statusCode === 409 && reason.startsWith("Object")))
    return final("ERR_KEY_UNKNOWN", "Custody holds no key with this id", cause);
  if (
    statusCode === 403 &&
    (reason === "KeyDisabled" || reason === "KeyNotYetValid" || reason === "KeyExpired")
  )
    return final("ERR_KEY_DISABLED", "Key may not be used now", cause);
  return statusCode === 403 ? denied(cause) : final("ERR_KEY_CUSTODY", "Custody failed", cause);
}

function denied(cause: unknown): Verdict {
  return final("ERR_KEY_DENIED", "Custody does not let this identity do this", cause);
}

function final(
  code: "ERR_KEY_UNKNOWN" | "ERR_KEY_DENIED" | "ERR_KEY_DISABLED" | "ERR_KEY_CUSTODY",
  message: string,
  cause: unknown,
): Verdict {
  return { kind: "final", error: new KeyError(code, message, { cause }) };
}

export function unexpected(message: string, cause?: unknown): KeyError {
  const options = cause === undefined ? {} : { cause };
  return new KeyError("ERR_KEY_CUSTODY", `Unexpected answer of custody: ${message}`, options);
}
