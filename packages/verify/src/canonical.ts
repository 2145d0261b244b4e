import { isJsonObject, type JsonValue } from "./json.ts";

/** RFC 8785 for objects, arrays, strings, booleans and safe integers: members sorted by code unit. */
export function canonicalJson(value: JsonValue): string {
  if (isJsonObject(value))
    return `{${Object.entries(value)
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, member]) => `${JSON.stringify(name)}:${canonicalJson(member)}`)
      .join(",")}}`;
  if (isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  return JSON.stringify(value);
}

// Array.isArray makes any[] of a readonly array; this keeps the element type.
function isArray(value: JsonValue): value is readonly JsonValue[] {
  return Array.isArray(value);
}
