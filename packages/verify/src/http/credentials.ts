/** Header fields as a framework holds them: a `Headers` object, or Node's record. */
export type HeaderFields =
  | { get(name: string): string | null }
  | Readonly<Record<string, string | readonly string[] | undefined>>;

/** What is asked of a request, whichever framework received it. */
export interface RequestFacts {
  readonly method: string;
  /** A path with its query, or a whole URL. */
  readonly url: string;
  readonly headers: HeaderFields;
}

/** What a request presents: nothing that counts, something malformed, or a token that nobody has looked at. */
export type UnverifiedCredentials =
  | { readonly kind: "none" }
  | { readonly kind: "malformed" }
  | { readonly kind: "token"; readonly scheme: "Bearer" | "DPoP"; readonly token: string };

/** In characters: the largest `maxTokenLength` that a verifier can have, and room for the scheme. */
const MAX_CREDENTIALS_LENGTH = 1_048_576 + 16;

const NONE = { kind: "none" } as const;
const MALFORMED = { kind: "malformed" } as const;

/** Reads the `Authorization` header and nothing else. */
export function parseCredentials({ url, headers }: RequestFacts): UnverifiedCredentials {
  // RFC 9700 §4.3.2, RFC 6750 §5.3: a token in a URL leaks to logs and histories; §2: and two methods in one request
  // are an error.
  if (hasQueryToken(url)) return MALFORMED;
  const values = fieldValues(headers, "authorization");
  const [value] = values;
  if (value === undefined) return NONE;
  // RFC 9110 §5.3: this field is not a list, so it occurs once. Of two, a proxy may have checked the other one.
  if (values.length > 1 || value.length > MAX_CREDENTIALS_LENGTH) return MALFORMED;
  // RFC 9110 §11.4: scheme, spaces, then token68 or parameters.
  const [, schemeText = "", rest = ""] = /^([\w!#$%&'*+.^`|~-]+)(?: +(.*))?$/s.exec(value) ?? [];
  if (schemeText === "") return MALFORMED;
  const scheme = schemeOf(schemeText);
  if (scheme === undefined) return NONE;
  // RFC 6750 §2.1; a header that came twice and was joined by a comma fails here.
  return /^[\w.~+/-]+=*$/.test(rest) ? { kind: "token", scheme, token: rest } : MALFORMED;
}

function schemeOf(text: string): "Bearer" | "DPoP" | undefined {
  const name = text.toLowerCase();
  if (name === "bearer") return "Bearer";
  return name === "dpop" ? "DPoP" : undefined;
}

function hasQueryToken(url: string): boolean {
  const start = url.indexOf("?");
  return start !== -1 && new URLSearchParams(url.slice(start + 1)).has("access_token");
}

/** Every value of a field, under any spelling of its name. */
export function fieldValues(headers: HeaderFields, name: string): readonly string[] {
  if (isHeaders(headers)) {
    const value = headers.get(name);
    return value === null ? [] : [value];
  }
  return Object.entries(headers).flatMap(([key, value]) =>
    value === undefined || key.toLowerCase() !== name ? [] : value,
  );
}

function isHeaders(headers: HeaderFields): headers is { get(name: string): string | null } {
  return typeof headers["get"] === "function";
}

/** A browser's question before a request of another origin (Fetch §3.3.2); it never carries credentials. */
export function isPreflight({ method, headers }: RequestFacts): boolean {
  return (
    method === "OPTIONS" &&
    fieldValues(headers, "origin").length === 1 &&
    fieldValues(headers, "access-control-request-method").length === 1
  );
}
