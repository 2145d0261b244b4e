import { EvidenceError } from "./evidence-error.ts";
import type { Certificate } from "./x509.ts";

/**
 * RFC 5280 §4.2.1.3: who signs evidence says `digitalSignature`, as all leaves of AWS and Intel do.
 *
 * @throws EvidenceError `ERR_EVIDENCE_CERTIFICATE`
 */
export function checkSigningLeaf({ keyUsage }: Certificate, what: string): void {
  if (keyUsage?.digitalSignature !== true)
    throw new EvidenceError("ERR_EVIDENCE_CERTIFICATE", `${what}: leaf may not sign`, {
      part: what,
    });
}
