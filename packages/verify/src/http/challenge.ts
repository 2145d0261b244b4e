/** Parameters of a challenge, in the order in which they are written. */
export type ChallengeParameters = Readonly<
  Partial<Record<"realm" | "resource_metadata" | "error" | "scope" | "algs", string>>
>;

/**
 * One challenge of a `WWW-Authenticate` header (RFC 9110 §11.6.1, RFC 6750 §3, RFC 9728 §5.1, RFC 9449 §7.1).
 *
 * @throws TypeError for a value that cannot stand in a header
 */
export function encodeChallenge(
  scheme: "Bearer" | "DPoP",
  { realm, resource_metadata, error, scope, algs }: ChallengeParameters,
): string {
  const parameters = Object.entries({ realm, resource_metadata, error, scope, algs })
    .flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${quotedString(value)}`]))
    .join(", ");
  return parameters === "" ? scheme : `${scheme} ${parameters}`;
}

/**
 * RFC 9110 §5.6.4. Only printable ASCII: a line end would begin another header, and clients disagree on how to read
 * letters beyond ASCII.
 *
 * @throws TypeError for any other character
 */
export function quotedString(text: string): string {
  if (!/^[\x20-\x7e]*$/.test(text)) throw new TypeError("Challenge: expected printable ASCII");
  return `"${text.replaceAll(/["\\]/g, String.raw`\$&`)}"`;
}
