import type { KeyState } from "./life-cycle.ts";

/** docs/spec/logs.md §4. `nonce` keeps a public digest from being guessed from a guessable statement. */
export interface StatementCommon {
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
  readonly status: "active" | "disabled";
  readonly audiences: readonly string[];
  readonly scopes: readonly string[];
}
export interface ReporterStatement extends StatementCommon {
  readonly type: "reporter";
  readonly reporter: string;
  readonly credentialHash: string;
  readonly status: "active" | "disabled";
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

export type Statement =
  | RealmStatement
  | WriterStatement
  | TenantStatement
  | ClientStatement
  | ReporterStatement
  | KeyStatement
  | KeyStateStatement;
export type StatementType = Statement["type"];

/** A statement as its author wrote it; time and nonce are added when it is signed. */
export type StatementBody<S extends Statement = Statement> = S extends Statement
  ? Omit<S, "at" | "nonce">
  : never;
