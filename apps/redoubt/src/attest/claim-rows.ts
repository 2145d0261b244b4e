import { isJsonObject, type JsonObject, type JsonValue } from "@redoubt/verify/json";

/** One row for each claim, by its path as a policy names it. */
export function claimRows(claims: JsonObject, prefix = ""): readonly (readonly [string, string])[] {
  return Object.entries(claims).flatMap(([name, value]) => rowsOf(`${prefix}${name}`, value));
}

function rowsOf(path: string, value: JsonValue): readonly (readonly [string, string])[] {
  if (isJsonObject(value)) return claimRows(value, `${path}.`);
  return [[path, typeof value === "object" ? JSON.stringify(value) : String(value)]];
}
