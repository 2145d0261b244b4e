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
