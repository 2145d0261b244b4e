import { MemberReader, ServiceError, UUID } from "@redoubt/base";
import type { JsonObject } from "@redoubt/verify/json";
import type { ExactClaims } from "../issue/sign-exact.ts";

/** What is signed for a person: for an API, for the client about the sign-in, for the client about its end. */
export type PersonToken = "access" | "id" | "logout";

/** The rights that an access token's claims are held against. */
export interface PersonRights {
  readonly tenant: string;
  readonly client: string;
  readonly scopes: readonly string[];
}

const LAST_SECOND = Number.MAX_SAFE_INTEGER;
/** 128 bits at least. */
const JTI = /^[\w-]{22,64}$/;
const SID = /^[\w-]{8,64}$/;
/** RFC 6749 §3.3. */
const SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]+(?: [\x21\x23-\x5b\x5d-\x7e]+)*$/;
/** What says how the person proved to be there. No other way in has such a name (THREAT-18). */
const ACR = /^urn:redoubt:acr:passkey(?:-[a-z]{1,16})?$/;
/** RFC 8176 §2. Never `pwd`, `otp`, `sms`, `tel`, `kba` or `pin` alone. */
const AMR: readonly string[] = ["hwk", "swk", "pop", "user", "mfa"];
const HASH = /^[\w-]{22,86}$/;
const THUMBPRINT = /^[\w-]{43}$/;
/** OpenID Connect Back-Channel Logout 1.0 §2.4. */
const LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout";

/** `typ` of the header: RFC 9068 §2.1; OpenID Connect Core names none; Back-Channel Logout 1.0 §2.4. */
export const PERSON_TYP = { access: "at+jwt", id: undefined, logout: "logout+jwt" } as const;

/**
 * The claims of one token of a person (docs/spec/wire.md §3.2), exactly those that are made here: an allow-list, so that a claim of a later
 * version of the library is looked at before it passes.
 *
 * @throws ServiceError `ERR_REQUEST_MEMBER` for another form, `ERR_SIGNER_CLAIMS` and `ERR_SIGNER_SCOPE` for what the
 * handle would not have produced
 */
export function parsePersonClaims(
  kind: PersonToken,
  payload: JsonObject,
  rights: PersonRights,
): ExactClaims {
  const reader = new MemberReader(payload, `Claims of ${kind}`);
  const claims = readCommon(reader);
  if (reader.string("tid", 36, UUID) !== rights.tenant)
    throw new ServiceError("ERR_SIGNER_HANDLE", "Claims are of another tenant");
  const notBefore = kind === "access" ? reader.integer("nbf", 0, LAST_SECOND) : claims.issuedAt;
  switch (kind) {
    case "access":
      readAccess(reader, claims, rights);
      break;
    case "id":
      readId(reader, claims);
      break;
    case "logout":
      readLogout(reader);
      break;
  }
  reader.done();
  return { ...claims, notBefore };
}

type Common = Omit<ExactClaims, "notBefore">;

function readCommon(reader: MemberReader): Common {
  return {
    issuer: reader.string("iss"),
    // A person's id. A client's token has its client id there, and no resource server may mistake one for the other.
    subject: reader.string("sub", 36, UUID),
    audiences: [reader.string("aud", 256)],
    issuedAt: reader.integer("iat", 0, LAST_SECOND),
    expires: reader.integer("exp", 0, LAST_SECOND),
    jti: reader.string("jti", 64, JTI),
  };
}

function readAccess(reader: MemberReader, claims: Common, rights: PersonRights): void {
  reader.oneOf("ver", ["2.0"]);
  if (reader.string("client_id", 128) !== rights.client)
    throw new ServiceError("ERR_SIGNER_CLIENT", "Claims are of another client");
  const scope = reader.optionalString("scope", 1024, SCOPE);
  for (const one of scope?.split(" ") ?? [])
    if (!rights.scopes.includes(one))
      throw new ServiceError("ERR_SIGNER_SCOPE", "Scope is not one of the client's");
  readSignIn(reader, claims);
  // RFC 9449 §6.1, RFC 8705 §3.1: never both, or each verifier would look at one of them.
  if (!reader.has("cnf")) return;
  const cnf = reader.object("cnf");
  cnf.string(cnf.has("jkt") ? "jkt" : "x5t#S256", 43, THUMBPRINT);
  cnf.done();
}

function readId(reader: MemberReader, claims: Common): void {
  readSignIn(reader, claims);
  reader.optionalString("nonce", 512);
  for (const name of ["at_hash", "c_hash", "s_hash"]) reader.optionalString(name, 86, HASH);
}

/** RFC 9068 §2.2.1: when and how the person signed in. Every token of a person says it. */
function readSignIn(reader: MemberReader, { issuedAt }: Common): void {
  if (reader.integer("auth_time", 0, LAST_SECOND) > issuedAt)
    throw contradiction("auth_time is after iat");
  reader.string("acr", 64, ACR);
  const amr = reader.strings("amr", AMR.length, 8);
  if (amr.length === 0 || !amr.every((one) => AMR.includes(one)))
    throw contradiction("amr names no passkey");
  // RFC 8176 §2: `user` is the verification by face, finger or PIN.
  if (!amr.includes("user")) throw contradiction("amr is without user verification");
  reader.optionalString("sid", 64, SID);
}

function readLogout(reader: MemberReader): void {
  reader.optionalString("sid", 64, SID);
  const events = reader.object("events");
  events.object(LOGOUT_EVENT).done();
  events.done();
}

function contradiction(what: string): ServiceError {
  return new ServiceError("ERR_SIGNER_CLAIMS", `Claims of a person: ${what}`);
}
