import { timingSafeEqual } from "node:crypto";
import { EvidenceError } from "./evidence-error.ts";

/**
 * THREAT-14: what a machine was to bind is what it bound, or the evidence was made for somebody else, or before. Compared
 * in constant time: a nonce may be a secret until it is used.
 *
 * @throws EvidenceError `ERR_EVIDENCE_BINDING`, also where nothing is bound
 */
export function checkBound(
  found: Uint8Array | undefined,
  expected: Uint8Array,
  { problem, part }: { readonly problem: string; readonly part: string },
): void {
  if (found?.length !== expected.length || !timingSafeEqual(found, expected))
    throw new EvidenceError("ERR_EVIDENCE_BINDING", problem, { part });
}
