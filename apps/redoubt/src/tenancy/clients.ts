import { hash } from "node:crypto";
import { canonicalBytes, nowSeconds, Secret, ServiceError, systemClock } from "@redoubt/base";
import {
  encodeCredentials,
  parseClientJwk,
  type ClientCredentials,
  type ClientInfo,
  type Registry,
} from "@redoubt/registry";
import { KeyError } from "@redoubt/keys";
import type { JsonObject } from "@redoubt/verify/json";
import { REALMS, type Realm } from "../layout.ts";
import type { Operator } from "../operator.ts";
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

export type ClientStatus = ClientInfo["status"];

export interface ClientName {
  readonly realm?: Realm;
  readonly tenant?: string;
  readonly client: string;
}

export interface ClientAddOptions extends ClientName {
  readonly audience?: readonly string[];
  readonly scope?: readonly string[];
  /** The client's public keys (RFC 7517): then it has no secret. */
  readonly jwks?: readonly JsonObject[];
}

export interface ClientRotateOptions extends ClientName {
  readonly jwks?: readonly JsonObject[];
  /** How long what it has now is still taken. */
  readonly overlapSeconds: number;
}

/** A secret or public key; a secret is named by the beginning of its hash. */
export interface CredentialView {
  readonly kind: "secret" | "key";
  readonly id: string;
  /** In POSIX seconds, as is the end; null where there is none. */
  readonly added: number;
  readonly until: number | null;
}

export interface ClientView extends TenantName {
  readonly client: string;
  readonly status: ClientStatus;
  readonly audiences: readonly string[];
  readonly scopes: readonly string[];
  /** Null where the registry names some that nobody has any more. */
  readonly credentials: readonly CredentialView[] | null;
}

interface Plan extends TenantName {
  readonly client: string;
  /** The statement that this one replaces; undefined for a client that is new, or was removed. */
  readonly known: ClientInfo | undefined;
  readonly isChanged: boolean;
  readonly status: ClientStatus;
  readonly audiences: readonly string[];
  readonly scopes: readonly string[];
}

const SHOWN_HASH = 8;
const MAX_CREDENTIALS = 8;
const NONE: ClientCredentials = { secrets: [], keys: [] };

/**
 * Registers a client, or adds audiences and scopes to one, which keeps what it proves itself with. Of a new secret the
 * registry gets the hash; the secret itself is in this answer, once.
 */
export async function addClient(
  operator: Operator,
  options: ClientAddOptions,
): Promise<ClientView & Outcome & { readonly secret?: string }> {
  const plan = planClient(await operator.readRegistry(), options);
  const { known } = plan;
  if (known && options.jwks)
    throw new ServiceError(
      "ERR_OPTION",
      `Client ${plan.client} exists: redoubt clients rotate --jwks gives it other keys`,
    );
  const fresh = known ? undefined : newCredentials(options.jwks);
  const credentials = fresh?.credentials ?? credentialsOf(known);
  if (plan.isChanged) await stateClient(operator, plan, credentials);
  return {
    ...viewOf(plan, credentials),
    created: known === undefined,
    changed: plan.isChanged,
    ...(fresh?.secret !== undefined && { secret: fresh.secret }),
  };
}

export function planClient(registry: Registry, options: ClientAddOptions): Plan {
  const name = findTenant(registry, options);
  const client = checkClientId(options.client);
  const found = registry.clients.get(`${name.realm}/${name.tenant}/${client}`);
  const known = found?.status === "removed" ? undefined : found;
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
  return { ...name, client, known, isChanged, status, audiences, scopes };
}

/** Gives a client a new secret, or other keys. What it has is taken for as long as the overlap, so that nothing stops. */
export async function rotateClient(
  operator: Operator,
  options: ClientRotateOptions,
): Promise<ClientView & { readonly secret?: string }> {
  const { known, ...name } = findClient(await operator.readRegistry(), options);
  const now = nowSeconds(systemClock);
  // Those that nobody has any more cannot be carried over: they end now.
  const before = known.credentials ?? NONE;
  const fresh = newCredentials(options.jwks);
  const credentials = succeed(before, fresh.credentials, now, now + options.overlapSeconds);
  await stateClient(operator, { ...known, ...name }, credentials);
  const { secret } = fresh;
  return { ...viewOf({ ...known, ...name }, credentials), ...(secret !== undefined && { secret }) };
}

/** The new ones, and those of before that are still taken, until `until` at the latest. */
export function succeed(
  before: ClientCredentials,
  { secrets, keys }: ClientCredentials,
  now: number,
  until: number,
): ClientCredentials {
  const isSame = keys.map(keyName);
  const ending = <T extends { readonly until?: number }>(one: T): T => ({
    ...one,
    until: Math.min(one.until ?? until, until),
  });
  const isTaken = (one: { readonly until?: number }): boolean => (one.until ?? until) > now;
  const [oldSecrets, oldKeys] = [
    before.secrets.map(ending).filter(isTaken),
    before.keys
      .filter((key) => !isSame.includes(keyName(key)))
      .map(ending)
      .filter(isTaken),
  ];
  const names = new Set(keys.map(({ kid }) => kid));
  if (oldKeys.some(({ kid }) => names.has(kid)))
    throw new ServiceError("ERR_OPTION", "Another key has this kid: give the new one another");
  const all = { secrets: [...oldSecrets, ...secrets], keys: [...oldKeys, ...keys] };
  if (all.secrets.length > MAX_CREDENTIALS || all.keys.length > MAX_CREDENTIALS)
    throw new ServiceError(
      "ERR_OPTION",
      `More than ${MAX_CREDENTIALS} would be taken at once: wait until some end, or end them with --overlap 0`,
    );
  return all;
}

/** Disables a client, lets it go on, or removes it for good: then it proves itself with nothing any more. */
export async function setClientStatus(
  operator: Operator,
  options: ClientName,
  status: ClientStatus,
): Promise<ClientView> {
  const { known, ...name } = findClient(await operator.readRegistry(), options);
  const isRemoved = status === "removed";
  // To be disabled, a client need not have them: then nobody has.
  const credentials = isRemoved ? NONE : (known.credentials ?? NONE);
  const rights = isRemoved ? { audiences: [], scopes: [] } : known;
  const next = { ...name, audiences: rights.audiences, scopes: rights.scopes, status };
  if (known.status !== status) await stateClient(operator, next, credentials);
  return viewOf(next, credentials);
}

export async function showClient(operator: Operator, options: ClientName): Promise<ClientView> {
  const { known, ...name } = findClient(await operator.readRegistry(), options);
  return viewOf({ ...known, ...name }, known.credentialsHash ? known.credentials : NONE);
}

export async function listClients(operator: Operator): Promise<ClientView[]> {
  const all = [...(await operator.readRegistry()).clients.values()];
  return REALMS.flatMap((realm) =>
    all
      .filter((known) => known.realm === realm && known.status !== "removed")
      .map((known) =>
        viewOf({ ...known, realm }, known.credentialsHash ? known.credentials : NONE),
      ),
  );
}

function keyName({ kid, jwk }: ClientCredentials["keys"][number]): string {
  return `${kid} ${canonicalBytes({ ...jwk }).toString()}`;
}

function findClient(
  registry: Registry,
  options: ClientName,
): TenantName & { readonly client: string; readonly known: ClientInfo } {
  const { realm, tenant } = findTenant(registry, options);
  const { client } = options;
  const known = registry.clients.get(`${realm}/${tenant}/${client}`);
  if (!known || known.status === "removed")
    throw new ServiceError(
      "ERR_CLIENT_UNKNOWN",
      `Client ${client} is not registered in tenant ${tenant}: redoubt clients list shows them`,
    );
  return { realm, tenant, client, known };
}

/** @throws ServiceError `ERR_CLIENT_CREDENTIALS` where the registry names some that nobody has any more */
function credentialsOf(known: ClientInfo | undefined): ClientCredentials {
  if (known?.credentialsHash === undefined) return NONE;
  if (known.credentials) return known.credentials;
  throw new ServiceError(
    "ERR_CLIENT_CREDENTIALS",
    `What client ${known.client} proves itself with was lost: redoubt clients rotate gives it something new`,
  );
}

/** Says what a client may have, and what it proves itself with. */
export async function stateClient(
  operator: Operator,
  { realm, tenant, client, status, audiences, scopes }: Omit<ClientView, "credentials">,
  credentials: ClientCredentials,
): Promise<void> {
  const body = { type: "client", realm, tenant, client, status, audiences, scopes } as const;
  if (credentials.secrets.length + credentials.keys.length === 0) {
    await operator.state(body);
    return;
  }
  const { bytes, hash: credentialsHash } = encodeCredentials(credentials);
  await operator.state({ ...body, credentialsHash }, bytes);
}

/** What the registry is told of a secret. */
export function secretCredentials(secret: string): ClientCredentials {
  const added = nowSeconds(systemClock);
  return { secrets: [{ hash: hash("sha256", secret, "base64url"), added }], keys: [] };
}

function newCredentials(jwks: readonly JsonObject[] | undefined): {
  readonly credentials: ClientCredentials;
  readonly secret?: string;
} {
  if (jwks) return { credentials: { secrets: [], keys: jwks.map(readKey) } };
  const secret = Secret.random().reveal();
  return { credentials: secretCredentials(secret), secret };
}

function readKey(jwk: JsonObject): ClientCredentials["keys"][number] {
  try {
    return { ...parseClientJwk(jwk), added: nowSeconds(systemClock) };
  } catch (cause) {
    if (!(cause instanceof KeyError)) throw cause;
    throw new ServiceError("ERR_OPTION", `--jwks: ${cause.message}`, { cause });
  }
}

function viewOf(
  { realm, tenant, client, status, audiences, scopes }: Omit<ClientView, "credentials">,
  credentials: ClientCredentials | undefined,
): ClientView {
  const shown = credentials && [
    ...credentials.secrets.map((one) =>
      credentialView("secret", one.hash.slice(0, SHOWN_HASH), one),
    ),
    ...credentials.keys.map((one) => credentialView("key", one.kid, one)),
  ];
  return { realm, tenant, client, status, audiences, scopes, credentials: shown ?? null };
}

function credentialView(
  kind: CredentialView["kind"],
  id: string,
  { added, until }: { readonly added: number; readonly until?: number },
): CredentialView {
  return { kind, id, added, until: until ?? null };
}
