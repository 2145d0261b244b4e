import type { ClientCredentials, ClientInfo, ClientLogin } from "@redoubt/registry";
import type { Realm } from "../layout.ts";
import { instant, table } from "../table.ts";
import type { TenantName } from "./names.ts";

/** A secret or public key of a client. `id` is the key's kid, or the beginning of the secret's hash. */
interface CredentialView {
  readonly kind: "secret" | "key";
  readonly id: string;
  /** POSIX seconds. */
  readonly added: number;
  /** POSIX seconds; null if it has no end. */
  readonly until: number | null;
}

export interface ClientView extends TenantName<Realm> {
  readonly client: string;
  readonly status: ClientInfo["status"];
  readonly audiences: readonly string[];
  readonly scopes: readonly string[];
  /** Null if the registry names a document that is lost. */
  readonly credentials: readonly CredentialView[] | null;
  /** Its assertions may name the token endpoint as their audience, which is unsafe. */
  readonly unsafeTokenEndpointAudience: boolean;
  /** Null where it gets tokens for itself alone. */
  readonly login: ClientLogin | null;
}

/** What the statement of a client says, without what it proves itself with. */
export type ClientRights = Omit<ClientView, "credentials" | "unsafeTokenEndpointAudience">;

const SHOWN_HASH = 8;

export function viewOf(
  rights: ClientRights,
  credentials: ClientCredentials | undefined,
): ClientView {
  const shown = credentials && [
    ...credentials.secrets.map((one) =>
      credentialView("secret", one.hash.slice(0, SHOWN_HASH), one),
    ),
    ...credentials.keys.map((one) => credentialView("key", one.kid, one)),
  ];
  const unsafeTokenEndpointAudience = credentials?.unsafeTokenEndpointAudience === true;
  const { realm, tenant, client, status, audiences, scopes, login } = rights;
  const named = { realm, tenant, client, status, audiences, scopes, login };
  return { ...named, credentials: shown ?? null, unsafeTokenEndpointAudience };
}

function credentialView(
  kind: CredentialView["kind"],
  id: string,
  { added, until }: { readonly added: number; readonly until?: number },
): CredentialView {
  return { kind, id, added, until: until ?? null };
}

const CLIENT_HEADING = [
  "REALM",
  "TENANT",
  "CLIENT",
  "STATUS",
  "AUTHENTICATION",
  "AUDIENCES",
  "SCOPES",
];

export function clientTable(clients: readonly ClientView[]): string {
  const rows = clients.map((c) => [
    c.realm,
    c.tenant,
    c.client,
    c.status,
    authentication(c),
    c.audiences.join(" "),
    c.scopes.join(" "),
  ]);
  return table([CLIENT_HEADING, ...rows]);
}

/** RFC 7591 §2: the names of the methods; of a secret what its two have in common, in the header or in the body. */
function authentication({ credentials, unsafeTokenEndpointAudience, login }: ClientView): string {
  if (credentials === null) return "lost";
  const kinds = new Set(credentials.map(({ kind }) => kind));
  const methods = [
    ...(kinds.has("secret") ? ["client_secret"] : []),
    ...(kinds.has("key") ? ["private_key_jwt"] : []),
    ...(unsafeTokenEndpointAudience ? ["unsafe-token-endpoint-audience"] : []),
  ];
  return methods.join(" ") || (login === null ? "none" : "public");
}

/** Where people who sign in through it are sent. */
export function loginTable({ login }: ClientView): string {
  if (login === null) return "";
  const rows = [
    ...login.redirectUris.map((uri) => ["redirect", uri]),
    ...login.logoutUris.map((uri) => ["after sign-out", uri]),
    ...(login.backchannelLogoutUri === undefined
      ? []
      : [["told of sign-out", login.backchannelLogoutUri]]),
  ];
  return table([["PEOPLE SIGN IN", "ADDRESS"], ...rows]);
}

export function credentialTable({ credentials }: ClientView): string {
  const rows = (credentials ?? []).map((one) => [
    one.kind,
    one.id,
    instant(one.added),
    one.until === null ? "no end" : instant(one.until),
  ]);
  return table([["PROVES ITSELF WITH", "ID", "SINCE", "UNTIL"], ...rows]);
}
