import { createHash, type KeyObject } from "node:crypto";
import { contextTag, DER_TAGS, DerReader, readDer } from "./der.ts";
import { derBitString, derBoolean, derNumber, derOid, derTime, derUnsigned } from "./der-values.ts";
import { EvidenceError } from "./evidence-error.ts";
import { parsePublicKey } from "./public-key.ts";
import { parseSignatureAlgorithm, type SignatureAlgorithm } from "./signature-algorithm.ts";

/** Larger than any that a vendor issues; a certificate comes from whoever made the evidence. */
const MAX_CERTIFICATE_BYTES = 16_384;
const MAX_EXTENSIONS = 40;

export interface CertificateExtension {
  readonly isCritical: boolean;
  readonly value: Buffer;
}

/** Key usages (RFC 5280 §4.2.1.3) that are asked for here. */
export interface KeyUsage {
  readonly digitalSignature: boolean;
  readonly keyCertSign: boolean;
  readonly crlSign: boolean;
}

/** What a certificate says (RFC 5280 §4.1). Parsed only: nothing of it is verified yet. */
export interface Certificate {
  readonly encoded: Buffer;
  /** SHA-256 of the whole certificate, hexadecimal. */
  readonly fingerprint: string;
  readonly signed: Buffer;
  readonly algorithm: SignatureAlgorithm;
  readonly signature: Buffer;
  /** Hexadecimal, without leading zeros; "00" for zero. */
  readonly serialNumber: string;
  /** DER of the names; compared byte by byte. */
  readonly issuer: Buffer;
  readonly subject: Buffer;
  /** Milliseconds since 1970, both inclusive. */
  readonly notBefore: number;
  readonly notAfter: number;
  readonly publicKey: KeyObject;
  readonly spki: Buffer;
  /** By dotted OID. */
  readonly extensions: ReadonlyMap<string, CertificateExtension>;
  readonly isAuthority: boolean;
  readonly pathLength: number | undefined;
  readonly keyUsage: KeyUsage | undefined;
}

const OID_KEY_USAGE = "2.5.29.15";
const OID_BASIC_CONSTRAINTS = "2.5.29.19";

/**
 * Reads one X.509 v3 certificate in DER.
 *
 * @param what names it in errors: "VCEK"
 * @throws EvidenceError
 */
export function parseCertificate(der: Uint8Array, what: string): Certificate {
  if (der.length > MAX_CERTIFICATE_BYTES)
    throw new EvidenceError("ERR_EVIDENCE_SIZE", `${what}: certificate is too large`, {
      part: what,
      found: der.length,
      expected: MAX_CERTIFICATE_BYTES,
    });
  const outer = readDer(der, DER_TAGS.sequence, what);
  const reader = new DerReader(outer.value, what);
  const signed = reader.next(DER_TAGS.sequence);
  const algorithm = reader.next(DER_TAGS.sequence);
  const signature = derBitString(reader.next(DER_TAGS.bitString), what);
  reader.end();
  const body = parseBody(signed.value, algorithm.encoded, what);
  return {
    encoded: outer.encoded,
    fingerprint: createHash("sha256").update(outer.encoded).digest("hex"),
    signed: signed.encoded,
    algorithm: parseSignatureAlgorithm(algorithm, what),
    signature,
    ...body,
    ...parseUsage(body.extensions, what),
  };
}

type Body = Pick<
  Certificate,
  | "serialNumber"
  | "issuer"
  | "subject"
  | "notBefore"
  | "notAfter"
  | "publicKey"
  | "spki"
  | "extensions"
>;

function parseBody(value: Buffer, outerAlgorithm: Buffer, what: string): Body {
  const reader = new DerReader(value, what);
  const version = derNumber(reader.enter(contextTag(0)).next(DER_TAGS.integer), what);
  if (version !== 2)
    throw new EvidenceError("ERR_EVIDENCE_UNSUPPORTED", `${what}: not X.509 version 3`, {
      part: what,
    });
  const serialNumber = derUnsigned(reader.next(DER_TAGS.integer), what).toString("hex");
  // RFC 5280 §4.1.1.2: the algorithm is signed, too, or it could be exchanged.
  if (!reader.next(DER_TAGS.sequence).encoded.equals(outerAlgorithm))
    throw new EvidenceError("ERR_EVIDENCE_CERTIFICATE", `${what}: two signature algorithms`, {
      part: what,
    });
  const issuer = reader.next(DER_TAGS.sequence).encoded;
  const validity = reader.enter(DER_TAGS.sequence);
  const notBefore = derTime(validity.any(), what);
  const notAfter = derTime(validity.any(), what);
  validity.end();
  const subject = reader.next(DER_TAGS.sequence).encoded;
  const spki = reader.next(DER_TAGS.sequence).encoded;
  const extensions = parseExtensions(reader, what);
  reader.end();
  const publicKey = parsePublicKey(spki, what);
  return { serialNumber, issuer, subject, notBefore, notAfter, publicKey, spki, extensions };
}

function parseExtensions(body: DerReader, what: string): ReadonlyMap<string, CertificateExtension> {
  const extensions = new Map<string, CertificateExtension>();
  const wrapper = body.optional(contextTag(3));
  if (wrapper === undefined) return extensions;
  const list = new DerReader(readDer(wrapper.value, DER_TAGS.sequence, what).value, what);
  while (!list.isEmpty) {
    const extension = list.enter(DER_TAGS.sequence);
    const oid = derOid(extension.next(DER_TAGS.oid), what);
    const critical = extension.optional(DER_TAGS.boolean);
    const { value } = extension.next(DER_TAGS.octetString);
    extension.end();
    // RFC 5280 §4.2: never twice, or two readers see different certificates.
    if (extensions.has(oid) || extensions.size === MAX_EXTENSIONS)
      throw new EvidenceError("ERR_EVIDENCE_CERTIFICATE", `${what}: extension twice, or too many`, {
        part: what,
      });
    const isCritical = critical !== undefined && derBoolean(critical, what);
    extensions.set(oid, { isCritical, value });
  }
  return extensions;
}

function parseUsage(
  extensions: ReadonlyMap<string, CertificateExtension>,
  what: string,
): Pick<Certificate, "isAuthority" | "pathLength" | "keyUsage"> {
  const constraints = extensions.get(OID_BASIC_CONSTRAINTS);
  const usage = extensions.get(OID_KEY_USAGE);
  const keyUsage = usage === undefined ? undefined : parseKeyUsage(usage.value, what);
  if (constraints === undefined) return { isAuthority: false, pathLength: undefined, keyUsage };
  const reader = new DerReader(readDer(constraints.value, DER_TAGS.sequence, what).value, what);
  const authority = reader.optional(DER_TAGS.boolean);
  const isAuthority = authority !== undefined && derBoolean(authority, what);
  const length = reader.optional(DER_TAGS.integer);
  reader.end();
  const pathLength = length === undefined ? undefined : derNumber(length, what);
  return { isAuthority, pathLength, keyUsage };
}

// RFC 5280 §4.2.1.3: bit 0 is the highest of the first byte. The count of unused bits says nothing to us.
function parseKeyUsage(value: Buffer, what: string): KeyUsage {
  const [unused = 8, bits = 0] = readDer(value, DER_TAGS.bitString, what).value;
  if (unused > 7)
    throw new EvidenceError("ERR_EVIDENCE_FORMAT", `${what}: DER, key usage`, { part: what });
  return {
    digitalSignature: (bits & 0x80) !== 0,
    keyCertSign: (bits & 0x04) !== 0,
    crlSign: (bits & 0x02) !== 0,
  };
}
