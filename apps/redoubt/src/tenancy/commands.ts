import { readFileSync } from "node:fs";
import { errorCode, ServiceError } from "@redoubt/base";
import { parseJsonObject } from "@redoubt/verify/json";
import { EXIT, fileArgument, type CommandContext } from "../command.ts";
import { tokenEndpoint } from "../layout.ts";
import type { Jwks } from "../tenancy.ts";
import { withOperator } from "../with-operator.ts";
import { table } from "../table.ts";
import {
  addClient,
  listClients,
  setClientStatus,
  type ClientAddOptions,
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
  const tenant = await withOperator(context, (operator) => addTenant(operator, options));
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
  const view = await withOperator(context, (operator) =>
    setTenantStatus(operator, { tenant }, status),
  );
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

export interface ClientsAddFlags extends Omit<ClientAddOptions, "jwks"> {
  /** Name of a file. */
  readonly jwks?: string;
}

export async function clientsAdd(context: CommandContext, flags: ClientsAddFlags): Promise<number> {
  const { jwks: file, ...rest } = flags;
  const options =
    file === undefined ? rest : { ...rest, jwks: readJwks(fileArgument(context, file)) };
  await withOperator(context, async (operator, { ports }) => {
    const added = await addClient(operator, options);
    const url = tokenEndpoint(added.realm, ports).replace("{tenantid}", added.tenant);
    const secret =
      added.secret === undefined
        ? []
        : ["", `secret: ${added.secret}`, "It is shown this once; the issuer keeps only its hash."];
    const text = [
      outcomeText(added),
      clientTable([added]),
      "",
      `token endpoint: ${url}`,
      ...secret,
    ].join("\n");
    context.terminal.result({ json: { ...added, tokenEndpoint: url }, text });
  });
  return EXIT.ok;
}

const MAX_JWKS_BYTES = 64 * 1024;

function readJwks(path: string): Jwks {
  try {
    const jwks = parseJsonObject(readFileSync(path), { maxBytes: MAX_JWKS_BYTES });
    const { keys } = jwks;
    if (Array.isArray(keys) && keys.length > 0 && keys.every(isPublic)) return { keys };
  } catch (cause) {
    throw new ServiceError("ERR_OPTION", `--jwks ${path} cannot be read (${errorCode(cause)})`, {
      cause,
    });
  }
  throw new ServiceError("ERR_OPTION", `--jwks ${path} must be {"keys":[…]} with public keys only`);
}

// A private key that goes to the issuer has left the only place where it belongs.
function isPublic(key: unknown): boolean {
  return typeof key === "object" && key !== null && !("d" in key) && !("k" in key);
}

export async function clientsList(context: CommandContext): Promise<number> {
  const clients = await withOperator(context, (operator) => listClients(operator));
  context.terminal.result({ json: clients, text: clientTable(clients) });
  return EXIT.ok;
}

export async function clientsSetStatus(
  context: CommandContext,
  client: string,
  status: ClientStatus,
  options: Pick<ClientAddOptions, "realm" | "tenant">,
): Promise<number> {
  const view = await withOperator(context, (operator) =>
    setClientStatus(operator, { ...options, client }, status),
  );
  context.terminal.result({ json: view, text: clientTable([view]) });
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
    c.auth ?? "unknown to the issuer",
    c.audiences.join(" "),
    c.scopes.join(" "),
  ]);
  return table([CLIENT_HEADING, ...rows]);
}
