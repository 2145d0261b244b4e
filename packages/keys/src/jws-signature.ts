import { constants, verify, type KeyObject } from "node:crypto";
import type { SignatureAlgorithm } from "./algorithm.ts";
import { KeyError } from "./errors.ts";

/**
 * Gives the signature back if it verifies. So nothing leaves custody that relying parties would not accept: a fault in the
 * HSM, a signature by another key, or an answer that was changed on the way is an error, never a token.
 *
 * @param signature as JWS has it (RFC 7518 §3.3 to §3.5): r ‖ s for ES256
 * @throws KeyError `ERR_KEY_SIGNATURE`
 */
export function verifyJwsSignature(
  alg: SignatureAlgorithm,
  key: KeyObject,
  input: Uint8Array,
  signature: Buffer,
): Buffer {
  if (!verifies(alg, key, input, signature))
    throw new KeyError("ERR_KEY_SIGNATURE", "Signature does not verify: it was not released");
  return signature;
}

/** Whether a JWS signature verifies, for callers to whom a wrong one means another error. */
export function verifies(
  alg: SignatureAlgorithm,
  key: KeyObject,
  input: Uint8Array,
  signature: Uint8Array,
): boolean {
  switch (alg) {
    case "ES256":
      return verify("sha256", input, { key, dsaEncoding: "ieee-p1363" }, signature);
    case "Ed25519":
      return verify(null, input, key, signature);
    case "RS256":
      return verify("sha256", input, { key, padding: constants.RSA_PKCS1_PADDING }, signature);
    case "PS256": {
      const padding = constants.RSA_PKCS1_PSS_PADDING;
      return verify("sha256", input, { key, padding, saltLength: 32 }, signature);
    }
  }
}
