import { isJsonObject, type JsonValue } from "./json.ts";
import type { TokenAlgorithm } from "./public-key.ts";
import type { TokenPayload } from "./token-claims.ts";
import type { TokenHeader } from "./token-header.ts";

const verified: unique symbol = Symbol("verified");

/** A token after every check. Only `verify()` makes one; it cannot be changed. */
export interface VerifiedToken {
  readonly [verified]: true;
  readonly payload: TokenPayload;
  readonly protectedHeader: TokenHeader;
  readonly key: VerifiedKey;
  /** A lower-case GUID; for an issuer with a profile, the value of its tenant claim, or null if the token has none. */
  readonly tenantId: string | null;
  /** base64url SHA-256 of the signing input: the token's name in logs and reports, the same for all its forms. */
  readonly digest: string;
  /** True if this very token was verified before and only what changes with time was checked again. */
  readonly cached: boolean;
}

export interface VerifiedKey {
  readonly kid: string;
  readonly alg: TokenAlgorithm;
  readonly realm: string;
  /** Template, as in the key's scope. */
  readonly issuer: string;
}

/** Freezes the facts and marks them as verified; called by the verifier alone. */
export function sealVerifiedToken(
  facts: Omit<VerifiedToken, typeof verified | "cached">,
): VerifiedToken {
  // Two requests with one token share one payload: what the first changes, the second would believe.
  deepFreeze(facts.payload);
  const { payload, protectedHeader, key, tenantId, digest } = facts;
  return Object.freeze({
    payload,
    protectedHeader,
    key,
    tenantId,
    digest,
    [verified]: true as const,
    cached: false,
  });
}

export function asCached(token: VerifiedToken): VerifiedToken {
  return Object.freeze({ ...token, cached: true });
}

function deepFreeze(value: JsonValue | undefined): void {
  if (isJsonObject(value)) {
    for (const name in value) deepFreeze(value[name]);
    Object.freeze(value);
  } else if (Array.isArray(value)) {
    for (const item of value) deepFreeze(item);
    Object.freeze(value);
  }
}
