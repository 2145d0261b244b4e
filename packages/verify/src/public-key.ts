import { createPublicKey, type KeyObject } from "node:crypto";
import { Base64urlError, decodeBase64url } from "./base64url.ts";
import type { JsonObject } from "./json.ts";
import { pinPss } from "./pss-key.ts";
import { TrustError } from "./trust-error.ts";
import { isRoca, isSoundEd25519 } from "./weak-key.ts";

/** RFC 7518 §3, RFC 9864: fully specified, asymmetric. HS* and `none` do not exist here. */
export const KEY_ALGORITHMS = ["ES256", "Ed25519", "PS256", "RS256"] as const;
export type KeyAlgorithm = (typeof KEY_ALGORITHMS)[number];

/** What issuers other than Redoubt's may sign with, if their profile names it. */
export const TOKEN_ALGORITHMS = [
  "ES256",
  "Ed25519",
  "PS256",
  "RS256",
  "ES384",
  "ES512",
  "PS384",
  "PS512",
  "RS384",
  "RS512",
] as const;
export type TokenAlgorithm = (typeof TOKEN_ALGORITHMS)[number];

export type PublicJwk =
  | { readonly kty: "EC"; readonly crv: Curve; readonly x: string; readonly y: string }
  | { readonly kty: "OKP"; readonly crv: "Ed25519"; readonly x: string }
  | { readonly kty: "RSA"; readonly n: string; readonly e: string };

type Curve = "P-256" | "P-384" | "P-521";
/** RFC 7518 §3.4: one curve for each algorithm; §6.2.1.2: coordinates of full length. */
const CURVES: Readonly<Partial<Record<TokenAlgorithm, readonly [Curve, number]>>> = {
  ES256: ["P-256", 32],
  ES384: ["P-384", 48],
  ES512: ["P-521", 66],
};

const RSA_MIN_BYTES = 256;
const RSA_MAX_BYTES = 512;

export function isKeyAlgorithm(value: unknown): value is KeyAlgorithm {
  return KEY_ALGORITHMS.some((algorithm) => algorithm === value);
}

/** RFC 9864 fully specifies what RFC 8037 calls EdDSA; with an Ed25519 key both are one. */
export function tokenAlgorithm(value: unknown): TokenAlgorithm | undefined {
  if (value === "EdDSA") return "Ed25519";
  return TOKEN_ALGORITHMS.find((algorithm) => algorithm === value);
}

/** Whether a JWK is of the type, and on the curve, that an algorithm needs. */
export function fitsKey({ kty, crv }: JsonObject, algorithm: TokenAlgorithm): boolean {
  const curve = CURVES[algorithm];
  if (curve) return kty === "EC" && crv === curve[0];
  return algorithm === "Ed25519" ? kty === "OKP" && crv === "Ed25519" : kty === "RSA";
}

/**
 * Reads the public members of a JWK for exactly one algorithm and returns them without the others.
 * RFC 8725 §3.4: key material is validated before use.
 *
 * @throws TrustError `ERR_KEY_INVALID`
 */
export function parsePublicJwk(jwk: JsonObject, algorithm: TokenAlgorithm): PublicJwk {
  const curve = CURVES[algorithm];
  if (curve) {
    const [crv, bytes] = curve;
    requireMember(jwk, "kty", "EC");
    requireMember(jwk, "crv", crv);
    return { kty: "EC", crv, x: coordinate(jwk, "x", bytes), y: coordinate(jwk, "y", bytes) };
  }
  if (algorithm === "Ed25519") {
    requireMember(jwk, "kty", "OKP");
    requireMember(jwk, "crv", "Ed25519");
    return { kty: "OKP", crv: "Ed25519", x: edwardsPoint(jwk) };
  }
  requireMember(jwk, "kty", "RSA");
  requireMember(jwk, "e", "AQAB");
  return { kty: "RSA", n: modulus(jwk), e: "AQAB" };
}

/**
 * Imports a public key as a KeyObject that needs no options when it verifies: Node 24.17 and later are slow for
 * `{ key, padding }`. A PS256 key is pinned to that one algorithm; for the others the engine has no such form.
 *
 * @throws TrustError `ERR_KEY_INVALID`, for instance for a point that is not on the curve
 * @internal
 */
export function importPublicJwk(jwk: PublicJwk, algorithm: TokenAlgorithm): KeyObject {
  let key: KeyObject;
  try {
    key = createPublicKey({ key: { ...jwk }, format: "jwk" });
  } catch (cause) {
    throw new TrustError("ERR_KEY_INVALID", `Public key of ${algorithm}: not a key`, { cause });
  }
  return algorithm === "PS256" ? pinPss(key) : key;
}

/**
 * RFC 7517 §4.2, §4.3: false if `use` or `key_ops` of a JWK say that it is not for verifying signatures.
 */
export function isForSignatures({ use, key_ops: operations }: JsonObject): boolean {
  return (
    (use === undefined || use === "sig") &&
    (operations === undefined || (Array.isArray(operations) && operations.includes("verify")))
  );
}

/**
 * Refuses a JWK that holds a private or secret member: others can have read it where we did.
 *
 * @throws TrustError `ERR_KEYSET_PRIVATE`
 */
export function refusePrivateMembers(jwk: JsonObject): void {
  // RFC 7518 §6.2.2, §6.3.2, §6.4.1.
  for (const name of ["d", "p", "q", "dp", "dq", "qi", "oth", "k"])
    if (Object.hasOwn(jwk, name))
      throw new TrustError("ERR_KEYSET_PRIVATE", `JWK ${name}: a private member`, { member: name });
}

function requireMember(jwk: JsonObject, name: string, expected: string): void {
  if (jwk[name] !== expected)
    throw new TrustError("ERR_KEY_INVALID", `Public key ${name}: expected ${expected}`, {
      member: name,
    });
}

function coordinate(jwk: JsonObject, name: string, bytes: number): string {
  const { text } = member(jwk, name, { bytes });
  return text;
}

function edwardsPoint(jwk: JsonObject): string {
  const { text, bytes } = member(jwk, "x", { bytes: 32 });
  if (isSoundEd25519(bytes)) return text;
  throw new TrustError("ERR_KEY_INVALID", "Public key x: no point that one holder can sign for", {
    member: "x",
  });
}

// RFC 7518 §6.3.1.1: no leading zero; NIST SP 800-131A: at least 2048 bits. Above 4096 a check costs too much.
function modulus(jwk: JsonObject): string {
  const { text, bytes } = member(jwk, "n", { maxBytes: RSA_MAX_BYTES });
  const first = bytes[0] ?? 0;
  if (
    bytes.length < RSA_MIN_BYTES ||
    first === 0 ||
    (bytes.length === RSA_MIN_BYTES && first < 0x80)
  )
    throw new TrustError(
      "ERR_KEY_INVALID",
      "Public key n: less than 2048 bits, or a leading zero",
      { member: "n" },
    );
  if (((bytes.at(-1) ?? 0) & 1) === 0)
    throw new TrustError("ERR_KEY_INVALID", "Public key n: even", { member: "n" });
  if (isRoca(bytes))
    throw new TrustError("ERR_KEY_INVALID", "Public key n: made by a broken generator (ROCA)", {
      member: "n",
    });
  return text;
}

function member(
  jwk: JsonObject,
  name: string,
  limits: { readonly bytes?: number; readonly maxBytes?: number },
): { readonly text: string; readonly bytes: Buffer } {
  const text = jwk[name];
  if (typeof text !== "string")
    throw new TrustError("ERR_KEY_INVALID", `Public key ${name}: not a string`, { member: name });
  try {
    return { text, bytes: decodeBase64url(text, limits) };
  } catch (error) {
    // mutate: nothing else is thrown in there; a fault of our own would stay one.
    if (!(error instanceof Base64urlError)) throw error;
    throw new TrustError("ERR_KEY_INVALID", `Public key ${name}: ${error.message}`, {
      member: name,
      cause: error,
    });
  }
}
