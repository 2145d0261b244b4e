import {
  attestationMember,
  attestationPath,
  jwkOf,
  keysForIssuer,
  type KeyInfo,
  type RealmInfo,
  type Registry,
} from "@redoubt/registry";
import { issuerFor } from "@redoubt/verify";
import type { KeyAttestation } from "./attestations.ts";
import { clusterMetadataOf, metadataOf } from "./metadata.ts";

/** One public document, by the path under which it is served. */
export interface SiteDocument {
  readonly path: string;
  readonly body: string;
}

export interface Site {
  readonly documents: readonly SiteDocument[];
  readonly issuers: number;
  /** Keys that some issuer lists: the realm of each, by kid. */
  readonly served: ReadonlyMap<string, string>;
  /** From this second on the site says something else, without any new entry. */
  readonly changesAt: number;
  /** What was left out, and why. */
  readonly problems: readonly string[];
}

export interface SiteInput {
  readonly registry: Registry;
  /** null: a cluster's realm, whose tokens kube-apiserver hands out. */
  readonly tokenEndpoints: ReadonlyMap<string, string | null>;
  readonly loginOrigins: ReadonlyMap<string, string>;
  readonly nowSeconds: number;
  /** What stands beside keys whose signers have leases, by kid. */
  readonly attestations: Pick<ReadonlyMap<string, KeyAttestation>, "get">;
}

interface Issuer {
  readonly issuer: string;
  /** Path of the issuer URL, without a slash at its end. */
  readonly path: string;
  readonly tokenEndpoint: string | null;
  /** Undefined where no people sign in. */
  readonly loginOrigin: string | undefined;
  readonly keys: readonly KeyInfo[];
}

const SEGMENT = /^[A-Za-z0-9._~-]+$/;
/** The last two are files and folders of the documents themselves, of an issuer above that path. */
const NO_SEGMENTS: ReadonlySet<string> = new Set([".", "..", ".well-known", "keys"]);

/**
 * What the registry says, as static documents. A pure function: nothing but records that the registry holds, signed
 * by their realm's ring, can get in (THREAT-27), and each issuer lists only keys that cover it (THREAT-01).
 */
export function buildSite(input: SiteInput): Site {
  const problems: string[] = [];
  const taken = new Set<string>();
  const issuers: Issuer[] = [];
  for (const { realm, tenant } of activeTenants(input.registry)) {
    const issuer = describeIssuer(input, realm, tenant);
    if (typeof issuer === "string") problems.push(issuer);
    // Two issuers at one path would share a JWKS: the first one stays, the other is left out and named.
    else if (taken.has(issuer.path)) problems.push(`Path of ${issuer.issuer} is another issuer's`);
    else {
      taken.add(issuer.path);
      issuers.push(issuer);
    }
  }
  const jwks = jwksOf(input.attestations);
  const served = servedBy(issuers);
  return {
    documents: [
      ...issuers.flatMap((issuer) => documentsOf(issuer, jwks(issuer))),
      ...attestationsOf(served, input.attestations),
    ],
    issuers: issuers.length,
    served,
    changesAt: changesAt(issuers),
    problems,
  };
}

function changesAt(issuers: readonly Issuer[]): number {
  let first = Number.MAX_SAFE_INTEGER;
  for (const { keys } of issuers)
    for (const { record } of keys) first = Math.min(first, record.verifyUntil);
  return first;
}

function servedBy(issuers: readonly Issuer[]): ReadonlyMap<string, string> {
  return new Map(issuers.flatMap(({ keys }) => keys.map(({ kid, realm }) => [kid, realm])));
}

function attestationsOf(
  served: ReadonlyMap<string, string>,
  attestations: SiteInput["attestations"],
): readonly SiteDocument[] {
  return [...served.keys()].flatMap((kid) => {
    const found = attestations.get(kid);
    return found ? [{ path: attestationPath(kid), body: found.document }] : [];
  });
}

function* activeTenants({
  tenants,
  realms,
}: Registry): Generator<{ realm: RealmInfo; tenant: string }> {
  for (const { realm: name, tenant, status } of tenants.values()) {
    const realm = realms.get(name);
    if (status === "active" && realm) yield { realm, tenant };
  }
}

/** @returns what is wrong, where the issuer cannot be served */
function describeIssuer(
  { registry, tokenEndpoints, loginOrigins, nowSeconds }: SiteInput,
  { realm, issuer: template }: RealmInfo,
  tenant: string,
): Issuer | string {
  const issuer = issuerFor({ issuer: template }, tenant);
  const path = pathOf(issuer);
  if (path === undefined) return `Issuer ${issuer} has no plain path`;
  const endpoint = tokenEndpoints.get(realm);
  if (endpoint === undefined) return `Realm ${realm} has no token endpoint`;
  const tokenEndpoint = endpoint?.replace("{tenantid}", tenant) ?? null;
  const loginOrigin = loginOrigins.get(realm);
  const keys = keysForIssuer(registry, realm, tenant, nowSeconds);
  return { issuer, path, tokenEndpoint, loginOrigin, keys };
}

/** The path becomes a file name and a route: only what reads the same everywhere is taken. */
function pathOf(issuer: string): string | undefined {
  if (!URL.canParse(issuer)) return undefined;
  const { origin, pathname } = new URL(issuer);
  if (issuer === origin) return "";
  const segments = pathname.slice(1).split("/");
  const isPlain = segments.every((s) => SEGMENT.test(s) && !NO_SEGMENTS.has(s));
  return isPlain && issuer === origin + pathname ? pathname : undefined;
}

function documentsOf(
  { issuer, path, tokenEndpoint, loginOrigin, keys }: Issuer,
  jwks: string,
): readonly SiteDocument[] {
  const openid = `${path}/.well-known/openid-configuration`;
  const keySet = { path: `${path}/keys`, body: jwks };
  if (tokenEndpoint === null)
    return [{ path: openid, body: JSON.stringify(clusterMetadataOf(issuer, keys)) }, keySet];
  const body = JSON.stringify(metadataOf({ issuer, tokenEndpoint, loginOrigin, keys }));
  // RFC 8414 §3.1: the well-known part stands before the path of the issuer. Without a path it would be a file where
  // the others need a folder.
  const oauth = { path: `/.well-known/oauth-authorization-server${path}`, body };
  return [{ path: openid, body }, ...(path === "" ? [] : [oauth]), keySet];
}

/** Tenants that share their keys and their host share the text. */
function jwksOf(attestations: SiteInput["attestations"]): (issuer: Issuer) => string {
  const known = new Map<string, string>();
  return ({ issuer, keys }) => {
    const name = [new URL(issuer).origin, ...keys.map(({ kid }) => kid)].join();
    const jwks = known.get(name) ?? JSON.stringify({ keys: keys.map((key) => shown(key, issuer)) });
    known.set(name, jwks);
    return jwks;
  };

  function shown(key: KeyInfo, issuer: string) {
    const { hardware } = attestations.get(key.kid) ?? {};
    const member = hardware !== undefined && attestationMember(issuer, key.kid, hardware);
    return { ...jwkOf(key), ...member };
  }
}
