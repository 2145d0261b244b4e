import { constants, createPublicKey, verify } from "node:crypto";
import type { SignatureAlgorithm } from "../algorithm.ts";

/** Verifies a JWS signature with node:crypto alone, in the forms that RFC 7518 §3 and RFC 8037 §3.1 name. */
export function verifiesAsJws(
  alg: SignatureAlgorithm,
  jwk: Readonly<Record<string, string>>,
  input: Uint8Array,
  signature: Uint8Array,
): boolean {
  const key = createPublicKey({ key: { ...jwk }, format: "jwk" });
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
