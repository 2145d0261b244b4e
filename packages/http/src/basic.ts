import { HttpError } from "./errors.ts";

export interface BasicCredentials {
  readonly user: string;
  readonly password: string;
}

const MAX_HEADER_LENGTH = 2048;
const BASIC = /^basic +([A-Za-z0-9+/]+={0,2})$/i;
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Reads `Authorization: Basic …` (RFC 7617 §2). The user must not be empty, the password may be. Bytes that have several
 * base64 spellings are taken in the canonical one only.
 *
 * @returns undefined when the header names another scheme
 * @throws HttpError `ERR_HTTP_CREDENTIALS` for a Basic header that is malformed
 */
export function parseBasic(authorization: string): BasicCredentials | undefined {
  if (!/^basic(?: |$)/i.test(authorization)) return undefined;
  const encoded =
    authorization.length <= MAX_HEADER_LENGTH ? BASIC.exec(authorization)?.[1] : undefined;
  if (encoded === undefined) throw malformed();
  const bytes = Buffer.from(encoded, "base64");
  if (bytes.toString("base64") !== encoded) throw malformed();
  const text = decode(bytes);
  const colon = text.indexOf(":");
  if (colon < 1) throw malformed();
  return { user: text.slice(0, colon), password: text.slice(colon + 1) };
}

function decode(bytes: Buffer): string {
  try {
    return utf8.decode(bytes);
  } catch (cause) {
    throw malformed(cause);
  }
}

function malformed(cause?: unknown): HttpError {
  return new HttpError("ERR_HTTP_CREDENTIALS", "Basic credentials are malformed", { cause });
}
