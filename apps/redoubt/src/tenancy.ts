import { hash } from "node:crypto";
import type { Registry } from "@redoubt/registry";
import { ServiceError } from "@redoubt/base";
import type { JsonObject } from "@redoubt/verify/json";
import { ask, ISSUER } from "@redoubt/wire";
import type { Realm } from "./layout.ts";
import type { Operator } from "./operator.ts";

/** How a client proves itself; a secret goes no further than this process, the issuer gets its hash. */
export type ClientAuth = { readonly secret: string } | { readonly jwks: Jwks };

/** RFC 7517 §5. */
export interface Jwks {
  readonly keys: readonly JsonObject[];
}

export interface ClientName {
  readonly realm: Realm;
  readonly tenant: string;
  readonly client: string;
}

/** Tells a realm's issuer of a tenant that the registry holds. */
export async function putTenant(
  operator: Operator,
  registry: Registry,
  realm: Realm,
  tenant: string,
): Promise<void> {
  const info = registry.tenants.get(`${realm}/${tenant}`);
  if (!info)
    throw new ServiceError("ERR_TENANT_UNKNOWN", `Tenant ${tenant} is not in realm ${realm}`);
  const { status, audiences } = info;
  // The issuer keeps it, so that no older statement can undo this one.
  const statement = operator.indexOf("tenant", `${realm}/${tenant}`);
  const issuer = operator.client(`issuer-${realm}`);
  await ask(issuer, ISSUER.putTenant, { tenant, status, audiences, statement });
}

/** Tells a realm's issuer of a client that the registry holds, and how it proves itself. */
export async function putClient(
  operator: Operator,
  registry: Registry,
  { realm, tenant, client, auth }: ClientName & { readonly auth: ClientAuth },
): Promise<void> {
  const info = registry.clients.get(`${realm}/${tenant}/${client}`);
  if (!info)
    throw new ServiceError("ERR_CLIENT_UNKNOWN", `Client ${client} is not in tenant ${tenant}`);
  const { status, audiences, scopes } = info;
  await ask(operator.client(`issuer-${realm}`), ISSUER.putClient, {
    tenant,
    client,
    status,
    audiences,
    scopes,
    statement: operator.indexOf("client", `${realm}/${tenant}/${client}`),
    auth:
      "secret" in auth
        ? { method: "client_secret_basic", secretHash: hash("sha256", auth.secret, "base64url") }
        : { method: "private_key_jwt", jwks: auth.jwks },
  });
}
