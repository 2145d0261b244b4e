import { UUID } from "@redoubt/base";
import { isJsonObject } from "@redoubt/verify/json";
import {
  anyObject,
  flag,
  integer,
  oneOf,
  text,
  type Member,
  type ValueOf,
  type Values,
} from "./member.ts";
import { group, list, optional } from "./message.ts";
import { operation } from "./operation.ts";

const TENANT_ID = text(36, UUID);
const PAGE = 500;

/** Bounds are those of docs/spec/logs.md §4. */
const TENANT = {
  tenant: TENANT_ID,
  status: oneOf("active", "suspended", "deleted"),
  audiences: list(text(), 256),
  /** Registry index of the statement that says so. */
  statement: optional(integer()),
};

const CLIENT = {
  tenant: TENANT_ID,
  client: text(128, /^[\x21-\x7e]+$/),
  status: oneOf("active", "disabled"),
  audiences: list(text(), 64),
  scopes: list(text(128), 64),
  statement: optional(integer()),
};

const METHOD = oneOf("client_secret_basic", "private_key_jwt");
const SECRET_AUTH = group({
  method: oneOf("client_secret_basic"),
  secretHash: text(43, /^[\w-]{43}$/),
});
const KEYS_AUTH = group({
  method: oneOf("private_key_jwt"),
  /** RFC 7517 §5; the keys themselves are read by whoever uses them. */
  jwks: group({ keys: list(anyObject, 8, 1) }),
});
type ClientAuth = ValueOf<typeof SECRET_AUTH> | ValueOf<typeof KEYS_AUTH>;

/** How a client proves who it is: one method for each client. */
const AUTH: Member<ClientAuth> = {
  read: (value, name, what) => {
    const { method } = isJsonObject(value) ? value : {};
    const auth =
      METHOD.read(method, "method", `${what} ${name}`) === "private_key_jwt"
        ? KEYS_AUTH
        : SECRET_AUTH;
    return auth.read(value, name, what);
  },
  write: (value) =>
    value.method === "private_key_jwt" ? KEYS_AUTH.write(value) : SECRET_AUTH.write(value),
};

const STATUS = {
  realm: text(32),
  ready: flag,
  /** Why it is not. */
  reason: optional(text(64)),
  tenants: integer(),
  clients: integer(),
  tokens: group({ issued: integer(), refused: integer(), underWay: integer() }),
  deliveries: group({ waiting: integer(), lost: integer(), failing: flag }),
  /** Absent until it listens. */
  http: optional(
    group({
      requests: integer(),
      inFlight: integer(),
      unproven: integer(),
      named: integer(),
      evicted: integer(),
    }),
  ),
};
export type IssuerStatus = Values<typeof STATUS>;

/** The operator's socket of an issuer (docs/spec/wire.md §6). */
export const ISSUER = {
  putTenant: operation("tenants.put", TENANT, {}),
  putClient: operation("clients.put", { ...CLIENT, auth: AUTH }, {}),
  /** `from` skips, `next` is there where more follow. */
  listTenants: operation(
    "tenants.list",
    { from: optional(integer()) },
    { tenants: list(group(TENANT), PAGE), next: optional(integer()) },
  ),
  listClients: operation(
    "clients.list",
    { tenant: optional(text(36)), from: optional(integer()) },
    {
      /** Without credentials. */
      clients: list(group({ ...CLIENT, auth: group({ method: METHOD }) }), PAGE),
      next: optional(integer()),
    },
  ),
  backup: operation("backup", {}, { file: text(64, /^backup\.\w+$/) }),
  status: operation("status", {}, STATUS),
};
