import type { JsonObject, JsonValue } from "./json.ts";
import { isTenantId, type TenantId } from "./tenant.ts";
import { TokenError } from "./token-error.ts";
import type { TrustedKey } from "./trusted-key.ts";
import type { CheckedRule } from "./verifier-options.ts";

/** The claims that a key's scope is about, in the right form. Nobody has checked yet whether the key may sign them. */
export interface ScopeClaims {
  readonly iss: string;
  readonly tid: TenantId;
  readonly audiences: readonly string[];
  readonly iat: number;
  readonly exp: number;
}

const MAX_AUDIENCES = 64;

/**
 * The rule under which this service takes tokens of this key.
 * P1, THREAT-01: realm and issuer come from the key, never from the token.
 *
 * @throws TokenError `ERR_KEY_SCOPE`, part `realm` or `issuer`
 */
export function ruleForKey(key: TrustedKey, rules: readonly CheckedRule[] = []): CheckedRule {
  const { realm, issuer } = key.scope;
  const ofRealm = rules.filter((rule) => rule.realm === realm);
  if (ofRealm.length === 0)
    throw scopeError(key, "realm", realm, rules.map((rule) => rule.realm).join(" or "));
  const rule = ofRealm.find((candidate) => candidate.issuer === issuer);
  if (rule === undefined)
    throw scopeError(key, "issuer", issuer, ofRealm.map((r) => r.issuer).join(" or "));
  return rule;
}

/**
 * Reads the claims that the scope is about.
 *
 * @throws TokenError `ERR_JWT_CLAIM_VALIDATION_FAILED`
 */
export function parseScopeClaims(payload: JsonObject): ScopeClaims {
  const { iss, tid, iat, exp } = payload;
  if (typeof iss !== "string") throw claimError("iss");
  // Exact lower case: two spellings of one tenant would be two tenants to somebody.
  if (!isTenantId(tid)) throw claimError("tid");
  return {
    iss,
    tid,
    audiences: parseAudiences(payload["aud"]),
    iat: seconds(iat, "iat"),
    exp: seconds(exp, "exp"),
  };
}

/**
 * Decides whether the key may sign a token with these claims.
 *
 * @throws TokenError `ERR_KEY_SCOPE`, part `tenant`, `issuer`, `audience`, `window` or `lifetime`
 */
export function checkScope(
  claims: ScopeClaims,
  key: TrustedKey,
  rule: CheckedRule,
  nowSeconds: number,
): void {
  const { scope } = key;
  const { tid, iat } = claims;
  if (rule.tenants !== "any" && !rule.tenants.has(tid))
    throw scopeError(key, "tenant", tid, "a tenant of the accept rule");
  // THREAT-01, Storm-0558: a consumer key's tenants do not cover an enterprise tenant, whatever iss says.
  if (!key.coversTenant(tid)) throw scopeError(key, "tenant", tid, "a tenant of the key");
  if (!key.isIssuerOf(tid, claims.iss))
    throw scopeError(key, "issuer", "another iss", key.issuerOf(tid));
  if (!claims.audiences.every((audience) => key.coversAudience(audience)))
    throw scopeError(key, "audience", "another audience", "audiences of the key");
  // THREAT-02: the key of 2023 had expired in 2021. The key's own window counts, without tolerance for clocks.
  if (iat < scope.signFrom || iat > scope.signUntil)
    throw scopeError(key, "window", iat, `iat in ${scope.signFrom}…${scope.signUntil}`);
  if (nowSeconds >= scope.verifyUntil)
    throw scopeError(key, "window", nowSeconds, `now before ${scope.verifyUntil}`);
  const lifetime = claims.exp - iat;
  if (lifetime > scope.maxLifetimeSeconds)
    throw scopeError(key, "lifetime", lifetime, scope.maxLifetimeSeconds);
}

export function scopeError(
  key: TrustedKey,
  part: string,
  found: string | number,
  expected: string | number,
): TokenError {
  const message = `Key scope mismatch: key ${key.scope.kid}, ${part}: found ${found}, expected ${expected}`;
  return new TokenError("ERR_KEY_SCOPE", message, { part, found, expected });
}

export function claimError(part: string, what = "is missing or malformed"): TokenError {
  return new TokenError("ERR_JWT_CLAIM_VALIDATION_FAILED", `Token claim ${part} ${what}`, { part });
}

/** RFC 7519 §4.1.3: a string, or strings; nothing else, and not without end. */
function parseAudiences(aud: JsonValue | undefined): readonly string[] {
  if (typeof aud === "string" && aud !== "") return [aud];
  if (!isStringArray(aud) || aud.length === 0 || aud.length > MAX_AUDIENCES || aud.includes(""))
    throw claimError("aud");
  return aud;
}

// RFC 7519 §2 allows fractions, Redoubt's issuers write none. Two readers may round what is no safe integer
// differently.
function seconds(value: JsonValue | undefined, name: string): number {
  if (
    // mutate: a safe integer is a number; the compiler does not know it.
    typeof value !== "number" ||
    !Number.isSafeInteger(value)
  )
    throw claimError(name);
  return value;
}

function isStringArray(value: JsonValue | undefined): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}
