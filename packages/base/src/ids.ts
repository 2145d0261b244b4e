/** A tenant, and what else has a UUID here: in lower case only, so that one id has one spelling. */
export const UUID: RegExp = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** A realm, at most 32 characters. */
export const REALM: RegExp = /^[a-z][a-z0-9-]{0,31}$/;

/** A caller of a socket: a service that is there once, or `<service>-<realm>`. */
export function callerPattern(single: readonly string[], ofRealms: readonly string[]): RegExp {
  const realm = REALM.source.slice(1, -1);
  return new RegExp(`^(?:${single.join("|")}|(?:${ofRealms.join("|")})-${realm})$`);
}
