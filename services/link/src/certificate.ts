import {
  createHash,
  createPublicKey,
  randomBytes,
  sign,
  type KeyObject,
  type X509Certificate,
} from "node:crypto";
import { linkError } from "./errors.ts";

// X.690 §8.1: tags of the types that a certificate needs here.
const TAG = {
  integer: 0x02,
  bitString: 0x03,
  utf8String: 0x0c,
  utcTime: 0x17,
  generalizedTime: 0x18,
  sequence: 0x30,
  set: 0x31,
  explicit0: 0xa0,
} as const;

/** Object identifiers, encoded whole: RFC 5280 appendix A.1, RFC 8410 §3, RFC 5758 §3.2. */
const COMMON_NAME = Buffer.from("0603550403", "hex");
const ED25519 = Buffer.from("06032b6570", "hex");
const ECDSA_WITH_SHA256 = Buffer.from("06082a8648ce3d040302", "hex");
/** RFC 5280 §4.1.2.1: version 3, which RFC 8446 §4.4.2.2 asks for. */
const VERSION_3 = Buffer.from("020102", "hex");
const FROM = "200101000000Z";
/** RFC 5280 §4.1.2.5: no end that anybody could name. A pin ends when it is taken out of the peers' configuration. */
const NO_END = "99991231235959Z";
const NAME = "redoubt link";
const SERIAL_BYTES = 16;

/**
 * A certificate (RFC 5280 §4.1) that a key makes for itself, PEM. It carries the public key through TLS, and says nothing
 * else that anybody relies on: peers know it by its pin.
 *
 * @throws ServiceError `ERR_LINK_KEY` unless the key is Ed25519 or P-256
 */
export function makeCertificate(privateKey: KeyObject): string {
  const { oid, digest } = signatureOf(privateKey);
  const algorithm = der(TAG.sequence, oid);
  const commonName = der(TAG.sequence, COMMON_NAME, der(TAG.utf8String, Buffer.from(NAME)));
  const name = der(TAG.sequence, der(TAG.set, commonName));
  const toBeSigned = der(
    TAG.sequence,
    der(TAG.explicit0, VERSION_3),
    der(TAG.integer, serialNumber()),
    algorithm,
    name,
    der(
      TAG.sequence,
      der(TAG.utcTime, Buffer.from(FROM)),
      der(TAG.generalizedTime, Buffer.from(NO_END)),
    ),
    name,
    createPublicKey(privateKey).export({ type: "spki", format: "der" }),
  );
  const signature = der(TAG.bitString, Buffer.of(0), sign(digest, toBeSigned, privateKey));
  return pem(der(TAG.sequence, toBeSigned, algorithm, signature));
}

/**
 * By what a peer is known: base64url of SHA-256 over its SubjectPublicKeyInfo, as RFC 7469 §2.4 computes it.
 *
 * @throws ServiceError `ERR_LINK_PEER` for a certificate with a key that this runtime cannot read
 */
export function pinOf(certificate: X509Certificate): string {
  try {
    const spki = certificate.publicKey.export({ type: "spki", format: "der" });
    return createHash("sha256").update(spki).digest("base64url");
  } catch (cause) {
    throw linkError("ERR_LINK_PEER", "Certificate has no key that can be read", { cause });
  }
}

function signatureOf(key: KeyObject): { readonly oid: Buffer; readonly digest: "sha256" | null } {
  if (key.asymmetricKeyType === "ed25519") return { oid: ED25519, digest: null };
  // `prime256v1` is OpenSSL's name of P-256.
  if (key.asymmetricKeyDetails?.namedCurve === "prime256v1")
    return { oid: ECDSA_WITH_SHA256, digest: "sha256" };
  throw linkError("ERR_LINK_KEY", "Key of a link must be Ed25519 or P-256");
}

/** RFC 5280 §4.1.2.2: positive, ≤ 20 bytes. The first byte keeps it so, and DER from having to shorten it. */
function serialNumber(): Buffer {
  const bytes = randomBytes(SERIAL_BYTES);
  bytes[0] = 0x40 | ((bytes[0] ?? 0) & 0x3f);
  return bytes;
}

/** One DER element (X.690 §8.1) of less than 64 KiB. */
function der(tag: number, ...content: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(content);
  return Buffer.concat([Buffer.of(tag, ...lengthOf(body.length)), body]);
}

/** X.690 §10.1: the definite form, in as few bytes as it takes. */
function lengthOf(length: number): readonly number[] {
  if (length < 0x80) return [length];
  return length < 0x100 ? [0x81, length] : [0x82, length >> 8, length & 0xff];
}

/** RFC 7468 §3. */
function pem(bytes: Buffer): string {
  const lines = bytes.toString("base64").match(/.{1,64}/g) ?? [];
  return ["-----BEGIN CERTIFICATE-----", ...lines, "-----END CERTIFICATE-----", ""].join("\n");
}
