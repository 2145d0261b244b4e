import { Base64urlError, decodeBase64url } from "./base64url.ts";
import type { CheckedIssuer, DeclaredScope } from "./discovery-options.ts";
import { ISSUER_PLACEHOLDER, matchIssuer } from "./issuer-template.ts";
import {
  isJsonObject,
  JsonError,
  parseJsonObject,
  type JsonObject,
  type JsonValue,
} from "./json.ts";
import type { PinnedKey } from "./pinned-key.ts";
import {
  fitsKey,
  isForSignatures,
  isKeyAlgorithm,
  type KeyAlgorithm,
  parsePublicJwk,
  refusePrivateMembers,
  tokenAlgorithm,
  type TokenAlgorithm,
} from "./public-key.ts";
import type { KeyRecord } from "./record.ts";
import { verifyKeyRecord } from "./ring.ts";
import { selectorCovers, tenantCovered } from "./tenant.ts";
import { TrustError } from "./trust-error.ts";
import type { KeyRefusal } from "./trust-source.ts";
import { TrustedKey, type Declaration, type Freshness, type KeyScope } from "./trusted-key.ts";

/** What was read from a JWKS. Whoever serves it controls every byte. */
export interface ReadKeySet {
  readonly keys: readonly TrustedKey[];
  readonly refusals: readonly KeyRefusal[];
  /** Keys for another use or algorithm. */
  readonly ignored: number;
  /** What each JWK has as `x-attestation`, by kid; read by whoever asks for attestation. */
  readonly attestations: ReadonlyMap<string, JsonValue>;
}

export const MAX_KEY_SET_BYTES = 4_194_304;
const MAX_KEYS = 256;
const MAX_KID_LENGTH = 256;

/**
 * Reads a JWK set (RFC 7517 §5) and keeps the keys that count for the issuer. A key that does not is left out alone,
 * and named: one bad key must not take the others away.
 *
 * @throws TrustError if the set as a whole cannot be used
 */
export function readKeySet(
  bytes: Uint8Array,
  issuer: CheckedIssuer,
  freshness: readonly Freshness[],
): ReadKeySet {
  const found: TrustedKey[] = [];
  const leaked: JsonObject[] = [];
  const refusals: KeyRefusal[] = [];
  const attestations = new Map<string, JsonValue>();
  let ignored = 0;
  for (const jwk of parseKeySet(bytes))
    try {
      refusePrivateMembers(jwk);
      const scopes = isForSignatures(jwk) ? readScopes(jwk, issuer) : [];
      const declaration = "declaration" in issuer.trust ? issuer.trust.declaration : undefined;
      if (scopes.length === 0) ignored += 1;
      for (const scope of scopes) {
        found.push(new TrustedKey(scope, freshness, declaration));
        const { "x-attestation": stated } = jwk;
        if (stated !== undefined) attestations.set(scope.kid, stated);
      }
    } catch (error) {
      const why = refusalOf(error);
      if (why.code === "ERR_KEYSET_PRIVATE") leaked.push(jwk);
      refusals.push({ kid: kidOf(jwk), ...why });
    }
  const kept = found.filter((key) => !leaked.some((jwk) => isPublicHalf(key, jwk)));
  const { keys, conflicts } = withoutConflicts(kept);
  return { keys, refusals: [...refusals, ...conflicts], ignored, attestations };
}

/** Whoever read a private key in this set can sign as its public half, so that one goes, too, whatever its kid is. */
function isPublicHalf({ scope }: TrustedKey, leaked: JsonObject): boolean {
  const { publicKey } = scope;
  const members = Object.entries(publicKey);
  return leaked["kid"] === scope.kid || members.every(([name, value]) => leaked[name] === value);
}

/**
 * Leaves out keys that contradict: one kid with two keys, or one key for two families of algorithms. Neither counts.
 */
function withoutConflicts(found: readonly TrustedKey[]): {
  readonly keys: readonly TrustedKey[];
  readonly conflicts: readonly KeyRefusal[];
} {
  const keys: TrustedKey[] = [];
  const conflicts = new Map<string, KeyRefusal>();
  for (const key of found) {
    const { kid } = key.scope;
    const isConflict = found.some((other) => contradicts(key, other));
    const reason = "One kid or one key stands for two things in the set";
    if (isConflict) conflicts.set(kid, { kid, code: "ERR_KEYSET_CONFLICT", reason });
    else if (!keys.some(({ identity }) => identity === key.identity)) keys.push(key);
  }
  return { keys, conflicts: [...conflicts.values()] };
}

function contradicts(one: TrustedKey, other: TrustedKey): boolean {
  const isSamePublicKey = one.publicKeyIdentity === other.publicKeyIdentity;
  if (one.scope.kid === other.scope.kid && !isSamePublicKey) return true;
  return isSamePublicKey && familyOf(one.scope.alg) !== familyOf(other.scope.alg);
}

function parseKeySet(bytes: Uint8Array): readonly JsonObject[] {
  let keys: JsonValue | undefined;
  try {
    keys = parseJsonObject(bytes, { maxBytes: MAX_KEY_SET_BYTES })["keys"];
  } catch (cause) {
    // mutate: nothing else is thrown in there; a fault of our own would stay one.
    if (!(cause instanceof JsonError)) throw cause;
    throw new TrustError("ERR_DISCOVERY_DOCUMENT", `JWK set: ${cause.message}`, { cause });
  }
  if (!isArray(keys) || keys.length > MAX_KEYS || !keys.every(isJsonObject))
    throw new TrustError("ERR_DISCOVERY_DOCUMENT", `JWK set: expected at most ${MAX_KEYS} keys`);
  return keys;
}

/** One scope for each algorithm that the key may be used with; none if no such algorithm is accepted here. */
function readScopes(jwk: JsonObject, issuer: CheckedIssuer): readonly KeyScope[] {
  const { trust } = issuer;
  if ("declaration" in trust) return profileScopes(jwk, issuer, trust.scope, trust.declaration);
  const { alg } = jwk;
  if (!isKeyAlgorithm(alg)) return [];
  return trust.ring === null
    ? [declaredScope(jwk, alg, issuer.issuer, trust.scope)]
    : [recordScope(jwk, issuer, trust.ring)];
}

/** docs/spec/key-record.md §3: the scope is the record's alone, and the JWK must not say anything else. */
function recordScope(
  jwk: JsonObject,
  issuer: CheckedIssuer,
  ring: readonly PinnedKey[],
): KeyRecord {
  const { redoubt } = jwk;
  // THREAT-27: a key without a record is one that somebody added to the set.
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

function declaredScope(
  jwk: JsonObject,
  alg: KeyAlgorithm,
  issuer: string,
  scope: DeclaredScope,
): KeyScope {
  const { issuer: template } = jwk;
  const kid = readKid(jwk);
  // Entra's own libraries take a key that names no issuer for every issuer; here it counts for none.
  if (typeof template !== "string" || matchIssuer(template, issuer) === undefined)
    throw untrusted("without the issuer in it");
  return {
    ...scope,
    ...UNBOUNDED,
    kid,
    alg,
    publicKey: parsePublicJwk(jwk, alg),
    issuer: template,
  };
}

/** Without a record a key has no window of its own: it counts for as long as the set lists it. */
const UNBOUNDED = {
  class: "at",
  signFrom: 0,
  signUntil: Number.MAX_SAFE_INTEGER - 1,
  verifyUntil: Number.MAX_SAFE_INTEGER,
  issuanceFloor: "none",
} as const;

function profileScopes(
  jwk: JsonObject,
  { issuer }: CheckedIssuer,
  declared: DeclaredScope,
  { profile }: Declaration,
): readonly KeyScope[] {
  const algorithms = algorithmsOf(jwk, profile.algorithms);
  if (algorithms.length === 0) return [];
  const kid = readKid(jwk);
  const whose = profile.keyIssuer ? keyIssuer(jwk, issuer, declared) : { ...declared, issuer };
  return algorithms.map((alg) => {
    return { ...whose, ...UNBOUNDED, kid, alg, publicKey: parsePublicJwk(jwk, alg) };
  });
}

/**
 * RFC 8725 §3.1: the key's `alg`, if it is declared; without `alg`, the declared ones of one family that fit its type.
 */
function algorithmsOf(
  jwk: JsonObject,
  declared: readonly TokenAlgorithm[],
): readonly TokenAlgorithm[] {
  if (jwk["alg"] !== undefined) {
    const own = tokenAlgorithm(jwk["alg"]);
    return own !== undefined && declared.includes(own) ? [own] : [];
  }
  const fitting = declared.filter((algorithm) => fitsKey(jwk, algorithm));
  const [first] = fitting;
  return first ? fitting.filter((algorithm) => familyOf(algorithm) === familyOf(first)) : [];
}

/** RS, PS, ES or Ed. One key must not be used in two of these (RFC 8725 §3.1). */
function familyOf(algorithm: TokenAlgorithm): string {
  return algorithm.slice(0, 2);
}

/**
 * Storm-0558 inside one key set: a key that names an issuer signs for that one alone, and where the set is for many
 * tenants, each key must.
 */
function keyIssuer(
  jwk: JsonObject,
  issuer: string,
  declared: DeclaredScope,
): DeclaredScope & Pick<KeyScope, "issuer"> {
  const { issuer: own } = jwk;
  const isTemplate = issuer.includes(ISSUER_PLACEHOLDER);
  if (own === undefined && !isTemplate) return { ...declared, issuer };
  if (typeof own !== "string") throw untrusted("without the issuer in it");
  if (own === issuer || matchIssuer(own, issuer)) return { ...declared, issuer };
  const one = isTemplate ? matchIssuer(issuer, own)?.tenantId : undefined;
  const { tenants } = declared;
  if (!one || (tenants !== "any" && !selectorCovers(tenants, one)))
    throw untrusted("of another issuer");
  // `issuer` stays the template: then the tenant in a token is compared with the key's only tenant.
  return { ...declared, tenants: { ids: [one] }, issuer };
}

function readKid({ kid }: JsonObject): string {
  if (typeof kid === "string" && kid !== "" && kid.length <= MAX_KID_LENGTH) return kid;
  throw new TrustError("ERR_KEY_INVALID", "JWK kid: missing or malformed", { member: "kid" });
}

function kidOf({ kid }: JsonObject): string | null {
  return typeof kid === "string" ? kid.slice(0, MAX_KID_LENGTH) : null;
}

function refusalOf(error: unknown): Omit<KeyRefusal, "kid"> {
  if (error instanceof TrustError) return { code: error.code, reason: error.message };
  if (error instanceof Base64urlError) return { code: "ERR_KEY_UNTRUSTED", reason: error.message };
  throw error;
}

function untrusted(what: string): TrustError {
  return new TrustError("ERR_KEY_UNTRUSTED", `JWK ${what}`);
}

function isArray(value: JsonValue | undefined): value is readonly JsonValue[] {
  return Array.isArray(value);
}
