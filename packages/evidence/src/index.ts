export {
  EvidenceError,
  type EvidenceErrorCode,
  type EvidenceErrorDetail,
} from "./evidence-error.ts";
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
