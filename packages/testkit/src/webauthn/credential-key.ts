import { generateKeyPairSync, sign, type KeyObject } from "node:crypto";
import { cbor, type CborItem } from "./cbor-writer.ts";

export type SoftAlgorithm = "ES256" | "EdDSA" | "RS256";

/** COSE algorithm identifiers (RFC 9053 §2, RFC 8812 §2). */
export const COSE_ALGORITHM: Readonly<Record<SoftAlgorithm, number>> = {
  ES256: -7,
  EdDSA: -8,
  RS256: -257,
};

/** The key pair of one credential, and its public half as COSE_Key (RFC 9052 §7). */
export interface CredentialKey {
  readonly publicKey: Buffer;
  readonly privateKey: KeyObject;
}

export function makeCredentialKey(alg: SoftAlgorithm): CredentialKey {
  const { publicKey, privateKey } = generate(alg);
  const { x = "", y = "", n = "", e = "" } = publicKey.export({ format: "jwk" });
  const members: Readonly<Record<SoftAlgorithm, readonly (readonly [number, CborItem])[]>> = {
    ES256: [
      [1, 2],
      [3, -7],
      [-1, 1],
      [-2, bytes(x)],
      [-3, bytes(y)],
    ],
    EdDSA: [
      [1, 1],
      [3, -8],
      [-1, 6],
      [-2, bytes(x)],
    ],
    RS256: [
      [1, 3],
      [3, -257],
      [-1, bytes(n)],
      [-2, bytes(e)],
    ],
  };
  return { publicKey: cbor(new Map(members[alg])), privateKey };
}

/** ECDSA as DER, as WebAuthn §6.5.5 asks. */
export function signWith(key: KeyObject, data: Buffer): Buffer {
  return sign(key.asymmetricKeyType === "ed25519" ? null : "sha256", data, key);
}

function generate(alg: SoftAlgorithm): { publicKey: KeyObject; privateKey: KeyObject } {
  switch (alg) {
    case "ES256":
      return generateKeyPairSync("ec", { namedCurve: "P-256" });
    case "EdDSA":
      return generateKeyPairSync("ed25519");
    case "RS256":
      return generateKeyPairSync("rsa", { modulusLength: 2048 });
    default:
      throw new RangeError("Unknown algorithm");
  }
}

function bytes(base64url: string): Buffer {
  return Buffer.from(base64url, "base64url");
}
