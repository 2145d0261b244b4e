/** From low to high: what is known of where a passkey's private key is. docs/spec/presence.md §5. */
export const CREDENTIAL_CLASSES = ["verified", "device-bound", "attested"] as const;
/**
 * `verified`: it verifies its user. `device-bound`: its key cannot be copied elsewhere, as it says itself. `attested`:
 * the maker vouches for that, up to a root that the operator trusts.
 */
export type CredentialClass = (typeof CREDENTIAL_CLASSES)[number];

/** Whose passkey it is, as the registry says (docs/spec/logs.md §4). */
export interface Enrolment {
  readonly realm: string;
  /** `personHash` of the person's id. */
  readonly person: string;
  /** Id of the credential, base64url. */
  readonly credential: string;
  /** COSE key (RFC 9052 §7), base64url. */
  readonly publicKey: string;
  readonly class: CredentialClass;
  readonly rpId: string;
  /** POSIX seconds. */
  readonly from: number;
  /** From then on it counts for nothing, and never again. */
  readonly removedAt?: number;
  /** The authenticator's model, where its attestation vouches for it. */
  readonly aaguid?: string;
}

/** Keyed by `enrolmentKey`. */
export type Enrolments = ReadonlyMap<string, Enrolment>;

export function enrolmentKey(realm: string, credential: string): string {
  return `${realm}/${credential}`;
}

/** Whether a class is at least another. */
export function reaches(found: CredentialClass, wanted: CredentialClass): boolean {
  return CREDENTIAL_CLASSES.indexOf(found) >= CREDENTIAL_CLASSES.indexOf(wanted);
}
