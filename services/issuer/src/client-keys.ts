import { generateKeyPairSync, randomBytes, verify, type KeyObject } from "node:crypto";
import type { ClientKey } from "@redoubt/registry";
import { importPublicJwk } from "@redoubt/verify";
import { encodeBase64url } from "@redoubt/verify/base64url";

/** A public key of a client, ready for use. It serves the one algorithm that it was registered with. */
export interface VerifyingKey extends Pick<ClientKey, "kid" | "alg"> {
  readonly key: KeyObject;
  /** In POSIX seconds. */
  readonly until: number;
}

export function importClientKey({ kid, alg, jwk, until = Infinity }: ClientKey): VerifyingKey {
  return { kid, alg, key: importPublicJwk(jwk, alg), until };
}

/**
 * A key of each algorithm that no client has. To check with it where there is no key to check with takes as long, so that
 * time does not tell which clients there are (THREAT-34).
 */
export function nobodysKeys(): readonly VerifyingKey[] {
  const ec = generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey;
  const ed = generateKeyPairSync("ed25519").publicKey;
  // A random modulus in place of two primes, which would take long to find: nothing needs to be signed with it.
  const modulus = randomBytes(256);
  modulus.writeUInt8(modulus.readUInt8(0) | 0x80, 0);
  modulus.writeUInt8(modulus.readUInt8(255) | 1, 255);
  const rsa = { kty: "RSA", n: encodeBase64url(modulus), e: "AQAB" } as const;
  return [
    { kid: "", alg: "ES256", key: ec, until: -Infinity },
    { kid: "", alg: "Ed25519", key: ed, until: -Infinity },
    { kid: "", alg: "RS256", key: importPublicJwk(rsa, "RS256"), until: -Infinity },
    { kid: "", alg: "PS256", key: importPublicJwk(rsa, "PS256"), until: -Infinity },
  ];
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
