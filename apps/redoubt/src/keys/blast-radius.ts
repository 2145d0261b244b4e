import type { KeyInfo, Registry } from "@redoubt/registry";
import { tenantCovered } from "@redoubt/verify/record";

/** Whose tokens a key can make: the active tenants that its record covers. */
export function coveredTenants(
  { tenants }: Pick<Registry, "tenants">,
  { realm, record }: Pick<KeyInfo, "realm" | "record">,
): readonly string[] {
  return [...tenants.values()]
    .filter((info) => info.realm === realm && info.status === "active")
    .map(({ tenant }) => tenant)
    .filter((tenant) => tenantCovered(record.tenants, tenant));
}
