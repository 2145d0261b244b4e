import { Argument, type Command } from "commander";
import type { Run } from "../command.ts";
import type { TenantAddOptions, TenantStatus } from "../tenancy/tenants.ts";
import { collect, anyRealmOption, tenantOption } from "./options.ts";

const HELP = `
Examples:
  redoubt tenants list
  redoubt tenants add --audience api://orders                    a new tenant of the enterprise realm
  redoubt tenants add --tenant <uuid> --audience api://billing   one more audience for a tenant
  redoubt tenants set-status <uuid> suspended                    no token for it from now on`;

export function register(cli: Command, run: Run): void {
  const tenants = cli
    .command("tenants")
    .description("tenants: who may have tokens, and for what")
    .addHelpText("after", HELP);
  tenants
    .command("list", { isDefault: true })
    .description("list tenants, as the registry log has them")
    .addHelpText("after", "\nExample:\n  redoubt tenants list --json")
    .action(run(async (context) => (await import("../tenancy/tenants.ts")).tenantsList(context)));
  tenants
    .command("add")
    .description("register a tenant, or add audiences to one; may be repeated")
    .addOption(anyRealmOption())
    .addOption(tenantOption("id of the tenant (default: a new one)"))
    .option("--audience <name>", "what its tokens may be for; repeatable", collect)
    .addHelpText("after", "\nExample:\n  redoubt tenants add --audience api://orders")
    .action(
      run(async (context, options: TenantAddOptions) =>
        (await import("../tenancy/tenants.ts")).tenantsAdd(context, options),
      ),
    );
  tenants
    .command("set-status")
    .description("suspend, delete or restore a tenant")
    .argument("<tenant>", "id of the tenant")
    .addArgument(new Argument("<status>").choices(["active", "suspended", "deleted"]))
    .addHelpText("after", "\nExample:\n  redoubt tenants set-status <uuid> suspended")
    .action(
      run(async (context, tenant: string, status: TenantStatus) =>
        (await import("../tenancy/tenants.ts")).tenantsSetStatus(context, tenant, status),
      ),
    );
}
