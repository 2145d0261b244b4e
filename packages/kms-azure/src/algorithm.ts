import { createPublicKey, type JsonWebKey, type KeyObject } from "node:crypto";
import { KeyError, type SignatureAlgorithm } from "@redoubt/keys";
import { unexpected } from "./failure.ts";

export type AzureAlgorithm = Exclude<SignatureAlgorithm, "Ed25519">;

/** What a new key of each algorithm is; RSA keys are as long as those made in files. */
export const AZURE_KEYS: Readonly<
  Record<AzureAlgorithm, { readonly type: "EC" | "RSA"; readonly options: object }>
> = {
  ES256: { type: "EC", options: { curve: "P-256" } },
  RS256: { type: "RSA", options: { keySize: 3072 } },
  PS256: { type: "RSA", options: { keySize: 3072 } },
};

/** @throws KeyError `ERR_KEY_ALG`: Key Vault has no keys for Ed25519 */
export function azureAlgorithm(alg: SignatureAlgorithm): AzureAlgorithm {
  if (alg === "Ed25519") throw new KeyError("ERR_KEY_ALG", "Azure Key Vault does not sign Ed25519");
  return alg;
}

/** The algorithm that a key was made for, as its tag says: an RSA key of Azure would do two. */
export function taggedAlgorithm(tag: unknown): AzureAlgorithm {
  const alg = (["ES256", "RS256", "PS256"] as const).find((known) => known === tag);
  if (!alg) throw new KeyError("ERR_KEY_REFUSED", "Key bears no algorithm that is used");
  return alg;
}

const MIN_RSA_BYTES = 256;
const MAX_RSA_BYTES = 512;
const P256_BYTES = 32;

/**
 * The public key in a key's JWK, of exactly this algorithm.
 *
 * @throws KeyError `ERR_KEY_CUSTODY`
 */
export function readPublicKey(
  alg: AzureAlgorithm,
  jwk: Readonly<Record<string, unknown>>,
): KeyObject {
  if (alg === "ES256") {
    if (jwk.crv !== "P-256") throw notOurKey();
    const [x, y] = [bytesOf(jwk.x, P256_BYTES), bytesOf(jwk.y, P256_BYTES)];
    return importJwk({ kty: "EC", crv: "P-256", x, y });
  }
  const key = importJwk({ kty: "RSA", n: bytesOf(jwk.n), e: bytesOf(jwk.e, 3) });
  const { modulusLength = 0, publicExponent } = key.asymmetricKeyDetails ?? {};
  if (publicExponent !== 65_537n || modulusLength < MIN_RSA_BYTES * 8) throw notOurKey();
  return key;
}

function bytesOf(value: unknown, length?: number): string {
  if (!(value instanceof Uint8Array) || value.length > MAX_RSA_BYTES) throw notOurKey();
  if (length !== undefined && value.length !== length) throw notOurKey();
  return Buffer.from(value).toString("base64url");
}

// OpenSSL refuses a point that is not on the curve.
function importJwk(jwk: JsonWebKey): KeyObject {
  try {
    return createPublicKey({ key: jwk, format: "jwk" });
  } catch (cause) {
    throw notOurKey(cause);
  }
}

function notOurKey(cause?: unknown): KeyError {
  return unexpected("no public key of its algorithm", cause);
}
