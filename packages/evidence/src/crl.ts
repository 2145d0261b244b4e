import { contextTag, DER_TAGS, DerReader, readDer } from "./der.ts";
import { derBitString, derNumber, derTime, derUnsigned, derOid, derBoolean } from "./der-values.ts";
import { EvidenceError } from "./evidence-error.ts";
import { parseSignatureAlgorithm, verifySignature } from "./signature-algorithm.ts";
import type { Certificate } from "./x509.ts";

const MAX_CRL_BYTES = 4_194_304;

/** A CRL (RFC 5280 §5) whose signature, times and issuer are verified. */
export interface VerifiedCrl {
  /** DER of the issuer's name. */
  readonly issuer: Buffer;
  /** Milliseconds since 1970. */
  readonly thisUpdate: number;
  readonly nextUpdate: number;
  /** Serial numbers as `Certificate.serialNumber` has them. */
  readonly revoked: ReadonlySet<string>;
}

/**
 * Verifies a complete CRL of `issuer` at `now`. Delta and indirect ones carry critical extensions and are refused.
 *
 * @param issuer a certificate that the caller has verified
 * @throws EvidenceError `ERR_EVIDENCE_COLLATERAL` for a stale one or another issuer, `ERR_EVIDENCE_SIGNATURE`
 */
export function verifyCrl(
  der: Uint8Array,
  { issuer, now, what }: { issuer: Certificate; now: number; what: string },
): VerifiedCrl {
  if (der.length > MAX_CRL_BYTES)
    throw new EvidenceError("ERR_EVIDENCE_SIZE", `${what}: CRL is too large`, {
      part: what,
      found: der.length,
      expected: MAX_CRL_BYTES,
    });
  const reader = new DerReader(readDer(der, DER_TAGS.sequence, what).value, what);
  const body = reader.next(DER_TAGS.sequence);
  const algorithmNode = reader.next(DER_TAGS.sequence);
  const signature = derBitString(reader.next(DER_TAGS.bitString), what);
  reader.end();
  const crl = parseBody(body.value, algorithmNode.encoded, what);
  if (!crl.issuer.equals(issuer.subject)) throw unusable(what, "CRL is of another issuer");
  if (issuer.keyUsage?.crlSign !== true) throw unusable(what, "issuer may not sign CRLs");
  if (now < crl.thisUpdate || now > crl.nextUpdate) throw unusable(what, "CRL is not current then");
  const algorithm = parseSignatureAlgorithm(algorithmNode, what);
  verifySignature(body.encoded, signature, { algorithm, key: issuer.publicKey, what });
  return crl;
}

/** @throws EvidenceError `ERR_EVIDENCE_REVOKED`; `ERR_EVIDENCE_COLLATERAL` for a CRL of another issuer */
export function checkNotRevoked(certificate: Certificate, crl: VerifiedCrl, what: string): void {
  if (!certificate.issuer.equals(crl.issuer)) throw unusable(what, "CRL is of another issuer");
  if (crl.revoked.has(certificate.serialNumber))
    throw new EvidenceError("ERR_EVIDENCE_REVOKED", `${what}: certificate is revoked`, {
      part: what,
      found: certificate.serialNumber,
    });
}

function parseBody(value: Buffer, outerAlgorithm: Buffer, what: string): VerifiedCrl {
  const reader = new DerReader(value, what);
  if (derNumber(reader.next(DER_TAGS.integer), what) !== 1) throw unusable(what, "not version 2");
  if (!reader.next(DER_TAGS.sequence).encoded.equals(outerAlgorithm))
    throw unusable(what, "two signature algorithms");
  const issuer = reader.next(DER_TAGS.sequence).encoded;
  const thisUpdate = derTime(reader.any(), what);
  const nextUpdate = derTime(reader.any(), what);
  const entries = reader.optional(DER_TAGS.sequence);
  const revoked = new Set<string>();
  if (entries !== undefined) readRevoked(new DerReader(entries.value, what), revoked, what);
  const extensions = reader.optional(contextTag(0));
  if (extensions !== undefined)
    refuseCritical(readDer(extensions.value, DER_TAGS.sequence, what).value, what);
  reader.end();
  return { issuer, thisUpdate, nextUpdate, revoked };
}

function readRevoked(entries: DerReader, revoked: Set<string>, what: string): void {
  while (!entries.isEmpty) {
    const entry = entries.enter(DER_TAGS.sequence);
    revoked.add(derUnsigned(entry.next(DER_TAGS.integer), what).toString("hex"));
    derTime(entry.any(), what);
    // RFC 5280 §5.3: a reason, which changes nothing here; a certificate's issuer would be critical.
    const extensions = entry.optional(DER_TAGS.sequence);
    if (extensions !== undefined) refuseCritical(extensions.value, what);
    entry.end();
  }
}

function refuseCritical(value: Buffer, what: string): void {
  const list = new DerReader(value, what);
  while (!list.isEmpty) {
    const extension = list.enter(DER_TAGS.sequence);
    derOid(extension.next(DER_TAGS.oid), what);
    const critical = extension.optional(DER_TAGS.boolean);
    extension.next(DER_TAGS.octetString);
    extension.end();
    if (critical !== undefined && derBoolean(critical, what))
      throw unusable(what, "critical extension of a CRL is not understood");
  }
}

function unusable(what: string, problem: string): EvidenceError {
  return new EvidenceError("ERR_EVIDENCE_COLLATERAL", `${what}: ${problem}`, { part: what });
}
