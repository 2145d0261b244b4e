import type { KeyObject } from "node:crypto";
import { importPublicJwk, parsePublicJwk, type KeyAlgorithm } from "@redoubt/verify";
import { encodeBase64url } from "@redoubt/verify/base64url";
import type { JsonObject } from "@redoubt/verify/json";
import { PresenceError, refuseAs } from "./presence-error.ts";

/** A passkey's key, with the one algorithm it signs with. */
export interface CredentialKey {
  readonly algorithm: KeyAlgorithm;
  readonly key: KeyObject;
}

// RFC 9053 §2, §7, RFC 8230 §4 in the one order and length that CTAP 2.1 §8 allows: every byte that is not key material
// is fixed, so that no reader of CBOR is needed and a key has one spelling.
const ES256_X = Buffer.from("a5010203262001215820", "hex");
const ES256_Y = Buffer.from("225820", "hex");
const EDDSA_X = Buffer.from("a4010103272006215820", "hex");
const RS256_N = Buffer.from("a401030339010020", "hex");
const RS256_E = Buffer.from("2143010001", "hex");
/** An RSA key of 4096 bits. */
export const MAX_COSE_BYTES = 528;

/**
 * Reads a public key as authenticators encode it: ES256 on P-256, EdDSA on Ed25519, or RS256 with 2048 to 4096 bits.
 *
 * @throws PresenceError `ERR_PRESENCE_KEY` for anything else, also for another spelling of such a key
 */
export function parseCoseKey(bytes: Uint8Array): CredentialKey {
  const cose = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const found = es256(cose) ?? eddsa(cose) ?? rs256(cose);
  if (!found)
    throw new PresenceError(
      "ERR_PRESENCE_KEY",
      "Credential key is no canonical COSE key of ES256, EdDSA or RS256",
    );
  const [algorithm, jwk] = found;
  return refuseAs("ERR_PRESENCE_KEY", "Credential key", () => ({
    algorithm,
    key: importPublicJwk(parsePublicJwk(jwk, algorithm), algorithm),
  }));
}

type Found = readonly [algorithm: KeyAlgorithm, jwk: JsonObject] | undefined;

function es256(cose: Buffer): Found {
  const [x, y] = [cose.subarray(10, 42), cose.subarray(45, 77)];
  if (!Buffer.concat([ES256_X, x, ES256_Y, y]).equals(cose) || y.length !== 32) return undefined;
  return ["ES256", { kty: "EC", crv: "P-256", x: encodeBase64url(x), y: encodeBase64url(y) }];
}

function eddsa(cose: Buffer): Found {
  const x = cose.subarray(10, 42);
  if (!Buffer.concat([EDDSA_X, x]).equals(cose) || x.length !== 32) return undefined;
  return ["Ed25519", { kty: "OKP", crv: "Ed25519", x: encodeBase64url(x) }];
}

function rs256(cose: Buffer): Found {
  if (cose.length > MAX_COSE_BYTES) return undefined;
  // 0x59: a byte string whose length is in the next two bytes, as that of 256 to 512 bytes must be.
  const n = cose.subarray(11, -RS256_E.length);
  const header = Buffer.of(0x59, n.length >> 8, n.length & 0xff);
  if (!Buffer.concat([RS256_N, header, n, RS256_E]).equals(cose)) return undefined;
  return ["RS256", { kty: "RSA", e: "AQAB", n: encodeBase64url(n) }];
}
