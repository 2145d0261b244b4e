import { isJsonObject, type JsonObject, type JsonValue } from "@redoubt/verify/json";
import { changeAll, changeOne, parsePath, type Draft } from "./draft.ts";
import { ScimError } from "./scim-error.ts";
import type { PatchOp } from "./values.ts";

const OPS: readonly PatchOp[] = ["add", "replace", "remove"];
const MAX_OPERATIONS = 100;

interface Operation {
  readonly op: PatchOp;
  readonly path: string | undefined;
  readonly value: JsonValue | undefined;
}

/**
 * RFC 7644 §3.5.2, in the forms in which Entra and Okta write it: any case, with a path or an object of paths.
 *
 * @throws ScimError; nothing of the body counts then
 */
export function applyPatch(draft: Draft, body: JsonObject): Draft {
  let next = draft;
  for (const operation of readOperations(body)) next = applyOne(next, operation);
  return next;
}

function applyOne(draft: Draft, { op, path, value }: Operation): Draft {
  if (path !== undefined) {
    const parsed = parsePath(path);
    return parsed ? changeOne(draft, parsed, { op, value }) : draft;
  }
  if (op === "remove") throw new ScimError("ERR_SCIM_PATH", "What is removed needs a path");
  if (!isJsonObject(value))
    throw new ScimError("ERR_SCIM_VALUE", "Without a path the value is an object");
  return changeAll(draft, op, value);
}

function readOperations(body: JsonObject): readonly Operation[] {
  const operations = memberOf(body, "operations");
  if (!Array.isArray(operations) || operations.length === 0 || operations.length > MAX_OPERATIONS)
    throw new ScimError("ERR_SCIM_SYNTAX", `Operations: 1 to ${MAX_OPERATIONS}`);
  return operations.map(readOperation);
}

function readOperation(item: JsonValue): Operation {
  if (!isJsonObject(item)) throw new ScimError("ERR_SCIM_SYNTAX", "An operation is an object");
  const said = memberOf(item, "op");
  const op = OPS.find((one) => typeof said === "string" && one === said.toLowerCase());
  if (!op) throw new ScimError("ERR_SCIM_SYNTAX", "op is add, replace or remove");
  const path = memberOf(item, "path");
  if (path !== undefined && path !== null && typeof path !== "string")
    throw new ScimError("ERR_SCIM_PATH", "The path is a text");
  const value = memberOf(item, "value");
  return { op, path: typeof path === "string" && path !== "" ? path : undefined, value };
}

function memberOf(object: JsonObject, name: string): JsonValue | undefined {
  return Object.entries(object).find(([key]) => key.toLowerCase() === name)?.[1];
}
