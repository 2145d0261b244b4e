export {
  Base64urlError,
  decodeBase64url,
  encodeBase64url,
  type Base64urlErrorCode,
  type Base64urlLimits,
} from "./base64url.ts";
export type { DpopRequest, SenderContext } from "./binding.ts";
export type { BindingOptions, DpopNonces, DpopPolicy } from "./binding-options.ts";
export { fromDiscovery } from "./discovery.ts";
export type { DeclaredIssuer, DiscoveryOptions, RingIssuer } from "./discovery-options.ts";
export { DPOP_ALGORITHMS } from "./dpop-proof.ts";
export { issuerFor } from "./issuer-template.ts";
export {
  isJsonObject,
  JsonError,
  parseJson,
  parseJsonObject,
  type JsonErrorCode,
  type JsonLimits,
  type JsonObject,
  type JsonValue,
} from "./json.ts";
export {
  importPublicJwk,
  KEY_ALGORITHMS,
  parsePublicJwk,
  type KeyAlgorithm,
  type PublicJwk,
} from "./public-key.ts";
export { PinnedKey } from "./pinned-key.ts";
export { isKeyId, parseKeyRecord, type KeyId, type KeyRecord, type TokenClass } from "./record.ts";
export type { Sighting } from "./report-evidence.ts";
export { REPORT_LIMITS } from "./report-limits.ts";
export {
  createReportQueue,
  type ReportAlarm,
  type ReportQueue,
  type ReportQueueOptions,
  type ReportQueueStatus,
  type ReportSink,
} from "./report-queue.ts";
export {
  createReplayStore,
  type MemoryReplayStore,
  type ReplayStore,
  type ReplayStoreOptions,
} from "./replay-store.ts";
export { verifyKeyRecord } from "./ring.ts";
export {
  fromStaticKeys,
  fromStaticRecords,
  type SignedRecord,
  type StaticKey,
} from "./static-trust.ts";
export { isTenantId, tenantCovered, type TenantId, type TenantSelector } from "./tenant.ts";
export type { TokenPayload } from "./token-claims.ts";
export { TOKEN_ERROR_CODES, TokenError, type TokenErrorCode } from "./token-error.ts";
export type { TokenHeader } from "./token-header.ts";
export { TrustError, type TrustErrorCode } from "./trust-error.ts";
export type { TrustReader, TrustSource, TrustSourceStatus } from "./trust-source.ts";
export type { VerifiedKey, VerifiedToken } from "./verified-token.ts";
export { createVerifier, type Verifier } from "./verifier.ts";
export type { AcceptRule, VerifierOptions } from "./verifier-options.ts";
export type { KeyStatus, VerifierStatus } from "./verifier-status.ts";
