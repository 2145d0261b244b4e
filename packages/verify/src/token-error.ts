/**
 * Every code that `verify()` may throw, and what it means; stable. A code that means the same as in `jose` has the same
 * name. For the HTTP status see `TokenError.status`.
 */
export const TOKEN_ERROR_CODES = {
  ERR_BINDING_MISMATCH:
    "The sender did not prove the key or certificate that the token is bound to, or proved a key that it is not bound to; part says which",
  ERR_BINDING_REQUIRED: "The token is not bound to a key (cnf), and this verifier takes no other",
  ERR_BINDING_UNSUPPORTED:
    "The token is bound to a key (cnf) and this verifier cannot check the binding",
  ERR_DPOP_NONCE:
    "The DPoP proof holds no nonce of this service, or an old one; answer use_dpop_nonce",
  ERR_DPOP_PROOF: "The DPoP proof is missing or not acceptable; part says which check failed",
  ERR_DPOP_REPLAY: "The DPoP proof was used before",
  ERR_ISSUANCE_UNSUPPORTED:
    "The key demands a stapled proof of issuance, which this verifier cannot check",
  ERR_ISSUER_NOT_READY:
    "No key of the token's issuer could be loaded yet, or all of them are stale",
  ERR_JOSE_ALG_NOT_ALLOWED: "The header names an algorithm that is never accepted",
  ERR_JWKS_NO_MATCHING_KEY:
    "No trusted key has this kid; the token did not wait for any to be loaded",
  ERR_JWS_INVALID: "The text is not a compact JWS of three segments",
  ERR_JWS_SIGNATURE_VERIFICATION_FAILED: "The signature is not the key's",
  ERR_JWT_CLAIM_VALIDATION_FAILED:
    "A claim, named by part, is missing, malformed or not acceptable",
  ERR_JWT_EXPIRED: "The token has expired",
  ERR_JWT_INVALID: "The payload is not a JSON object",
  ERR_KEY_SCOPE: "The key may not sign this token; part says which part of its scope forbids it",
  ERR_REPLAY_STORE: "The store of used DPoP proofs is full or failed; part says which",
  ERR_TOKEN_DUPLICATE_MEMBER: "Header or payload holds a member twice",
  ERR_TOKEN_HEADER:
    "The header holds a member, named by part, that is missing, malformed or never accepted",
  ERR_TOKEN_JSON: "Header or payload is not strict JSON; part says why",
  ERR_TOKEN_NOT_CANONICAL: "A segment is not the one base64url form of its bytes",
  ERR_TOKEN_TOO_LARGE: "The token is longer than maxTokenLength",
  ERR_TRUST_STALE: "The trust data is older than allowed",
  ERR_VERIFIER_CLOSED: "The verifier was closed",
} as const;

export type TokenErrorCode = keyof typeof TOKEN_ERROR_CODES;

/**
 * Facts about a refusal. `found` and `expected` come from trust data, from configuration, or from claims whose form was
 * checked.
 */
export interface TokenErrorDetail {
  readonly part?: string | undefined;
  readonly found?: string | number | undefined;
  readonly expected?: string | number | undefined;
  /** An error of the environment, such as the replay store's; never one that holds a part of the token. */
  readonly cause?: unknown;
}

const NOT_THE_TOKEN: ReadonlySet<TokenErrorCode> = new Set([
  "ERR_REPLAY_STORE",
  "ERR_ISSUER_NOT_READY",
  "ERR_TRUST_STALE",
  "ERR_VERIFIER_CLOSED",
]);

/**
 * A token that is not accepted. For your log, not for your answer: outside, all of these look alike.
 * It holds no stack trace, because whoever sends tokens decides how many of these are made.
 */
export class TokenError extends Error {
  override readonly name = "TokenError";
  readonly code: TokenErrorCode;
  /** HTTP status: 401, or 503 where the token is not at fault. */
  readonly status: 401 | 503;
  /** Which part of the scope, which claim or which header member. */
  readonly part: string | undefined;
  readonly found: string | number | undefined;
  readonly expected: string | number | undefined;

  constructor(code: TokenErrorCode, message: string, detail: TokenErrorDetail = {}) {
    const restore = suppressStack();
    super(message, detail.cause === undefined ? undefined : { cause: detail.cause });
    restore();
    this.code = code;
    this.status = NOT_THE_TOKEN.has(code) ? 503 : 401;
    this.part = detail.part;
    this.found = detail.found;
    this.expected = detail.expected;
  }
}

// A stack costs ten times the error. Reflect.set does not throw where the property is frozen.
function suppressStack(): () => void {
  const limit = Error.stackTraceLimit;
  Reflect.set(Error, "stackTraceLimit", 0);
  return () => {
    Reflect.set(Error, "stackTraceLimit", limit);
  };
}
