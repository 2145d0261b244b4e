import { isTenantId, type TenantId } from "./tenant.ts";

export const ISSUER_PLACEHOLDER = "{tenantid}";
const MAX_LENGTH = 512;
const NIL_TENANT = "00000000-0000-0000-0000-000000000000";

/**
 * Tells whether a text is an issuer URL that may hold `{tenantid}` once.
 * RFC 8414 §2: no query, no fragment; nor user information, which no issuer needs.
 */
export function isIssuerTemplate(value: unknown): value is string {
  if (typeof value !== "string" || value.length > MAX_LENGTH) return false;
  const filled = value.replace(ISSUER_PLACEHOLDER, NIL_TENANT);
  return /^https?:\/\/[^\s{}?#@\\]+$/.test(filled) && URL.canParse(filled);
}

/**
 * The issuer of one tenant.
 *
 * @throws RangeError if `tenantId` is not a lower-case GUID
 */
export function issuerFor(record: { readonly issuer: string }, tenantId: string): string {
  if (!isTenantId(tenantId)) throw new RangeError("Tenant id is not a lower-case GUID");
  return record.issuer.replace(ISSUER_PLACEHOLDER, tenantId);
}

/** Tells whether an issuer is the template or one of its fillings, and if so for which tenant. */
export function matchIssuer(
  template: string,
  issuer: string,
): { readonly tenantId: TenantId | null } | undefined {
  const at = template.indexOf(ISSUER_PLACEHOLDER);
  if (at === -1) return issuer === template ? { tenantId: null } : undefined;
  const tenantId = issuer.slice(at, at + NIL_TENANT.length);
  if (!isTenantId(tenantId) || issuerFor({ issuer: template }, tenantId) !== issuer)
    return undefined;
  return { tenantId };
}
