import type { AttestationOptions } from "./attestation-options.ts";
import { isSecureUrl, type Schedule } from "./bounded-fetch.ts";
import {
  checkProfile,
  type CheckedProfile,
  type ProfileName,
  type ProfileOptions,
} from "./issuer-profile.ts";
import { ISSUER_PLACEHOLDER, isIssuerTemplate } from "./issuer-template.ts";
import { parseJsonObject } from "./json.ts";
import { PinnedKey } from "./pinned-key.ts";
import { isRealm, ScopeReader } from "./scope-reader.ts";
import type { StaticKey } from "./static-trust.ts";
import { isTenantId } from "./tenant.ts";
import type { TrustErrorCode } from "./trust-error.ts";
import { refuseUnknownMembers } from "./option-reader.ts";
import type { Declaration, KeyScope } from "./trusted-key.ts";

/** One of Redoubt's issuers: its keys count only with the signature of its realm's ring key. */
export interface RingIssuer {
  /** The issuer URL: `/.well-known/openid-configuration` stands below it. */
  readonly issuer: string;
  readonly realm: string;
  /**
   * The realm's ring key: a verifier key, or its 32 bytes as base64url. A list of up to 4 while another takes its
   * place.
   */
  readonly ring: string | readonly string[];
  /** Origin of `jwks_uri` where it is not the issuer's. */
  readonly jwksOrigin?: string;
}

/**
 * An issuer without ring key: whoever serves its JWKS can add a key (THREAT-27 is open). Its keys have the scope that
 * is declared here, and each JWK must name the issuer in a member `issuer`.
 */
export interface DeclaredIssuer {
  readonly issuer: string;
  readonly realm: string;
  readonly ring: null;
  readonly tenants: StaticKey["tenants"];
  readonly audiences: StaticKey["audiences"];
  readonly maxLifetimeSeconds: number;
  readonly jwksOrigin?: string;
}

/**
 * An issuer that is not Redoubt's, and how its tokens look. Whoever serves its JWKS can add a key (THREAT-27 is open),
 * and its tokens are in no log of ours: a forged one is not noticed here.
 */
export interface ProfiledIssuer {
  /** What its tokens say as `iss`; with `{tenantid}` one for each tenant. */
  readonly issuer: string;
  readonly profile: ProfileName | ProfileOptions;
  /** Default `external`; what `accept` calls it. */
  readonly realm?: string;
  /** Values of the profile's tenant claim whose tokens count. Required where the issuer holds `{tenantid}`. */
  readonly tenants?: "any" | readonly string[];
  /** Where its metadata stand, if not below the issuer. */
  readonly metadataUrl?: string;
  /** Where its key set stands; then no metadata are read. */
  readonly jwksUrl?: string;
  /** Origin of `jwks_uri` where it is not that of the metadata. */
  readonly jwksOrigin?: string;
}

/** A key that was served and does not count, and why. */
export interface KeyAlarm {
  readonly issuer: string;
  readonly kid: string | null;
  readonly code: TrustErrorCode;
  readonly reason: string;
}

export interface DiscoveryOptions {
  readonly issuers: readonly (RingIssuer | DeclaredIssuer | ProfiledIssuer)[];
  /** Time between loads; default 300, from 10 to 3600. */
  readonly refreshSeconds?: number;
  /** How long keys count without a good load; default 3600, more than `refreshSeconds`, at most 86400. */
  readonly maxStaleSeconds?: number;
  /** Whether keys of issuers with a ring count that no measured machine is known to use. Default `"off"`. */
  readonly attestation?: "off" | AttestationOptions;
  readonly fetch?: typeof fetch;
  /** Called when a key set holds a private key, once for each: anybody may have it, so the key no longer counts. */
  readonly onAlarm?: (alarm: KeyAlarm) => void;
  /** Plain http for 127.0.0.1, ::1 and localhost. */
  readonly allowLoopbackHttp?: boolean;
  /** For tests: what runs a task later, and a number from 0 to 1. */
  readonly schedule?: Schedule;
  readonly random?: () => number;
}

/** The part of a key's scope that the configuration declares, because no key record says it. */
export type DeclaredScope = Pick<
  KeyScope,
  "realm" | "tenants" | "audiences" | "maxLifetimeSeconds"
>;

export interface CheckedIssuer {
  readonly issuer: string;
  readonly realm: string;
  readonly metadataUrl: URL;
  readonly jwksUrl?: URL;
  readonly jwksOrigin: string;
  readonly trust:
    | { readonly ring: readonly PinnedKey[] }
    | { readonly ring: null; readonly scope: DeclaredScope }
    | {
        readonly ring: null;
        readonly scope: DeclaredScope;
        readonly declaration: Declaration;
      };
}

const NAMES = [
  "issuers",
  "refreshSeconds",
  "maxStaleSeconds",
  "attestation",
  "fetch",
  "onAlarm",
  "allowLoopbackHttp",
  "schedule",
  "random",
];

/**
 * @throws TypeError for whatever is missing, unknown or not safe
 */
export function checkIssuers(options: DiscoveryOptions): readonly CheckedIssuer[] {
  refuseUnknownMembers(options, NAMES, "fromDiscovery");
  const { issuers, allowLoopbackHttp = false } = options;
  if (!Array.isArray(issuers) || issuers.length === 0)
    throw new TypeError("issuers: expected at least one");
  const checked = issuers.map((entry, i) => {
    const where = `issuers[${i}]`;
    if (typeof entry !== "object" || entry === null) throw new TypeError(`${where}: not an object`);
    return "profile" in entry
      ? checkProfiled(entry, where, allowLoopbackHttp)
      : checkIssuer(entry, where, allowLoopbackHttp);
  });
  if (new Set(checked.map(({ issuer }) => issuer)).size !== checked.length)
    throw new TypeError("issuers: one stands twice");
  return checked;
}

function checkIssuer(
  entry: RingIssuer | DeclaredIssuer,
  where: string,
  allowLoopbackHttp: boolean,
): CheckedIssuer {
  const read = new ScopeReader(
    parseJsonObject(JSON.stringify(entry)),
    (member, expected) => new TypeError(`${where}.${member}: expected ${expected}`),
  );
  const issuer = read.issuer();
  // RFC 8414 §2: what decides which keys count comes over https.
  if (!isSecure(issuer, allowLoopbackHttp))
    throw new TypeError(`${where}.issuer: expected https, or allowLoopbackHttp`);
  const realm = read.realm();
  const trust =
    entry.ring === null
      ? { ring: read.null("ring"), scope: readDeclared(read, realm) }
      : { ring: read.texts("ring", 512).map((text) => new PinnedKey(text)) };
  const jwksOrigin = read.has("jwksOrigin")
    ? read.string("jwksOrigin", 512)
    : new URL(issuer).origin;
  if (!isSecure(jwksOrigin, allowLoopbackHttp) || new URL(jwksOrigin).origin !== jwksOrigin)
    throw new TypeError(`${where}.jwksOrigin: expected an https origin`);
  read.done();
  return { issuer, metadataUrl: metadataBelow(issuer), jwksOrigin, realm, trust };
}

const PROFILED = [
  "issuer",
  "profile",
  "realm",
  "tenants",
  "metadataUrl",
  "jwksUrl",
  "jwksOrigin",
] as const satisfies readonly (keyof ProfiledIssuer)[];

function checkProfiled(
  entry: ProfiledIssuer,
  where: string,
  allowLoopbackHttp: boolean,
): CheckedIssuer {
  refuseUnknownMembers(entry, PROFILED, where);
  const { issuer, realm = "external" } = entry;
  const profile = checkProfile(entry.profile, `${where}.profile`);
  if (
    !isIssuerTemplate(issuer) ||
    !isSecure(issuer.replace(ISSUER_PLACEHOLDER, "t"), allowLoopbackHttp)
  )
    throw new TypeError(`${where}.issuer: expected https, or allowLoopbackHttp`);
  if (!isRealm(realm)) throw new TypeError(`${where}.realm: not a realm name`);
  const url = (name: "metadataUrl" | "jwksUrl"): URL | undefined => {
    const text = entry[name];
    if (text === undefined) return undefined;
    if (
      typeof text !== "string" ||
      !URL.canParse(text) ||
      !isSecureUrl(new URL(text), allowLoopbackHttp)
    )
      throw new TypeError(`${where}.${name}: expected an https URL`);
    return new URL(text);
  };
  const metadataUrl = url("metadataUrl") ?? metadataOf(issuer, profile, where);
  const jwksUrl = url("jwksUrl");
  const jwksOrigin = entry.jwksOrigin ?? profile.jwksOrigin ?? metadataUrl.origin;
  if (!isSecure(jwksOrigin, allowLoopbackHttp) || new URL(jwksOrigin).origin !== jwksOrigin)
    throw new TypeError(`${where}.jwksOrigin: expected an https origin`);
  const { tenants, tenantNames } = checkTenants(entry, profile, where);
  const scope = {
    realm,
    tenants,
    audiences: "any",
    maxLifetimeSeconds: profile.maxLifetimeSeconds,
  } as const;
  const declaration = { profile, ...(tenantNames && { tenantNames }) };
  return {
    issuer,
    realm,
    metadataUrl,
    ...(jwksUrl && { jwksUrl }),
    jwksOrigin,
    trust: { ring: null, scope, declaration },
  };
}

function metadataBelow(issuer: string): URL {
  return new URL(`${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`);
}

function metadataOf(issuer: string, profile: CheckedProfile, where: string): URL {
  const moved = Object.entries(profile.metadataAt).find(([from]) => issuer.startsWith(from));
  const base = moved ? moved[1] + issuer.slice(moved[0].length) : issuer;
  if (!base.includes(ISSUER_PLACEHOLDER)) return metadataBelow(base);
  if (profile.metadataTenant === null)
    throw new TypeError(`${where}.metadataUrl: must be said for an issuer with {tenantid}`);
  return metadataBelow(base.replace(ISSUER_PLACEHOLDER, profile.metadataTenant));
}

const GUID = /[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/;

/**
 * Which tenants the keys sign for. Where `tenants` is not given and the issuer's URL holds a tenant's id: that one
 * alone.
 */
function checkTenants(
  { issuer, tenants }: ProfiledIssuer,
  { tenantClaim }: CheckedProfile,
  where: string,
): Pick<DeclaredScope, "tenants"> & Pick<Declaration, "tenantNames"> {
  const isTemplate = issuer.includes(ISSUER_PLACEHOLDER);
  const wrong = (expected: string) => new TypeError(`${where}.tenants: expected ${expected}`);
  if (tenants !== undefined && tenantClaim === null) throw wrong("a profile with tenantClaim");
  if (tenants === undefined && isTemplate) throw wrong('"any" or lower-case GUIDs');
  if (tenants === "any") return { tenants };
  const own = GUID.exec(issuer)?.[0];
  const names = tenants ?? (own !== undefined && tenantClaim !== null ? [own] : undefined);
  if (names === undefined) return { tenants: "any" };
  if (!Array.isArray(names) || names.length === 0 || names.length > MAX_TENANTS)
    throw wrong(`"any" or 1 to ${MAX_TENANTS} names`);
  if (!isTemplate) {
    if (!names.every((name) => typeof name === "string" && name !== "")) throw wrong("names");
    return { tenants: "any", tenantNames: new Set(names) };
  }
  if (!names.every(isTenantId)) throw wrong('"any" or lower-case GUIDs');
  return { tenants: { ids: names.toSorted() } };
}

const MAX_TENANTS = 1000;

function readDeclared(read: ScopeReader, realm: string): DeclaredScope {
  return {
    realm,
    tenants: read.tenantsOrAny(),
    audiences: read.audiences(),
    maxLifetimeSeconds: read.integer("maxLifetimeSeconds", 1, 86_400),
  };
}

function isSecure(url: string, allowLoopbackHttp: boolean): boolean {
  return !url.includes("{") && URL.canParse(url) && isSecureUrl(new URL(url), allowLoopbackHttp);
}
