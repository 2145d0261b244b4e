import { Base64urlError, decodeBase64url } from "./base64url.ts";
import { JsonError, parseJson, type JsonValue } from "./json.ts";
import { TokenError } from "./token-error.ts";

/**
 * Decodes one segment of a token.
 *
 * @throws TokenError `ERR_TOKEN_NOT_CANONICAL`
 */
export function decodeSegment(text: string, name: string): Buffer {
  try {
    return decodeBase64url(text);
  } catch (cause) {
    // mutate: nothing else is thrown in there; a fault of our own would stay one.
    if (!(cause instanceof Base64urlError)) throw cause;
    // RFC 7515 §2, §5.2: base64url and nothing else, or one token would have many spellings.
    throw new TokenError("ERR_TOKEN_NOT_CANONICAL", `Token ${name}: ${cause.message}`, {
      part: name,
    });
  }
}

/**
 * Reads the JSON of one segment.
 *
 * @throws TokenError `ERR_TOKEN_DUPLICATE_MEMBER`, `ERR_TOKEN_JSON` with the reason as part
 */
export function parseSegment(bytes: Buffer, name: string): JsonValue {
  try {
    return parseJson(bytes);
  } catch (cause) {
    // mutate: nothing else is thrown in there; a fault of our own would stay one.
    if (!(cause instanceof JsonError)) throw cause;
    if (cause.code === "ERR_JSON_DUPLICATE_MEMBER")
      throw new TokenError("ERR_TOKEN_DUPLICATE_MEMBER", `Token ${name}: a member occurs twice`, {
        part: name,
      });
    throw new TokenError("ERR_TOKEN_JSON", `Token ${name}: ${cause.message}`, {
      part: cause.code.slice("ERR_JSON_".length).toLowerCase(),
    });
  }
}
