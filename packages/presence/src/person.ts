import { hash } from "node:crypto";

/** An id as the store makes it: of a person, or of a request. It names nobody. */
export const PERSON_ID: RegExp = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;

/** base64url; WebAuthn §4 bounds a credential's id at 1023 bytes. */
export const CREDENTIAL_ID: RegExp = /^[\w-]+$/;
export const MAX_CREDENTIAL_BYTES = 1023;
export const MAX_CREDENTIAL_TEXT = 1364;

/** WebAuthn §5.4.2: a domain, in the one spelling that browsers use. */
export const RP_ID: RegExp = /^[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$/;

/** What the registry calls a person by: SHA-256 of the id, base64url. THREAT-35: the registry's readers learn no ids. */
export function personHash(person: string): string {
  return hash("sha256", person, "base64url");
}
