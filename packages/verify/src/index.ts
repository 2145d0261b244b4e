export type { AttestationOptions, AttestedKey } from "./attestation-options.ts";
export {
  Base64urlError,
  decodeBase64url,
  encodeBase64url,
  type Base64urlErrorCode,
  type Base64urlLimits,
} from "./base64url.ts";
export type { DpopRequest, SenderContext } from "./binding.ts";
export type { BindingOptions, Dpop } from "./binding-options.ts";
export { fromDiscovery } from "./discovery.ts";
export type {
  DeclaredIssuer,
  DiscoveryOptions,
  KeyAlarm,
  ProfiledIssuer,
  RingIssuer,
} from "./discovery-options.ts";
export {
  ISSUER_PROFILES,
  type IssuerProfile,
  type ProfileName,
  type ProfileOptions,
} from "./issuer-profile.ts";
export type { AuthOptions, RefusalListener } from "./http/auth-options.ts";
export { authenticate, dpopContext, type Authentication } from "./http/authenticate.ts";
export type { HeaderFields, RequestFacts } from "./http/credentials.ts";
export type { Refusal } from "./http/refusal.ts";
export {
  protectedResourceMetadata,
  type ProtectedResource,
  type ResourceDocument,
  type ResourceOptions,
} from "./http/resource-metadata.ts";
export { rolesOf, scopesOf, type RoleSource } from "./http/scopes.ts";
export { dpop, DPOP_ALGORITHMS, type DpopNonces, type DpopPolicy } from "./dpop-proof.ts";
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
/** @internal Its result is a KeyObject. */
export { importPublicJwk } from "./public-key.ts";
export {
  KEY_ALGORITHMS,
  parsePublicJwk,
  type KeyAlgorithm,
  type PublicJwk,
  type TokenAlgorithm,
} from "./public-key.ts";
export { PinnedKey } from "./pinned-key.ts";
export { isKeyId, parseKeyRecord, type KeyId, type KeyRecord, type TokenClass } from "./record.ts";
export type { Sighting } from "./report-evidence.ts";
export type { Decision, TokenKind } from "./report-counts.ts";
export { REPORT_LIMITS } from "./report-limits.ts";
export {
  createReportQueue,
  type ReportQueue,
  type ReportQueueStatus,
  type ReportSink,
} from "./report-queue.ts";
export type { ReportAlarm, ReportQueueOptions } from "./report-options.ts";
/** @internal What a monitor and a registry need of it. */
export { reporterKey, signatureBase, signedHeaders } from "./report-signature.ts";
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
export type { IdTokenExpectation } from "./profile-token.ts";
export type { KeyRefusal } from "./trust-source.ts";
export type { TokenPayload } from "./token-claims.ts";
export { TOKEN_ERROR_CODES, TokenError, type TokenErrorCode } from "./token-error.ts";
export type { TokenHeader } from "./token-header.ts";
export { TrustError, type TrustErrorCode } from "./trust-error.ts";
export type {
  AttestationStatus,
  TrustReader,
  TrustSource,
  TrustSourceStatus,
} from "./trust-source.ts";
export type { VerifiedKey, VerifiedToken } from "./verified-token.ts";
export { createVerifier, type Verifier } from "./verifier.ts";
export type { AcceptRule, VerifierOptions } from "./verifier-options.ts";
export type { KeyStatus, VerifierStatus } from "./verifier-status.ts";
