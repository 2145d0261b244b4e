/** How much of what an authenticator says of its model is proven. */
export type PasskeyTrust =
  /** Certificates lead to a root that is named for the model. Only this makes an AAGUID worth reading. */
  | "chain"
  /** Signed by the passkey's own key: anybody can do that. */
  | "self"
  | "none"
  /** There are certificates, but no root to hold them against, or they name no model. */
  | "unverified";

export type PasskeyAlgorithm = "ES256" | "EdDSA" | "RS256";

/** COSE identifiers (RFC 9053 §2, RFC 8812 §2), in the order in which they are offered. */
export const PASSKEY_ALGORITHMS: ReadonlyMap<number, PasskeyAlgorithm> = new Map([
  [-7, "ES256"],
  [-8, "EdDSA"],
  [-257, "RS256"],
]);

/** A person's passkey as it was registered; frozen. `counter` and `backedUp` are kept up to date by each sign-in. */
export interface Passkey {
  /** base64url, of 1 to 1023 bytes. */
  readonly credentialId: string;
  /** COSE_Key (RFC 9052 §7). */
  readonly publicKey: Uint8Array<ArrayBuffer>;
  readonly algorithm: PasskeyAlgorithm;
  /** 0 where the authenticator does not count. */
  readonly counter: number;
  readonly trust: PasskeyTrust;
  readonly format: AttestationFormat;
  /** The model, lower case with hyphens. Undefined unless `trust` is "chain": nobody vouches for it otherwise. */
  readonly aaguid: string | undefined;
  /** May leave its device: a synced passkey. Said by the authenticator, proven only with `trust` "chain". */
  readonly backupEligible: boolean;
  readonly backedUp: boolean;
  /** As the browser named them; a hint for the next prompt, and nothing more. */
  readonly transports: readonly string[];
}

/** Formats (WebAuthn §8) that are verified here. */
export type AttestationFormat = "none" | "packed";

/** What must be signed. */
export interface ExpectedAnswer {
  /** base64url, as it was offered. */
  readonly challenge: string;
  /** The one origin of the page, as a browser writes it: `https://login.example`. */
  readonly origin: string;
  readonly rpId: string;
}
