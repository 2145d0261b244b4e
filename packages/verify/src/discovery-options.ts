import { isSecureUrl, type Schedule } from "./bounded-fetch.ts";
import { isIssuerTemplate } from "./issuer-template.ts";
import { parseJsonObject } from "./json.ts";
import { PinnedKey } from "./pinned-key.ts";
import { ScopeReader } from "./scope-reader.ts";
import type { StaticKey } from "./static-trust.ts";
import type { KeyScope } from "./trusted-key.ts";

/** An issuer whose keys count only with the signature of its realm's ring key. */
export interface RingIssuer {
  /** The issuer URL: `/.well-known/openid-configuration` stands below it. */
  readonly issuer: string;
  readonly realm: string;
  /** The realm's ring key: verifier key or base64url. Two or more while another takes its place. */
  readonly ring: string | readonly string[];
  /** Origin of `jwks_uri` where it is not the issuer's. */
  readonly jwksOrigin?: string;
}

/**
 * An issuer without ring key: whoever serves its JWKS can add a key (THREAT-27 is open). The scope of its keys is
 * what is declared here, and each key must name its issuer itself.
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

export interface DiscoveryOptions {
  readonly issuers: readonly (RingIssuer | DeclaredIssuer)[];
  /** Time between loads; default 300, from 10 to 3600. */
  readonly refreshSeconds?: number;
  /** How long keys count without a good load; default 3600, more than `refreshSeconds`, at most 86400. */
  readonly maxStaleSeconds?: number;
  readonly fetch?: typeof fetch;
  /** Plain http for 127.0.0.1, ::1 and localhost. */
  readonly allowLoopbackHttp?: boolean;
  /** For tests: what runs a task later, and a number from 0 to 1. */
  readonly schedule?: Schedule;
  readonly random?: () => number;
}

/** What the programmer says about keys that say nothing themselves. */
export type DeclaredScope = Pick<
  KeyScope,
  "realm" | "tenants" | "audiences" | "maxLifetimeSeconds"
>;

export interface CheckedIssuer {
  readonly issuer: string;
  readonly jwksOrigin: string;
  readonly realm: string;
  readonly trust:
    | { readonly ring: readonly PinnedKey[] }
    | { readonly ring: null; readonly scope: DeclaredScope };
}

/**
 * @throws TypeError for whatever is missing, unknown or not safe
 */
export function checkIssuers(options: DiscoveryOptions): readonly CheckedIssuer[] {
  const { issuers, allowLoopbackHttp = false } = options;
  if (!Array.isArray(issuers) || issuers.length === 0)
    throw new TypeError("issuers: expected at least one");
  const checked = issuers.map((entry, i) => checkIssuer(entry, `issuers[${i}]`, allowLoopbackHttp));
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
  return { issuer, jwksOrigin, realm, trust };
}

function readDeclared(read: ScopeReader, realm: string): DeclaredScope {
  return {
    realm,
    tenants: read.tenantsOrAny(),
    audiences: read.audiences(),
    maxLifetimeSeconds: read.integer("maxLifetimeSeconds", 1, 86_400),
  };
}

function isSecure(url: string, allowLoopbackHttp: boolean): boolean {
  return (
    !url.includes("{") &&
    isIssuerTemplate(url) &&
    URL.canParse(url) &&
    isSecureUrl(new URL(url), allowLoopbackHttp)
  );
}
