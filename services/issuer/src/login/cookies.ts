/** RFC 6265bis §5.4: `name=value` pairs as the browser sent them; of a name that stands twice, nothing. */
export function readCookie(header: string | undefined, name: string): string | undefined {
  const values = (header ?? "").split(/; ?/).flatMap((pair) => {
    const equals = pair.indexOf("=");
    return pair.slice(0, equals) === name ? [pair.slice(equals + 1)] : [];
  });
  const [value, second] = values;
  return second === undefined && value !== undefined && /^[\w-]{1,128}$/.test(value)
    ? value
    : undefined;
}

export interface CookieOptions {
  readonly isSecure: boolean;
  /** `0` takes it away. */
  readonly maxAgeSeconds: number;
}

/** The same attributes for all: out of reach of scripts, and of requests that other sites make. */
export function cookieLine(
  name: string,
  value: string,
  { isSecure, maxAgeSeconds }: CookieOptions,
): string {
  const secure = isSecure ? "; Secure" : "";
  return `${name}=${value}; Path=/; HttpOnly; SameSite=Lax; Max-Age=${maxAgeSeconds}${secure}`;
}
