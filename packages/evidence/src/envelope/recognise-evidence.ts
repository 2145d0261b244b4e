import { EvidenceError } from "../evidence-error.ts";
import { SNP_REPORT_BYTES } from "../snp/report.ts";
import type { Evidence } from "./evidence.ts";
import { parseEvidence } from "./parse-evidence.ts";

/** Bytes of one platform as its own tools write them, or an envelope. */
export type RecognisedEvidence =
  | { readonly kind: "evidence"; readonly evidence: Evidence }
  /** A bare report: its certificates are elsewhere. */
  | { readonly kind: "snp-report"; readonly report: Buffer }
  | { readonly kind: "hcl-report"; readonly report: Buffer };

const OPENING_BRACE = 0x7b;
const HCL = Buffer.from("HCLA");
/** COSE_Sign1 (RFC 9052 §4.2): an array of four, with or without tag 18. */
const COSE_BEGINNINGS: ReadonlySet<number | undefined> = new Set([0x84, 0xd2]);

/** Tells by its form what a file holds. Nothing is verified, and a wrong guess is refused by whoever verifies. */
export function recogniseEvidence(bytes: Buffer): RecognisedEvidence {
  const [first] = bytes;
  if (first === OPENING_BRACE) return { kind: "evidence", evidence: parseEvidence(bytes) };
  if (bytes.subarray(0, HCL.length).equals(HCL)) return { kind: "hcl-report", report: bytes };
  if (bytes.length === SNP_REPORT_BYTES) return { kind: "snp-report", report: bytes };
  if (COSE_BEGINNINGS.has(first))
    return { kind: "evidence", evidence: { platform: "nitro", document: bytes } };
  throw new EvidenceError("ERR_EVIDENCE_UNSUPPORTED", "Evidence: no kind that is known", {
    part: "evidence",
  });
}
