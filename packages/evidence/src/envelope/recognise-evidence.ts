import { EvidenceError } from "../evidence-error.ts";
import { SNP_REPORT_BYTES } from "../snp/report.ts";
import type { EventLog } from "../event-log/event-log.ts";
import { parseEventLog } from "../event-log/parse-event-log.ts";
import type { Evidence } from "./evidence.ts";
import { parseEvidence } from "./parse-evidence.ts";

/** Bytes of one platform as its own tools write them, or an envelope. */
export type RecognisedEvidence =
  | { readonly kind: "evidence"; readonly evidence: Evidence }
  /** A bare report: its certificates are elsewhere. */
  | { readonly kind: "snp-report"; readonly report: Buffer }
  | { readonly kind: "hcl-report"; readonly report: Buffer }
  /** A bare quote: its collateral is elsewhere. */
  | { readonly kind: "tdx-quote"; readonly quote: Buffer }
  | { readonly kind: "event-log"; readonly log: EventLog };

const OPENING_BRACE = 0x7b;
const SPEC_ID = Buffer.from("Spec ID Event03");
const HCL = Buffer.from("HCLA");
/** COSE_Sign1 (RFC 9052 §4.2): an array of four, with or without tag 18. */
const COSE_BEGINNINGS: ReadonlySet<number | undefined> = new Set([0x84, 0xd2]);

const TEE_TDX = 0x81;

function isTdxQuote(bytes: Buffer): boolean {
  if (bytes.length < 8) return false;
  const version = bytes.readUInt16LE(0);
  return (version === 4 || version === 5) && bytes.readUInt32LE(4) === TEE_TDX;
}

/** Tells by its form what a file holds. Nothing is verified, and a wrong guess is refused by whoever verifies. */
export function recogniseEvidence(bytes: Buffer): RecognisedEvidence {
  const [first] = bytes;
  if (first === OPENING_BRACE) return { kind: "evidence", evidence: parseEvidence(bytes) };
  if (bytes.subarray(0, HCL.length).equals(HCL)) return { kind: "hcl-report", report: bytes };
  if (bytes.length === SNP_REPORT_BYTES) return { kind: "snp-report", report: bytes };
  if (isTdxQuote(bytes)) return { kind: "tdx-quote", quote: bytes };
  if (bytes.subarray(32, 32 + SPEC_ID.length).equals(SPEC_ID))
    return { kind: "event-log", log: parseEventLog(bytes, first === 1 ? "ccel" : "tcg2") };
  if (COSE_BEGINNINGS.has(first))
    return { kind: "evidence", evidence: { platform: "nitro", document: bytes } };
  throw new EvidenceError("ERR_EVIDENCE_UNSUPPORTED", "Evidence: no kind that is known", {
    part: "evidence",
  });
}
