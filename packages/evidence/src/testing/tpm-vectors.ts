import { existsSync, readFileSync } from "node:fs";

// Evidence of real machines lies beside the repository.
const published = new URL("../../../../../shared/vectors/attestation/", import.meta.url);

/** For `skip`: the reason, or false where the vectors are. */
export const WITHOUT_VECTORS = existsSync(published) ? false : "needs ../shared/vectors";

export function attestationVector(path: string): Buffer {
  return readFileSync(new URL(path, published));
}
