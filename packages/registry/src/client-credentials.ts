import { hash, randomBytes } from "node:crypto";
import { canonicalBytes, isJsonObject, MemberReader, SHA256 } from "@redoubt/base";
import { KeyError } from "@redoubt/keys";
import {
  importPublicJwk,
  KEY_ALGORITHMS,
  parsePublicJwk,
  TrustError,
  type JsonObject,
  type KeyAlgorithm,
  type PublicJwk,
} from "@redoubt/verify";
import { encodeBase64url } from "@redoubt/verify/base64url";
import { base64urlText, MAX_SECONDS, NONCE_BYTES, parseCanonical } from "./statement-parser.ts";
import type { Statement } from "./statement-types.ts";

/** When a credential was added, and from when on it is refused, in POSIX seconds; without `until` it has no end. */
interface Term {
  readonly added: number;
  readonly until?: number;
}
/** SHA-256 of a secret, base64url. The secret is 256 random bits: its hash needs no salt and no stretching. */
export interface ClientSecret extends Term {
  readonly hash: string;
}
/** A public key (RFC 7517 §4). It serves the one algorithm that it is registered with. */
export interface ClientKey extends Term {
  readonly kid: string;
  readonly alg: KeyAlgorithm;
  readonly jwk: PublicJwk;
}
/** How a client proves to its issuer who it is. Several at once, so that one gives way to another without an outage. */
export interface ClientCredentials {
  readonly secrets: readonly ClientSecret[];
  readonly keys: readonly ClientKey[];
  /**
   * Its assertions may name the token endpoint as their audience, as RFC 7523 had it. A server that has the client name
   * that URL as its own can then use them here (draft-ietf-oauth-rfc7523bis §1).
   */
  readonly unsafeTokenEndpointAudience?: true;
}

/** A document that a `client` statement names by its hash (docs/spec/logs.md §4). */
export interface CredentialsDocument {
  readonly bytes: Buffer;
  /** SHA-256, base64url. */
  readonly hash: string;
}

export const MAX_CREDENTIALS_BYTES = 24 * 1024;
/** Of secrets, and again of keys. */
export const MAX_CREDENTIALS = 8;
const MAX_KID_CHARACTERS = 128;
const JWK_MEMBERS = ["kid", "alg", "use"];

/**
 * Everybody who is shown the statement sees the hash. The nonce in the document keeps it from telling which clients have
 * the same credentials.
 *
 * @throws KeyError `ERR_CLIENT_CREDENTIALS`
 */
export function encodeCredentials({
  secrets,
  keys,
  ...options
}: ClientCredentials): CredentialsDocument {
  const bytes = canonicalBytes({
    v: 1,
    nonce: encodeBase64url(randomBytes(NONCE_BYTES)),
    secrets: secrets.map((secret) => ({ ...secret })),
    keys: keys.map(({ kid, alg, jwk, ...term }) => ({ jwk: { ...jwk, kid, alg }, ...term })),
    ...options,
  });
  parseCredentials(bytes);
  return { bytes, hash: credentialsHash(bytes) };
}

/** @throws KeyError `ERR_CLIENT_CREDENTIALS` */
export function parseCredentials(bytes: Uint8Array): ClientCredentials {
  try {
    const reader = new MemberReader(parseCanonical(bytes, MAX_CREDENTIALS_BYTES), "credentials");
    reader.integer("v", 1, 1);
    base64urlText(reader, "nonce", NONCE_BYTES);
    const secrets = readItems(reader, "secrets").map(readSecret);
    const keys = readItems(reader, "keys").map(readKey);
    const isUnsafe = readUnsafe(reader);
    reader.done();
    requireDistinct(secrets.map((secret) => secret.hash));
    requireDistinct(keys.map(({ kid }) => kid));
    return { secrets, keys, ...(isUnsafe && { unsafeTokenEndpointAudience: true as const }) };
  } catch (cause) {
    if (!(cause instanceof Error) || isOurs(cause)) throw cause;
    throw new KeyError("ERR_CLIENT_CREDENTIALS", `Client credentials: ${cause.message}`, { cause });
  }
}

/** The key of a JWK as a client publishes it; only its public members are taken. @throws KeyError `ERR_CLIENT_CREDENTIALS` */
export function parseClientJwk(jwk: JsonObject): Pick<ClientKey, "kid" | "alg" | "jwk"> {
  const alg = KEY_ALGORITHMS.find((one) => one === jwk["alg"]);
  if (!alg) throw refusal(`alg must be one of ${KEY_ALGORITHMS.join(", ")}`);
  const { kid, use = "sig" } = jwk;
  const isNamed = typeof kid === "string" && kid.length > 0 && kid.length <= MAX_KID_CHARACTERS;
  if (!isNamed || use !== "sig")
    throw refusal(`kid must have 1 to ${MAX_KID_CHARACTERS} characters, and use must be sig`);
  try {
    const members = parsePublicJwk(jwk, alg);
    // Private members above all: a secret of the client must not get into the registry.
    for (const name of Object.keys(jwk))
      if (!Object.hasOwn(members, name) && !JWK_MEMBERS.includes(name))
        throw refusal("only the public members of a key are taken");
    // Not only well-formed: a point that is on no curve is no key.
    importPublicJwk(members, alg);
    return { kid, alg, jwk: members };
  } catch (cause) {
    if (!(cause instanceof TrustError)) throw cause;
    throw new KeyError("ERR_CLIENT_CREDENTIALS", `Client key: ${cause.message}`, { cause });
  }
}

/**
 * The credentials in the document that came with a statement; undefined where none came.
 *
 * @throws KeyError `ERR_CLIENT_CREDENTIALS` for a document that is malformed or that the statement does not name
 */
export function credentialsOf(
  statement: Statement,
  document: Uint8Array | undefined,
): ClientCredentials | undefined {
  if (!document) return undefined;
  const named = statement.type === "client" ? statement.credentialsHash : undefined;
  if (named !== credentialsHash(document))
    throw refusal("they are not those that the statement names");
  return parseCredentials(document);
}

/** SHA-256 of a document, base64url: what a `client` statement names it by. */
export function credentialsHash(bytes: Uint8Array): string {
  return hash("sha256", bytes, "base64url");
}

function readItems(reader: MemberReader, name: string): readonly MemberReader[] {
  return reader.array(name, MAX_CREDENTIALS).map((item) => {
    if (!isJsonObject(item)) throw refusal(`${name} must be objects`);
    return new MemberReader(item, "credentials");
  });
}

function readSecret(reader: MemberReader): ClientSecret {
  const secret = { hash: reader.string("hash", 43, SHA256), ...readTerm(reader) };
  reader.done();
  return secret;
}

function readKey(reader: MemberReader): ClientKey {
  const jwk = parseClientJwk(reader.rawObject("jwk"));
  const key = { ...jwk, ...readTerm(reader) };
  reader.done();
  return key;
}

// One spelling of each document: what is not so is not said.
function readUnsafe(reader: MemberReader): boolean {
  const name = "unsafeTokenEndpointAudience";
  if (!reader.has(name)) return false;
  if (!reader.boolean(name)) throw refusal(`${name} is true or absent`);
  return true;
}

function readTerm(reader: MemberReader): Term {
  const added = reader.integer("added", 0, MAX_SECONDS);
  const until = reader.optionalInteger("until", 0, MAX_SECONDS);
  return until === undefined ? { added } : { added, until };
}

function requireDistinct(names: readonly string[]): void {
  if (new Set(names).size !== names.length) throw refusal("a secret or a key's kid is there twice");
}

function isOurs(error: Error): boolean {
  return error instanceof KeyError && error.code === "ERR_CLIENT_CREDENTIALS";
}

function refusal(reason: string): KeyError {
  return new KeyError("ERR_CLIENT_CREDENTIALS", `Client credentials: ${reason}`);
}
