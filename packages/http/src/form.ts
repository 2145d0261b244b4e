import { isAscii } from "node:buffer";
import { HttpError } from "./errors.ts";
import { singleHeader, type HttpRequest } from "./message.ts";

export interface FormLimits {
  /** Parameters of one form. Default 32. */
  readonly maxParameters?: number;
}

const DEFAULT_MAX_PARAMETERS = 32;
const MAX_NAME_LENGTH = 128;
const FORM_TYPE = "application/x-www-form-urlencoded";

/**
 * Reads an application/x-www-form-urlencoded body; its size is bounded by the server.
 * RFC 6749 §3.2: a parameter must not be repeated, and one without a value counts as omitted.
 *
 * @throws HttpError `ERR_HTTP_CONTENT_TYPE`, `ERR_HTTP_FORM`, `ERR_HTTP_FORM_DUPLICATE`
 */
export function readForm(
  request: Pick<HttpRequest, "rawHeaders" | "body">,
  limits: FormLimits = {},
): ReadonlyMap<string, string> {
  requireContentType(request, FORM_TYPE);
  const { body } = request;
  const form = new Map<string, string>();
  if (body.length === 0) return form;
  // Everything else is percent-encoded in this format, so a raw byte above 0x7f has no meaning.
  if (!isAscii(body))
    throw new HttpError("ERR_HTTP_FORM", "Form holds raw bytes that are not ASCII");
  const { maxParameters = DEFAULT_MAX_PARAMETERS } = limits;
  const text = body.toString("latin1");
  // Some libraries end every parameter with it. Anywhere else an empty parameter is refused.
  const pairs = (text.endsWith("&") ? text.slice(0, -1) : text).split("&", maxParameters + 1);
  if (pairs.length > maxParameters)
    throw new HttpError("ERR_HTTP_FORM", "Form has too many parameters");
  const seen = new Set<string>();
  for (const pair of pairs) readPair(pair, seen, form);
  return form;
}

function readPair(pair: string, seen: Set<string>, form: Map<string, string>): void {
  const equals = pair.indexOf("=");
  if (equals <= 0 || equals > MAX_NAME_LENGTH)
    throw new HttpError(
      "ERR_HTTP_FORM",
      "Form parameter has no name, a long name or no equals sign",
    );
  const name = decodeFormText(pair.slice(0, equals));
  if (seen.has(name))
    throw new HttpError("ERR_HTTP_FORM_DUPLICATE", "Form parameter occurs more than once");
  seen.add(name);
  const value = decodeFormText(pair.slice(equals + 1));
  if (value !== "") form.set(name, value);
}

/**
 * Undoes the form encoding of one name or value, which is also that of RFC 6749 §2.3.1.
 *
 * @throws HttpError `ERR_HTTP_FORM` for a stray `%`, or bytes that are not UTF-8
 */
export function decodeFormText(text: string): string {
  if (!text.includes("%")) return text.includes("+") ? text.replaceAll("+", " ") : text;
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch (cause) {
    throw new HttpError("ERR_HTTP_FORM", "Form text is not percent-encoded UTF-8", { cause });
  }
}

/**
 * Requires this media type, in any case; a parameter other than a charset of UTF-8 is refused.
 *
 * @throws HttpError `ERR_HTTP_CONTENT_TYPE`, `ERR_HTTP_HEADER`
 */
export function requireContentType(
  request: Pick<HttpRequest, "rawHeaders">,
  expected: string,
): void {
  const value = singleHeader(request, "content-type");
  if (value === expected) return;
  const [type = "", ...parameters] = (value ?? "").toLowerCase().split(";", 3);
  const isExpected =
    type.trim() === expected && parameters.every((p) => /^\s*charset="?utf-8"?\s*$/.test(p));
  if (!isExpected) throw new HttpError("ERR_HTTP_CONTENT_TYPE", `Content type must be ${expected}`);
}
