import { hash } from "node:crypto";
import type { CheckedProfile } from "./issuer-profile.ts";
import type { JsonObject, JsonValue } from "./json.ts";
import { tokenAlgorithm, type TokenAlgorithm } from "./public-key.ts";
import { isTenantId } from "./tenant.ts";
import { isText } from "./token-claims.ts";
import { TokenError } from "./token-error.ts";
import { claimError, scopeError } from "./token-scope.ts";
import type { TrustedKey } from "./trusted-key.ts";
import type { CheckedRule, VerifierPolicy } from "./verifier-options.ts";

/** The header of a token whose issuer is declared with a profile, so not Redoubt's (`foreign`). */
export interface ForeignHeader {
  readonly alg: TokenAlgorithm;
  readonly kid: string;
  readonly typ: string | undefined;
}

// RFC 8725 §3.10, RFC 7515 §4.1.11: whoever sends the token chose a key or an address in its header; crit and b64 would
// change the rules; the others belong to JWE. What merely describes the key or the token (x5t, x5c, nonce) is ignored.
const NEVER = ["jwk", "jku", "x5u", "crit", "b64", "zip", "enc", "epk", "apu", "apv", "p2s", "p2c"];

/** @throws TokenError */
export function readForeignHeader({ alg, kid, typ, ...others }: JsonObject): ForeignHeader {
  const algorithm = tokenAlgorithm(alg);
  if (algorithm === undefined)
    throw new TokenError("ERR_JOSE_ALG_NOT_ALLOWED", "Token header: algorithm is never accepted");
  for (const part of NEVER)
    if (Object.hasOwn(others, part))
      throw new TokenError("ERR_TOKEN_HEADER", `Token header: ${part} is never accepted`, { part });
  if (typeof kid !== "string" || kid === "")
    throw new TokenError("ERR_TOKEN_HEADER", "Token header: kid is missing", { part: "kid" });
  if (typ !== undefined && typeof typ !== "string")
    throw new TokenError("ERR_TOKEN_HEADER", "Token header: typ is malformed", { part: "typ" });
  return { alg: algorithm, kid, typ };
}

/** RFC 8725 §3.11; RFC 7515 §4.1.9: a media type without a slash leaves out `application/`, and case does not matter. */
export function checkTyp(typ: string | undefined, allowed: CheckedProfile["typ"]): void {
  const found = typ === undefined ? null : typ.toLowerCase().replace(/^application\//, "");
  if (allowed.some((one) => one?.toLowerCase() === found || one === found)) return;
  const expected = allowed.map((one) => one ?? "none").join(" or ");
  throw new TokenError("ERR_JWT_CLAIM_VALIDATION_FAILED", `Token header: typ is not ${expected}`, {
    part: "typ",
    expected,
  });
}

/** What decides whether this service takes a token of this key. */
export interface ForeignCheck {
  readonly key: TrustedKey;
  readonly profile: CheckedProfile;
  readonly rule: CheckedRule | undefined;
  readonly nowMs: number;
}

/**
 * Decides about the claims of an access token of an issuer with a profile; the caller checked its signature.
 *
 * @returns the tenant, or null where the issuer has none
 * @throws TokenError
 */
export function checkForeignToken(
  payload: JsonObject,
  policy: VerifierPolicy,
  { key, profile, rule, nowMs }: ForeignCheck,
): string | null {
  const tenant = checkIssuerAndTenant(payload, { key, profile, rule, nowMs });
  for (const mark of profile.idTokenMarks)
    if (Object.hasOwn(payload, mark)) throw claimError(mark, "makes it an ID token");
  checkRequired(payload, profile.claims);
  for (const name of policy.requiredClaims)
    if (!Object.hasOwn(payload, name)) throw claimError(name, "is missing");
  checkForeignAudience(payload, policy, key, profile);
  if (policy.clientId !== undefined && clientOf(payload, profile) !== policy.clientId)
    throw claimError(profile.clientClaims[0] ?? "client_id", "is not the expected client");
  if (!isText(payload["sub"])) throw claimError("sub");
  checkForeignTimes(payload, key, policy.clockToleranceSeconds, nowMs);
  return tenant;
}

export interface IdTokenExpectation {
  /** The relying party: `aud` must name it, and nobody else. */
  readonly clientId: string;
  /** As it was sent; null where none was. */
  readonly nonce: string | null;
  /** Where one came with the ID token: `at_hash` must be its hash. */
  readonly accessToken?: string;
}

/**
 * As `checkForeignToken`, for an ID token (OpenID Connect Core §3.1.3.7).
 *
 * @throws TokenError
 */
export function checkIdToken(
  payload: JsonObject,
  { clientId, nonce, accessToken }: IdTokenExpectation,
  toleranceSeconds: number,
  check: ForeignCheck,
): string | null {
  const { key, profile, nowMs } = check;
  const tenant = checkIssuerAndTenant(payload, check);
  checkRequired(payload, profile.idToken.claims);
  const audiences = audiencesOf(payload, "aud");
  if (audiences.some((audience) => audience !== clientId))
    throw claimError("aud", "does not name this client alone");
  const { azp } = payload;
  if (azp !== undefined && azp !== clientId) throw claimError("azp", "is not this client");
  if (nonce === null ? Object.hasOwn(payload, "nonce") : payload["nonce"] !== nonce)
    throw claimError("nonce", "is not the one that was sent");
  if (accessToken !== undefined && payload["at_hash"] !== hashOf(accessToken, key.scope.alg))
    throw claimError("at_hash", "is not the hash of the access token");
  if (!isText(payload["sub"])) throw claimError("sub");
  checkForeignTimes(payload, key, toleranceSeconds, nowMs);
  return tenant;
}

/** The part that a token from the cache goes through again. */
export function checkForeignTimes(
  { iat, exp, nbf }: JsonObject,
  { scope }: TrustedKey,
  toleranceSeconds: number,
  nowMs: number,
): void {
  const now = nowMs / 1000;
  if (!isTime(exp)) throw claimError("exp");
  if (!isTime(iat)) throw claimError("iat");
  if (now >= exp + toleranceSeconds)
    throw new TokenError("ERR_JWT_EXPIRED", "Token has expired", { part: "exp" });
  if (iat > now + toleranceSeconds) throw claimError("iat", "is in the future");
  if (exp <= iat) throw claimError("exp", "is not later than iat");
  if (exp - iat > scope.maxLifetimeSeconds)
    throw claimError("exp", "is more than maxLifetimeSeconds after iat");
  if (nbf === undefined) return;
  if (!isTime(nbf)) throw claimError("nbf");
  if (nbf > now + toleranceSeconds) throw claimError("nbf", "is in the future");
}

/** P1: issuer and tenant must be the key's. Returns the tenant, or null where there is none. */
function checkIssuerAndTenant(
  payload: JsonObject,
  { key, profile, rule }: ForeignCheck,
): string | null {
  const { iss } = payload;
  if (typeof iss !== "string") throw claimError("iss");
  const tenant = profile.tenantClaim === null ? undefined : payload[profile.tenantClaim];
  if (tenant !== undefined && !isText(tenant)) throw claimError(profile.tenantClaim ?? "");
  const said = profile.bareIssuer && !iss.includes("://") ? `https://${iss}` : iss;
  if (key.issuerOfTenants) {
    if (!isTenantId(tenant)) throw claimError(profile.tenantClaim ?? "tid");
    if (!key.coversTenant(tenant)) throw scopeError(key, "tenant", tenant, "a tenant of the key");
    if (!key.isIssuerOf(tenant, said))
      throw scopeError(key, "issuer", "another iss", key.issuerOf(tenant));
  } else {
    if (said !== key.scope.issuer) throw scopeError(key, "issuer", "another iss", key.scope.issuer);
    if (key.tenantNames && tenant === undefined) throw claimError(profile.tenantClaim ?? "tid");
    if (key.tenantNames?.has(tenant ?? "") === false)
      throw scopeError(key, "tenant", "another tenant", "a tenant of the declaration");
  }
  if (
    rule &&
    rule.tenants !== "any" &&
    !(
      // mutate: the rule holds nothing else; the compiler wants to hear it.
      isTenantId(tenant) && rule.tenants.has(tenant)
    )
  )
    throw scopeError(key, "tenant", "another tenant", "a tenant of the accept rule");
  return tenant ?? null;
}

function checkRequired(payload: JsonObject, claims: CheckedProfile["claims"]): void {
  for (const [name, expected] of Object.entries(claims))
    if (expected === true ? !Object.hasOwn(payload, name) : payload[name] !== expected)
      throw claimError(name, expected === true ? "is missing" : `is not ${expected}`);
}

// RFC 8725 §3.9. A foreign audience is a claim error and not ERR_KEY_SCOPE: these keys have no scope of audiences.
function checkForeignAudience(
  payload: JsonObject,
  { audiences, clientId }: VerifierPolicy,
  key: TrustedKey,
  { audienceClaim, extraAudiences }: CheckedProfile,
): void {
  const found = audiencesOf(payload, audienceClaim);
  // Without an audience of its own, a service takes what was issued to its client (`clientId`, checked apart).
  const own = audiences ?? new Set(audienceClaim === "aud" ? [] : [clientId ?? ""]);
  if (audiences === null && audienceClaim === "aud") return;
  if (!found.some((audience) => own.has(audience)))
    throw claimError(audienceClaim, "does not name this service");
  const slashed = key.scope.issuer.endsWith("/") ? key.scope.issuer : `${key.scope.issuer}/`;
  const extra = new Set(extraAudiences.map((one) => one.replace("{issuer}", slashed)));
  if (!found.every((audience) => own.has(audience) || extra.has(audience)))
    throw claimError(audienceClaim, "names another audience");
}

const MAX_AUDIENCES = 64;

function audiencesOf(payload: JsonObject, name: string): readonly string[] {
  const value = payload[name];
  if (isText(value)) return [value];
  if (!Array.isArray(value) || value.length === 0 || value.length > MAX_AUDIENCES)
    throw claimError(name);
  if (!value.every(isText)) throw claimError(name);
  return value;
}

function clientOf(payload: JsonObject, { clientClaims }: CheckedProfile): JsonValue | undefined {
  const name = clientClaims.find((claim) => Object.hasOwn(payload, claim));
  return name === undefined ? undefined : payload[name];
}

/** OpenID Connect Core §3.1.3.6: the left half of the hash that the algorithm uses. */
function hashOf(accessToken: string, algorithm: TokenAlgorithm): string {
  const name = algorithm === "Ed25519" ? "sha512" : `sha${algorithm.slice(-3)}`;
  const digest = hash(name, Buffer.from(accessToken, "ascii"), "buffer");
  return digest.subarray(0, digest.length / 2).toString("base64url");
}

/** RFC 7519 §2: seconds, and parts of them. */
function isTime(value: JsonValue | undefined): value is number {
  return typeof value === "number" && value >= 0;
}
