import { constants, type KeyObject, verify } from "node:crypto";
import { contextTag, DER_TAGS, DerReader, type DerNode } from "./der.ts";
import { derNumber, derOid } from "./der-values.ts";
import { EvidenceError } from "./evidence-error.ts";

type Hash = "sha256" | "sha384" | "sha512";

/** How a certificate or CRL is signed. SHA-1 and MD5 are not among them. */
export interface SignatureAlgorithm {
  readonly scheme: "rsa-pkcs1" | "rsa-pss" | "ecdsa";
  readonly hash: Hash;
}

const RSA_PSS = "1.2.840.113549.1.1.10";
const MGF1 = "1.2.840.113549.1.1.8";

const HASHES: ReadonlyMap<string, Hash> = new Map([
  ["2.16.840.1.101.3.4.2.1", "sha256"],
  ["2.16.840.1.101.3.4.2.2", "sha384"],
  ["2.16.840.1.101.3.4.2.3", "sha512"],
]);

// RFC 4055 §5, RFC 5758 §3.2.
const FIXED: ReadonlyMap<string, SignatureAlgorithm> = new Map([
  ["1.2.840.113549.1.1.11", { scheme: "rsa-pkcs1", hash: "sha256" }],
  ["1.2.840.113549.1.1.12", { scheme: "rsa-pkcs1", hash: "sha384" }],
  ["1.2.840.113549.1.1.13", { scheme: "rsa-pkcs1", hash: "sha512" }],
  ["1.2.840.10045.4.3.2", { scheme: "ecdsa", hash: "sha256" }],
  ["1.2.840.10045.4.3.3", { scheme: "ecdsa", hash: "sha384" }],
  ["1.2.840.10045.4.3.4", { scheme: "ecdsa", hash: "sha512" }],
]);

const HASH_BYTES: Readonly<Record<Hash, number>> = { sha256: 32, sha384: 48, sha512: 64 };

/** Reads an AlgorithmIdentifier (RFC 5280 §4.1.1.2). */
export function parseSignatureAlgorithm({ value }: DerNode, what: string): SignatureAlgorithm {
  const reader = new DerReader(value, what);
  const oid = derOid(reader.next(DER_TAGS.oid), what);
  if (oid === RSA_PSS) return { scheme: "rsa-pss", hash: parsePssParameters(reader, what) };
  const fixed = FIXED.get(oid);
  if (fixed === undefined) throw unsupported(what, "signature algorithm");
  // RFC 4055 §5: NULL for PKCS #1; RFC 5758 §3.2: absent for ECDSA.
  if (fixed.scheme === "rsa-pkcs1") parseNull(reader.next(DER_TAGS.null), what);
  reader.end();
  return fixed;
}

/** RFC 4055 §3.1; one hash for all, the salt as long as the hash, as RFC 8017 §9.1 recommends. */
function parsePssParameters(reader: DerReader, what: string): Hash {
  const parameters = reader.enter(DER_TAGS.sequence);
  reader.end();
  const hash = parseHash(parameters.enter(contextTag(0)), what);
  const mask = parameters.enter(contextTag(1)).enter(DER_TAGS.sequence);
  if (derOid(mask.next(DER_TAGS.oid), what) !== MGF1) throw unsupported(what, "mask of PSS");
  if (parseHash(mask, what) !== hash) throw unsupported(what, "hash of the mask of PSS");
  mask.end();
  const salt = derNumber(parameters.enter(contextTag(2)).next(DER_TAGS.integer), what);
  if (salt !== HASH_BYTES[hash]) throw unsupported(what, "salt of PSS");
  // Some authorities write the default out, which DER would leave away.
  const trailer = parameters.optional(contextTag(3));
  if (trailer !== undefined && derNumber(new DerReader(trailer.value, what).any(), what) !== 1)
    throw unsupported(what, "trailer of PSS");
  parameters.end();
  return hash;
}

function parseHash(reader: DerReader, what: string): Hash {
  const identifier = reader.enter(DER_TAGS.sequence);
  const hash = HASHES.get(derOid(identifier.next(DER_TAGS.oid), what));
  if (hash === undefined) throw unsupported(what, "hash");
  // RFC 4055 §2.1: both with NULL and without it.
  const absent = identifier.optional(DER_TAGS.null);
  if (absent !== undefined) parseNull(absent, what);
  identifier.end();
  return hash;
}

function parseNull({ value }: DerNode, what: string): void {
  if (value.length > 0)
    throw new EvidenceError("ERR_EVIDENCE_FORMAT", `${what}: DER, null`, { part: what });
}

function unsupported(what: string, problem: string): EvidenceError {
  return new EvidenceError("ERR_EVIDENCE_UNSUPPORTED", `${what}: ${problem} is not supported`, {
    part: what,
  });
}

const KEY_TYPES: Readonly<Record<SignatureAlgorithm["scheme"], string>> = {
  "rsa-pkcs1": "rsa",
  "rsa-pss": "rsa",
  ecdsa: "ec",
};

/** @throws EvidenceError `ERR_EVIDENCE_SIGNATURE`, for a key of another kind, too */
export function verifySignature(
  signed: Buffer,
  signature: Buffer,
  { algorithm, key, what }: { algorithm: SignatureAlgorithm; key: KeyObject; what: string },
): void {
  const { scheme, hash } = algorithm;
  const options =
    scheme === "rsa-pss"
      ? { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: HASH_BYTES[hash] }
      : key;
  if (key.asymmetricKeyType !== KEY_TYPES[scheme] || !verify(hash, signed, options, signature))
    throw new EvidenceError("ERR_EVIDENCE_SIGNATURE", `${what}: signature does not verify`, {
      part: what,
    });
}
