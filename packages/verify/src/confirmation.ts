import type { BindingPolicy } from "./binding-options.ts";
import { isJsonObject, type JsonObject, type JsonValue } from "./json.ts";
import { TokenError } from "./token-error.ts";

/** What a token is bound to (RFC 7800 §3.1); a token with both members needs both proofs. */
export interface Confirmation {
  /** RFC 9449 §6.1: the thumbprint of the client's key. */
  readonly jkt: string | undefined;
  /** RFC 8705 §3.1: the SHA-256 of the client's certificate. */
  readonly x5tS256: string | undefined;
}

// 32 bytes; the last character carries two spare bits, which are zero.
const SHA256_BASE64URL = /^[\w-]{42}[AEIMQUYcgkosw048]$/;

/**
 * Decides whether this verifier can check what the token is bound to; the sender is not asked yet.
 * THREAT-17, RFC 9449 §7.1, RFC 8705 §3: a bound token without its proof is a stolen one; cnf is never ignored.
 *
 * @throws TokenError
 */
export function checkConfirmation(payload: JsonObject, policy: BindingPolicy): void {
  const { cnf } = payload;
  if (cnf === undefined) {
    if (!policy.required) return;
    throw new TokenError("ERR_BINDING_REQUIRED", "Token is not bound to a key (cnf)");
  }
  if (policy.dpop === undefined && !policy.mtls) throw unsupported(undefined);
  if (!isJsonObject(cnf)) throw malformed();
  const names = Object.keys(cnf);
  if (names.length === 0) throw malformed();
  for (const name of names) {
    const part = name === "jkt" || name === "x5t#S256" ? name : "unknown";
    if (part === "unknown" || (part === "jkt" ? policy.dpop === undefined : !policy.mtls))
      throw unsupported(part);
    if (!isThumbprint(cnf[name])) throw malformed();
  }
}

/** What a token that `checkConfirmation` let pass is bound to; nothing for a bearer token. */
export function confirmationOf({ cnf }: JsonObject): Confirmation {
  if (!isJsonObject(cnf)) return { jkt: undefined, x5tS256: undefined };
  const { jkt, "x5t#S256": x5tS256 } = cnf;
  return {
    jkt: isThumbprint(jkt) ? jkt : undefined,
    x5tS256: isThumbprint(x5tS256) ? x5tS256 : undefined,
  };
}

function isThumbprint(value: JsonValue | undefined): value is string {
  return typeof value === "string" && SHA256_BASE64URL.test(value);
}

function unsupported(part: string | undefined): TokenError {
  return new TokenError(
    "ERR_BINDING_UNSUPPORTED",
    "Token is bound to a key (cnf), which this verifier cannot check",
    { part },
  );
}

function malformed(): TokenError {
  return new TokenError("ERR_JWT_CLAIM_VALIDATION_FAILED", "Token claim: cnf is malformed", {
    part: "cnf",
  });
}
