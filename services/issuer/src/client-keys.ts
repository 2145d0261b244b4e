import { verify, type KeyObject } from "node:crypto";
import type { ClientKey } from "@redoubt/registry";
import { importPublicJwk } from "@redoubt/verify";

/** A public key of a client, ready for use. It serves the one algorithm that it was registered with. */
export interface VerifyingKey extends Pick<ClientKey, "kid" | "alg"> {
  readonly key: KeyObject;
  /** In POSIX seconds. */
  readonly until: number;
}

export function importClientKey({ kid, alg, jwk, until = Infinity }: ClientKey): VerifyingKey {
  return { kid, alg, key: importPublicJwk(jwk, alg), until };
}

/** Whether the signature over a JWS signing input is this key's (RFC 7515 §5.2). */
export function verifiesWith(
  { alg, key }: VerifyingKey,
  input: Buffer,
  signature: Buffer,
): boolean {
  switch (alg) {
    case "ES256":
      // RFC 7518 §3.4: exactly r ‖ s.
      return (
        signature.length === 64 &&
        verify("sha256", input, { key, dsaEncoding: "ieee-p1363" }, signature)
      );
    case "Ed25519":
      return verify(null, input, key, signature);
    case "RS256":
    case "PS256":
      // The imported key of PS256 allows nothing but PSS with SHA-256 and a salt of 32 bytes.
      return verify("sha256", input, key, signature);
  }
}
