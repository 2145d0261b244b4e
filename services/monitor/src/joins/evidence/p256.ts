import { p256 } from "@noble/curves/nist.js";

const SCALAR_BYTES = 32;
/** SEC 1 §2.3.3: both coordinates follow. */
const UNCOMPRESSED = Buffer.of(4);
/** The digest is given; RFC 7518 §3.4 signatures are r ‖ s, and s may be the larger of its two forms. */
const OPTIONS = { prehash: false, lowS: false, format: "compact" } as const;

/**
 * Verifies an ECDSA signature (r ‖ s, RFC 7518 §3.4) over a SHA-256 digest, which node:crypto cannot do: it hashes
 * its input itself.
 *
 * @returns false for anything that is no valid signature, and for a key that is no point of the curve
 */
export function isP256Signature(
  key: { readonly x: Buffer; readonly y: Buffer },
  digest: Buffer,
  signature: Buffer,
): boolean {
  if (signature.length !== 2 * SCALAR_BYTES || digest.length !== SCALAR_BYTES) return false;
  const point = Buffer.concat([UNCOMPRESSED, key.x, key.y]);
  try {
    return p256.verify(signature, digest, point, OPTIONS);
  } catch {
    // What it throws for is a key or a signature that cannot be one.
    return false;
  }
}
