import { type KeyObject, verify } from "node:crypto";
import { EvidenceError } from "./evidence-error.ts";

export interface RawEcdsaKey {
  /** Of the curve, and of its hash. */
  readonly bits: 256 | 384;
  readonly key: KeyObject;
  /** Names what was signed, in errors: "SNP report". */
  readonly what: string;
  readonly part: string;
}

/**
 * Verifies ECDSA whose signature is r ‖ s. Its length admits keys of one curve alone, and none of another kind.
 *
 * @throws EvidenceError `ERR_EVIDENCE_SIGNATURE`
 */
export function verifyRawEcdsa(
  signed: Uint8Array,
  signature: Uint8Array,
  { bits, key, what, part }: RawEcdsaKey,
): void {
  const isSigned =
    signature.length === bits / 4 &&
    verify(`sha${bits}`, signed, { key, dsaEncoding: "ieee-p1363" }, signature);
  if (!isSigned)
    throw new EvidenceError("ERR_EVIDENCE_SIGNATURE", `${what}: signature does not verify`, {
      part,
    });
}
