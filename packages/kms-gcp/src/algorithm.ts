import { createPublicKey, type KeyObject } from "node:crypto";
import { KeyError, type SignatureAlgorithm } from "@redoubt/keys";

/** What a new key of each algorithm is; RSA keys are as long as those made in files. */
export const GOOGLE_ALGORITHMS: Readonly<Record<SignatureAlgorithm, string>> = {
  ES256: "EC_SIGN_P256_SHA256",
  Ed25519: "EC_SIGN_ED25519",
  RS256: "RSA_SIGN_PKCS1_3072_SHA256",
  PS256: "RSA_SIGN_PSS_3072_SHA256",
};

// P1: a version's algorithm is fixed when it is made, and names padding and digest: it is the JWS algorithm.
const JOSE_ALGORITHMS: ReadonlyMap<string, SignatureAlgorithm> = new Map([
  ["EC_SIGN_P256_SHA256", "ES256"],
  ["EC_SIGN_ED25519", "Ed25519"],
  ["RSA_SIGN_PKCS1_2048_SHA256", "RS256"],
  ["RSA_SIGN_PKCS1_3072_SHA256", "RS256"],
  ["RSA_SIGN_PKCS1_4096_SHA256", "RS256"],
  ["RSA_SIGN_PSS_2048_SHA256", "PS256"],
  ["RSA_SIGN_PSS_3072_SHA256", "PS256"],
  ["RSA_SIGN_PSS_4096_SHA256", "PS256"],
]);

/** @throws KeyError `ERR_KEY_REFUSED` */
export function joseAlgorithm(google: unknown): SignatureAlgorithm {
  const alg = typeof google === "string" ? JOSE_ALGORITHMS.get(google) : undefined;
  if (!alg) throw new KeyError("ERR_KEY_REFUSED", "Key is of an algorithm that is not used");
  return alg;
}

const MIN_RSA_BITS = 2048;
const MAX_RSA_BITS = 4096;
const PEM = /^-----BEGIN PUBLIC KEY-----\n[A-Za-z0-9+/=\n]+-----END PUBLIC KEY-----\n?$/;
const KEY_TYPES = { ES256: "ec", Ed25519: "ed25519", RS256: "rsa", PS256: "rsa" } as const;

/**
 * A public key of exactly this algorithm.
 *
 * @throws KeyError `ERR_KEY_CUSTODY`
 */
export function readPublicKey(alg: SignatureAlgorithm, pem: string): KeyObject {
  if (!PEM.test(pem)) throw notOurKey();
  const key = importPem(pem);
  const { namedCurve, publicExponent, modulusLength = 0 } = key.asymmetricKeyDetails ?? {};
  const isRight =
    key.asymmetricKeyType === KEY_TYPES[alg] &&
    (alg !== "ES256" || namedCurve === "prime256v1") &&
    (KEY_TYPES[alg] !== "rsa" ||
      (publicExponent === 65_537n &&
        modulusLength >= MIN_RSA_BITS &&
        modulusLength <= MAX_RSA_BITS));
  if (!isRight) throw notOurKey();
  return key;
}

function importPem(pem: string): KeyObject {
  try {
    return createPublicKey({ key: pem, format: "pem" });
  } catch (cause) {
    throw notOurKey(cause);
  }
}

function notOurKey(cause?: unknown): KeyError {
  return new KeyError("ERR_KEY_CUSTODY", "Custody answered no public key of its algorithm", {
    cause,
  });
}
