import { hash } from "node:crypto";

declare const tenantIdBrand: unique symbol;

/** A tenant's GUID in lower case; other spellings of the same GUID are not tenant ids. */
export type TenantId = string & { readonly [tenantIdBrand]: true };

/**
 * Tenants that a key may sign for: a list, or the share `bucket` of `of` equal shares of all tenants, with exceptions.
 */
export type TenantSelector =
  | { readonly ids: readonly TenantId[] }
  | { readonly bucket: number; readonly of: number; readonly except: readonly TenantId[] };

const TENANT_ID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

export function isTenantId(value: unknown): value is TenantId {
  return typeof value === "string" && TENANT_ID.test(value);
}

/**
 * Tells whether a key's tenant selector covers a tenant; a text that is no tenant id is never covered.
 * P1, THREAT-01: the selector comes from the key record, the tenant from the token.
 */
export function tenantCovered(selector: TenantSelector, tenantId: string): boolean {
  return isTenantId(tenantId) && selectorCovers(selector, tenantId);
}

/** As `tenantCovered`, for a text that was checked to be a tenant id. */
export function selectorCovers(selector: TenantSelector, tenantId: TenantId): boolean {
  if ("ids" in selector) return selector.ids.includes(tenantId);
  if (selector.except.includes(tenantId)) return false;
  return (
    // mutate: of one share it is the only one, hashed or not.
    selector.of === 1 || tenantBucket(tenantId, selector.of) === selector.bucket
  );
}

function tenantBucket(tenantId: TenantId, of: number): number {
  return hash("sha256", tenantId, "buffer").readUInt32BE(0) % of;
}
