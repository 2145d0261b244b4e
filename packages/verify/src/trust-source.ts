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
   * Told of an issuer whose token had an unknown kid; whoever wrote the token chose it. What the source makes of it
   * happens later, and not more often than it allows.
   *
   * @returns whether that is an issuer of its own which has no keys now, so that nobody can say what is unknown
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

export interface TrustSourceStatus {
  readonly kind: "static-keys" | "static-records" | "discovery";
  readonly issuer?: string;
  /** True if keys count only with the signature of a pinned ring key. */
  readonly ringPinned: boolean;
  /** Milliseconds since the epoch; null for static sources. */
  readonly loadedAt: number | null;
  readonly staleAt: number | null;
  /** Keys in the last key set that do not count: no or a wrong ring signature, another realm or issuer. */
  readonly untrustedKeys: number;
  /** Keys in the last key set of an algorithm or use that is not ours. */
  readonly ignoredKeys: number;
  readonly failures: number;
  readonly lastError: TrustErrorCode | null;
  /** With what was found and what was expected. */
  readonly lastErrorText: string | null;
  /** Each key of the last key set that does not count, and why. */
  readonly refusals: readonly KeyRefusal[];
}
