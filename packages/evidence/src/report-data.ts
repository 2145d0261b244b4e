import { checkBound } from "./check-bound.ts";

/** Bytes that a guest has its processor sign along, of SEV-SNP and of TDX. */
const REPORT_DATA_BYTES = 64;

/** What to compare with, for at most 64 bytes: zeros follow them. Null takes any. */
export function reportDataFor(expected: Uint8Array | null): Buffer | null {
  if (expected === null) return null;
  const rest = REPORT_DATA_BYTES - expected.length;
  if (rest < 0) throw new RangeError(`Expected data: at most ${REPORT_DATA_BYTES} bytes`);
  return Buffer.concat([expected, Buffer.alloc(rest)]);
}

/**
 * @param expected all 64 bytes; null takes any
 * @throws EvidenceError `ERR_EVIDENCE_BINDING`; RangeError for another number of bytes
 */
export function checkReportData(
  found: Uint8Array,
  expected: Uint8Array | null,
  { what, part }: { readonly what: string; readonly part: string },
): void {
  if (expected === null) return;
  if (expected.length !== REPORT_DATA_BYTES)
    throw new RangeError(`report data: ${expected.length} bytes, expected ${REPORT_DATA_BYTES}`);
  checkBound(found, expected, { problem: `${what}: report data is not what was asked for`, part });
}
