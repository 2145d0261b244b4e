import { errorLine, nowSeconds, ServiceError, systemClock } from "@redoubt/base";
import {
  checkLoginUri,
  encodeCredentials,
  type ClientCredentials,
  type ClientInfo,
  type ClientLogin,
  type Registry,
} from "@redoubt/registry";
import type { JsonObject } from "@redoubt/verify/json";
import { EXIT, type CommandContext } from "../command.ts";
import { atTenant, REALMS, type Realm } from "../layout.ts";
import { withOperator, type Operator } from "../operator.ts";
import {
  clientTable,
  credentialTable,
  loginTable,
  viewOf,
  type ClientRights,
  type ClientView,
} from "./client-view.ts";
import {
  knownCredentials,
  newCredentials,
  NONE,
  parseOverlap,
  readJwks,
  requireCredentials,
  succeed,
  withAudience,
} from "./credentials.ts";
import {
  checkAudiences,
  checkClientId,
  checkScopes,
  findTenant,
  isSameSet,
  union,
  type TenantName,
} from "./names.ts";
import { caughtUp, outcomeText, type Outcome } from "./outcome.ts";

type ClientStatus = ClientInfo["status"];

export interface ClientName {
  readonly realm?: Realm;
  readonly tenant?: string;
  readonly client: string;
}

export interface ClientAddOptions extends ClientName {
  readonly audience?: readonly string[];
  readonly scope?: readonly string[];
  /** The client's public keys (RFC 7517): then it has no secret. */
  readonly jwks?: readonly JsonObject[] | undefined;
  /** Whether its assertions may name the token endpoint as their audience; undefined leaves it as it is. */
  readonly unsafeTokenEndpointAudience?: boolean;
  /** Where people who sign in through it are sent back to; added to what it has. */
  readonly redirectUri?: readonly string[];
  readonly logoutUri?: readonly string[];
  readonly backchannelLogoutUri?: string;
  /** It runs where nothing can be kept secret: it gets no secret. */
  readonly public?: boolean;
}

export interface ClientRotateOptions extends ClientName {
  readonly jwks?: readonly JsonObject[] | undefined;
  /** How long what it has now is still taken. */
  readonly overlapSeconds: number;
}

/** `jwks` is the name of a file. */
export type WithFile<Options> = Omit<Options, "jwks"> & { readonly jwks?: string };

export type RotateFlags = Omit<ClientName, "client"> & {
  readonly jwks?: string;
  readonly overlap: string;
};

interface Plan extends TenantName<Realm> {
  readonly client: string;
  /** The statement that this one replaces; undefined for a client that is new, or was removed. */
  readonly known: ClientInfo | undefined;
  readonly isChanged: boolean;
  readonly status: ClientStatus;
  readonly audiences: readonly string[];
  readonly scopes: readonly string[];
  readonly login: ClientLogin | null;
}

/** Registers a client, or adds audiences and scopes to one. */
export function clientsAdd(
  context: CommandContext,
  { jwks: file, ...options }: WithFile<ClientAddOptions>,
): Promise<number> {
  return withOperator(context, async (operator, { settings }) => {
    const jwks = file === undefined ? undefined : readJwks(context, file);
    const added = await addClient(operator, { ...options, jwks });
    const url = atTenant(settings.realms[added.realm].tokenEndpoint, added.tenant);
    await caughtUp(context, operator, added.realm);
    const text = [
      outcomeText(added),
      clientTable([added]),
      "",
      `token endpoint: ${url}`,
      ...secretLines(added.secret),
    ].join("\n");
    context.terminal.result({ json: { ...added, tokenEndpoint: url }, text });
    return EXIT.ok;
  });
}

/** Gives a client a new secret, or other keys. */
export function clientsRotate(
  context: CommandContext,
  client: string,
  { jwks: file, overlap, ...place }: RotateFlags,
): Promise<number> {
  const overlapSeconds = parseOverlap(overlap);
  return withOperator(context, async (operator) => {
    const jwks = file === undefined ? undefined : readJwks(context, file);
    const view = await rotateClient(operator, { ...place, client, jwks, overlapSeconds });
    await caughtUp(context, operator, view.realm);
    const text = [credentialTable(view), ...secretLines(view.secret)].join("\n");
    context.terminal.result({ json: view, text });
    return EXIT.ok;
  });
}

function secretLines(secret: string | undefined): readonly string[] {
  if (secret === undefined) return [];
  return ["", `secret: ${secret}`, "It is shown this once; Redoubt keeps only its hash."];
}

export function clientsList(context: CommandContext): Promise<number> {
  return withOperator(context, async (operator) => {
    const clients = await listClients(operator);
    context.terminal.result({ json: clients, text: clientTable(clients) });
    return EXIT.ok;
  });
}

export function clientsSetStatus(
  context: CommandContext,
  name: ClientName,
  status: ClientStatus,
): Promise<number> {
  return withOperator(context, async (operator) => {
    const view = await setClientStatus(operator, name, status);
    await caughtUp(context, operator, view.realm);
    context.terminal.result({ json: view, text: clientTable([view]) });
    return EXIT.ok;
  });
}

export function clientsShow(context: CommandContext, name: ClientName): Promise<number> {
  return withOperator(context, async (operator) => {
    const view = await showClient(operator, name);
    const parts = [clientTable([view]), credentialTable(view), loginTable(view)];
    const text = parts.filter((part) => part !== "").join("\n\n");
    context.terminal.result({ json: view, text });
    return EXIT.ok;
  });
}

/**
 * Registers a client, or adds audiences and scopes to one, whose credentials stay as they are. The registry gets the
 * hash of a new secret; the secret itself is in the answer, this once.
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
  const { credentials: before, secret } = credentialsFor(known, options);
  const credentials = withAudience(before, options.unsafeTokenEndpointAudience);
  const changed = plan.isChanged || credentials !== before;
  if (changed) await stateClient(operator, plan, credentials);
  return {
    ...viewOf(plan, credentials),
    created: known === undefined,
    changed,
    ...(secret !== undefined && { secret }),
  };
}

function credentialsFor(
  known: ClientInfo | undefined,
  { jwks, public: isPublic = false }: ClientAddOptions,
): { readonly credentials: ClientCredentials; readonly secret?: string } {
  if (known)
    return { credentials: known.credentialsHash === undefined ? NONE : requireCredentials(known) };
  return isPublic ? { credentials: NONE } : newCredentials(jwks);
}

export function planClient(registry: Registry, options: ClientAddOptions): Plan {
  const name = findTenant(registry, REALMS, options);
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
  const login = planLogin(known?.login ?? null, options);
  if (options.public === true && login === null)
    throw new ServiceError(
      "ERR_OPTION",
      "--public needs --redirect-uri: alone it could do nothing",
    );
  const isChanged =
    !known ||
    !isSameSet(known.audiences, audiences) ||
    !isSameSet(known.scopes, scopes) ||
    JSON.stringify(login) !== JSON.stringify(known.login ?? null);
  const status = known?.status ?? "active";
  return { ...name, client, known, isChanged, status, audiences, scopes, login };
}

function planLogin(
  known: ClientLogin | null,
  { redirectUri = [], logoutUri = [], backchannelLogoutUri }: ClientAddOptions,
): ClientLogin | null {
  const redirectUris = union(known?.redirectUris ?? [], redirectUri.map(checkLoginOption));
  const logoutUris = union(known?.logoutUris ?? [], logoutUri.map(checkLoginOption));
  const told = backchannelLogoutUri ?? known?.backchannelLogoutUri;
  if (redirectUris.length === 0) {
    if (logoutUris.length > 0 || told !== undefined)
      throw new ServiceError("ERR_OPTION", "Name --redirect-uri: where people come back to");
    return null;
  }
  return {
    redirectUris,
    logoutUris,
    ...(told !== undefined && { backchannelLogoutUri: checkLoginOption(told) }),
  };
}

function checkLoginOption(uri: string): string {
  try {
    return checkLoginUri(uri);
  } catch (cause) {
    throw new ServiceError("ERR_OPTION", `${uri}: ${errorLine(cause)}`, { cause });
  }
}

/** Gives a client a new secret, or other keys. What it had before is taken for the overlap, so that nothing stops. */
export async function rotateClient(
  operator: Operator,
  options: ClientRotateOptions,
): Promise<ClientView & { readonly secret?: string }> {
  const { known, ...name } = findClient(await operator.readRegistry(), options);
  const now = nowSeconds(systemClock);
  // Credentials that were lost cannot be carried over: they end now.
  const before = known.credentials ?? NONE;
  const { secret, ...fresh } = newCredentials(options.jwks);
  const credentials = succeed(before, fresh.credentials, now, now + options.overlapSeconds);
  const rights = { ...known, ...name, login: known.login ?? null };
  await stateClient(operator, rights, credentials);
  return { ...viewOf(rights, credentials), ...(secret !== undefined && { secret }) };
}

/** Disables or enables a client, or removes it for good, with its rights and credentials. */
export async function setClientStatus(
  operator: Operator,
  options: ClientName,
  status: ClientStatus,
): Promise<ClientView> {
  const { known, ...name } = findClient(await operator.readRegistry(), options);
  const isRemoved = status === "removed";
  // If its credentials were lost, the statement names none: a client must be able to be disabled all the same.
  const credentials = isRemoved ? NONE : (known.credentials ?? NONE);
  const rights = isRemoved ? { audiences: [], scopes: [] } : known;
  const login = isRemoved ? null : (known.login ?? null);
  const next = { ...name, audiences: rights.audiences, scopes: rights.scopes, status, login };
  if (known.status !== status) await stateClient(operator, next, credentials);
  return viewOf(next, credentials);
}

export async function showClient(operator: Operator, options: ClientName): Promise<ClientView> {
  const { known, ...name } = findClient(await operator.readRegistry(), options);
  return viewOf({ ...known, ...name, login: known.login ?? null }, knownCredentials(known));
}

export async function listClients(operator: Operator): Promise<ClientView[]> {
  const all = [...(await operator.readRegistry()).clients.values()];
  return REALMS.flatMap((realm) =>
    all
      .filter((known) => known.realm === realm && known.status !== "removed")
      .map((known) =>
        viewOf({ ...known, realm, login: known.login ?? null }, knownCredentials(known)),
      ),
  );
}

function findClient(
  registry: Registry,
  options: ClientName,
): TenantName<Realm> & { readonly client: string; readonly known: ClientInfo } {
  const { realm, tenant } = findTenant(registry, REALMS, options);
  const { client } = options;
  const known = registry.clients.get(`${realm}/${tenant}/${client}`);
  if (!known || known.status === "removed")
    throw new ServiceError(
      "ERR_CLIENT_UNKNOWN",
      `Client ${client} is not registered in tenant ${tenant}: redoubt clients list shows them`,
    );
  return { realm, tenant, client, known };
}

/** Appends the statement of a client: its status and rights, and the hash of its credentials, which go with it. */
export async function stateClient(
  operator: Operator,
  { realm, tenant, client, status, audiences, scopes, login }: ClientRights,
  credentials: ClientCredentials,
): Promise<void> {
  const body = {
    type: "client",
    realm,
    tenant,
    client,
    status,
    audiences,
    scopes,
    ...(login && { login }),
  } as const;
  if (credentials.secrets.length + credentials.keys.length === 0) {
    await operator.state(body);
    return;
  }
  const { bytes, hash: credentialsHash } = encodeCredentials(credentials);
  await operator.state({ ...body, credentialsHash }, bytes);
}
