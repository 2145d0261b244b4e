import { DER_TAGS, DerReader, readDer } from "./der.ts";
import { derOid } from "./der-values.ts";
import { EvidenceError } from "./evidence-error.ts";

const OID_COMMON_NAME = "2.5.4.3";
const WHAT = "certificate name";

/**
 * The one common name in a Name (RFC 5280 §4.1.2.4), for vendors whose kinds of certificates differ in nothing else.
 *
 * @param name DER
 * @throws EvidenceError where there is none, or more than one
 */
export function commonNameOf(name: Buffer): string {
  const attributes = new DerReader(readDer(name, DER_TAGS.sequence, WHAT).value, WHAT);
  const names: string[] = [];
  while (!attributes.isEmpty) {
    const set = attributes.enter(DER_TAGS.set);
    const attribute = set.enter(DER_TAGS.sequence);
    set.end();
    const oid = derOid(attribute.next(DER_TAGS.oid), WHAT);
    const { value } = attribute.any();
    attribute.end();
    if (oid === OID_COMMON_NAME) names.push(value.toString("latin1"));
  }
  const [first] = names;
  if (first === undefined || names.length > 1)
    throw new EvidenceError("ERR_EVIDENCE_CERTIFICATE", "Certificate: not one common name", {
      part: "certificate.subject",
      found: names.length,
      expected: 1,
    });
  return first;
}
