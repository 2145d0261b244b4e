import { constants, verify, type KeyObject } from "node:crypto";
import { ByteReader } from "../byte-reader.ts";
import { EvidenceError } from "../evidence-error.ts";
import { readHash, readSized, type TpmHash } from "./algorithms.ts";
import { padLeft, schemeName } from "./public-area.ts";

/** TPMT_SIGNATURE; also what Azure's bare signatures are wrapped in: `{ scheme: "rsassa", hash: "sha256", value }`. */
export type TpmSignature =
  | { readonly scheme: "rsassa" | "rsapss"; readonly hash: TpmHash; readonly value: Uint8Array }
  | {
      readonly scheme: "ecdsa";
      readonly hash: TpmHash;
      readonly r: Uint8Array;
      readonly s: Uint8Array;
    };

/** RSA with 4096 bits. */
const MAX_RSA_BYTES = 512;
/** P-384. */
const MAX_ECC_BYTES = 48;

/**
 * Parses TPMT_SIGNATURE (TPM 2.0 Part 2 §11.3.4): RSASSA, RSAPSS or ECDSA, not over SHA-1.
 *
 * @throws EvidenceError
 */
export function parseSignature(bytes: Uint8Array): TpmSignature {
  const reader = new ByteReader(bytes, "signature");
  const id = reader.u16be();
  const scheme = schemeName(id);
  if (scheme === undefined)
    throw new EvidenceError("ERR_EVIDENCE_UNSUPPORTED", "Scheme of a signature is not accepted", {
      part: "signature.sigAlg",
      found: `0x${id.toString(16)}`,
    });
  const signature = readValue(reader, scheme, readHash(reader, "signature.hash"));
  reader.end();
  return signature;
}

function readValue(
  reader: ByteReader,
  scheme: TpmSignature["scheme"],
  hash: TpmHash,
): TpmSignature {
  if (scheme !== "ecdsa")
    return { scheme, hash, value: readSized(reader, MAX_RSA_BYTES, "signature.sig") };
  const r = readSized(reader, MAX_ECC_BYTES, "signature.r");
  const s = readSized(reader, MAX_ECC_BYTES, "signature.s");
  return { scheme, hash, r, s };
}

/** @throws EvidenceError `ERR_EVIDENCE_SIGNATURE` */
export function verifySignature(
  message: Uint8Array,
  signature: TpmSignature,
  key: KeyObject,
): void {
  if (!isSignedBy(message, signature, key))
    throw new EvidenceError("ERR_EVIDENCE_SIGNATURE", "Signature of the quote does not verify", {
      part: "signature",
    });
}

function isSignedBy(message: Uint8Array, signature: TpmSignature, key: KeyObject): boolean {
  try {
    if (signature.scheme === "ecdsa") {
      const { r, s } = signature;
      const size = key.asymmetricKeyDetails?.namedCurve === "secp384r1" ? 48 : 32;
      const value = Buffer.concat([padLeft(r, size), padLeft(s, size)]);
      return verify(signature.hash, message, { key, dsaEncoding: "ieee-p1363" }, value);
    }
    const padding =
      signature.scheme === "rsassa" ? constants.RSA_PKCS1_PADDING : constants.RSA_PKCS1_PSS_PADDING;
    // TPM 2.0 Part 1 §B.7: the salt is as long as fits, or as the digest where FIPS 186 is followed.
    const saltLength = constants.RSA_PSS_SALTLEN_AUTO;
    return verify(signature.hash, message, { key, padding, saltLength }, signature.value);
  } catch {
    // A part that is longer than the curve's numbers, or a key that OpenSSL cannot compute with.
    return false;
  }
}
