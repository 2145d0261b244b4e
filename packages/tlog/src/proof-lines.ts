import { decodeHash, encodeBase64 } from "./base64.ts";
import { TlogError } from "./errors.ts";
import type { TlogErrorCode } from "./errors.ts";
import { MAX_PROOF_HASHES } from "./subtree-consistency.ts";

/** A Merkle proof as text, one hash a line. Checks nothing: its callers parse the whole text that they have written. */
export function encodeProofLines(proof: readonly Uint8Array[]): string {
  return proof.map((hash) => `${encodeBase64(hash)}\n`).join("");
}

export function parseProofLines(lines: readonly string[], code: TlogErrorCode): Buffer[] {
  if (lines.length > MAX_PROOF_HASHES)
    throw new TlogError(code, "Proof is too long", {
      found: lines.length,
      expected: MAX_PROOF_HASHES,
    });
  return lines.map((line) => {
    const hash = decodeHash(line);
    if (hash === undefined) throw new TlogError(code, "Proof line is not a hash in base64");
    return hash;
  });
}
