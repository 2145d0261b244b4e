import type { Found } from "../status.ts";
import type { RealmRate } from "./token-rates.ts";

/** Everything that the page shows, read at one time. */
export interface PageFacts {
  /** POSIX seconds. */
  readonly now: number;
  readonly upSince: number;
  /** Issuer's host, by which a person tells systems apart. */
  readonly host: string;
  readonly folder: string;
  readonly system: Found;
  readonly rates: readonly RealmRate[];
  /** Of the last hour; null where nothing is known. */
  readonly coverage: { readonly issued: number; readonly seen: number } | null;
  /** Of all logs together; null where it cannot be read. */
  readonly ledgerBytes: number | null;
}
