import { randomUUID } from "node:crypto";
import { ServiceError } from "@redoubt/base";
import type { Registry } from "@redoubt/registry";
import { EXIT, type CommandContext } from "../command.ts";
import { DEFAULT_REALM } from "../layout.ts";
import { checkRealm, withOperator, type Operator } from "../operator.ts";
import { table } from "../table.ts";
import {
  checkAudiences,
  checkTenantId,
  findTenant,
  isSameSet,
  union,
  type TenantName,
} from "./names.ts";
import { caughtUp, outcomeText, type Outcome } from "./outcome.ts";

export const TENANT_STATUSES = ["active", "suspended", "deleted"] as const;
export type TenantStatus = (typeof TENANT_STATUSES)[number];

export interface TenantAddOptions {
  readonly realm?: string;
  readonly tenant?: string;
  readonly audience?: readonly string[];
}

export interface TenantView extends TenantName {
  readonly status: TenantStatus;
  readonly audiences: readonly string[];
  readonly clients: number;
}

/** Registers a tenant, or adds audiences to one. */
export function tenantsAdd(context: CommandContext, options: TenantAddOptions): Promise<number> {
  return withOperator(context, async (operator) => {
    const added = await addTenant(operator, options);
    await caughtUp(context, operator, added.realm);
    const text = `${outcomeText(added)}\n${tenantTable([added])}`;
    context.terminal.result({ json: added, text });
    return EXIT.ok;
  });
}

export function tenantsList(context: CommandContext): Promise<number> {
  return withOperator(context, async (operator) => {
    const tenants = listTenants(await operator.readRegistry());
    context.terminal.result({ json: tenants, text: tenantTable(tenants) });
    return EXIT.ok;
  });
}

export function tenantsSetStatus(
  context: CommandContext,
  tenant: string,
  status: TenantStatus,
): Promise<number> {
  return withOperator(context, async (operator) => {
    const view = await setTenantStatus(operator, { tenant }, status);
    await caughtUp(context, operator, view.realm);
    context.terminal.result({ json: view, text: tenantTable([view]) });
    return EXIT.ok;
  });
}

/** Appends a statement only if it changes something. */
export async function addTenant(
  operator: Operator,
  options: TenantAddOptions,
): Promise<TenantView & Outcome> {
  const { realm = DEFAULT_REALM, audience = [] } = options;
  checkRealm(operator, realm);
  const named = options.tenant === undefined ? undefined : checkTenantId(options.tenant);
  const registry = await operator.readRegistry();
  const rule = registry.realms.get(realm)?.tenantRule;
  const tenant = named ?? (rule && "fixed" in rule ? rule.fixed : randomUUID());
  const known = registry.tenants.get(`${realm}/${tenant}`);
  const audiences = union(known?.audiences ?? [], checkAudiences(audience));
  if (audiences.length === 0)
    throw new ServiceError(
      "ERR_OPTION",
      "Name what the tenant's tokens may be for with --audience",
    );
  const status = known?.status ?? "active";
  const changed = !known || !isSameSet(known.audiences, audiences);
  if (changed) await operator.state({ type: "tenant", realm, tenant, status, audiences });
  return { ...viewOf(registry, { realm, tenant }), created: known === undefined, changed };
}

export async function setTenantStatus(
  operator: Operator,
  options: { readonly realm?: string; readonly tenant?: string },
  status: TenantStatus,
): Promise<TenantView> {
  const registry = await operator.readRegistry();
  const name = findTenant(registry, operator.realms, options);
  const { realm, tenant } = name;
  const { status: old, audiences } = viewOf(registry, name);
  if (old !== status) await operator.state({ type: "tenant", realm, tenant, status, audiences });
  return viewOf(registry, name);
}

export function listTenants(registry: Registry): TenantView[] {
  return [...registry.realms.keys()].flatMap((realm) =>
    [...registry.tenants.values()]
      .filter((info) => info.realm === realm)
      .map(({ tenant }) => viewOf(registry, { realm, tenant })),
  );
}

function viewOf(registry: Registry, { realm, tenant }: TenantName): TenantView {
  const info = registry.tenants.get(`${realm}/${tenant}`);
  if (!info)
    throw new ServiceError("ERR_TENANT_UNKNOWN", `Tenant ${tenant} is not in realm ${realm}`);
  const own = [...registry.clients.values()].filter(
    (c) => c.realm === realm && c.tenant === tenant && c.status !== "removed",
  );
  return { realm, tenant, status: info.status, audiences: info.audiences, clients: own.length };
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
