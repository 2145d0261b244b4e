import { tokenAlgorithm, type TokenAlgorithm } from "./public-key.ts";

/**
 * How the tokens of one kind of issuer look, as data. Everything that it does not allow is refused; what every token
 * needs (signature, issuer, audience, times) no profile can take away.
 */
export interface IssuerProfile {
  /** `typ` of access tokens, without `application/`, in any case (RFC 7515 §4.1.9); null where they have none. */
  readonly typ: readonly (string | null)[];
  /**
   * What keys may sign with. A JWK without `alg` gets those of one family: that of the first one here that fits its
   * type.
   */
  readonly algorithms: readonly string[];
  /** The claim that names a tenant; null where there are none. */
  readonly tenantClaim: string | null;
  /** Which claim is held against `audience`: `aud`, or what stands in its place. */
  readonly audienceClaim: string;
  /** Audiences that may stand beside this service's; `{issuer}` is the issuer with a slash at its end. */
  readonly extraAudiences: readonly string[];
  /** Claims that access tokens must have, with this value where one is said. */
  readonly claims: Readonly<Record<string, string | true>>;
  /** Claims that make a token an ID token, which is no access token (RFC 8725 §3.12). */
  readonly idTokenMarks: readonly string[];
  /** Claims that name the client, for the option `clientId`. The first one that the token has is compared. */
  readonly clientClaims: readonly string[];
  /** Longest `exp − iat`, in seconds. */
  readonly maxLifetimeSeconds: number;
  /** A JWK may name an `issuer`, and then signs for that one alone; for an issuer with `{tenantid}` each JWK must. */
  readonly keyIssuer: boolean;
  /** `iss` may leave out `https://`. */
  readonly bareIssuer: boolean;
  /** Stands in place of `{tenantid}` in the address of the metadata. */
  readonly metadataTenant: string | null;
  /** For an issuer that begins with the name, the address of its metadata begins with the value instead. */
  readonly metadataAt: Readonly<Record<string, string>>;
  /** Origin that `jwks_uri` must have; null: that of the metadata. */
  readonly jwksOrigin: string | null;
  /** `typ` and `claims` of ID tokens. */
  readonly idToken: Pick<IssuerProfile, "typ" | "claims">;
}

const RSA = ["RS256", "RS384", "RS512"] as const;
const OIDC_MARKS = ["nonce", "at_hash", "c_hash"] as const;
const DAY = 86_400;

/** An issuer that keeps to RFC 9068. The other profiles say where they differ from it. */
const RFC9068: IssuerProfile = {
  typ: ["at+jwt"],
  algorithms: ["RS256", "ES256", "PS256", "Ed25519"],
  tenantClaim: null,
  audienceClaim: "aud",
  extraAudiences: [],
  claims: { client_id: true, jti: true },
  idTokenMarks: [],
  clientClaims: ["client_id"],
  maxLifetimeSeconds: DAY,
  keyIssuer: false,
  bareIssuer: false,
  metadataTenant: null,
  metadataAt: {},
  jwksOrigin: null,
  idToken: { typ: ["jwt", null], claims: {} },
};

export type ProfileName =
  | "rfc9068"
  | "entra"
  | "keycloak"
  | "okta"
  | "auth0"
  | "cognito"
  | "google"
  | "kubernetes";

/** The profiles that come with this package, by the name that `profile` gives. */
export const ISSUER_PROFILES: Readonly<Record<ProfileName, IssuerProfile>> = {
  rfc9068: RFC9068,
  entra: {
    ...RFC9068,
    typ: ["jwt", "at+jwt"],
    algorithms: ["RS256"],
    tenantClaim: "tid",
    claims: { tid: true },
    idTokenMarks: OIDC_MARKS,
    clientClaims: ["azp", "appid"],
    keyIssuer: true,
    metadataTenant: "organizations",
    metadataAt: { "https://sts.windows.net/": "https://login.microsoftonline.com/" },
    idToken: { typ: ["jwt"], claims: { tid: true } },
  },
  keycloak: {
    ...RFC9068,
    typ: ["jwt", "at+jwt"],
    algorithms: [...RSA, "ES256", "ES384", "ES512", "PS256", "PS384", "PS512", "EdDSA"],
    extraAudiences: ["account"],
    // Tells an access token from the ID, refresh and log-out tokens of the same Keycloak realm.
    claims: { typ: "Bearer" },
    clientClaims: ["azp"],
    idToken: { typ: ["jwt"], claims: { typ: "ID" } },
  },
  okta: {
    ...RFC9068,
    typ: [null, "at+jwt", "okta-internal-at+jwt"],
    algorithms: ["RS256"],
    claims: { cid: true, jti: true },
    idTokenMarks: OIDC_MARKS,
    clientClaims: ["cid"],
  },
  auth0: {
    ...RFC9068,
    // The older of its two dialects has JWT and azp.
    typ: ["jwt", "at+jwt"],
    algorithms: ["RS256", "PS256"],
    extraAudiences: ["{issuer}userinfo"],
    claims: {},
    idTokenMarks: OIDC_MARKS,
    clientClaims: ["client_id", "azp"],
  },
  cognito: {
    ...RFC9068,
    typ: [null, "jwt"],
    algorithms: ["RS256"],
    audienceClaim: "client_id",
    claims: { token_use: "access" },
    idToken: { typ: [null, "jwt"], claims: { token_use: "id" } },
  },
  /** All that Google signs for others are ID tokens; services take them as bearers, with their own audience. */
  google: {
    ...RFC9068,
    typ: ["jwt"],
    algorithms: ["RS256", "ES256"],
    claims: {},
    clientClaims: ["azp"],
    bareIssuer: true,
    jwksOrigin: "https://www.googleapis.com",
    idToken: { typ: ["jwt"], claims: {} },
  },
  kubernetes: {
    ...RFC9068,
    typ: [null, "jwt"],
    algorithms: ["RS256", "ES256", "ES384", "ES512"],
    claims: { "kubernetes.io": true },
    clientClaims: [],
  },
};

/** A profile of your own: the members that differ from those of `base` (default `rfc9068`). */
export interface ProfileOptions extends Partial<IssuerProfile> {
  readonly base?: ProfileName;
}

/** A profile after every check. */
export interface CheckedProfile extends Omit<IssuerProfile, "algorithms"> {
  readonly algorithms: readonly TokenAlgorithm[];
}

const MAX_LIFETIME_SECONDS = 366 * DAY;
const MAX_ITEMS = 32;
const MAX_CHARS = 512;

/** @throws TypeError for what is unknown, of another type, or would let every token pass */
export function checkProfile(profile: ProfileName | ProfileOptions, where: string): CheckedProfile {
  const options = typeof profile === "string" ? { base: profile } : profile;
  if (typeof options !== "object" || options === null) throw wrong(where, "a name or an object");
  const { base = "rfc9068", ...own } = options;
  if (typeof base !== "string" || !Object.hasOwn(ISSUER_PROFILES, base))
    throw wrong(where, `one of ${Object.keys(ISSUER_PROFILES).join(", ")}`);
  for (const name of Object.keys(own))
    if (!Object.hasOwn(RFC9068, name)) throw new TypeError(`${where}: unknown member ${name}`);
  const merged: IssuerProfile = { ...ISSUER_PROFILES[base], ...own };
  const members: Readonly<Record<string, unknown>> = { ...merged };
  for (const [name, form] of Object.entries(FORMS))
    if (!form.fits(members[name])) throw wrong(`${where}.${name}`, form.what);
  const { typ, claims } = merged.idToken;
  if (!FORMS.typ.fits(typ) || !FORMS.claims.fits(claims))
    throw wrong(`${where}.idToken`, "typ and claims");
  const algorithms = merged.algorithms.map((name) => {
    const algorithm = tokenAlgorithm(name);
    if (algorithm === undefined) throw wrong(`${where}.algorithms`, "asymmetric algorithms only");
    return algorithm;
  });
  return { ...merged, algorithms };
}

interface Form {
  readonly what: string;
  readonly fits: (value: unknown) => boolean;
}

const text: Form = { what: "a text", fits: isText };
const textOrNull: Form = {
  what: "a text or null",
  fits: (value) => value === null || isText(value),
};
const flag: Form = { what: "true or false", fits: (value) => typeof value === "boolean" };
const texts: Form = { what: "a list of texts", fits: (value) => isList(value, isText) };

const FORMS: Readonly<Record<Exclude<keyof IssuerProfile, "idToken">, Form>> = {
  typ: {
    what: "a list of media types or null",
    fits: (value) => isList(value, (item) => item === null || isText(item)) && value.length > 0,
  },
  algorithms: { ...texts, fits: (value) => isList(value, isText) && value.length > 0 },
  tenantClaim: textOrNull,
  audienceClaim: text,
  extraAudiences: texts,
  claims: {
    what: "claims with a text or true",
    fits: (value) =>
      typeof value === "object" &&
      value !== null &&
      !Array.isArray(value) &&
      isList(Object.values(value), (item) => item === true || isText(item)),
  },
  idTokenMarks: texts,
  clientClaims: texts,
  maxLifetimeSeconds: {
    what: `an integer from 1 to ${MAX_LIFETIME_SECONDS}`,
    fits: (value) =>
      Number.isSafeInteger(value) && Number(value) >= 1 && Number(value) <= MAX_LIFETIME_SECONDS,
  },
  keyIssuer: flag,
  bareIssuer: flag,
  metadataTenant: textOrNull,
  metadataAt: {
    what: "texts by texts",
    fits: (value) =>
      typeof value === "object" && value !== null && isList(Object.values(value), isText),
  },
  jwksOrigin: textOrNull,
};

function isList(value: unknown, fits: (item: unknown) => boolean): value is readonly unknown[] {
  return Array.isArray(value) && value.length <= MAX_ITEMS && value.every(fits);
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "" && value.length <= MAX_CHARS;
}

function wrong(where: string, expected: string): TypeError {
  return new TypeError(`${where}: expected ${expected}`);
}
