import type { KeyObject } from "node:crypto";
import { canonicalJson } from "./canonical.ts";
import type { CheckedProfile } from "./issuer-profile.ts";
import { ISSUER_PLACEHOLDER, matchIssuer } from "./issuer-template.ts";
import type { JsonObject } from "./json.ts";
import { importPublicJwk, type PublicJwk, type TokenAlgorithm } from "./public-key.ts";
import type { KeyRecord, TokenClass } from "./record.ts";
import { selectorCovers, type TenantId, type TenantSelector } from "./tenant.ts";
import { TrustError } from "./trust-error.ts";

/**
 * A key and its scope. Every member comes from a signed key record or from the configuration (P1). Times in seconds.
 */
export interface KeyScope {
  readonly kid: string;
  readonly alg: TokenAlgorithm;
  readonly publicKey: PublicJwk;
  readonly realm: string;
  readonly issuer: string;
  readonly tenants: TenantSelector | "any";
  readonly class: TokenClass;
  readonly audiences: "any" | readonly string[];
  readonly maxLifetimeSeconds: number;
  readonly signFrom: number;
  readonly signUntil: number;
  readonly verifyUntil: number;
  readonly issuanceFloor: KeyRecord["issuanceFloor"] | "none";
}

/** Until when a source vouches for what it served, in milliseconds; the source moves it on. */
export interface Freshness {
  freshUntil: number;
}

/** For keys of an issuer that the configuration declared with a profile: no key record speaks for them. */
export interface Declaration {
  readonly profile: CheckedProfile;
  /** If set, the values of the profile's tenant claim that count; they need not be GUIDs. */
  readonly tenantNames?: ReadonlySet<string>;
}

/** A key as the verifier uses it: imported once, with lookups for its scope. */
export class TrustedKey {
  readonly scope: KeyScope;
  /** @internal */
  readonly keyObject: KeyObject;
  readonly signatureBytes: number;
  /** Equal for two keys exactly if their scopes, and so their public keys, are equal. */
  readonly identity: string;
  readonly publicKeyIdentity: string;
  /** Undefined for keys of issuers without a profile. */
  readonly declaration: Declaration | undefined;
  readonly #audiences: ReadonlySet<string> | "any";
  readonly #ids: ReadonlySet<string> | undefined;
  readonly #freshness: readonly Freshness[];
  readonly #issuerParts: readonly [string, string | undefined];

  constructor(scope: KeyScope, freshness: readonly Freshness[], declaration?: Declaration) {
    this.scope = scope;
    this.declaration = declaration;
    this.keyObject = importPublicJwk(scope.publicKey, scope.alg);
    this.signatureBytes = signatureBytes(scope);
    this.identity = canonicalJson(toJson(scope));
    this.publicKeyIdentity = canonicalJson({ ...scope.publicKey });
    this.#audiences = scope.audiences === "any" ? "any" : new Set(scope.audiences);
    this.#ids =
      scope.tenants !== "any" && "ids" in scope.tenants ? new Set(scope.tenants.ids) : undefined;
    this.#freshness = freshness;
    const [before = "", after] = scope.issuer.split(ISSUER_PLACEHOLDER);
    this.#issuerParts = [before, after];
  }

  /** Whether its issuer holds `{tenantid}`, so that each tenant has an issuer of its own. */
  get issuerOfTenants(): boolean {
    return this.#issuerParts[1] !== undefined;
  }

  get tenantNames(): ReadonlySet<string> | undefined {
    return this.declaration?.tenantNames;
  }

  coversTenant(tenantId: TenantId): boolean {
    // mutate: the selector says the same, after reading the whole list.
    if (this.#ids !== undefined) return this.#ids.has(tenantId);
    const { tenants } = this.scope;
    return tenants === "any" || selectorCovers(tenants, tenantId);
  }

  /** The issuer of one tenant. */
  issuerOf(tenantId: TenantId): string {
    const [before, after] = this.#issuerParts;
    return after === undefined ? before : before + tenantId + after;
  }

  /** As `issuer === issuerOf(tenantId)`, without making a new text for each token. */
  isIssuerOf(tenantId: TenantId, issuer: string): boolean {
    const [before, after] = this.#issuerParts;
    if (after === undefined) return issuer === before;
    return (
      issuer.length === before.length + tenantId.length + after.length &&
      issuer.startsWith(before) &&
      issuer.startsWith(tenantId, before.length) &&
      issuer.endsWith(after)
    );
  }

  /**
   * Whether this `iss` fits the key's issuer. Only to choose between keys with one kid: it says nothing about scope.
   */
  isOf(issuer: string): boolean {
    const said = this.declaration?.profile.bareIssuer === true ? `https://${issuer}` : issuer;
    const names = [issuer, said];
    return names.some((name) => matchIssuer(this.scope.issuer, name) !== undefined);
  }

  coversAudience(audience: string): boolean {
    return this.#audiences === "any" || this.#audiences.has(audience);
  }

  /** P7: a key that no source vouches for any more is not used. */
  isFresh(nowMs: number): boolean {
    return this.#freshness.some(({ freshUntil }) => nowMs < freshUntil);
  }

  /** True if nothing about the key changed, nor who vouches for it. */
  isSameAs(other: TrustedKey | undefined): boolean {
    return (
      this.identity === other?.identity &&
      this.#freshness.length === other.#freshness.length &&
      this.#freshness.every((freshness, i) => freshness === other.#freshness[i])
    );
  }

  /** The same key, vouched for by both. */
  mergedWith(other: TrustedKey): TrustedKey {
    const freshness = new Set([...this.#freshness, ...other.#freshness]);
    return new TrustedKey(this.scope, [...freshness], this.declaration);
  }
}

/** RFC 7518 §3.3, §3.4; RFC 8032 §5.1.6. */
function signatureBytes({ alg, publicKey }: KeyScope): number {
  if (publicKey.kty === "RSA") return Buffer.byteLength(publicKey.n, "base64url");
  if (alg === "ES384") return 96;
  return alg === "ES512" ? 132 : 64;
}

function toJson(scope: KeyScope): JsonObject {
  const { publicKey, tenants, ...rest } = scope;
  return {
    ...rest,
    publicKey: { ...publicKey },
    tenants: tenants === "any" ? tenants : { ...tenants },
  };
}

/** Several keys of one kid are of several issuers, or of several algorithms of one. */
export type KeysByKid = ReadonlyMap<string, readonly TrustedKey[]>;

/**
 * Indexes keys that one author named, by kid.
 *
 * @throws TrustError `ERR_KEYSET_CONFLICT` if a kid or a public key stands for two different things: with one
 *   public key under two scopes the wider one would always win
 */
export function buildKeySet(keys: Iterable<TrustedKey>): KeysByKid {
  const byKid = new Map<string, TrustedKey>();
  const byPublicKey = new Map<string, TrustedKey>();
  for (const key of keys) {
    const known = byKid.get(key.scope.kid) ?? byPublicKey.get(key.publicKeyIdentity);
    if (known !== undefined && known.identity !== key.identity)
      throw new TrustError("ERR_KEYSET_CONFLICT", "Key set: one kid or public key, two meanings");
    const merged = known === undefined ? key : known.mergedWith(key);
    byKid.set(key.scope.kid, merged);
    byPublicKey.set(key.publicKeyIdentity, merged);
  }
  return new Map([...byKid].map(([kid, key]) => [kid, [key]]));
}
