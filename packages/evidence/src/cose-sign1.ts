import type { KeyObject } from "node:crypto";
import { decodeCbor } from "./cbor.ts";
import { EvidenceError } from "./evidence-error.ts";
import { verifyRawEcdsa } from "./raw-ecdsa.ts";

/** A COSE_Sign1 (RFC 9052 §4.2) whose signature nobody has verified yet. */
export interface UnverifiedSign1 {
  readonly payload: Buffer;
  readonly signature: Buffer;
}

const COSE_SIGN1_TAG = 18;

/** RFC 9053 §2.1: the map {alg: ES384}, whose deterministic encoding is one: no second member, no `crit`, fits in. */
const ES384_HEADER = Buffer.of(0xa1, 0x01, 0x38, 0x22);

/**
 * Reads a COSE_Sign1, tagged or not, with ES384 as its only header. An unprotected header would be anybody's, so none
 * is allowed.
 *
 * @throws EvidenceError `ERR_EVIDENCE_FORMAT`, `ERR_EVIDENCE_SIZE`; `ERR_EVIDENCE_UNSUPPORTED` for another header
 */
export function parseEs384Sign1(
  bytes: Uint8Array,
  { what, maxBytes }: { readonly what: string; readonly maxBytes: number },
): UnverifiedSign1 {
  const value = decodeCbor(bytes, { what, maxBytes, optionalTag: COSE_SIGN1_TAG });
  if (!Array.isArray(value) || value.length !== 4) throw malformed(what);
  const [header, unprotected, payload, signature]: readonly unknown[] = value;
  if (!Buffer.isBuffer(header) || !(unprotected instanceof Map)) throw malformed(what);
  if (!Buffer.isBuffer(payload) || !Buffer.isBuffer(signature)) throw malformed(what);
  if (!header.equals(ES384_HEADER) || unprotected.size > 0)
    throw new EvidenceError("ERR_EVIDENCE_UNSUPPORTED", `${what}: header of COSE is not ES384`, {
      part: what,
    });
  return { payload, signature };
}

/** RFC 9052 §4.4: ["Signature1", protected header, no external data, payload], without the payload's head. */
const SIG_STRUCTURE = Buffer.concat([
  Buffer.of(0x84, 0x6a),
  Buffer.from("Signature1"),
  Buffer.of(0x44),
  ES384_HEADER,
  Buffer.of(0x40),
]);

/**
 * Verifies ES384.
 *
 * @throws EvidenceError `ERR_EVIDENCE_SIGNATURE`
 */
export function verifyEs384Sign1(
  { payload, signature }: UnverifiedSign1,
  { key, what }: { readonly key: KeyObject; readonly what: string },
): void {
  // A head of two bytes is right from 256 bytes on. What is shorter holds no certificate and does not verify.
  const head = Buffer.of(0x59, payload.length >> 8, payload.length);
  const signed = Buffer.concat([SIG_STRUCTURE, head, payload]);
  verifyRawEcdsa(signed, signature, { bits: 384, key, what, part: what });
}

function malformed(what: string): EvidenceError {
  return new EvidenceError("ERR_EVIDENCE_FORMAT", `${what}: not a COSE_Sign1`, { part: what });
}
