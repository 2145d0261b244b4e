import { KeyError } from "@redoubt/keys";
import { AttemptTimeout, type Verdict } from "@redoubt/custody/call-gate";
import { isRecord } from "./sdk.ts";

/** Codes of gRPC (google.rpc.Code) that mean something here. */
const CANCELLED = 1;
const DEADLINE_EXCEEDED = 4;
const NOT_FOUND = 5;
const PERMISSION_DENIED = 7;
const RESOURCE_EXHAUSTED = 8;
const FAILED_PRECONDITION = 9;
const ABORTED = 10;
const INTERNAL = 13;
export const UNAVAILABLE = 14;
const UNAUTHENTICATED = 16;

/** The answer was damaged on the way; asking again is what Google advises. */
export class DamagedAnswer extends Error {}

/** The version is in a state that does not allow it; which one, only a second question tells. */
export function isFailedPrecondition(error: unknown): boolean {
  return error instanceof KeyError && grpcCode(error.cause) === FAILED_PRECONDITION;
}

/** What a failed call means. */
export function judgeFailure(cause: unknown): Verdict {
  if (cause instanceof KeyError) return { kind: "final", error: cause };
  if (cause instanceof AttemptTimeout) return { kind: "again", refused: false, cause };
  if (cause instanceof DamagedAnswer) {
    const error = new KeyError("ERR_KEY_CUSTODY", "Answers of custody are damaged", { cause });
    return { kind: "again", refused: false, cause, error };
  }
  return judgeStatus(cause);
}

function judgeStatus(cause: unknown): Verdict {
  switch (grpcCode(cause)) {
    case NOT_FOUND:
      return final("ERR_KEY_UNKNOWN", "Custody holds no key with this id", cause);
    case PERMISSION_DENIED:
    case UNAUTHENTICATED:
      return final("ERR_KEY_DENIED", "Custody does not let this identity do this", cause);
    case FAILED_PRECONDITION:
      return final("ERR_KEY_DISABLED", "Key version is not enabled", cause);
    case RESOURCE_EXHAUSTED:
      return isOversize(cause)
        ? final("ERR_KEY_CUSTODY", "Answer of custody is too long", cause)
        : { kind: "again", refused: true, cause };
    case CANCELLED:
    case DEADLINE_EXCEEDED:
    case ABORTED:
    case INTERNAL:
    case UNAVAILABLE:
      return { kind: "again", refused: false, cause };
    default:
      return final("ERR_KEY_CUSTODY", "Custody failed", cause);
  }
}

function final(
  code: "ERR_KEY_UNKNOWN" | "ERR_KEY_DENIED" | "ERR_KEY_DISABLED" | "ERR_KEY_CUSTODY",
  message: string,
  cause: unknown,
): Verdict {
  return { kind: "final", error: new KeyError(code, message, { cause }) };
}

function grpcCode(error: unknown): number {
  return isRecord(error) && typeof error.code === "number" ? error.code : -1;
}

// The gRPC library gives its own refusal of a long message the code of a quota.
function isOversize(error: unknown): boolean {
  return (
    isRecord(error) &&
    typeof error.details === "string" &&
    error.details.startsWith("Received message larger than max")
  );
}
