import type { TrustErrorCode } from "./trust-error.ts";
import type { TrustedKey } from "./trusted-key.ts";

/** Where keys and their scopes come from. Made by `fromStaticKeys`, `fromStaticRecords` or `fromDiscovery`. */
export interface TrustSource {
  /** Resolves when the first keys are there; rejects with a TrustError. */
  open(context: TrustContext): Promise<TrustReader>;
}

export interface TrustContext {
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

export interface TrustReader {
  /** Keys by kid; another object after each change, and only then. */
  readonly keys: ReadonlyMap<string, TrustedKey>;
  sources(): readonly TrustSourceStatus[];
  /** Loads now; joins a load that is under way. Rejects with a TrustError. */
  reload(): Promise<void>;
  close(): void;
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
  /** Why keys of the last key set did not count, without repetition. */
  readonly refusals: readonly TrustErrorCode[];
}
