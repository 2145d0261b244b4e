import { errorCode, ServiceError, type EventSink } from "@redoubt/base";
import type { WireEvent } from "./events.ts";
import { WireError } from "./errors.ts";
import { encodeFrame, FRAME_KIND, type Head } from "./frame.ts";

interface Place {
  readonly caller: string;
  readonly sink: EventSink<WireEvent>;
}

const CODE = /^ERR_[A-Z0-9_]{1,60}$/;

// Errors of Node carry a code too, but their messages may hold paths or values.
const NODE_NAMES = [
  "Error",
  "TypeError",
  "RangeError",
  "SyntaxError",
  "ReferenceError",
  "URIError",
  "EvalError",
  "AggregateError",
  "AssertionError",
  "SystemError",
  "AbortError",
];

/** Errors of ours go out with code, message and fields; anything else is an internal fault and says nothing. */
export function encodeError(id: number, error: unknown, place: Place): Buffer {
  const head = publicHead(error);
  try {
    if (head) return encodeFrame(FRAME_KIND.error, id, head);
  } catch (cause) {
    // Fields that no frame can carry: the caller still gets an answer, and the process goes on.
    return internal(id, cause, place);
  }
  return internal(id, error, place);
}

function publicHead(error: unknown): Head | undefined {
  if (!(error instanceof Error)) return undefined;
  const code = errorCode(error);
  if (error instanceof ServiceError) return { ...error.fields, code, message: error.message };
  const isOurs =
    error instanceof WireError || (CODE.test(code) && !NODE_NAMES.includes(error.name));
  return isOurs ? { code, message: error.message, ...waitOf(error) } : undefined;
}

/** When to ask again, which `KeyError` and its like have as a member: a caller that asks sooner makes it worse. */
function waitOf(error: Error): { readonly retryAfterSeconds?: number } {
  const seconds = "retryAfterSeconds" in error ? error.retryAfterSeconds : undefined;
  const isTime = typeof seconds === "number" && Number.isFinite(seconds) && seconds >= 0;
  return isTime ? { retryAfterSeconds: Math.ceil(seconds) } : {};
}

function internal(id: number, error: unknown, { caller, sink }: Place): Buffer {
  const message = error instanceof Error ? error.message : "";
  sink("internal_error", { caller, code: errorCode(error), message });
  return encodeFrame(FRAME_KIND.error, id, { code: "ERR_INTERNAL", message: "Internal error" });
}
