import type { Claims, ClaimValue } from "@redoubt/evidence";

/** One row for each claim, by its path as a policy names it. */
export function claimRows(claims: Claims, prefix = ""): readonly (readonly [string, string])[] {
  return Object.entries(claims).flatMap(([name, value]) => rowsOf(`${prefix}${name}`, value));
}

function rowsOf(path: string, value: ClaimValue): readonly (readonly [string, string])[] {
  if (isClaims(value)) return claimRows(value, `${path}.`);
  return [[path, typeof value === "object" ? JSON.stringify(value) : String(value)]];
}

function isClaims(value: ClaimValue): value is Claims {
  return typeof value === "object" && !Array.isArray(value);
}
