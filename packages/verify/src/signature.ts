import { verify } from "node:crypto";
import type { TrustedKey } from "./trusted-key.ts";

/**
 * Tells whether the key made this signature over this data. The KeyObject is handed over bare: with options,
 * Node 24.17 and later are slow, and the options would be the only thing that holds padding and hash.
 */
export function isSignedBy(key: TrustedKey, data: Uint8Array, signature: Buffer): boolean {
  // RFC 7518 §3.4, RFC 8032 §5.1.6, RFC 8017 §8.2.2: one length for each key.
  if (signature.length !== key.signatureBytes) return false;
  switch (key.scope.alg) {
    case "ES256":
      return verify("sha256", data, key.keyObject, ecdsaToDer(signature));
    case "Ed25519":
      return verify(null, data, key.keyObject, signature);
    case "PS256": // The key itself is pinned to PSS, SHA-256 and salt 32; see pinPss.
    case "RS256":
      return verify("sha256", data, key.keyObject, signature);
    default:
      return false;
  }
}

const HALF = 32;

/** r ‖ s as RFC 7518 §3.4 has it, to the DER that OpenSSL reads; zero stays zero and is refused there. */
function ecdsaToDer(signature: Buffer): Buffer {
  const der = Buffer.allocUnsafe(72);
  const rEnd = writeInteger(der, 2, signature, 0);
  const end = writeInteger(der, rEnd, signature, HALF);
  der[0] = 0x30;
  der[1] = end - 2;
  return der.subarray(0, end);
}

function writeInteger(der: Buffer, at: number, signature: Buffer, from: number): number {
  let start = from;
  const last = from + HALF - 1;
  // X.690 §8.3.2: no superfluous leading zero, and one where the number would be negative.
  while (start < last && signature[start] === 0) start += 1;
  const isHigh = (signature[start] ?? 0) >= 0x80;
  const length = last - start + 1 + (isHigh ? 1 : 0);
  der[at] = 0x02;
  der[at + 1] = length;
  der[at + 2] = 0;
  signature.copy(der, at + 2 + (isHigh ? 1 : 0), start, last + 1);
  return at + 2 + length;
}
