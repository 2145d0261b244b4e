import { isJsonObject, type JsonObject } from "./json.ts";
import { isKeyAlgorithm, type KeyAlgorithm, type TokenAlgorithm } from "./public-key.ts";
import { REPORT_LIMITS } from "./report-limits.ts";
import { TokenError } from "./token-error.ts";
import { decodeSegment, parseSegment } from "./token-json.ts";

/** The members of a header that count. Redoubt's own issuers write these three and no others. */
export interface TokenHeader {
  readonly alg: TokenAlgorithm;
  readonly kid: string;
  readonly typ: string | undefined;
}

/** The header of a token of Redoubt's own issuers. docs/spec/key-record.md §4. */
export interface RecordHeader extends TokenHeader {
  readonly alg: KeyAlgorithm;
  readonly typ: "at+jwt";
}

const ALLOWED = new Set(["alg", "kid", "typ"]);
// Named in errors; other names come from the token and are not repeated.
const KNOWN = [
  "jwk",
  "jku",
  "x5u",
  "x5c",
  "x5t",
  "x5t#S256",
  "crit",
  "b64",
  "zip",
  "enc",
  "cty",
  "iss",
  "sub",
  "aud",
  "epk",
  "apu",
  "apv",
  "p2s",
  "p2c",
  "iv",
  "tag",
  "url",
  "nonce",
  "rcpt",
];

/**
 * Reads a header that nobody vouches for yet.
 *
 * @throws TokenError
 */
export function parseUnverifiedHeader(segment: string): JsonObject {
  const header = parseSegment(decodeSegment(segment, "header"), "header");
  if (!isJsonObject(header)) throw refusal("form", "is not an object");
  return header;
}

/**
 * Checks the header of a token of Redoubt's own issuers: three members, and no others. docs/spec/key-record.md §4.
 *
 * @throws TokenError
 */
export function checkHeader(header: JsonObject): RecordHeader {
  const { alg, kid, typ } = header;
  // RFC 8725 §3.1, §3.2; THREAT-08: none, HS* and SHA-1 do not exist here. Case matters.
  if (!isKeyAlgorithm(alg))
    throw new TokenError("ERR_JOSE_ALG_NOT_ALLOWED", "Token header: algorithm is never accepted");
  refuseOthers(header);
  // RFC 8725 §3.10: the kid is a name to look up, nothing else.
  if (typeof kid !== "string" || kid === "" || kid.length > REPORT_LIMITS.kidChars)
    throw refusal("kid", "is missing or malformed");
  // RFC 8725 §3.11, RFC 9068 §4: typ is explicit, or an ID token would pass for an access token.
  if (typ !== "at+jwt")
    throw new TokenError("ERR_JWT_CLAIM_VALIDATION_FAILED", "Token header: typ is not at+jwt", {
      part: "typ",
      expected: "at+jwt",
    });
  return Object.freeze({ alg, kid, typ });
}

// RFC 8725 §3.10, RFC 7515 §4.1.11: whoever sends the token chose a key or URL in its header; crit would change the
// rules; zip and enc belong to JWE. An allow-list, so that what the next RFC adds is refused too.
function refuseOthers(header: JsonObject): void {
  for (const name of Object.keys(header))
    if (!ALLOWED.has(name))
      throw refusal(KNOWN.find((known) => known === name) ?? "unknown", "is never accepted");
}

function refusal(part: string, what: string): TokenError {
  return new TokenError("ERR_TOKEN_HEADER", `Token header: ${part} ${what}`, { part });
}
