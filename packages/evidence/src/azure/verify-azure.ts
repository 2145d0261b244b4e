import { createHash } from "node:crypto";
import { checkBound } from "../check-bound.ts";
import type { Claims } from "../claims.ts";
import { EvidenceError } from "../evidence-error.ts";
import { type SnpRoots, type VerifiedSnp, verifySnp } from "../snp/verify-snp.ts";
import type { TpmSignature } from "../tpm/signature.ts";
import { type QuoteDemand, type VerifiedQuote, verifyQuote } from "../tpm/verify-quote.ts";
import type { TdxCollateral } from "../tdx/collateral.ts";
import { type TdxOptions, type VerifiedTdx, verifyTdx } from "../tdx/verify-tdx.ts";
import { type HclReport, type HclReportType, parseHclReport } from "./hcl-report.ts";
import { type AzureRuntimeData, parseRuntimeData } from "./runtime-data.ts";

/** A quote of the virtual TPM by the key at 0x81000003. */
export interface AzureQuote {
  readonly quote: Uint8Array;
  /** TPMT_SIGNATURE, or one that was parsed. */
  readonly signature: Uint8Array | TpmSignature;
  readonly pcrs: ReadonlyMap<number, Uint8Array>;
}

export interface AzureSnpEvidence {
  /** NV index 0x01400001. */
  readonly hclReport: Uint8Array;
  /** DER: VCEK, ASK, ARK. */
  readonly chain: readonly Uint8Array[];
  readonly vtpm: AzureQuote;
}

export interface AzureOptions {
  /** Milliseconds since 1970. */
  readonly now: number;
  /** What the quote must be over. It is what makes the evidence fresh: the report was made when the machine booted. */
  readonly quote: QuoteDemand;
  /** The 64 bytes that were written to NV index 0x01400002; null where the report may be the one of the boot. */
  readonly userData: Uint8Array | null;
}

export interface VerifiedAzure {
  readonly runtime: AzureRuntimeData;
  readonly quote: VerifiedQuote;
}

/**
 * Verifies an Azure confidential VM on SEV-SNP: the processor vouches for the runtime data, they for the key of the
 * virtual TPM, and that key for the PCRs and the caller's nonce. Between processor and TPM stands Microsoft's
 * paravisor, whose code is not public and stays part of what must be trusted.
 *
 * @throws EvidenceError
 */
export function verifyAzureSnp(
  { hclReport, chain, vtpm }: AzureSnpEvidence,
  options: AzureOptions & { readonly roots?: SnpRoots | undefined },
): VerifiedAzure & { readonly snp: VerifiedSnp } {
  const { now, roots } = options;
  const hcl = parseHcl(hclReport, "snp");
  const reportData = reportDataOf(hcl);
  const snp = verifySnp({ report: hcl.hardwareReport, chain }, { now, reportData, roots });
  return { snp, ...verifyRuntime(hcl, vtpm, options) };
}

export interface AzureTdxEvidence {
  /** NV index 0x01400001. */
  readonly hclReport: Uint8Array;
  /** Quote of the TD; the TDREPORT inside the HCL report can be verified on its own platform only. */
  readonly quote: Uint8Array;
  readonly collateral: TdxCollateral;
  readonly vtpm: AzureQuote;
}

/** As `verifyAzureSnp`, for a confidential VM on TDX. */
export function verifyAzureTdx(
  { hclReport, quote, collateral, vtpm }: AzureTdxEvidence,
  options: AzureOptions & Pick<TdxOptions, "roots" | "minEvaluation">,
): VerifiedAzure & { readonly tdx: VerifiedTdx } {
  const { now, roots, minEvaluation } = options;
  const hcl = parseHcl(hclReport, "tdx");
  const reportData = reportDataOf(hcl);
  const tdx = verifyTdx({ quote, collateral }, { now, reportData, roots, minEvaluation });
  return { tdx, ...verifyRuntime(hcl, vtpm, options) };
}

/** @throws EvidenceError `ERR_EVIDENCE_UNSUPPORTED` for the report of another technology */
function parseHcl(bytes: Uint8Array, expected: HclReportType): HclReport {
  const hcl = parseHclReport(bytes);
  if (hcl.type !== expected)
    throw new EvidenceError("ERR_EVIDENCE_UNSUPPORTED", "HCL report is of another technology", {
      part: "hclReport.reportType",
      found: hcl.type,
      expected,
    });
  return hcl;
}

/** What the hardware's report data must be: SHA-256 of the runtime data, and 32 zeros. */
function reportDataOf({ runtimeData }: HclReport): Buffer {
  return Buffer.concat([createHash("sha256").update(runtimeData).digest(), Buffer.alloc(32)]);
}

/** Call it only when the hardware's signature covers `reportDataOf`. */
function verifyRuntime(hcl: HclReport, vtpm: AzureQuote, options: AzureOptions): VerifiedAzure {
  const runtime = parseRuntimeData(hcl.runtimeData);
  const { userData } = options;
  if (userData !== null)
    checkBound(runtime.userData, userData, {
      problem: "HCL report: user data is not what was asked for",
      part: "hclReport.runtimeData.user-data",
    });
  const quote = verifyQuote(
    { ...vtpm, ak: { keyVouchedForElsewhere: runtime.akPublic } },
    options.quote,
  );
  return { runtime, quote };
}

/** What verified evidence of Azure proves, beside the claims of its processor. */
export function azureClaims({
  vmUniqueId,
  hasSecureBoot,
  hasTpm,
  hasConsole,
  userData,
}: AzureRuntimeData): Claims {
  return {
    "vm-unique-id": vmUniqueId,
    "secure-boot": hasSecureBoot,
    "tpm-enabled": hasTpm,
    "console-enabled": hasConsole,
    ...(userData === undefined ? {} : { "user-data": userData.toString("hex") }),
  };
}
