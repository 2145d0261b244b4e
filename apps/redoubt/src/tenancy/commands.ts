import { readFileSync } from "node:fs";
import { errorCode, errorLine, ServiceError } from "@redoubt/base";
import { parseDuration } from "@redoubt/keys";
import { isJsonObject, parseJsonObject, type JsonObject } from "@redoubt/verify/json";
import { EXIT, fileArgument, type CommandContext } from "../command.ts";
import { tokenEndpoint, type Realm } from "../layout.ts";
import { withOperator, type Operator } from "../operator.ts";
import { table } from "../table.ts";
import {
  addClient,
  listClients,
  rotateClient,
  setClientStatus,
  showClient,
  type ClientAddOptions,
  type ClientName,
  type ClientRotateOptions,
  type ClientStatus,
  type ClientView,
} from "./clients.ts";
import {
  addTenant,
  listTenants,
  setTenantStatus,
  type Outcome,
  type TenantAddOptions,
  type TenantStatus,
  type TenantView,
} from "./tenants.ts";

export async function tenantsAdd(
  context: CommandContext,
  options: TenantAddOptions,
): Promise<number> {
  const tenant = await withOperator(context, async (operator) => {
    const added = await addTenant(operator, options);
    await caughtUp(context, operator, added.realm);
    return added;
  });
  context.terminal.result({
    json: tenant,
    text: `${outcomeText(tenant)}\n${tenantTable([tenant])}`,
  });
  return EXIT.ok;
}

function outcomeText({ created, changed }: Outcome): string {
  if (created) return "Registered:";
  return changed ? "Updated:" : "Known already, nothing to do:";
}

export async function tenantsList(context: CommandContext): Promise<number> {
  const tenants = await withOperator(context, async (operator) =>
    listTenants(await operator.readRegistry()),
  );
  context.terminal.result({ json: tenants, text: tenantTable(tenants) });
  return EXIT.ok;
}

export async function tenantsSetStatus(
  context: CommandContext,
  tenant: string,
  status: TenantStatus,
): Promise<number> {
  const view = await withOperator(context, async (operator) => {
    const set = await setTenantStatus(operator, { tenant }, status);
    await caughtUp(context, operator, set.realm);
    return set;
  });
  context.terminal.result({ json: view, text: tenantTable([view]) });
  return EXIT.ok;
}

function tenantTable(tenants: readonly TenantView[]): string {
  const rows = tenants.map((t) => [
    t.realm,
    t.tenant,
    t.status,
    String(t.clients),
    t.audiences.join(" "),
  ]);
  return table([["REALM", "TENANT", "STATUS", "CLIENTS", "AUDIENCES"], ...rows]);
}

/** `jwks` is the name of a file. */
type WithFile<Options> = Omit<Options, "jwks"> & { readonly jwks?: string };

export function clientsAdd(
  context: CommandContext,
  flags: WithFile<ClientAddOptions>,
): Promise<number> {
  return withOperator(context, async (operator, { ports }) => {
    const added = await addClient(operator, withKeys(context, flags));
    const url = tokenEndpoint(added.realm, ports).replace("{tenantid}", added.tenant);
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

export function clientsRotate(
  context: CommandContext,
  flags: WithFile<ClientRotateOptions>,
): Promise<number> {
  return withOperator(context, async (operator) => {
    const view = await rotateClient(operator, withKeys(context, flags));
    await caughtUp(context, operator, view.realm);
    const text = [credentialTable(view), ...secretLines(view.secret)].join("\n");
    context.terminal.result({ json: view, text });
    return EXIT.ok;
  });
}

/** @throws ServiceError `ERR_OPTION` */
export function overlapSeconds(text: string): number {
  if (text === "0") return 0;
  try {
    return parseDuration(text);
  } catch (cause) {
    throw new ServiceError("ERR_OPTION", "--overlap must be 0 or a duration such as PT6H or P7D", {
      cause,
    });
  }
}

function withKeys<Flags extends { readonly jwks?: string }>(
  context: CommandContext,
  { jwks: file, ...rest }: Flags,
): Omit<Flags, "jwks"> & { readonly jwks?: readonly JsonObject[] } {
  return file === undefined ? rest : { ...rest, jwks: readJwks(fileArgument(context, file)) };
}

function secretLines(secret: string | undefined): readonly string[] {
  if (secret === undefined) return [];
  return ["", `secret: ${secret}`, "It is shown this once; Redoubt keeps only its hash."];
}

/** What is in the registry stays, whatever else is down: then this is said, and nothing has failed. */
async function caughtUp(
  { terminal }: CommandContext,
  operator: Operator,
  realm: Realm,
): Promise<void> {
  try {
    await operator.realmCaughtUp(realm);
  } catch (error) {
    terminal.notice(`Said to the registry, but not in effect yet: ${errorLine(error)}`);
  }
}

const MAX_JWKS_BYTES = 64 * 1024;

function readJwks(path: string): readonly JsonObject[] {
  try {
    const { keys } = parseJsonObject(readFileSync(path), { maxBytes: MAX_JWKS_BYTES });
    if (Array.isArray(keys) && keys.length > 0 && keys.every(isJsonObject)) return keys;
  } catch (cause) {
    throw new ServiceError("ERR_OPTION", `--jwks ${path} cannot be read (${errorCode(cause)})`, {
      cause,
    });
  }
  throw new ServiceError("ERR_OPTION", `--jwks ${path} must be {"keys":[…]} with public keys only`);
}

export async function clientsList(context: CommandContext): Promise<number> {
  const clients = await withOperator(context, (operator) => listClients(operator));
  context.terminal.result({ json: clients, text: clientTable(clients) });
  return EXIT.ok;
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

export async function clientsShow(context: CommandContext, name: ClientName): Promise<number> {
  const view = await withOperator(context, (operator) => showClient(operator, name));
  context.terminal.result({
    json: view,
    text: `${clientTable([view])}\n\n${credentialTable(view)}`,
  });
  return EXIT.ok;
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

function clientTable(clients: readonly ClientView[]): string {
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

/** RFC 7591 §2: the names of the methods. */
function authentication({ credentials }: ClientView): string {
  if (credentials === null) return "lost";
  const kinds = new Set(credentials.map(({ kind }) => kind));
  const methods = [
    ...(kinds.has("secret") ? ["client_secret_basic"] : []),
    ...(kinds.has("key") ? ["private_key_jwt"] : []),
  ];
  return methods.join(" ") || "none";
}

function credentialTable({ credentials }: ClientView): string {
  const rows = (credentials ?? []).map((one) => [
    one.kind,
    one.id,
    dateText(one.added),
    one.until === null ? "no end" : dateText(one.until),
  ]);
  return table([["PROVES ITSELF WITH", "ID", "SINCE", "UNTIL"], ...rows]);
}

function dateText(seconds: number): string {
  return new Date(seconds * 1000).toISOString().replace(".000Z", "Z");
}
