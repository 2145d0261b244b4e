import { constants, verify, type KeyObject } from "node:crypto";
import { EcdsaDer } from "./ecdsa-der.ts";
import type { TokenAlgorithm } from "./public-key.ts";

/** What a check needs of a key. */
export interface SignatureKey {
  readonly scope: { readonly alg: TokenAlgorithm };
  readonly keyObject: KeyObject;
  readonly signatureBytes: number;
}

/** Checks signatures. One at a time: calls share a buffer. */
export class SignatureCheck {
  readonly #der = new EcdsaDer();

  /**
   * Tells whether the key made this signature over this data. For the algorithms of Redoubt's own issuers the KeyObject
   * is handed over without options: with them Node 24.17 and later are slow, and only the options would fix the
   * padding.
   */
  isSignedBy(key: SignatureKey, data: Uint8Array, signature: Uint8Array): boolean {
    // RFC 7518 §3.4, RFC 8032 §5.1.6, RFC 8017 §8.2.2: one length for each key.
    if (signature.length !== key.signatureBytes) return false;
    switch (key.scope.alg) {
      case "ES256":
        return verify("sha256", data, key.keyObject, this.#der.encode(signature));
      case "ES384":
      case "ES512":
        return verify(
          hashOf(key),
          data,
          { key: key.keyObject, dsaEncoding: "ieee-p1363" },
          signature,
        );
      case "Ed25519":
        return verify(null, data, key.keyObject, signature);
      case "PS256": // The key itself is pinned to PSS, SHA-256 and salt 32; see pinPss.
      case "RS256":
        return verify("sha256", data, key.keyObject, signature);
      case "RS384":
      case "RS512":
        return verify(hashOf(key), data, key.keyObject, signature);
      case "PS384":
      case "PS512":
        return verify(hashOf(key), data, { key: key.keyObject, ...PSS }, signature);
      default:
        return false;
    }
  }
}

// RFC 7518 §3.5: the salt is as long as the hash; MGF1 uses the same hash.
const PSS = {
  padding: constants.RSA_PKCS1_PSS_PADDING,
  saltLength: constants.RSA_PSS_SALTLEN_DIGEST,
} as const;

function hashOf({ scope }: SignatureKey): string {
  return `sha${scope.alg.slice(-3)}`;
}
