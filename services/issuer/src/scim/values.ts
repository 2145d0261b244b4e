import type { JsonValue } from "@redoubt/verify/json";
import { ScimError } from "./scim-error.ts";

export type PatchOp = "add" | "replace" | "remove";

/** One change. `value` is the directory's, and may be anything. */
export interface Change {
  readonly op: PatchOp;
  readonly value: JsonValue | undefined;
}

/** A path of RFC 7644 §3.5.2, taken apart; names in lower case (RFC 7643 §2.1). */
export interface AttributePath {
  readonly name: string;
  /** What stands in brackets. */
  readonly filter: string | undefined;
  readonly part: string | undefined;
}

/** An empty text is none: that is how some directories take something away. */
export function textOrNull({ op, value }: Change): string | null {
  if (op === "remove" || value === null || value === undefined || value === "") return null;
  if (typeof value !== "string") throw invalid("The attribute is a text");
  return value;
}

/** Entra writes "False" and "True" unless it is told otherwise. */
export function readFlag(value: JsonValue | undefined): boolean {
  const said = typeof value === "string" ? value.toLowerCase() : value;
  if (said === true || said === "true") return true;
  if (said === false || said === "false") return false;
  throw invalid("The attribute is true or false");
}

export function invalid(detail: string): ScimError {
  return new ScimError("ERR_SCIM_VALUE", detail);
}
