import { encodeBase64url } from "../base64url.ts";
import { fromDiscovery } from "../discovery.ts";
import type { DiscoveryOptions, ProfiledIssuer } from "../discovery-options.ts";
import { createVerifier, type Verifier } from "../verifier.ts";
import type { VerifierOptions } from "../verifier-options.ts";
import { NOW, type Claims } from "./fixture.ts";
import { signWith, testKey } from "./keys.ts";

/** How tokens, keys and metadata of one kind of issuer look, and the short declaration that takes them. */
export interface Shape {
  readonly name: string;
  readonly declaration: ProfiledIssuer;
  /** Where its metadata are expected. */
  readonly metadataUrl: string;
  readonly metadata: Claims;
  /** Members beside the key itself. */
  readonly jwk: Claims;
  readonly header: Claims;
  readonly claims: Claims;
  /** What the service is called, where it is not `api://orders`. */
  readonly audience?: string;
  readonly tenant: string | null;
}

export interface Change {
  readonly declaration?: Claims;
  readonly metadata?: Claims;
  readonly jwk?: Claims;
  /** Keys beside the good one. */
  readonly others?: readonly Claims[];
  readonly header?: Claims;
  readonly claims?: Claims;
  /** Name of the key that signs. */
  readonly key?: string;
  readonly options?: Partial<VerifierOptions>;
  readonly discovery?: Partial<DiscoveryOptions>;
}

export const KEY = "ent-rs256";
export const API = "api://orders";

export function changed(object: Claims, change: Claims = {}): Claims {
  const merged = { ...object, ...change };
  return Object.fromEntries(Object.entries(merged).filter(([, value]) => value !== undefined));
}

function encode(value: Claims): string {
  return encodeBase64url(Buffer.from(JSON.stringify(value)));
}

export function foreignToken(shape: Shape, { header, claims, key = KEY }: Change = {}): string {
  const input = `${encode(changed(shape.header, header))}.${encode(changed(shape.claims, claims))}`;
  return `${input}.${encodeBase64url(signWith(testKey(key), input))}`;
}

/** What the issuer serves, by address. */
export function pagesOf(shape: Shape, change: Change = {}): Map<string, Claims> {
  const metadata = changed(shape.metadata, change.metadata);
  const jwk = changed({ ...testKey(KEY).publicJwk, ...shape.jwk }, change.jwk);
  return new Map([
    [shape.metadataUrl, metadata],
    [String(shape.metadata["jwks_uri"]), { keys: [jwk, ...(change.others ?? [])] }],
  ]);
}

export function fetchFrom(pages: ReadonlyMap<string, Claims>): typeof fetch {
  return (url) => {
    const address = url instanceof Request ? url.url : String(url);
    const page = pages.get(address);
    return Promise.resolve(page ? Response.json(page) : new Response(null, { status: 404 }));
  };
}

export function foreignVerifier(shape: Shape, change: Change = {}): Promise<Verifier> {
  const declared = changed({ ...shape.declaration }, change.declaration);
  const untyped: { fromDiscovery(options: unknown): VerifierOptions["trust"] } = { fromDiscovery };
  const trust = untyped.fromDiscovery({
    issuers: [declared],
    fetch: fetchFrom(pagesOf(shape, change)),
    ...change.discovery,
  });
  return createVerifier({
    trust,
    audience: shape.audience ?? API,
    issuance: "off",
    now: () => NOW * 1000,
    ...change.options,
  });
}

const TENANT = "3b9c2d41-7e50-4f0a-8c1d-6a2e5f7b9c03";
const TIMES = { iat: NOW, nbf: NOW, exp: NOW + 600 };
const AT = { alg: "RS256", kid: "k1" };

function entra(issuer: string, more: Partial<Shape>): Shape {
  return {
    name: "entra",
    declaration: { issuer, profile: "entra" },
    metadataUrl: `${issuer}/.well-known/openid-configuration`,
    metadata: { issuer, jwks_uri: "https://login.example/keys" },
    jwk: { kid: "k1", use: "sig", x5t: "k1", x5c: ["MII"], issuer },
    header: { ...AT, typ: "JWT" },
    claims: {
      ...TIMES,
      iss: issuer,
      aud: API,
      sub: "s",
      tid: TENANT,
      uti: "u",
      azp: "c",
      scp: "a b",
    },
    tenant: TENANT,
    ...more,
  };
}

const V2 = `https://login.example/${TENANT}/v2.0`;
const STS = `https://sts.windows.net/${TENANT}/`;
const V1_METADATA = `https://login.microsoftonline.com/${TENANT}`;
const MANY = "https://login.example/{tenantid}/v2.0";

export const ENTRA: Shape = entra(V2, { name: "entra v2" });
export const ENTRA_MANY: Shape = entra(MANY, {
  name: "entra, many tenants",
  declaration: { issuer: MANY, profile: "entra", tenants: "any" },
  metadataUrl: "https://login.example/organizations/v2.0/.well-known/openid-configuration",
  claims: { ...ENTRA.claims },
});

export const SHAPES: readonly Shape[] = [
  ENTRA,
  entra(STS, {
    name: "entra v1",
    metadataUrl: `${V1_METADATA}/.well-known/openid-configuration`,
    metadata: { issuer: STS, jwks_uri: "https://login.microsoftonline.com/common/discovery/keys" },
    header: { ...AT, typ: "JWT", x5t: "k1" },
    claims: {
      ...TIMES,
      iss: STS,
      aud: API,
      sub: "s",
      tid: TENANT,
      uti: "u",
      appid: "c",
      ver: "1.0",
    },
  }),
  ENTRA_MANY,
  ordinary("keycloak", "https://id.example/realms/main", {
    jwk: { kid: "k1", use: "sig", alg: "RS256", x5c: ["MII"], "x5t#S256": "t" },
    header: { ...AT, typ: "JWT" },
    claims: { aud: [API, "account"], jti: "j", typ: "Bearer", azp: "web", scope: "openid" },
  }),
  ordinary("okta", "https://id.example/oauth2/default", {
    claims: { ver: 1, jti: "AT.j", cid: "c", uid: "u", scp: ["a"], aud: API },
  }),
  ordinary("auth0", "https://id.example/", {
    header: { ...AT, typ: "at+jwt" },
    claims: { aud: [API, "https://id.example/userinfo"], client_id: "c", jti: "j", scope: "a" },
  }),
  ordinary("cognito", "https://cognito-idp.example/pool", {
    audience: "app-1",
    claims: { client_id: "app-1", token_use: "access", jti: "j", version: 2 },
  }),
  ordinary("google", "https://accounts.google.com", {
    metadata: { jwks_uri: "https://www.googleapis.com/oauth2/v3/certs" },
    audience: "https://service.example",
    header: { ...AT, typ: "JWT" },
    claims: { aud: "https://service.example", azp: "c", email: "a@example.org" },
  }),
  ordinary("kubernetes", "https://cluster.example/prod", {
    claims: { aud: [API], jti: "j", "kubernetes.io": { namespace: "default" } },
  }),
  ordinary("rfc9068", "https://as.example/as", {
    header: { ...AT, typ: "application/AT+jwt" },
    claims: { aud: API, client_id: "c", jti: "j" },
  }),
];

function ordinary(
  profile: Extract<ProfiledIssuer["profile"], string>,
  issuer: string,
  { metadata, claims, ...more }: Partial<Shape>,
): Shape {
  return {
    name: profile,
    declaration: { issuer, profile },
    metadataUrl: `${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`,
    metadata: { issuer, jwks_uri: `${new URL(issuer).origin}/keys`, ...metadata },
    jwk: { kid: "k1", use: "sig", alg: "RS256" },
    header: AT,
    claims: { ...TIMES, iss: issuer, sub: "s", ...claims },
    tenant: null,
    ...more,
  };
}
