import { Base64urlError, decodeBase64url } from "./base64url.ts";
import type { CheckedIssuer, DeclaredScope } from "./discovery-options.ts";
import { matchIssuer } from "./issuer-template.ts";
import {
  isJsonObject,
  JsonError,
  parseJsonObject,
  type JsonObject,
  type JsonValue,
} from "./json.ts";
import type { PinnedKey } from "./pinned-key.ts";
import { isKeyAlgorithm, parsePublicJwk, refusePrivateMembers } from "./public-key.ts";
import type { KeyRecord } from "./record.ts";
import { verifyKeyRecord } from "./ring.ts";
import { tenantCovered } from "./tenant.ts";
import { TrustError, type TrustErrorCode } from "./trust-error.ts";
import { TrustedKey, type Freshness, type KeyScope } from "./trusted-key.ts";

/** What a JWKS holds for us. Whoever serves it controls every byte. */
export interface ReadKeySet {
  readonly keys: readonly TrustedKey[];
  /** Why a key does not count, one entry for each such key. */
  readonly refusals: readonly TrustErrorCode[];
  /** Keys for another use or algorithm. */
  readonly ignored: number;
}

export const MAX_KEY_SET_BYTES = 4_194_304;
const MAX_KEYS = 256;
const MAX_KID_LENGTH = 256;

/**
 * Reads a JWK set (RFC 7517 §5) and keeps the keys that count for the issuer.
 *
 * @throws TrustError if the set as a whole cannot be used
 */
export function readKeySet(
  bytes: Uint8Array,
  issuer: CheckedIssuer,
  freshness: readonly Freshness[],
): ReadKeySet {
  const keys: TrustedKey[] = [];
  const refusals: TrustErrorCode[] = [];
  let ignored = 0;
  for (const jwk of parseKeySet(bytes)) {
    refusePrivateMembers(jwk);
    if (!isForSignatures(jwk)) ignored += 1;
    else
      try {
        keys.push(new TrustedKey(readScope(jwk, issuer), freshness));
      } catch (error) {
        // One bad key must not take the others away: it does not count, and is counted.
        refusals.push(refusalCode(error));
      }
  }
  return { keys, refusals, ignored };
}

function parseKeySet(bytes: Uint8Array): readonly JsonObject[] {
  let keys: JsonValue | undefined;
  try {
    keys = parseJsonObject(bytes, { maxBytes: MAX_KEY_SET_BYTES })["keys"];
  } catch (cause) {
    if (!(cause instanceof JsonError)) throw cause;
    throw new TrustError("ERR_DISCOVERY_DOCUMENT", `JWK set: ${cause.message}`, { cause });
  }
  if (!isArray(keys) || keys.length > MAX_KEYS || !keys.every(isJsonObject))
    throw new TrustError("ERR_DISCOVERY_DOCUMENT", `JWK set: expected at most ${MAX_KEYS} keys`);
  return keys;
}

/** RFC 7517 §4.2, §4.3. */
function isForSignatures(jwk: JsonObject): boolean {
  const { use, key_ops: operations, alg } = jwk;
  return (
    isKeyAlgorithm(alg) &&
    (use === undefined || use === "sig") &&
    (operations === undefined || (isArray(operations) && operations.includes("verify")))
  );
}

function readScope(jwk: JsonObject, issuer: CheckedIssuer): KeyScope {
  const { trust } = issuer;
  return trust.ring === null
    ? declaredScope(jwk, issuer.issuer, trust.scope)
    : recordScope(jwk, issuer, trust.ring);
}

/** docs/spec/key-record.md §3: the scope is the record's alone, and the JWK must not say anything else. */
function recordScope(
  jwk: JsonObject,
  issuer: CheckedIssuer,
  ring: readonly PinnedKey[],
): KeyRecord {
  const { redoubt } = jwk;
  // THREAT-27: somebody's own key in the set.
  if (!isJsonObject(redoubt)) throw untrusted("without key record");
  const { record: recordText, ring: ringText } = redoubt;
  if (typeof recordText !== "string" || typeof ringText !== "string")
    throw untrusted("with malformed key record");
  const signature = decodeBase64url(ringText, { bytes: 64 });
  const record = verifyKeyRecord(decodeBase64url(recordText), signature, ring);
  if (record.realm !== issuer.realm) throw untrusted("of another realm");
  if (!coversIssuer(record, issuer.issuer)) throw untrusted("of another issuer");
  const said = { ...record.publicKey, kid: record.kid, alg: record.alg, issuer: record.issuer };
  for (const [name, value] of Object.entries(said))
    if (jwk[name] !== value) throw untrusted(`whose ${name} is not its record's`);
  return record;
}

function coversIssuer(record: KeyRecord, issuer: string): boolean {
  const match = matchIssuer(record.issuer, issuer);
  if (match === undefined) return false;
  return match.tenantId === null || tenantCovered(record.tenants, match.tenantId);
}

function declaredScope(jwk: JsonObject, issuer: string, scope: DeclaredScope): KeyScope {
  const { kid, alg, issuer: template } = jwk;
  if (typeof kid !== "string" || kid === "" || kid.length > MAX_KID_LENGTH)
    throw new TrustError("ERR_KEY_INVALID", "JWK kid: missing or malformed", { member: "kid" });
  if (!isKeyAlgorithm(alg)) throw new TrustError("ERR_KEY_INVALID", "JWK alg", { member: "alg" });
  // Where Entra's own check fails open: a key that does not say whose it is.
  if (typeof template !== "string" || matchIssuer(template, issuer) === undefined)
    throw untrusted("without the issuer in it");
  return {
    ...scope,
    kid,
    alg,
    publicKey: parsePublicJwk(jwk, alg),
    issuer: template,
    class: "at",
    // The set says when a key counts by listing it; there is no other window.
    signFrom: 0,
    signUntil: Number.MAX_SAFE_INTEGER - 1,
    verifyUntil: Number.MAX_SAFE_INTEGER,
    issuanceFloor: "none",
  };
}

function refusalCode(error: unknown): TrustErrorCode {
  if (error instanceof TrustError) return error.code;
  if (error instanceof Base64urlError) return "ERR_KEY_UNTRUSTED";
  throw error;
}

function untrusted(what: string): TrustError {
  return new TrustError("ERR_KEY_UNTRUSTED", `JWK ${what}`);
}

function isArray(value: JsonValue | undefined): value is readonly JsonValue[] {
  return Array.isArray(value);
}
