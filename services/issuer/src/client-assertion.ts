import { hash } from "node:crypto";
import { StoreError, type ReplayRepository } from "@redoubt/store";
import { Base64urlError, decodeBase64url } from "@redoubt/verify/base64url";
import { JsonError, parseJsonObject, type JsonObject, type JsonValue } from "@redoubt/verify/json";
import { verifiesWith, type VerifyingKey } from "./client-keys.ts";
import { invalidClient, OAuthError } from "./errors.ts";

/** A client assertion cut into its parts. Nothing in it is verified. */
export interface UnverifiedAssertion {
  readonly header: JsonObject;
  readonly claims: JsonObject;
  readonly signature: Buffer;
  readonly signingInput: Buffer;
  /** Who the assertion says it is from: its `sub`. */
  readonly clientId: string;
}

const MAX_ASSERTION_LENGTH = 8192;
/** What libraries choose that do not ask: Authlib. Each is remembered as long as it lives. */
const MAX_LIFETIME_SECONDS = 3600;
/** Clients' clocks may run ahead by this much; what has expired is refused to the second. */
const SKEW_SECONDS = 30;
const AUDIENCE_HINT = "aud of a client assertion must be the issuer identifier";
/** As long as one-time values may wait to be forgotten. */
const SHARE_WAIT_SECONDS = 30;
const MAX_JTI_LENGTH = 256;
// RFC 8725 §3.11: another kind of JWT of the same client must not pass for an assertion.
const TYPES: readonly unknown[] = [undefined, "JWT", "client-authentication+jwt"];

/** Cuts and parses strictly (THREAT-08); the header may hold `alg`, `kid` and `typ`, and nothing else. */
export function parseAssertion(text: string): UnverifiedAssertion {
  const parts = text.split(".", 4);
  const [header64 = "", claims64 = "", signature64 = ""] = parts;
  if (text.length > MAX_ASSERTION_LENGTH || parts.length !== 3)
    throw invalidClient("ERR_ISSUER_ASSERTION_FORM");
  try {
    const header = parseJsonObject(decodeBase64url(header64), { maxBytes: 1024, maxDepth: 2 });
    const claims = parseJsonObject(decodeBase64url(claims64), { maxBytes: 6144, maxDepth: 6 });
    const signature = decodeBase64url(signature64, { maxBytes: 1024 });
    checkHeader(header);
    const { sub } = claims;
    if (typeof sub !== "string") throw invalidClient("ERR_ISSUER_ASSERTION_CLIENT");
    const signingInput = Buffer.from(`${header64}.${claims64}`, "latin1");
    return { header, claims, signature, signingInput, clientId: sub };
  } catch (cause) {
    if (cause instanceof JsonError || cause instanceof Base64urlError)
      throw invalidClient("ERR_ISSUER_ASSERTION_FORM", { cause });
    throw cause;
  }
}

function checkHeader(header: JsonObject): void {
  const { alg, kid, typ, ...others } = header;
  // RFC 7515 §4.1: no key and no address of a key is taken from a token, no extension is understood.
  const isClean = Object.keys(others).length === 0 && TYPES.includes(typ);
  const isNamed = kid === undefined || typeof kid === "string";
  if (!isClean || !isNamed || typeof alg !== "string")
    throw invalidClient("ERR_ISSUER_ASSERTION_HEADER");
}

export interface AssertionContext {
  readonly tenant: string;
  /** Those of the client that it names; none where there is no such client. */
  readonly keys: readonly VerifyingKey[];
  /** One of each algorithm, for whoever has none. */
  readonly nobodysKeys: readonly VerifyingKey[];
  /** Issuer identifier of this tenant: the audience that counts. */
  readonly issuer: string;
  /** Of this tenant. */
  readonly tokenEndpoint: string;
  /** The client was registered so that its token endpoint counts, too. */
  readonly unsafeTokenEndpointAudience: boolean;
  readonly nowSeconds: number;
  readonly replay: ReplayRepository;
  /** When its signature may be checked; undefined for at once. */
  readonly turn: () => Promise<void> | undefined;
  /** It was checked for nothing. */
  readonly wasted: () => void;
}

/** Verifies an assertion (RFC 7523 §3): what costs nothing first, its signature then, its one-time use last. */
export async function verifyAssertion(
  assertion: UnverifiedAssertion,
  context: AssertionContext,
): Promise<void> {
  const { expires, jti } = checkClaims(assertion, context);
  const named = algorithmOf(assertion.header);
  const nobodysKey = context.nobodysKeys.find(({ alg }) => alg === named);
  if (!nobodysKey) throw invalidClient("ERR_ISSUER_ASSERTION_KEY");
  await context.turn();
  try {
    checkSignature(assertion, context.keys, nobodysKey);
    // Only now, so that nobody else learns how a client was registered.
    if (assertion.claims["aud"] !== context.issuer && !context.unsafeTokenEndpointAudience)
      throw wrongAudience();
    await takeOnce(assertion, { jti, expires }, context);
  } catch (error) {
    // A store that is full or down is nobody's fault.
    if (isClientsFault(error)) context.wasted();
    throw error;
  }
}

export function isClientsFault(error: unknown): error is OAuthError {
  return error instanceof OAuthError && error.error === "invalid_client";
}

function checkSignature(
  { header, signingInput, signature }: UnverifiedAssertion,
  keys: readonly VerifyingKey[],
  nobodysKey: VerifyingKey,
): void {
  const key = selectKey(header, keys);
  const isRight = verifiesWith(key ?? nobodysKey, signingInput, signature);
  if (keys.length === 0) throw invalidClient("ERR_ISSUER_ASSERTION_CLIENT");
  if (!key) throw invalidClient("ERR_ISSUER_ASSERTION_KEY");
  if (!isRight) throw invalidClient("ERR_ISSUER_ASSERTION_SIGNATURE");
}

// RFC 8725 §3.1: the algorithm is the registered key's, never the token's.
function selectKey(header: JsonObject, keys: readonly VerifyingKey[]): VerifyingKey | undefined {
  const { kid } = header;
  const [only] = keys;
  const key = kid === undefined && keys.length === 1 ? only : keys.find((one) => one.kid === kid);
  return key?.alg === algorithmOf(header) ? key : undefined;
}

// RFC 9864 §2.2: "EdDSA", which most libraries still write, left open which curve; here it has one meaning.
function algorithmOf({ alg }: JsonObject): JsonValue | undefined {
  return alg === "EdDSA" ? "Ed25519" : alg;
}

function checkClaims(
  { claims, clientId }: UnverifiedAssertion,
  { issuer, tokenEndpoint, nowSeconds }: AssertionContext,
): { readonly expires: number; readonly jti: string } {
  const { iss, aud, exp, nbf, iat, jti } = claims;
  if (iss !== clientId) throw invalidClient("ERR_ISSUER_ASSERTION_CLIENT");
  // THREAT-34, RFC 9700 §2.1.2 and the 2025 correction of RFC 7523: a token endpoint, a list or another
  // realm's issuer as audience would let one server replay to another what was meant for it.
  if (aud !== issuer && aud !== tokenEndpoint) throw wrongAudience();
  if (typeof jti !== "string" || jti.length === 0 || jti.length > MAX_JTI_LENGTH)
    throw invalidClient("ERR_ISSUER_ASSERTION_FORM");
  const isTimely =
    isSecond(exp) &&
    exp > nowSeconds &&
    exp <= nowSeconds + MAX_LIFETIME_SECONDS + SKEW_SECONDS &&
    isPast(nbf, nowSeconds) &&
    isPast(iat, nowSeconds);
  if (!isTimely) throw invalidClient("ERR_ISSUER_ASSERTION_TIME");
  return { expires: exp, jti };
}

function wrongAudience(): OAuthError {
  return invalidClient("ERR_ISSUER_ASSERTION_AUDIENCE", { hint: AUDIENCE_HINT });
}

function isSecond(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value);
}

function isPast(value: unknown, nowSeconds: number): boolean {
  return value === undefined || (isSecond(value) && value <= nowSeconds + SKEW_SECONDS);
}

/**
 * THREAT-34: kept across restarts until the assertion is worthless; no room means refused. A client that makes so many
 * that others could find no room is refused alone (THREAT-36).
 */
async function takeOnce(
  { clientId }: UnverifiedAssertion,
  { jti, expires }: { readonly jti: string; readonly expires: number },
  { tenant, replay }: AssertionContext,
): Promise<void> {
  // A digest, so that what a client puts into jti bounds nothing here; JSON keeps the three apart.
  const key = hash("sha256", JSON.stringify([tenant, clientId, jti]), "buffer");
  let isFirst: boolean;
  try {
    const owner = hash("sha256", JSON.stringify([tenant, clientId]), "base64url");
    isFirst = await replay.use({ key, owner, expiresSeconds: expires });
  } catch (cause) {
    if (!(cause instanceof StoreError)) throw cause;
    if (cause.code === "ERR_STORE_SHARE")
      throw new OAuthError(
        "ERR_ISSUER_ASSERTION_SHARE",
        "temporarily_unavailable",
        "Too many assertions of this client have not expired: give them a shorter life",
        { cause, status: 429, retryAfterSeconds: SHARE_WAIT_SECONDS },
      );
    throw new OAuthError("ERR_ISSUER_REPLAY_STORE", "temporarily_unavailable", "Try again later", {
      cause,
      retryAfterSeconds: 5,
    });
  }
  if (!isFirst) throw invalidClient("ERR_ISSUER_ASSERTION_REPLAY");
}
