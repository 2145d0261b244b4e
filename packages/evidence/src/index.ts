export {
  EvidenceError,
  type EvidenceErrorCode,
  type EvidenceErrorDetail,
} from "./evidence-error.ts";
export { type Claims, type ClaimValue } from "./claims.ts";
export { type Certificate, parseCertificate } from "./x509.ts";
export {
  type ChainOptions,
  type PinnedRoots,
  verifyChain,
  type VerifiedChain,
} from "./certificate-chain.ts";
export { checkNotRevoked, verifyCrl, type VerifiedCrl } from "./crl.ts";
export { decodePemChain } from "./pem.ts";
export { parseSnpCertificateTable, type SnpCertificateName } from "./snp/certificate-table.ts";
export { parseSnpReport, type SnpReport } from "./snp/report.ts";
export { snpClaims } from "./snp/snp-claims.ts";
export {
  AMD_ROOTS,
  type SnpEvidence,
  type SnpOptions,
  type SnpRoots,
  type VerifiedSnp,
  verifySnp,
} from "./snp/verify-snp.ts";
export type { TpmHash } from "./tpm/algorithms.ts";
export type { AttestationKey } from "./tpm/attestation-key.ts";
export type { PcrSelection } from "./tpm/pcr-selection.ts";
export {
  hasAttribute,
  parsePublicArea,
  type SignatureScheme,
  type TpmObjectAttribute,
  type TpmPublicArea,
} from "./tpm/public-area.ts";
export { parseQuote, type TpmClock, type UnverifiedQuote } from "./tpm/quote.ts";
export { parseSignature, type TpmSignature } from "./tpm/signature.ts";
export {
  verifyQuote,
  type QuoteDemand,
  type QuoteEvidence,
  type VerifiedQuote,
} from "./tpm/verify-quote.ts";
export { checkPolicy, type PolicyOptions, type Statement } from "./policy/check-policy.ts";
export { lintPolicy, type PolicyProblem } from "./policy/lint-policy.ts";
export { parsePolicy } from "./policy/parse-policy.ts";
export {
  EVIDENCE_AUTHORITY,
  type Policy,
  type PolicyCondition,
  type ReferenceSets,
} from "./policy/policy.ts";
export type { Refusal } from "./evidence-error.ts";
export {
  activateCredential,
  quote,
  readTpmKey,
  seal,
  unseal,
  type TpmQuote,
} from "./tpm/client.ts";
export { openTpmDevice } from "./tpm/device-transport.ts";
export type { TpmKey, TpmObject } from "./tpm/key-commands.ts";
export { makeCredential, type Credential } from "./tpm/make-credential.ts";
export { readNv, writeNv } from "./tpm/nv-commands.ts";
export { extendPcr, readPcrs } from "./tpm/pcr-commands.ts";
export { connectTpmSocket } from "./tpm/socket-transport.ts";
export { AK_P256, EK_P384, EK_RSA_2048, type KeyTemplate } from "./tpm/templates.ts";
export type { Transport, TransportOptions } from "./tpm/transport.ts";
export {
  azureClaims,
  type AzureOptions,
  type AzureSnpEvidence,
  type VerifiedAzure,
  verifyAzureSnp,
} from "./azure/verify-azure.ts";
export { parseHclReport, type HclReport } from "./azure/hcl-report.ts";
export { parseRuntimeData, type AzureRuntimeData } from "./azure/runtime-data.ts";
export { AWS_NITRO_ROOTS, type NitroBinding, type NitroOptions, verifyNitro } from "./nitro.ts";
export type { NitroDocument } from "./nitro-document.ts";
export {
  appraise,
  DEFAULT_PCRS,
  type Appraisal,
  type AppraisalOptions,
} from "./envelope/appraise.ts";
export type { Evidence, Platform, TpmPlatform } from "./envelope/evidence.ts";
export { parseEvidence } from "./envelope/parse-evidence.ts";
export {
  encodeReferenceValues,
  joinReferenceSets,
  releaseKeyId,
  signReferenceValues,
  verifyReferenceValues,
  type ReferenceTrust,
  type ReferenceValues,
} from "./reference/reference-values.ts";
export { unverifiedClaims } from "./envelope/unverified-claims.ts";
export { recogniseEvidence, type RecognisedEvidence } from "./envelope/recognise-evidence.ts";
export { type BootDifference, explainDifference } from "./event-log/explain.ts";
export type { BootEvent, EventLog, EventLogKind } from "./event-log/event-log.ts";
export { logClaims } from "./event-log/log-claims.ts";
export { parseEventLog } from "./event-log/parse-event-log.ts";
export { checkReplay, replay, type ReplayedLog } from "./event-log/replay.ts";
export { appendUserspaceLog } from "./event-log/userspace-log.ts";
export {
  INTEL_ROOTS,
  type TdxEvidence,
  type TdxOptions,
  type VerifiedTdx,
  verifyTdx,
} from "./tdx/verify-tdx.ts";
export { parseTdxCollateral, type TdxCollateral } from "./tdx/collateral.ts";
export { tdxClaims } from "./tdx/tdx-claims.ts";
export { parseTdxQuote, type TdxQuote } from "./tdx/quote.ts";
export { verifyAzureTdx } from "./azure/verify-azure.ts";
export {
  CPU_SIGNATURES,
  measureSnpLaunch,
  type SnpLaunch,
  type SnpVmm,
} from "./reference/snp-launch.ts";
export { measureUki, type UkiReference } from "./reference/uki.ts";
export { createSoftTpm, type SoftTpmOptions } from "./soft-tpm/create-soft-tpm.ts";
