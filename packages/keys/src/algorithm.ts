import {
  constants,
  generateKeyPairSync,
  sign,
  verify,
  type JsonWebKey,
  type KeyObject,
} from "node:crypto";
import { promisify } from "node:util";
import { KeyError } from "./errors.ts";

/** Signature algorithms by their fully specified JOSE names (RFC 7518, RFC 9864). */
export const SIGNATURE_ALGORITHMS = ["ES256", "Ed25519", "RS256", "PS256"] as const;
export type SignatureAlgorithm = (typeof SIGNATURE_ALGORITHMS)[number];

const KEY_TYPES: Readonly<
  Record<SignatureAlgorithm, { readonly type: string; readonly curve?: string }>
> = {
  ES256: { type: "ec", curve: "prime256v1" },
  Ed25519: { type: "ed25519" },
  RS256: { type: "rsa" },
  PS256: { type: "rsa" },
};
const RSA_BITS = 3072;
const P256_BYTES = 32;

export function generateKeyPair(alg: SignatureAlgorithm): {
  publicKey: KeyObject;
  privateKey: KeyObject;
} {
  switch (alg) {
    case "ES256":
      return generateKeyPairSync("ec", { namedCurve: "P-256" });
    case "Ed25519":
      return generateKeyPairSync("ed25519");
    case "RS256":
    case "PS256":
      return generateKeyPairSync("rsa", { modulusLength: RSA_BITS, publicExponent: 65_537 });
  }
}

/** Public members only, in the record's form. */
export function publicJwk(publicKey: KeyObject): Readonly<Record<string, string>> {
  const jwk: JsonWebKey = publicKey.export({ format: "jwk" });
  const { kty } = jwk;
  if (kty === "EC") return members(jwk, ["kty", "crv", "x", "y"]);
  if (kty === "OKP") return members(jwk, ["kty", "crv", "x"]);
  if (kty === "RSA") return members(jwk, ["kty", "n", "e"]);
  throw new KeyError("ERR_KEY_ALG", `Key type is not supported: ${kty}`);
}

function members(jwk: JsonWebKey, names: readonly (keyof JsonWebKey)[]): Record<string, string> {
  return Object.fromEntries(names.map((name) => [name, String(jwk[name])]));
}

export type Signer = (input: Uint8Array) => Buffer | Promise<Buffer>;

/**
 * JWS signature of `input` (RFC 7515): r ‖ s for ES256. EC and Ed25519 are synchronous, a thread hop costs more
 * than the signature; RSA runs in the thread pool and is verified before it leaves (a CRT fault leaks the key).
 *
 * @throws KeyError `ERR_KEY_ALG` for a key of another type or curve
 */
export function signerFor(
  alg: SignatureAlgorithm,
  privateKey: KeyObject,
  publicKey: KeyObject,
): Signer {
  checkKeyType(alg, privateKey);
  checkKeyType(alg, publicKey);
  switch (alg) {
    case "ES256":
      // NOTE: DER and a conversion here: the runtime's own ieee-p1363 form costs twice the signature.
      return (input) => joseFromDer(sign("sha256", input, privateKey));
    case "Ed25519":
      return (input) => sign(null, input, privateKey);
    case "RS256":
      return rsaSigner(constants.RSA_PKCS1_PADDING, privateKey, publicKey);
    case "PS256":
      return rsaSigner(constants.RSA_PKCS1_PSS_PADDING, privateKey, publicKey);
  }
}

// P1: a key does its one algorithm; OpenSSL would also sign with another curve's or type's key.
function checkKeyType(alg: SignatureAlgorithm, key: KeyObject): void {
  const { type, curve } = KEY_TYPES[alg];
  const isRight =
    key.asymmetricKeyType === type &&
    (curve === undefined || key.asymmetricKeyDetails?.namedCurve === curve);
  if (!isRight) throw new KeyError("ERR_KEY_ALG", `Key is not one for ${alg}`);
}

const signInPool = promisify(
  (
    input: Uint8Array,
    key: { key: KeyObject; padding: number; saltLength?: number },
    done: (error: Error | null, signature: Buffer) => void,
  ) => sign("sha256", input, key, done),
);

function rsaSigner(padding: number, privateKey: KeyObject, publicKey: KeyObject): Signer {
  const options =
    padding === constants.RSA_PKCS1_PSS_PADDING ? { padding, saltLength: 32 } : { padding };
  return async (input) => {
    const signature = await signInPool(input, { key: privateKey, ...options });
    if (!verify("sha256", input, { key: publicKey, ...options }, signature))
      throw new KeyError("ERR_KEY_SIGNATURE", "Signature does not verify: it was not released");
    return signature;
  };
}

const DER_SEQUENCE = 0x30;
const DER_INTEGER = 0x02;

/**
 * ECDSA-Sig-Value (RFC 3279 §2.2.3) of P-256 to r ‖ s (RFC 7518 §3.4).
 *
 * @throws KeyError `ERR_KEY_SIGNATURE` unless it is the one DER form (X.690 §8.3, §10.1) of two numbers that fit
 */
export function joseFromDer(der: Uint8Array): Buffer {
  const out = Buffer.alloc(2 * P256_BYTES);
  if (der[0] !== DER_SEQUENCE || der[1] !== der.length - 2) throw notDer();
  const middle = copyInteger(der, 2, out, P256_BYTES);
  if (copyInteger(der, middle, out, 2 * P256_BYTES) !== der.length) throw notDer();
  return out;
}

/** Copies the integer at `at` so that it ends at `end` of `out`; returns where the next one begins. */
function copyInteger(der: Uint8Array, at: number, out: Buffer, end: number): number {
  const length = der[at + 1] ?? 0;
  const number = der.subarray(at + 2, at + 2 + length);
  const [first = 0, second = 0] = number;
  const isPadded = first === 0 && length > 1;
  const isDer =
    der[at] === DER_INTEGER &&
    length > 0 &&
    number.length === length &&
    first < 0x80 &&
    (!isPadded || second >= 0x80);
  const magnitude = isPadded ? number.subarray(1) : number;
  if (!isDer || magnitude.length > P256_BYTES) throw notDer();
  out.set(magnitude, end - magnitude.length);
  return at + 2 + length;
}

function notDer(): KeyError {
  return new KeyError("ERR_KEY_SIGNATURE", "Signature is not a DER signature of P-256");
}
