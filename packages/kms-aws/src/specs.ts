import { createHash, createPublicKey, type KeyObject } from "node:crypto";
import { joseFromDer, KeyError, verifyJwsSignature, type SignatureAlgorithm } from "@redoubt/keys";
import { custodyError } from "./errors.ts";

/** How one of our algorithms is asked for in KMS (KMS API Reference: CreateKey, Sign). */
interface KmsSpec {
  readonly keySpec: "ECC_NIST_P256" | "ECC_NIST_EDWARDS25519" | "RSA_3072";
  readonly signingAlgorithm:
    | "ECDSA_SHA_256"
    | "ED25519_SHA_512"
    | "RSASSA_PKCS1_V1_5_SHA_256"
    | "RSASSA_PSS_SHA_256";
  readonly messageType: "DIGEST" | "RAW";
}

const RSA_KEY = { keySpec: "RSA_3072", messageType: "DIGEST" } as const;

export const KMS_SPECS: Readonly<Record<SignatureAlgorithm, KmsSpec>> = {
  ES256: { keySpec: "ECC_NIST_P256", signingAlgorithm: "ECDSA_SHA_256", messageType: "DIGEST" },
  // The pre-hashed form of KMS is Ed25519ph, which is another algorithm (RFC 8032 §5.1): JWS needs the raw one.
  Ed25519: {
    keySpec: "ECC_NIST_EDWARDS25519",
    signingAlgorithm: "ED25519_SHA_512",
    messageType: "RAW",
  },
  RS256: { ...RSA_KEY, signingAlgorithm: "RSASSA_PKCS1_V1_5_SHA_256" },
  PS256: { ...RSA_KEY, signingAlgorithm: "RSASSA_PSS_SHA_256" },
};

/** KMS API Reference, Sign: a raw message is at most 4096 bytes. */
const MAX_RAW_BYTES = 4096;

/** What KMS gets to see: a digest, or for Ed25519 the whole input. */
export function messageFor(alg: SignatureAlgorithm, input: Uint8Array): Uint8Array {
  if (KMS_SPECS[alg].messageType === "DIGEST") return createHash("sha256").update(input).digest();
  if (input.length > MAX_RAW_BYTES)
    throw custodyError(
      "ERR_KEY_CUSTODY",
      `Input of ${input.length} bytes is too long for ${alg} in AWS KMS, at most ${MAX_RAW_BYTES}`,
    );
  return input;
}

/** DER SubjectPublicKeyInfo of RSA-3072 has 422 bytes. */
const MAX_SPKI_BYTES = 1024;
const RSA_BITS = 3072;
const RSA_EXPONENT = 65_537n;

/**
 * The public key that KMS named, if it is one that we would have asked for.
 *
 * @throws KeyError `ERR_KEY_ALG`
 */
export function parsePublicKey(alg: SignatureAlgorithm, spki: Uint8Array): KeyObject {
  if (spki.length > MAX_SPKI_BYTES) throw notOneFor(alg);
  let key: KeyObject;
  try {
    key = createPublicKey({ key: Buffer.from(spki), format: "der", type: "spki" });
  } catch {
    throw notOneFor(alg);
  }
  if (!isKeyFor(alg, key)) throw notOneFor(alg);
  return key;
}

function isKeyFor(alg: SignatureAlgorithm, key: KeyObject): boolean {
  const { asymmetricKeyType: type, asymmetricKeyDetails: details = {} } = key;
  switch (alg) {
    case "ES256":
      return type === "ec" && details.namedCurve === "prime256v1";
    case "Ed25519":
      return type === "ed25519";
    case "RS256":
    case "PS256":
      return (
        type === "rsa" &&
        details.modulusLength === RSA_BITS &&
        details.publicExponent === RSA_EXPONENT
      );
  }
}

function notOneFor(alg: SignatureAlgorithm): KeyError {
  return new KeyError("ERR_KEY_ALG", `Public key from AWS KMS is not one for ${alg}`);
}

/**
 * The JWS signature in what KMS answered. It is verified before it leaves: a KMS, or whoever answers in its place,
 * that is wrong must cost an error, never a token that nobody can verify.
 *
 * @throws KeyError `ERR_KEY_SIGNATURE`
 */
export function jwsSignature(
  alg: SignatureAlgorithm,
  publicKey: KeyObject,
  input: Uint8Array,
  answered: Uint8Array,
): Buffer {
  const signature = alg === "ES256" ? joseFromDer(answered) : Buffer.from(answered);
  return verifyJwsSignature(alg, publicKey, input, signature);
}
