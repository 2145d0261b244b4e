import { existsSync, readFileSync } from "node:fs";

/** Evidence of real machines, beside the checkout; tests of it are skipped, and counted, without it. */
const published = new URL("../../../../../shared/vectors/attestation/", import.meta.url);

export const skipWithoutVectors: string | false = existsSync(published)
  ? false
  : "needs ../shared/vectors/attestation";

/** @param name path inside the collection: "nitro/prod-doc.cose" */
export function attestationVector(name: string): Buffer {
  return readFileSync(new URL(name, published));
}
