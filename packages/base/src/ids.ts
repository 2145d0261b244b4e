/** A tenant's id, or any other UUID: in lower case only, so that one id has one spelling. */
export const UUID: RegExp = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** A SHA-256 in base64url. RFC 4648 §3.5: the last character carries four bits, and the two below them are zero. */
export const SHA256: RegExp = /^[A-Za-z0-9_-]{42}[AEIMQUYcgkosw048]$/;

/** A realm, at most 32 characters. */
export const REALM: RegExp = /^[a-z][a-z0-9-]{0,31}$/;

/**
 * A client. RFC 6749 §2.3.1: Basic carries an id form-encoded, and many programs forget that; these characters are the
 * same either way.
 */
export const CLIENT_ID: RegExp = /^[A-Za-z0-9._-]{1,128}$/;

/** Matches the callers of a socket: a service of which there is one (`single`), or `<service>-<realm>` (`ofRealms`). */
export function callerPattern(single: readonly string[], ofRealms: readonly string[]): RegExp {
  const realm = REALM.source.slice(1, -1);
  return new RegExp(`^(?:${single.join("|")}|(?:${ofRealms.join("|")})-${realm})$`);
}
