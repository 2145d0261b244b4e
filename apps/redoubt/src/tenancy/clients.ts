import { Secret, ServiceError } from "@redoubt/base";
import type { Registry } from "@redoubt/registry";
import { ask, ISSUER } from "@redoubt/wire";
import { REALMS, type Realm } from "../layout.ts";
import type { Operator } from "../operator.ts";
import { putClient, putTenant, type ClientAuth, type Jwks } from "../tenancy.ts";
import {
  checkAudiences,
  checkClientId,
  checkScopes,
  findTenant,
  isSameSet,
  union,
  type TenantName,
} from "./names.ts";
import type { Outcome } from "./tenants.ts";

export const CLIENT_STATUSES = ["active", "disabled"] as const;
export type ClientStatus = (typeof CLIENT_STATUSES)[number];

export interface ClientAddOptions {
  readonly realm?: Realm;
  readonly tenant?: string;
  readonly client: string;
  readonly audience?: readonly string[];
  readonly scope?: readonly string[];
  /** The client's public keys: then it has no secret. */
  readonly jwks?: Jwks;
  readonly newSecret?: boolean;
}

export interface ClientView extends TenantName {
  readonly client: string;
  readonly status: ClientStatus;
  readonly audiences: readonly string[];
  readonly scopes: readonly string[];
  /** How it proves itself to the issuer; null where the issuer does not know it. */
  readonly auth: string | null;
}

interface Plan extends TenantName {
  readonly client: string;
  readonly isNew: boolean;
  readonly isChanged: boolean;
  readonly status: ClientStatus;
  readonly audiences: readonly string[];
  readonly scopes: readonly string[];
}

/**
 * Registers a client, or adds audiences and scopes to one: first the registry, then the issuer. Of a new secret the
 * issuer gets the hash; the secret itself is in this answer, once.
 */
export async function addClient(
  operator: Operator,
  options: ClientAddOptions,
): Promise<ClientView & Outcome & { readonly secret?: string }> {
  const registry = await operator.readRegistry();
  const plan = planClient(registry, options);
  const { realm, tenant, client } = plan;
  const method = (await readAuthMethods(operator, realm)).get(`${tenant}/${client}`);
  const auth = chooseAuth(plan, options, method);
  if (plan.isChanged) {
    const { status, audiences, scopes } = plan;
    await operator.state({ type: "client", realm, tenant, client, status, audiences, scopes });
  }
  if (auth) {
    await putTenant(operator, registry, realm, tenant);
    await putClient(operator, registry, { realm, tenant, client, auth });
  }
  return {
    realm,
    tenant,
    client,
    status: plan.status,
    audiences: plan.audiences,
    scopes: plan.scopes,
    auth: auth ? methodOf(auth) : (method ?? null),
    created: plan.isNew,
    changed: plan.isChanged || auth !== undefined,
    ...(auth && "secret" in auth ? { secret: auth.secret } : {}),
  };
}

export function planClient(registry: Registry, options: ClientAddOptions): Plan {
  const name = findTenant(registry, options);
  const client = checkClientId(options.client);
  const known = registry.clients.get(`${name.realm}/${name.tenant}/${client}`);
  const owned = registry.tenants.get(`${name.realm}/${name.tenant}`)?.audiences ?? [];
  const asked = checkAudiences(options.audience ?? []);
  // A tenant with one audience leaves nothing to choose.
  const chosen = asked.length === 0 && !known && owned.length === 1 ? owned : asked;
  for (const audience of chosen)
    if (!owned.includes(audience))
      throw new ServiceError(
        "ERR_OPTION",
        `Audience ${audience} is not one of the tenant: it has ${owned.join(", ") || "none"}`,
      );
  const audiences = union(known?.audiences ?? [], chosen);
  const scopes = union(known?.scopes ?? [], checkScopes(options.scope ?? []));
  if (audiences.length === 0)
    throw new ServiceError(
      "ERR_OPTION",
      `Name --audience: the tenant has ${owned.join(", ") || "none"}`,
    );
  const isChanged =
    !known || !isSameSet(known.audiences, audiences) || !isSameSet(known.scopes, scopes);
  const status = known?.status ?? "active";
  return { ...name, client, isNew: !known, isChanged, status, audiences, scopes };
}

/** The credential to give to the issuer; undefined where it keeps the one that it has. */
export function chooseAuth(
  { client, isChanged }: Pick<Plan, "client" | "isChanged">,
  { jwks, newSecret = false }: Pick<ClientAddOptions, "jwks" | "newSecret">,
  method: string | undefined,
): ClientAuth | undefined {
  if (jwks && newSecret)
    throw new ServiceError("ERR_OPTION", "A client has keys (--jwks) or a secret, not both");
  if (jwks) return { jwks };
  if (newSecret || method === undefined) return { secret: Secret.random().reveal() };
  if (!isChanged) return undefined;
  throw new ServiceError(
    "ERR_OPTION",
    `Client ${client} exists: to change it, also give it a new credential with --new-secret or --jwks`,
  );
}

function methodOf(auth: ClientAuth): string {
  return "secret" in auth ? "client_secret_basic" : "private_key_jwt";
}

/** What the registry says is what the signer does, so the issuer needs no word of it. */
export async function setClientStatus(
  operator: Operator,
  options: { readonly realm?: Realm; readonly tenant?: string; readonly client: string },
  status: ClientStatus,
): Promise<ClientView> {
  const registry = await operator.readRegistry();
  const { realm, tenant } = findTenant(registry, options);
  const known = registry.clients.get(`${realm}/${tenant}/${options.client}`);
  if (!known)
    throw new ServiceError(
      "ERR_CLIENT_UNKNOWN",
      `Client ${options.client} is not registered in tenant ${tenant}: redoubt clients list shows them`,
    );
  const { client, audiences, scopes } = known;
  if (known.status !== status)
    await operator.state({ type: "client", realm, tenant, client, status, audiences, scopes });
  const auth = (await readAuthMethods(operator, realm)).get(`${tenant}/${client}`) ?? null;
  return { realm, tenant, client, status, audiences, scopes, auth };
}

export async function listClients(operator: Operator): Promise<ClientView[]> {
  const registry = await operator.readRegistry();
  const views: ClientView[] = [];
  for (const realm of REALMS) {
    const methods = await readAuthMethods(operator, realm);
    for (const {
      tenant,
      client,
      status,
      audiences,
      scopes,
      ...rest
    } of registry.clients.values()) {
      if (rest.realm !== realm) continue;
      const auth = methods.get(`${tenant}/${client}`) ?? null;
      views.push({ realm, tenant, client, status, audiences, scopes, auth });
    }
  }
  return views;
}

/** How each client of a realm proves itself, by `tenant/client`. */
async function readAuthMethods(
  operator: Operator,
  realm: Realm,
): Promise<ReadonlyMap<string, string>> {
  const methods = new Map<string, string>();
  const issuer = operator.client(`issuer-${realm}`);
  for (let more: number | undefined = 0; more !== undefined;) {
    const from: number = more;
    const { clients, next } = await ask(issuer, ISSUER.listClients, { from });
    for (const { tenant, client, auth } of clients) methods.set(`${tenant}/${client}`, auth.method);
    if (next !== undefined && next <= from)
      throw new ServiceError("ERR_REQUEST_MEMBER", "clients.list answer: next must be further on");
    more = next;
  }
  return methods;
}
