const MAX_URL_LENGTH = 8192;

// RFC 3986 §3, and RFC 9110 §4.2.4: no userinfo. Browsers send [ ] | ^ in a path as they are, and more in a query.
const HTTP_URL =
  /^(https?):\/\/([\w.~-]+|\[[\da-f:.]+\])(?::(\d{0,5}))?((?:\/(?:[\w.~!$&'()*+,;=:@/[\]|^-]|%[\da-f]{2})*)?)(?:[?#][!-~]*)?$/i;
const PERCENT_ENCODED = /%[\da-f]{2}/gi;
const UNRESERVED = /[\w.~-]/;

/**
 * The one form of an http or https URL, without query and fragment, so that equal texts are equal URLs: syntax-based
 * and scheme-based normalisation, RFC 3986 §6.2.2 and §6.2.3. Returns undefined for any other text. The class
 * `URL` will not do: it forgives spaces, backslashes and control characters, and leaves percent-encodings as they are.
 *
 * @example
 * normalHttpUrl("HTTPS://API.example:443/a/../%7eb?c#d"); // "https://api.example/~b"
 */
export function normalHttpUrl(text: string): string | undefined {
  if (text.length > MAX_URL_LENGTH) return undefined;
  const found = HTTP_URL.exec(text);
  if (found === null) return undefined;
  const [, scheme = "", host = "", port, path = ""] = found;
  const normalScheme = scheme.toLowerCase();
  const normalPort = portOf(normalScheme, port);
  return `${normalScheme}://${host.toLowerCase()}${normalPort}${normalPath(path)}`;
}

// RFC 3986 §6.2.3: an empty port and that of the scheme are left out.
function portOf(scheme: string, port: string | undefined): string {
  if (port === undefined || port === "") return "";
  const number = Number(port);
  return number === (scheme === "https" ? 443 : 80) ? "" : `:${number}`;
}

// RFC 3986 §6.2.2.1 to §6.2.2.3, in this order: a dot may be written as %2E.
function normalPath(path: string): string {
  const decoded = path.replaceAll(PERCENT_ENCODED, (octet) => {
    const character = String.fromCharCode(Number.parseInt(octet.slice(1), 16));
    return UNRESERVED.test(character) ? character : octet.toUpperCase();
  });
  const kept: string[] = [];
  const segments = decoded.split("/").slice(1);
  for (const [i, segment] of segments.entries()) {
    const isDots = segment === "." || segment === "..";
    if (segment === "..") kept.pop();
    if (!isDots) kept.push(segment);
    else if (i === segments.length - 1) kept.push("");
  }
  return `/${kept.join("/")}`;
}
