import { CLIENT_ID, ServiceError, UUID } from "@redoubt/base";
import type { Registry } from "@redoubt/registry";
import { CONSUMER_TENANT } from "../layout.ts";

export interface TenantName<R extends string = string> {
  readonly realm: R;
  readonly tenant: string;
}

/** RFC 6749 §3.3. */
const SCOPE = /^[\x21\x23-\x5b\x5d-\x7e]{1,128}$/;
const NAME = /^[\x21-\x7e]+$/;
const MAX_AUDIENCE = 512;

export function checkTenantId(text: string): string {
  if (!UUID.test(text))
    throw new ServiceError("ERR_OPTION", "A tenant is named by a lower-case UUID");
  return text;
}

export function checkAudiences(audiences: readonly string[]): readonly string[] {
  for (const audience of audiences)
    if (audience.length > MAX_AUDIENCE || !NAME.test(audience))
      throw new ServiceError(
        "ERR_OPTION",
        "An audience is a name without spaces, such as api://orders",
      );
  return audiences;
}

export function checkScopes(scopes: readonly string[]): readonly string[] {
  for (const scope of scopes)
    if (!SCOPE.test(scope))
      throw new ServiceError(
        "ERR_OPTION",
        "A scope is a word such as orders.read; give --scope once for each",
      );
  return scopes;
}

export function checkClientId(client: string): string {
  if (!CLIENT_ID.test(client))
    throw new ServiceError(
      "ERR_OPTION",
      "A client id has 1 to 128 of the characters A-Z a-z 0-9 . _ - and no others: HTTP Basic carries it form-encoded (RFC 6749 §2.3.1), many programs forget that, and these are the same either way",
    );
  return client;
}

/**
 * Finds the tenant that the options name, and its realm, one of these: a tenant is in one realm only.
 *
 * @throws ServiceError `ERR_OPTION`, `ERR_TENANT_UNKNOWN`
 */
export function findTenant<R extends string>(
  registry: Registry,
  realms: readonly R[],
  options: { readonly realm?: R; readonly tenant?: string },
): TenantName<R> {
  const { realm } = options;
  const tenant = options.tenant ?? (realm === "consumer" ? CONSUMER_TENANT : undefined);
  if (tenant === undefined)
    throw new ServiceError(
      "ERR_OPTION",
      "Name the tenant with --tenant; redoubt tenants list shows them",
    );
  checkTenantId(tenant);
  const owner = realms.find((name) => registry.tenants.has(`${name}/${tenant}`));
  if (owner === undefined || (realm !== undefined && realm !== owner))
    throw new ServiceError(
      "ERR_TENANT_UNKNOWN",
      `Tenant ${tenant} is not registered${realm ? ` in realm ${realm}` : ""}: redoubt tenants add makes one`,
    );
  return { realm: owner, tenant };
}

/** Both lists in order, each name once: to add twice is to add once. */
export function union(a: readonly string[], b: readonly string[]): readonly string[] {
  return [...new Set([...a, ...b])].toSorted();
}

export function isSameSet(a: readonly string[], b: readonly string[]): boolean {
  return union(a, []).join("\n") === union(b, []).join("\n");
}
