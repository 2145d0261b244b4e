import { randomBytes } from "node:crypto";
import { nowSeconds, type Clock } from "@redoubt/base";
import type { ClientInfo } from "@redoubt/registry";
import type { PeopleStore, Person } from "@redoubt/store";
import {
  errors,
  interactionPolicy,
  Provider,
  type Account,
  type Configuration,
  type KoaContextWithOIDC,
} from "oidc-provider";
import { isConfidential } from "./client-metadata.ts";
import { pages } from "./pages/index.ts";
import { NOT_NOW, START_AGAIN } from "./pages/messages.ts";
import { TIER_CLAIMS } from "./passkeys/tier.ts";
import { ProtocolAdapter, successorIn } from "./protocol-adapter.ts";
import { ROUTES } from "./routes.ts";
import { SignerKey, type SignElsewhere, type TenantKeys } from "./signing-keys.ts";

/** How long what a sign-in gives may last, in seconds. */
export interface LoginTimes {
  /** From a sign-in to the next, however often the session is used (THREAT-16). */
  readonly sessionSeconds: number;
  /** The same of refresh tokens, from the sign-in and not from the last rotation. */
  readonly refreshSeconds: number;
}

export interface ProviderParts {
  readonly issuer: string;
  readonly tenant: string;
  readonly keys: TenantKeys;
  readonly sign: SignElsewhere;
  readonly store: Pick<PeopleStore, "protocol" | "people">;
  readonly client: (client: string) => ClientInfo | undefined;
  /** The tenant's part of the path. */
  readonly mount: string;
  /** Where the pages of one sign-in are. */
  readonly interactionPath: (uid: string) => string;
  readonly isSecure: boolean;
  readonly times: LoginTimes;
  /** 32 bytes, the same for all replicas (RFC 9449 §8). */
  readonly dpopSecret: Buffer;
  readonly clock: Clock;
}

/** No longer than a token lives that nobody can call back: what a person may do is looked at again when it ends. */
const ACCESS_SECONDS = 600;
const CODE_SECONDS = 60;
const ID_SECONDS = 3600;
/** As long as a person may take: to fetch a key from a drawer, to read who asks. */
const INTERACTION_SECONDS = 1800;
const JTI_BYTES = 16;
/** Rising. */
const ACR_VALUES = [TIER_CLAIMS.synced, TIER_CLAIMS["device-bound"], TIER_CLAIMS.attested].map(
  ({ acr }) => acr,
);

/**
 * The OAuth and OpenID Connect protocol for the people of one tenant. The library's code sees no private key, no
 * connection, no client secret and no passkey.
 */
export function openProvider(parts: ProviderParts): Provider {
  const provider = new Provider(parts.issuer, configuration(parts));
  followRotation(provider);
  nameSessions(provider, parts);
  keepSession(provider);
  return provider;
}

/**
 * The library renames a session each time that a page leads back to it. That is needed where somebody signs
 * in, so that whoever set the cookie before does not have what it is worth afterwards. After a consent it would only
 * take the session from another tab that comes back at the same time, with a sign-in lost.
 */
function keepSession({ Session }: Provider): void {
  const { prototype } = Session;
  const rename: unknown = Reflect.get(prototype, "resetIdentifier");
  if (typeof rename !== "function") throw new TypeError("Session.resetIdentifier is gone");
  Reflect.set(prototype, "resetIdentifier", function reset(this: object): void {
    const oidc = Provider.ctx?.oidc;
    if (oidc?.route === "resume" && oidc.result?.login === undefined) return;
    Reflect.apply(rename, this, []);
  });
}

/** A refresh token that takes the place of another is the one that follows from it: an answer can be given again. */
function followRotation({ RefreshToken }: Provider): void {
  const { prototype } = RefreshToken;
  const generate: unknown = Reflect.get(prototype, "generateTokenId");
  // The library's types do not know it: a version without it must not pass in silence.
  if (typeof generate !== "function") throw new TypeError("RefreshToken.generateTokenId is gone");
  Reflect.set(prototype, "generateTokenId", function next(this: object): unknown {
    const { ctx } = Provider;
    const rotated = ctx?.oidc.entities.RotatedRefreshToken;
    const successor = ctx && rotated && successorIn(ctx.state, rotated.jti);
    return successor ?? Reflect.apply(generate, this, []);
  });
}

/** Back-Channel Logout §2.1: who is told that a session ended has its name from the ID token. We tell, not the library. */
function nameSessions({ Client }: Provider, { client }: ProviderParts): void {
  const { prototype } = Client;
  // As above.
  if (typeof Reflect.get(prototype, "includeSid") !== "function")
    throw new TypeError("Client.includeSid is gone");
  Reflect.set(prototype, "includeSid", function isTold(this: { readonly clientId: string }) {
    return client(this.clientId)?.login?.backchannelLogoutUri !== undefined;
  });
}

function configuration(parts: ProviderParts): Configuration {
  const { keys, sign, tenant, store, client, clock, mount } = parts;
  const alg = algorithmOf(keys.oidc.alg);
  return {
    adapter: (kind: string) =>
      new ProtocolAdapter(kind, { tenant, rows: store.protocol, client, clock }),
    // The first key of an algorithm signs ID tokens; access tokens name theirs.
    jwks: { keys: [keys.oidc, keys.at, ...keys.former].map((key) => new SignerKey(key, sign)) },
    clients: [],
    clientDefaults: { id_token_signed_response_alg: alg },
    clientAuthMethods: ["none"],
    responseTypes: ["code"],
    scopes: ["openid", "offline_access", "profile", "email"],
    claims: {
      // Every ID token says when and how the person signed in, and whose it is (docs/spec/wire.md §3.2).
      openid: ["sub", "tid", "jti", "acr", "amr", "auth_time"],
      profile: ["name", "given_name", "family_name", "preferred_username"],
      email: ["email", "email_verified"],
      sid: null,
      iss: null,
    },
    acrValues: ACR_VALUES,
    pkce: { required: () => true },
    rotateRefreshToken: true,
    issueRefreshToken: (_ctx, { clientId }, source) =>
      source.scopes.has("offline_access") && isConstrained(parts, clientId),
    routes: ROUTES,
    cookies: cookies(parts),
    features: features(parts),
    formats: { customizers: { jwt: (_ctx, _token, jwt) => addOurClaims(parts, jwt.payload) } },
    ttl: ttl(parts),
    findAccount: (_ctx, id) => findAccount(parts, id),
    extraTokenClaims: signInClaims,
    interactions: { url: (_ctx, { uid }) => parts.interactionPath(uid), policy: policy() },
    clientBasedCORS: (_ctx, origin, { redirectUris = [] }) =>
      redirectUris.some((uri) => URL.parse(uri)?.origin === origin),
    renderError: (ctx, { error }) => {
      ctx.type = "html";
      ctx.body = pages.failed({ mount, text: error === "server_error" ? NOT_NOW : START_AGAIN });
    },
    allowOmittingSingleRegisteredRedirectUri: false,
    clockTolerance: 5,
    enabledJWA: { idTokenSigningAlgValues: [alg] },
  };
}

/** RFC 9700 §2.2.2: a refresh token is bound to its client by a key (DPoP) or by what the client proves itself with. */
function isConstrained({ client }: ProviderParts, clientId: string): boolean {
  const known = client(clientId);
  const { AccessToken } = Provider.ctx?.oidc.entities ?? {};
  return known !== undefined && (isConfidential(known) || AccessToken?.jkt !== undefined);
}

// THREAT-18: no feature that would let a person in by another way; nothing that is not needed.
function features({
  client,
  dpopSecret,
  mount,
  keys,
}: ProviderParts): NonNullable<Configuration["features"]> {
  return {
    devInteractions: { enabled: false },
    dPoP: { enabled: true, nonceSecret: dpopSecret },
    externalSigningSupport: { enabled: true, ack: "experimental-01" },
    pushedAuthorizationRequests: { enabled: true },
    revocation: { enabled: true },
    userinfo: { enabled: true },
    resourceIndicators: {
      enabled: true,
      defaultResource: (_ctx, { clientId }, oneOf) => {
        if (oneOf !== undefined) return oneOf;
        const [only, second] = client(clientId)?.audiences ?? [];
        return only !== undefined && second === undefined ? only : [];
      },
      useGrantedResource: () => false,
      getResourceServerInfo: (_ctx, resource, { clientId }) =>
        resourceServer(client(clientId), resource, keys),
    },
    rpInitiatedLogout: {
      enabled: true,
      logoutSource: (ctx, form) => {
        ctx.body = pages.signOut({ mount, form });
      },
      postLogoutSuccessSource: (ctx) => {
        ctx.body = pages.signedOut({ mount });
      },
    },
  };
}

function resourceServer(client: ClientInfo | undefined, resource: string, { at }: TenantKeys) {
  if (!client?.audiences.includes(resource)) throw new errors.InvalidTarget();
  return {
    scope: client.scopes.join(" "),
    audience: resource,
    accessTokenFormat: "jwt" as const,
    accessTokenTTL: ACCESS_SECONDS,
    jwt: { sign: { alg: algorithmOf(at.alg), kid: at.kid } },
  };
}

// RFC 6265bis §4.1.3.2: `__Host-` where there is TLS; browsers take no Secure cookie over plain HTTP, loopback or not.
function cookies({ tenant, isSecure }: ProviderParts): NonNullable<Configuration["cookies"]> {
  const host = isSecure ? "__Host-" : "";
  const secure = isSecure ? "__Secure-" : "";
  const attributes = { httpOnly: true, sameSite: "lax" as const, secure: isSecure, signed: false };
  return {
    // A browser may hold a session with each of several tenants.
    names: {
      session: `${host}session-${tenant}`,
      interaction: `${secure}interaction`,
      resume: `${secure}resume`,
    },
    long: { ...attributes, path: "/" },
    short: attributes,
  };
}

function ttl({ times, clock }: ProviderParts): NonNullable<Configuration["ttl"]> {
  const { sessionSeconds, refreshSeconds } = times;
  const left = (since: number, seconds: number): number =>
    Math.max(1, since + seconds - nowSeconds(clock));
  return {
    AccessToken: ACCESS_SECONDS,
    AuthorizationCode: CODE_SECONDS,
    IdToken: ID_SECONDS,
    Interaction: INTERACTION_SECONDS,
    Grant: Math.max(sessionSeconds, refreshSeconds),
    // THREAT-16: counted from the sign-in. Using a session or rotating a token adds nothing.
    Session: (_ctx, { loginTs }) => left(loginTs ?? nowSeconds(clock), sessionSeconds),
    RefreshToken: (_ctx, { authTime, iiat }) =>
      left(authTime ?? iiat ?? nowSeconds(clock), refreshSeconds),
  };
}

/** RFC 9068 §2.2.1: the sign-in that led to an access token. */
function signInClaims(ctx: KoaContextWithOIDC): Record<string, unknown> {
  const { AuthorizationCode, RefreshToken } = ctx.oidc.entities;
  const { acr, amr, authTime, sid } = AuthorizationCode ?? RefreshToken ?? {};
  return { acr, amr, auth_time: authTime, ...(sid !== undefined && { sid }) };
}

/** What the signer sets in tokens of clients, and requires in tokens that it did not build. */
function addOurClaims({ tenant }: ProviderParts, payload: Record<string, unknown>): void {
  Object.assign(payload, { nbf: payload["iat"], tid: tenant, ver: "2.0" });
}

/** Looked at for each token and each page: who was disabled meanwhile gets none. */
async function findAccount(
  { store, tenant }: ProviderParts,
  id: string,
): Promise<Account | undefined> {
  const person = await store.people.find(tenant, { id });
  if (person?.status !== "active") return undefined;
  return { accountId: person.id, claims: (use) => Promise.resolve(claimsOf(use, person)) };
}

function claimsOf(use: string, person: Person) {
  const { id: sub, tenant } = person;
  // What an ID token says is fixed by the signer. Names and addresses are at userinfo (OpenID Connect Core §5.3).
  if (use !== "userinfo")
    return { sub, tid: tenant, jti: randomBytes(JTI_BYTES).toString("base64url") };
  const email = person.emails.find(({ primary }) => primary === true) ?? person.emails[0];
  return {
    sub,
    tid: tenant,
    name: person.displayName ?? undefined,
    given_name: person.givenName ?? undefined,
    family_name: person.familyName ?? undefined,
    preferred_username: person.userName,
    // Nobody has proven here that an address is the person's.
    ...(email && { email: email.value, email_verified: false }),
  };
}

/** A client that asks for a stronger passkey than the session's gets the sign-in page, not a weaker session. */
function policy(): interactionPolicy.DefaultPolicy {
  const base = interactionPolicy.base();
  const check = new interactionPolicy.Check(
    "acr_values",
    "A stronger passkey is needed",
    "login_required",
    ({ oidc }) => !meets(oidc.params?.["acr_values"], oidc.session?.acr),
  );
  base.get("login")?.checks.add(check);
  return base;
}

/** Whether one of the requested classes is met; those that are not ours are wishes (OpenID Connect Core §3.1.2.1). */
function meets(asked: unknown, acr: string | undefined): boolean {
  const known = typeof asked === "string" ? asked.split(" ").filter((one) => rank(one) >= 0) : [];
  return known.length === 0 || known.some((one) => rank(acr ?? "") >= rank(one));
}

function rank(acr: string): number {
  return ACR_VALUES.indexOf(acr);
}

function algorithmOf(alg: string): "ES256" | "RS256" | "PS256" | "Ed25519" {
  if (alg === "ES256" || alg === "RS256" || alg === "PS256" || alg === "Ed25519") return alg;
  throw new RangeError(`No algorithm of ID tokens: ${alg}`);
}
