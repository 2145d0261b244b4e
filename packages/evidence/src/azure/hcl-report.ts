import { ByteReader } from "../byte-reader.ts";
import { EvidenceError } from "../evidence-error.ts";

const MAGIC = 0x414c4348;
const HEADER_BYTES = 32;
const HARDWARE_REPORT_BYTES = 1184;
const TRAILER_BYTES = 20;
/** NV index 0x01400001 has 2600 bytes; the runtime data of newer hosts may need more. */
const MAX_BYTES = 16_384;
const REQUEST_ATTESTATION = 2;

export type HclReportType = "snp" | "tdx";

/** The report that Azure's paravisor (HCL) keeps in NV index 0x01400001. Parsed only. */
export interface HclReport {
  readonly type: HclReportType;
  /** An SNP report, or a TDREPORT filled up with zeros: 1184 bytes. */
  readonly hardwareReport: Buffer;
  /** JSON, byte by byte as the hardware's report data covers it. */
  readonly runtimeData: Buffer;
}

const TYPES: ReadonlyMap<number, HclReportType> = new Map([
  [2, "snp"],
  [4, "tdx"],
]);
const SHA_256 = 1;

/** Header, hardware report, description of the runtime data, runtime data; zeros up to the end of the index. */
export function parseHclReport(bytes: Uint8Array): HclReport {
  if (bytes.length > MAX_BYTES)
    throw new EvidenceError("ERR_EVIDENCE_SIZE", "HCL report is too large", {
      part: "hclReport",
      found: bytes.length,
      expected: MAX_BYTES,
    });
  const reader = new ByteReader(bytes, "HCL report");
  expectNumber("signature", reader.u32le(), MAGIC);
  const version = reader.u32le();
  if (version !== 1 && version !== 2) throw unsupported("version", version);
  const size = reader.u32le();
  expectNumber("requestType", reader.u32le(), REQUEST_ATTESTATION);
  reader.zeros(16);
  const hardwareReport = reader.bytes(HARDWARE_REPORT_BYTES);
  const dataSize = reader.u32le();
  expectNumber("runtimeData.version", reader.u32le(), 1);
  const reportType = reader.u32le();
  const type = TYPES.get(reportType);
  if (type === undefined) throw unsupported("reportType", reportType);
  // Only SHA-256 was ever met, and what is compared is its size.
  const hash = reader.u32le();
  if (hash !== SHA_256) throw unsupported("hashType", hash);
  const runtimeSize = reader.u32le();
  expectNumber("runtimeData.size", dataSize, TRAILER_BYTES + runtimeSize);
  expectNumber("size", size, HEADER_BYTES + HARDWARE_REPORT_BYTES + dataSize);
  const runtimeData = reader.bytes(runtimeSize);
  reader.zeros(reader.left);
  return { type, hardwareReport, runtimeData };
}

function expectNumber(field: string, found: number, expected: number): void {
  if (found !== expected)
    throw new EvidenceError("ERR_EVIDENCE_FORMAT", `HCL report: impossible ${field}`, {
      part: `hclReport.${field}`,
      found,
      expected,
    });
}

function unsupported(field: string, found: number): EvidenceError {
  return new EvidenceError("ERR_EVIDENCE_UNSUPPORTED", `HCL report: unknown ${field}`, {
    part: `hclReport.${field}`,
    found,
  });
}
