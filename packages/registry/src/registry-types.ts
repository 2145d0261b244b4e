import type { VerifierKey } from "@redoubt/tlog";
import type { KeyErrorCode } from "@redoubt/keys";
import type { KeyState } from "@redoubt/keys";
import type { SignedKeyRecord } from "@redoubt/keys";
import type { ClientCredentials } from "./client-credentials.ts";
import type { ClientStatement, RetainAuthor, Statement, TenantRule } from "./statement-types.ts";

export interface RealmInfo {
  readonly realm: string;
  readonly issuer: string;
  readonly ring: VerifierKey;
  /** Rings that roots replaced, oldest first: keys that they had registered stay. */
  readonly formerRings: readonly VerifierKey[];
  readonly tenantRule: TenantRule;
}
export interface WriterInfo {
  readonly realm: string;
  readonly log: string;
  readonly writer: VerifierKey;
  readonly logKey: VerifierKey;
}
/** A broker's log, and whose leases it holds. */
export interface BrokerInfo {
  readonly log: string;
  readonly writer: VerifierKey;
  readonly logKey: VerifierKey;
  readonly realms: readonly string[];
}
/** A log that ended: its tree is that of `size` entries, and `successor` goes on in its place. */
export interface ClosedLog {
  /** Undefined for a broker's log. */
  readonly realm: string | undefined;
  readonly log: string;
  readonly size: number;
  readonly root: Buffer;
  readonly successor: string;
  readonly reason: string;
  /** When the operator said so, in POSIX seconds. */
  readonly at: number;
}
/** One thing that the registry holds about a key. */
export interface KeyEvent {
  readonly event: KeyState | "retained" | "released";
  /** Seconds since the epoch, as its author wrote it. */
  readonly at: number;
  /** Where it stands in the registry log. */
  readonly index: number;
  readonly reason: string | null;
}
export interface KeyInfo extends SignedKeyRecord {
  readonly kid: string;
  readonly realm: string;
  /** The ring that vouches for it; where a root replaced that one, the new one may vouch for it again. */
  readonly ring: VerifierKey;
  readonly state: KeyState;
  readonly stateAt: number;
  /** When it was active for the first time: its age counts from here, whatever was rolled back since. */
  readonly activatedAt?: number;
  /** Who said that automation must not withdraw it; absent where nobody did. */
  readonly retainedBy?: RetainAuthor;
  /** Where the record stands in the registry log. */
  readonly index: number;
  /** What was said about it, in order. */
  readonly history: readonly KeyEvent[];
}
export interface ClientInfo extends ClientStatement {
  /** Where the statement stands in the registry log. */
  readonly index: number;
  /** What `credentialsHash` names; absent where the reader may not see it, or nobody has it any more. */
  readonly credentials?: ClientCredentials | undefined;
}
export interface RegistryItem {
  readonly index: number;
  readonly entry: Uint8Array;
  /** Absent where the reader may not see the body. */
  readonly statement?: Uint8Array | undefined;
  readonly envelope?: Uint8Array | undefined;
  /** The document that a `client` statement names; absent where there is none, or the reader may not see it. */
  readonly credentials?: Uint8Array | undefined;
}
export type FoldResult =
  | { readonly kind: "applied"; readonly statement: Statement }
  | { readonly kind: "hidden" }
  | { readonly kind: "void"; readonly code: KeyErrorCode; readonly reason: string };
