import { createPublicKey, type KeyObject } from "node:crypto";
import { encodeBase64url } from "@redoubt/verify/base64url";
import type { SignatureAlgorithm } from "@redoubt/keys";
import { CKA, type Handle } from "./cryptoki.ts";
import { readAttribute, type AttributeSource } from "./objects.ts";

const DER_OCTET_STRING = 0x04;
const UNCOMPRESSED = 0x04;
const P256_BYTES = 32;
const ED25519_BYTES = 32;
const MIN_RSA_BITS = 3072;
const RSA_EXPONENT = Buffer.from([1, 0, 1]);

/** Undefined for what is no public key of this algorithm. */
export function readPublicKey(
  cryptoki: AttributeSource,
  session: Handle,
  object: Handle,
  alg: SignatureAlgorithm,
): KeyObject | undefined {
  const read = (type: number): Buffer =>
    readAttribute(cryptoki, session, object, type) ?? Buffer.alloc(0);
  switch (alg) {
    case "ES256":
      return fromPoint(read(CKA.EC_POINT));
    case "Ed25519": {
      const x = octetString(read(CKA.EC_POINT), ED25519_BYTES);
      return fromJwk({ kty: "OKP", crv: "Ed25519", x: encodeBase64url(x) });
    }
    case "RS256":
    case "PS256":
      return fromNumbers(withoutZeros(read(CKA.MODULUS)), withoutZeros(read(CKA.PUBLIC_EXPONENT)));
  }
}

function fromPoint(value: Buffer): KeyObject | undefined {
  const point = octetString(value, 1 + 2 * P256_BYTES);
  if (point.length !== 1 + 2 * P256_BYTES || point[0] !== UNCOMPRESSED) return undefined;
  const x = encodeBase64url(point.subarray(1, 1 + P256_BYTES));
  const y = encodeBase64url(point.subarray(1 + P256_BYTES));
  return fromJwk({ kty: "EC", crv: "P-256", x, y });
}

function fromNumbers(n: Buffer, e: Buffer): KeyObject | undefined {
  // Our keys were made with this size and exponent: anything else is somebody else's key.
  if (n.length * 8 < MIN_RSA_BITS || !e.equals(RSA_EXPONENT)) return undefined;
  return fromJwk({ kty: "RSA", n: encodeBase64url(n), e: encodeBase64url(e) });
}

// PKCS#11 2.40 §2.3.5 wraps the point in an OCTET STRING; some tokens give it bare.
function octetString(value: Buffer, bytes: number): Buffer {
  const isWrapped =
    value.length === bytes + 2 && value[0] === DER_OCTET_STRING && value[1] === bytes;
  return isWrapped ? value.subarray(2) : value;
}

function withoutZeros(value: Buffer): Buffer {
  const first = value.findIndex((byte) => byte !== 0);
  return value.subarray(first < 0 ? value.length : first);
}

// The import refuses what is not on the curve, and an x of another length.
function fromJwk(jwk: Record<string, string>): KeyObject | undefined {
  try {
    return createPublicKey({ key: jwk, format: "jwk" });
  } catch {
    return undefined;
  }
}
