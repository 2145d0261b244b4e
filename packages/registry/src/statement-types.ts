import type { KeyState } from "@redoubt/keys";
import type { CredentialClass } from "@redoubt/presence";
import type { ClientLogin } from "./client-login.ts";
import type { RootKind } from "./root-document.ts";

/** docs/spec/logs.md §4. Without `nonce`, whoever guesses a statement could confirm it by its public digest. */
export interface StatementCommon {
  /** POSIX seconds, by the author's clock. */
  readonly at: number;
  readonly nonce: string;
}

export type TenantRule = { readonly fixed: string } | { readonly except: readonly string[] };

export interface RealmStatement extends StatementCommon {
  readonly type: "realm";
  readonly realm: string;
  readonly issuer: string;
  readonly ring: string;
  readonly tenantRule: TenantRule;
}
export interface WriterStatement extends StatementCommon {
  readonly type: "writer";
  readonly realm: string;
  readonly log: string;
  readonly writer: string;
  readonly logKey: string;
}
/** The log of a broker, which grants leases for these realms (docs/spec/leases.md §3). */
export interface BrokerStatement extends StatementCommon {
  readonly type: "broker";
  readonly log: string;
  readonly writer: string;
  readonly logKey: string;
  readonly realms: readonly string[];
}
/** A log ends at the tree that the witness cosigned last. Another log, which has a `writer` already, takes its place. */
export interface LogClosedStatement extends StatementCommon {
  readonly type: "log-closed";
  /** Absent for a broker's log, which is of no realm. */
  readonly realm?: string;
  readonly log: string;
  readonly size: number;
  /** Of the tree of that size, base64url. */
  readonly root: string;
  readonly successor: string;
  readonly reason: string;
}
/**
 * The witness's memory is an old copy, and is to go on from a newer checkpoint that it once cosigned. The witness acts on
 * this (docs/spec/wire.md §5). In the fold it changes nothing: it is in the registry for everybody to see.
 */
export interface WitnessForwardStatement extends StatementCommon {
  readonly type: "witness-forward";
  readonly log: string;
  readonly size: number;
  /** Of the tree of that size, base64url. */
  readonly root: string;
  readonly reason: string;
}
/** Keys of this deployment that configurations pin: the witness, the registry log, acknowledgements, webhooks. */
export const PINNED = ["witness", "registry", "ack", "events"] as const;
export type Pinned = (typeof PINNED)[number];
/** Another key took the place of a pinned one. This is for everybody to see; configurations that pin it change apart. */
export interface PinnedKeyStatement extends StatementCommon {
  readonly type: "pinned-key";
  readonly what: Pinned;
  /** Verifier key. */
  readonly key: string;
  /** Absent where nobody knows it any more. */
  readonly before?: string;
  readonly reason: string;
}
/**
 * Somebody reads what the log holds of one token. A signer opens a body only for whom this stands here, so that nobody
 * reads unseen.
 */
export interface BodyReadStatement extends StatementCommon {
  readonly type: "body-read";
  readonly realm: string;
  /** Which token: by the digest of its entry (docs/spec/logs.md §1), or by its `jti`. */
  readonly by: "digest" | "jti";
  readonly token: string;
  readonly reason: string;
}
export interface TenantStatement extends StatementCommon {
  readonly type: "tenant";
  readonly realm: string;
  readonly tenant: string;
  readonly status: "active" | "suspended" | "deleted";
  readonly audiences: readonly string[];
}
export interface ClientStatement extends StatementCommon {
  readonly type: "client";
  readonly realm: string;
  readonly tenant: string;
  readonly client: string;
  readonly status: "active" | "disabled" | "removed";
  readonly audiences: readonly string[];
  readonly scopes: readonly string[];
  /** SHA-256 of the document that says how it proves itself, base64url; absent where it cannot. */
  readonly credentialsHash?: string;
  /** Absent where it gets tokens for itself alone. */
  readonly login?: ClientLogin;
}
export interface ReporterStatement extends StatementCommon {
  readonly type: "reporter";
  readonly reporter: string;
  /** Ed25519 (RFC 8032 §5.1.5), base64url. */
  readonly publicKey: string;
  readonly status: "active" | "disabled";
}
/**
 * A person's passkey that counts for approvals (docs/spec/presence.md §5). `removed` repeats what was enrolled, and is
 * the last word about it.
 */
export interface EnrolmentStatement extends StatementCommon {
  readonly type: "enrolment";
  readonly realm: string;
  /** SHA-256 of the person's id, base64url. */
  readonly person: string;
  /** Id of the credential, base64url. */
  readonly credential: string;
  /** COSE key, base64url, in its one spelling. */
  readonly publicKey: string;
  readonly class: CredentialClass;
  readonly rpId: string;
  readonly status: "active" | "removed";
  /** Lower case, where an attestation vouches for it. */
  readonly aaguid?: string;
}
export interface KeyStatement extends StatementCommon {
  readonly type: "key";
  readonly realm: string;
  readonly kid: string;
  readonly record: string;
  readonly ring: string;
}
export interface KeyStateStatement extends StatementCommon {
  readonly type: "key-state";
  readonly realm: string;
  readonly kid: string;
  readonly state: KeyState;
  readonly reason: string;
}
/** `ring`: the signer said it, by itself or because its socket was asked. What `operator` retains, it cannot release. */
export type RetainAuthor = "ring" | "operator";
export interface KeyRetainStatement extends StatementCommon {
  readonly type: "key-retain";
  readonly realm: string;
  readonly kid: string;
  readonly by: RetainAuthor;
  readonly retain: boolean;
  readonly reason: string;
}
/** A signed root, as the operator records it; `kind`, `version` and `hash` repeat what is in `root`. */
export interface RootStatement extends StatementCommon {
  readonly type: "root";
  readonly kind: RootKind;
  readonly version: number;
  /** SHA-256 of the document. */
  readonly hash: string;
  /** The signed root, base64url. */
  readonly root: string;
}

export type Statement =
  | RealmStatement
  | WriterStatement
  | BrokerStatement
  | LogClosedStatement
  | WitnessForwardStatement
  | PinnedKeyStatement
  | BodyReadStatement
  | TenantStatement
  | ClientStatement
  | ReporterStatement
  | EnrolmentStatement
  | KeyStatement
  | KeyStateStatement
  | KeyRetainStatement
  | RootStatement;
export type StatementType = Statement["type"];

/** A statement as its author wrote it; time and nonce are added when it is signed. */
export type StatementBody<S extends Statement = Statement> = S extends Statement
  ? Omit<S, "at" | "nonce">
  : never;
