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
export { AWS_NITRO_ROOTS, type NitroBinding, type NitroOptions, verifyNitro } from "./nitro.ts";
export type { NitroDocument } from "./nitro-document.ts";
