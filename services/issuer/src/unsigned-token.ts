import { hash } from "node:crypto";
import { Base64urlError, decodeBase64url } from "@redoubt/verify/base64url";
import { JsonError, parseJsonObject, type JsonObject } from "@redoubt/verify/json";

/** What this process asked for. */
export interface Asked {
  readonly tenant: string;
  readonly client: string;
  readonly audience: string;
  readonly scope?: string | undefined;
  readonly ttlSeconds: number;
}

const MAX_LENGTH = 16_384;
/** Every claim of our access tokens (docs/spec/key-record.md). A token with another one is not what was asked for. */
const CLAIMS: readonly string[] = [
  "iss",
  "sub",
  "aud",
  "exp",
  "nbf",
  "iat",
  "jti",
  "tid",
  "client_id",
  "scope",
  "ver",
];
const SIGNING_INPUT = /^([\w-]+)\.([\w-]+)$/;

/**
 * Digest of a token that the signer committed and did not sign, where it is what was asked for; undefined where it is
 * not. Every value in it is the signer's, which may be hostile.
 */
export function digestOfUnsigned(unsigned: unknown, asked: Asked): string | undefined {
  if (typeof unsigned !== "string" || unsigned.length > MAX_LENGTH) return undefined;
  const [, header = "", payload = ""] = SIGNING_INPUT.exec(unsigned) ?? [];
  const isAsked = isAccessToken(parse(header)) && isFor(parse(payload), asked);
  return isAsked ? hash("sha256", unsigned, "base64url") : undefined;
}

// RFC 9068 §2.1: an ID token for the same client and audience would be another token.
function isAccessToken(header: JsonObject): boolean {
  return header["typ"] === "at+jwt";
}

function isFor(
  claims: JsonObject,
  { tenant, client, audience, scope, ttlSeconds }: Asked,
): boolean {
  const { iat, exp } = claims;
  return (
    Object.keys(claims).every((name) => CLAIMS.includes(name)) &&
    claims["tid"] === tenant &&
    claims["client_id"] === client &&
    claims["sub"] === client &&
    claims["aud"] === audience &&
    claims["scope"] === scope &&
    typeof iat === "number" &&
    typeof exp === "number" &&
    exp > iat &&
    exp - iat <= ttlSeconds
  );
}

/** An empty object for text that is no JSON object: it has no claim that was asked for. */
function parse(segment: string): JsonObject {
  try {
    return parseJsonObject(decodeBase64url(segment));
  } catch (error) {
    if (error instanceof JsonError || error instanceof Base64urlError) return {};
    throw error;
  }
}
