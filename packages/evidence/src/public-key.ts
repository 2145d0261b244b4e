import { createPublicKey, type KeyObject } from "node:crypto";
import { EvidenceError } from "./evidence-error.ts";

const CURVES: ReadonlySet<string | undefined> = new Set(["prime256v1", "secp384r1", "secp521r1"]);
const MIN_RSA_BITS = 2048;
/** The time of a verification grows with the square of the size, and whoever made the evidence chooses it. */
const MAX_RSA_BITS = 8192;
const EXPONENT = 65537n;

/** Reads a SubjectPublicKeyInfo (RFC 5280 §4.1.2.7): RSA of 2048 to 8192 bits, or a NIST curve by its name. */
export function parsePublicKey(spki: Buffer, what: string): KeyObject {
  const key = decode(spki, what);
  const { asymmetricKeyType: type, asymmetricKeyDetails: details = {} } = key;
  const { modulusLength = 0, publicExponent, namedCurve } = details;
  const isRsa =
    type === "rsa" &&
    modulusLength >= MIN_RSA_BITS &&
    modulusLength <= MAX_RSA_BITS &&
    publicExponent === EXPONENT;
  if (isRsa || CURVES.has(namedCurve)) return key;
  throw new EvidenceError("ERR_EVIDENCE_UNSUPPORTED", `${what}: kind of key is not supported`, {
    part: what,
  });
}

function decode(spki: Buffer, what: string): KeyObject {
  try {
    return createPublicKey({ key: spki, format: "der", type: "spki" });
  } catch (cause) {
    throw new EvidenceError("ERR_EVIDENCE_FORMAT", `${what}: not a public key`, {
      part: what,
      cause,
    });
  }
}
