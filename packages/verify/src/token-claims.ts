import { checkConfirmation } from "./confirmation.ts";
import type { JsonObject } from "./json.ts";
import { TokenError } from "./token-error.ts";
import { claimError, type ScopeClaims } from "./token-scope.ts";
import type { VerifierPolicy } from "./verifier-options.ts";

/** The claims of a verified token. Redoubt's own issuers set all of these; other claims are as the issuer set them. */
export interface TokenPayload extends JsonObject {
  readonly iss: string;
  readonly sub: string;
  readonly aud?: string | readonly string[];
  readonly exp: number;
  readonly iat: number;
  readonly jti?: string;
  readonly tid?: string;
}

/**
 * Decides about the claims of a token whose signature and scope are right.
 *
 * @throws TokenError
 */
export function checkClaims(
  payload: JsonObject,
  claims: ScopeClaims,
  policy: VerifierPolicy,
  nowSeconds: number,
): asserts payload is TokenPayload {
  const { audiences, clientId, requiredClaims } = policy;
  // RFC 8725 §3.9.
  if (audiences !== null && !claims.audiences.some((audience) => audiences.has(audience)))
    throw claimError("aud", "does not name this service");
  if (clientId !== undefined && payload["client_id"] !== clientId)
    throw claimError("client_id", "is not the expected client");
  if (!isText(payload["sub"])) throw claimError("sub");
  if (!isText(payload["jti"])) throw claimError("jti");
  for (const name of requiredClaims)
    if (!Object.hasOwn(payload, name)) throw claimError(name, "is missing");
  checkTimes(payload, claims, policy.clockToleranceSeconds, nowSeconds);
  checkConfirmation(payload, policy.binding);
}

/** The part of `checkClaims` that a token from the cache goes through again. */
export function checkTimes(
  payload: JsonObject,
  claims: Pick<ScopeClaims, "iat" | "exp">,
  toleranceSeconds: number,
  nowSeconds: number,
): void {
  const { nbf } = payload;
  // RFC 7519 §4.1.4: on or after exp a token must not be accepted.
  if (nowSeconds >= claims.exp + toleranceSeconds)
    throw new TokenError("ERR_JWT_EXPIRED", "Token has expired", { part: "exp" });
  if (claims.iat > nowSeconds + toleranceSeconds) throw claimError("iat", "is in the future");
  if (claims.exp <= claims.iat) throw claimError("exp", "is not later than iat");
  if (nbf === undefined) return;
  if (
    // mutate: a safe integer is a number; the compiler does not know it.
    typeof nbf !== "number" ||
    !Number.isSafeInteger(nbf)
  )
    throw claimError("nbf");
  if (nbf > nowSeconds + toleranceSeconds) throw claimError("nbf", "is in the future");
}

export function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}
