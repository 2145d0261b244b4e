import { isJsonObject, MemberReader, ServiceError, UUID } from "@redoubt/base";
import type { JsonObject } from "@redoubt/verify/json";

export interface Tenant {
  readonly tenant: string;
  readonly status: "active" | "suspended" | "deleted";
  readonly audiences: readonly string[];
  /** Registry index of the statement that says so. */
  readonly statement?: number | undefined;
}

/** How a client proves who it is: one method for each client. */
export type ClientAuth =
  | { readonly method: "client_secret_basic"; readonly secretHash: string }
  | {
      readonly method: "private_key_jwt";
      /** RFC 7517 §5; the keys themselves are read by whoever uses them. */
      readonly jwks: { readonly keys: readonly JsonObject[] };
    };

export interface Client {
  readonly tenant: string;
  readonly client: string;
  readonly status: "active" | "disabled";
  readonly audiences: readonly string[];
  readonly scopes: readonly string[];
  readonly auth: ClientAuth;
  readonly statement?: number | undefined;
}

const DIGEST = /^[A-Za-z0-9_-]{43}$/;
const MAX_CLIENT_KEYS = 8;
const MAX_INDEX = Number.MAX_SAFE_INTEGER;

/** Reads a tenant from the database. */
export function parseTenant(object: JsonObject): Tenant {
  const reader = new MemberReader(object, "tenant");
  const tenant: Tenant = {
    tenant: reader.string("tenant", 36, UUID),
    status: reader.oneOf("status", ["active", "suspended", "deleted"]),
    audiences: reader.strings("audiences", 256),
    ...parseStatement(reader),
  };
  reader.done();
  return tenant;
}

/** Reads a client from the database. Bounds are those of docs/spec/logs.md §4. */
export function parseClient(object: JsonObject): Client {
  const reader = new MemberReader(object, "client");
  const client: Client = {
    tenant: reader.string("tenant", 36, UUID),
    client: reader.string("client", 128, /^[\x21-\x7e]+$/),
    status: reader.oneOf("status", ["active", "disabled"]),
    audiences: reader.strings("audiences", 64),
    scopes: reader.strings("scopes", 64, 128),
    auth: parseAuth(reader.object("auth")),
    ...parseStatement(reader),
  };
  reader.done();
  return client;
}

function parseStatement(reader: MemberReader): { readonly statement?: number } {
  const statement = reader.optionalInteger("statement", 0, MAX_INDEX);
  return statement === undefined ? {} : { statement };
}

function parseAuth(reader: MemberReader): ClientAuth {
  const method = reader.oneOf("method", ["client_secret_basic", "private_key_jwt"]);
  const auth: ClientAuth =
    method === "client_secret_basic"
      ? { method, secretHash: reader.string("secretHash", 43, DIGEST) }
      : { method, jwks: parseKeys(reader) };
  reader.done();
  return auth;
}

function parseKeys(reader: MemberReader): { readonly keys: readonly JsonObject[] } {
  const set = reader.object("jwks");
  const members = set.array("keys", MAX_CLIENT_KEYS);
  set.done();
  const keys = members.filter(isJsonObject);
  if (keys.length === 0 || keys.length !== members.length)
    throw new ServiceError("ERR_REQUEST_MEMBER", "client auth: keys must be 1 to 8 objects");
  return { keys };
}
