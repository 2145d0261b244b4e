import type { KeyRecord } from "@redoubt/verify/record";

/** P1: whoever runs the drill holds the private half of such a key; it never signs for a realm and is in no JWKS. */
export function isDrill({ custody }: Pick<KeyRecord, "custody">): boolean {
  return custody === "drill";
}
