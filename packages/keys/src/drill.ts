import type { KeyRecord } from "@redoubt/verify/record";

/** P1: the private half of a drill's key is outside; it never signs for a realm and is in no JWKS. */
export function isDrill({ custody }: Pick<KeyRecord, "custody">): boolean {
  return custody === "drill";
}
