import type { TrustErrorCode } from "./trust-error.ts";
import type { KeysByKid } from "./trusted-key.ts";

/** Where keys and their scopes come from. Made by `fromStaticKeys`, `fromStaticRecords` or `fromDiscovery`. */
export interface TrustSource {
  /** Whether every issuer of it was declared with a profile. */
  readonly isProfiled?: boolean;
  /** Resolves when the first keys are there; rejects with a TrustError. */
  open(context: TrustContext): Promise<TrustReader>;
}

export interface TrustContext {
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

export interface TrustReader {
  /** Another object after each change, and only then. */
  readonly keys: KeysByKid;
  /** Whether there is an issuer with a profile, so that a header may be that of one. */
  readonly hasProfiles?: boolean;
  /**
   * Told the `iss` of a token with an unknown kid; whoever wrote the token chose both. The source may load keys because
   * of it, in the background and no more often than it allows itself.
   *
   * @returns true if the source has this issuer but no keys of it now, so that nobody can say that the kid is wrong
   */
  missed?(issuer: string): boolean;
  /** Whether an issuer (every one, where none is named) has keys that count now. */
  isReady(issuer?: string): boolean;
  sources(): readonly TrustSourceStatus[];
  /** Loads now; joins a load that is under way. Rejects with a TrustError. */
  reload(): Promise<void>;
  close(): void;
}

/** A key that does not count, by what it calls itself, and why. */
export interface KeyRefusal {
  readonly kid: string | null;
  readonly code: TrustErrorCode;
  readonly reason: string;
}

/** What is known of the machines that use the keys of a source. */
export interface AttestationStatus {
  /** Keys whose document satisfied the check. */
  readonly attestedKeys: number;
  /** With `prefer`: each key that counts although it is not attested, and why it is not. */
  readonly unattested: readonly KeyRefusal[];
}

export interface TrustSourceStatus {
  readonly kind: "static-keys" | "static-records" | "discovery";
  readonly issuer?: string;
  /** True if keys count only with the signature of a pinned ring key. */
  readonly ringPinned: boolean;
  /** Milliseconds since the epoch; null for static sources. */
  readonly loadedAt: number | null;
  /** From then on its keys do not count, unless a load succeeds before; null for static sources. */
  readonly staleAt: number | null;
  /** How many `refusals` there are. */
  readonly untrustedKeys: number;
  /** Keys in the last key set of an algorithm or use that is not ours. */
  readonly ignoredKeys: number;
  /** Loads that failed since the source was opened. */
  readonly failures: number;
  readonly lastError: TrustErrorCode | null;
  /** The message of that error: what was found, and what was expected. */
  readonly lastErrorText: string | null;
  /** Each key of the last key set that does not count, and why. */
  readonly refusals: readonly KeyRefusal[];
  /** Null where no attestation is asked for. */
  readonly attestation: AttestationStatus | null;
}
